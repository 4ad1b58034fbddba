# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The figures of ``night-seg bench node``: of a node, of two that are compared, and as tables for people."""

from __future__ import annotations

from typing import Any

import numpy as np

from night_seg_ros.common.latency import percentiles
from night_seg_ros.common.tables import percent
from night_seg_ros.common.timing import format_arithmetic
from night_seg_ros.nodes.frame_statistics import STAGES
from night_seg_ros.nodes.processes import NodeError

QUARTERS = 4

Answers = list[tuple[int, float]]
"""Stamps in ns, and the seconds from them to the receipt of the labels."""

Run = tuple[dict[str, Any], dict[int, np.ndarray]]
"""What ``node.run_node`` gives: figures of a node, and labels by the number of their frame."""


def summarise(sent: dict[str, Any], received: dict[str, Any]) -> dict[str, Any]:
    """The figures of a node.

    Args:
        sent: see ``publish_node``.
        received: see ``receive_node``.

    Returns:
        JSON values. Of all cameras: ``latency``, see ``percentiles``, from stamp to receipt; ``answered``
        frames, and ``answered_hz``, how many a second. ``rate_hz`` of the frames sent by each. ``warm_up``:
        frames of each camera before, of which only reports tell. ``cameras``: by topic, how many frames were
        ``sent`` and ``answered``, their ``latency`` (None without an answer), and ``report``: of a node that
        reports such, frames ``in``, ``processed``, ``dropped``, ``rejected``, ``lost_on_the_way`` to it,
        whether ``in`` is the sum of the next three, ``stages_ms``, see ``FrameStatistics``, at the median of
        the last 500 frames, and ``device_memory_mib``, what torch holds of the device's, None on the CPU.
        ``quarters`` of the run, by stamp: ``median_ms`` (None without an answer) and ``resident_mib``, the
        node's memory at its end.

    Raises:
        NodeError: no labels came.
    """
    warm_up, sent_stamps = sent["warm_up"], sent["stamps"]
    answers = {topic: _latencies(stamps, received["answers"][topic]) for topic, stamps in sent_stamps.items()}
    all_answers = [answer for each in answers.values() for answer in each]
    if not all_answers:
        raise NodeError("the node answered not one frame")
    first = min(stamps[0] for stamps in sent_stamps.values())
    last = max(stamps[-1] for stamps in sent_stamps.values())
    longest = max(sent_stamps.values(), key=len)
    span = (longest[-1] - longest[0]) / 1e9
    return {
        "latency": _percentiles(all_answers),
        "answered": len(all_answers),
        "answered_hz": len(all_answers) / max((last - first) / 1e9, 1e-9),
        "rate_hz": (len(longest) - 1) / span if span else 0.0,
        "warm_up": warm_up,
        "cameras": {
            topic: {
                "sent": len(stamps),
                "answered": len(answers[topic]),
                "latency": _percentiles(answers[topic]) if answers[topic] else None,
                "report": _counts(warm_up + len(stamps), received["reports"].get(topic)),
            }
            for topic, stamps in sent_stamps.items()
        },
        "quarters": _quarters(all_answers, received["memory"], first, last),
    }


def _latencies(sent: list[int], received: list[tuple[int, int]]) -> Answers:
    """Of those stamps that were sent; received are stamps and times of receipt, in ns."""
    known = set(sent)
    return [(stamp, (time - stamp) / 1e9) for stamp, time in received if stamp in known]


def _percentiles(answers: Answers) -> dict[str, float]:
    return percentiles([latency for _, latency in answers])


def _counts(sent: int, report: dict[str, str] | None) -> dict[str, Any] | None:
    if report is None:
        return None
    names = ("in", "processed", "dropped", "rejected")
    counts = {name: int(report[f"frames_{name}"]) for name in names}
    adds_up = counts["in"] == counts["processed"] + counts["dropped"] + counts["rejected"]
    memory = report.get("device_memory_mib")
    return {
        **counts,
        "lost_on_the_way": sent - counts["in"],
        "adds_up": adds_up,
        # Empty for a camera without an answer.
        "stages_ms": {name: float(value) for name in STAGES if (value := report[f"{name}_median_ms"])},
        "device_memory_mib": None if memory is None else float(memory),
    }


def _quarters(
    answers: Answers, memory: list[tuple[int, int]], first: int, last: int
) -> list[dict[str, float | None]]:
    """Of the run from its first stamp to its last; memory are times in ns and bytes."""
    # Whole numbers: as floats, such times are a microsecond off.
    edges = [first + (last + 1 - first) * number // QUARTERS for number in range(QUARTERS + 1)]
    return [_quarter(answers, memory, begin, end) for begin, end in zip(edges, edges[1:], strict=False)]


def _quarter(
    answers: Answers, memory: list[tuple[int, int]], begin: int, end: int
) -> dict[str, float | None]:
    latencies = [latency for stamp, latency in answers if begin <= stamp < end]
    before = [held for time, held in memory if time < end]
    return {
        "median_ms": 1000 * float(np.median(latencies)) if latencies else None,
        "resident_mib": before[-1] / 2**20,  # the listener is there before the first frame
    }


def compare_nodes(ours: Run, plain: Run) -> dict[str, Any]:
    """The figures of two nodes that got the same frames.

    Returns:
        JSON values: ``ours`` and ``plain``, what ``run_node`` gives; ``speedup``, the ratio plain / ours
        of their median latencies, and ``answers_ratio``, ours / plain, of the frames answered: a node that
        is too slow for the rate drops frames, and those that it takes have waited little; ``agreement``,
        share of the pixels that got the same label from both, of ``agreement_frames`` that both answered,
        None without such.
    """
    (figures, labels), (plain_figures, plain_labels) = ours, plain
    common = labels.keys() & plain_labels.keys()
    equal = [np.mean(labels[number] == plain_labels[number]) for number in common]
    return {
        "ours": figures,
        "plain": plain_figures,
        "speedup": plain_figures["latency"]["median_ms"] / figures["latency"]["median_ms"],
        "answers_ratio": figures["answered"] / plain_figures["answered"],
        "agreement": float(np.mean(equal)) if equal else None,
        "agreement_frames": len(equal),
    }


def format_nodes(result: dict[str, Any]) -> str:
    """The result of ``node.bench_node`` as tables for people."""
    height, width = result["frame_size"]
    lines = [
        f"{result['network']}: {result['cameras']} x {width}x{height} at {result['rate_hz']:g} Hz for "
        f"{result['seconds']:g} s each",
        f"{result['device']}, {result['precision']}, torch {result['torch']}, "
        f"{result['threads']} threads, Fast DDS as {result['fastdds_profiles'] or 'it comes'}",
    ]
    lines += [line for name in ("ours", "plain") for line in _format_node(name, result[name])]
    lines.append(
        f"median latency, plain / ours: {result['speedup']:.2f}; frames answered, ours / plain: "
        f"{result['answers_ratio']:.2f}"
    )
    lines.append(format_arithmetic(result))
    if result["agreement"] is not None:
        lines.append(
            f"equal labels, ours and plain: {percent(result['agreement'], 3)} of the pixels of "
            f"{result['agreement_frames']} frames"
        )
    return "\n".join(lines)


def _format_node(name: str, node: dict[str, Any]) -> list[str]:
    lines = [
        f"{name}, sent at {node['rate_hz']:.1f} Hz, after {node['warm_up']} frames to warm up, answered "
        f"{node['answered_hz']:.1f} a second"
    ]
    for topic, camera in node["cameras"].items():
        lines.append(f"  {topic}: {_format_counts(camera)}")
        if camera["latency"]:
            lines.append(f"    latency {_format_latency(camera['latency'])}")
        if camera["report"] and camera["report"]["stages_ms"]:
            lines.append(f"    {_format_stages(camera['report'])}")
    for number, quarter in enumerate(node["quarters"], 1):
        median = "no answer" if quarter["median_ms"] is None else f"{quarter['median_ms']:.1f} ms"
        lines.append(f"  quarter {number}: median {median}, memory {quarter['resident_mib']:.0f} MiB")
    return lines


def _format_counts(camera: dict[str, Any]) -> str:
    text = f"{camera['sent']} sent, {camera['answered']} answered"
    report = camera["report"]
    if report is None:
        return text
    text += f"; with those to warm up, {report['lost_on_the_way']} lost on the way, {report['in']} in = "
    text += f"{report['processed']} processed + {report['dropped']} dropped + {report['rejected']} rejected"
    return text if report["adds_up"] else f"{text}: THAT DOES NOT ADD UP"


def _format_stages(report: dict[str, Any]) -> str:
    stages = ", ".join(f"{name} {value:.1f} ms" for name, value in report["stages_ms"].items())
    memory = report["device_memory_mib"]
    return f"stages {stages}" + ("" if memory is None else f"; {memory:.0f} MiB of the device's memory")


def _format_latency(latency: dict[str, float]) -> str:
    return ", ".join(f"{name.removesuffix('_ms')} {value:.1f} ms" for name, value in latency.items())
