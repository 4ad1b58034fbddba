"""``night-seg bench node``: from a camera's topic to the labels, between processes.

Three processes talk over rclpy, in a ROS domain of their own: publish_node plays the cameras,
receive_node takes the labels, and between them runs first segment_node, then plain_node.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from night_seg_ros.bench.options import (
    add_device_options,
    add_frame_options,
    add_network_options,
    open_network,
    positive_float,
    positive_int,
    prepare_device,
    read_frames,
)
from night_seg_ros.common.files import write_json
from night_seg_ros.common.timing import (
    count_network_flop,
    device_name,
    format_arithmetic,
    judge_arithmetic,
    matrix_peak,
    percentiles,
)
from night_seg_ros.inference.options import chosen_weights
from night_seg_ros.inference.preprocess import network_size
from night_seg_ros.inference.segmenter import PRECISIONS, choose_precision
from night_seg_ros.models import METHODS
from night_seg_ros.models.checkpoint import save_checkpoint
from night_seg_ros.nodes.frame_statistics import STAGES
from night_seg_ros.nodes.parameters import check_value
from night_seg_ros.nodes.processes import NodeError, NodeProcesses
from night_seg_ros.nodes.segment_parameters import PARAMETERS

START_S = 180.0  # importing torch from a cold, slow disk takes its time
END_S = 120.0  # a slow network has frames to finish
QUARTERS = 4


def run_node(
    work: Path,
    module: str,
    arguments: list[str],
    topics: dict[str, str],
    *,
    frames: Path,
    rate: float,
    seconds: float,
    threads: int | None,
) -> tuple[dict[str, Any], dict[int, np.ndarray]]:
    """Send frames through a node and see what comes back.

    Args:
        work: folder for logs and for what the processes write.
        module: the node's, with its ``arguments``.
        topics: of the cameras' images -> of their labels.
        frames: .npy file of (N, H, W, 3) uint8 BGR.
        rate: frames per second of each camera.
        seconds: how long.
        threads: of the node's work on the CPU.

    Returns:
        What ``summarise`` gives, and labels (H, W) uint8 from the first camera by the frame's number in the
        file, of frames answered last.

    Raises:
        NodeError: a process failed or hung, or no labels came.
    """
    cameras = [text for topic in topics for text in ("--camera", topic)]
    pairs = [text for pair in topics.items() for text in ("--camera", *pair)]
    sent, received, labels = (
        work / f"{module}_{name}" for name in ("sent.json", "received.json", "labels.npz")
    )
    count = len(np.load(frames, mmap_mode="r"))
    publisher = [str(frames), str(sent), "--rate", str(rate), "--seconds", str(seconds)]
    with NodeProcesses(work) as processes:
        if threads:
            processes.environment["OMP_NUM_THREADS"] = str(threads)
        processes.start(module, arguments)
        listener = [str(received), str(labels), "--keep", str(count)]
        listener += ["--process", str(processes.running[module].pid)]
        processes.start("bench.receive_node", listener + pairs)
        publisher += ["--timeout", str(START_S)]
        processes.start("bench.publish_node", publisher + cameras, show=True)
        processes.wait("bench.publish_node", 2 * START_S + seconds)
        processes.wait("bench.receive_node", END_S)
    sent_stamps = json.loads(sent.read_text())
    figures = summarise(sent_stamps, json.loads(received.read_text()))
    # The first camera shows the frames in turn.
    numbers = {
        stamp: number % count for number, stamp in enumerate(sent_stamps["stamps"][next(iter(topics))])
    }
    with np.load(labels) as answers:
        stamped = zip(answers["stamps"].tolist(), answers["labels"], strict=True)
        return figures, {numbers[stamp]: image for stamp, image in stamped if stamp in numbers}


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
    cameras, all_answers = {}, []
    warm_up, sent_stamps = sent["warm_up"], sent["stamps"]
    for topic, stamps in sent_stamps.items():
        known = set(stamps)
        answers = [
            (stamp, (time - stamp) / 1e9) for stamp, time in received["answers"][topic] if stamp in known
        ]
        all_answers += answers
        cameras[topic] = {
            "sent": len(stamps),
            "answered": len(answers),
            "latency": percentiles([latency for _, latency in answers]) if answers else None,
            "report": _counts(warm_up + len(stamps), received["reports"].get(topic)),
        }
    if not all_answers:
        raise NodeError("the node answered not one frame")
    first = min(stamps[0] for stamps in sent_stamps.values())
    last = max(stamps[-1] for stamps in sent_stamps.values())
    # Whole numbers: as floats, such times are a microsecond off.
    edges = [first + (last + 1 - first) * number // QUARTERS for number in range(QUARTERS + 1)]
    longest = max(sent_stamps.values(), key=len)
    span = (longest[-1] - longest[0]) / 1e9
    return {
        "latency": percentiles([latency for _, latency in all_answers]),
        "answered": len(all_answers),
        "answered_hz": len(all_answers) / max((last - first) / 1e9, 1e-9),
        "rate_hz": (len(longest) - 1) / span if span else 0.0,
        "warm_up": warm_up,
        "cameras": cameras,
        "quarters": [
            _quarter(all_answers, received["memory"], begin, end)
            for begin, end in zip(edges, edges[1:], strict=False)
        ],
    }


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


def _quarter(
    answers: list[tuple[int, float]], memory: list[tuple[int, int]], begin: int, end: int
) -> dict[str, float | None]:
    latencies = [latency for stamp, latency in answers if begin <= stamp < end]
    before = [held for time, held in memory if time < end]
    return {
        "median_ms": 1000 * float(np.median(latencies)) if latencies else None,
        "resident_mib": before[-1] / 2**20,  # the listener is there before the first frame
    }


def bench_node(options: argparse.Namespace, cameras: int, work: Path) -> dict[str, Any]:
    """Run segment_node, then the plain node, on the same frames.

    Args:
        options: of the command line.
        cameras: how many.
        work: folder for what the processes need and write.

    Returns:
        JSON values: ``ours`` and ``plain``, what ``run_node`` gives; ``speedup``, the ratio plain / ours
        of their median latencies, and ``answers_ratio``, ours / plain, of the frames answered: a node that
        is too slow for the rate drops frames, and those that it takes have waited little; ``agreement``,
        share of the pixels that got the same label from both, of ``agreement_frames`` that both answered,
        None without such; what ``judge_arithmetic`` gives of ours, at the rate of its answers. What ran,
        where, and the sizes.

    Raises:
        NodeError: see ``run_node``.
        ValueError: the options can't be used; see ``open_network``, ``read_frames``.
    """
    check_value(PARAMETERS, "batch_deadline", options.batch_deadline)
    device = prepare_device(options)
    network, input_size, name = open_network(options)
    built: Any = network.build_arguments
    if built["name"] not in METHODS:
        raise ValueError(f"segment_node runs {', '.join(METHODS)}, not {built['name']}")
    if isinstance(options.input_size, tuple):
        raise ValueError("segment_node takes an input size of one number, the shorter side")
    weights = chosen_weights(options)
    if options.build is not None:
        weights = work / "network.safetensors"
        save_checkpoint(weights, network, {})
    frames = work / "frames.npy"
    images = read_frames(options.frames, tuple(options.frame_size))
    np.save(frames, np.stack(images))
    flop = count_network_flop(
        network, 1, *network_size(options.frame_size[0], options.frame_size[1], input_size)
    )
    precision = choose_precision(options.precision, device)
    peak = matrix_peak(device, PRECISIONS[precision])
    topics = [f"/camera{number}/image_raw" for number in range(cameras)]
    parameters: dict[str, Any] = {
        "model": built["name"],
        "weights": str(weights.resolve()),
        "device": options.device,
        "precision": options.precision,
        "input_size": options.input_size or 0,
        "image_topics": topics,
        "batch_deadline": options.batch_deadline,
    }
    # JSON is YAML, too, and quotes any path.
    parameters_file = work / "segment_node.yaml"
    parameters_file.write_text(json.dumps({"/segment_node": {"ros__parameters": parameters}}))
    labels = {topic: f"/segment_node{topic.removesuffix('/image_raw')}/labels" for topic in topics}
    plain = [str(weights), "--device", options.device]
    if options.input_size:
        plain += ["--input-size", str(options.input_size)]
    plain += [text for pair in labels.items() for text in ("--camera", *pair)]
    nodes = {
        "ours": ("nodes.segment_node", ["--ros-args", "--params-file", str(parameters_file)]),
        "plain": ("bench.plain_node", plain),
    }
    runs = {
        name: run_node(
            work,
            module,
            arguments,
            labels,
            frames=frames,
            rate=options.rate,
            seconds=options.seconds,
            threads=options.threads,
        )
        for name, (module, arguments) in nodes.items()
    }
    results = {name: figures for name, (figures, _) in runs.items()}
    ours, other = (found for _, found in runs.values())
    equal = [np.mean(ours[number] == other[number]) for number in ours.keys() & other.keys()]
    return {
        "network": name,
        "device": device_name(device),
        "precision": precision,
        "torch": torch.__version__,
        "threads": options.threads or torch.get_num_threads(),
        "frame_size": list(options.frame_size),
        "cameras": cameras,
        "rate_hz": options.rate,
        "batch_deadline": options.batch_deadline,
        "seconds": options.seconds,
        "fastdds_profiles": os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE", ""),
        **results,
        "speedup": results["plain"]["latency"]["median_ms"] / results["ours"]["latency"]["median_ms"],
        "answers_ratio": results["ours"]["answered"] / results["plain"]["answered"],
        "agreement": float(np.mean(equal)) if equal else None,
        "agreement_frames": len(equal),
        **judge_arithmetic(flop, 1 / results["ours"]["answered_hz"], peak),
    }


def main(argv: list[str]) -> int:
    """Entry of ``night-seg bench node``."""
    parser = argparse.ArgumentParser(
        "night-seg bench node",
        description="Measure segment_node between two other processes: from the publishing of a frame to the "
        "receipt of its labels; then the same of a plain node.",
    )
    add_network_options(parser)
    add_frame_options(parser)
    parser.add_argument(
        "--rate", type=positive_float, default=10.0, metavar="HZ", help="frames per second (default: 10)"
    )
    parser.add_argument(
        "--batch-deadline",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="segment_node's parameter of that name (default: 0)",
    )
    parser.add_argument("--cameras", type=positive_int, default=1, metavar="N", help="how many (default: 1)")
    parser.add_argument(
        "--sweep",
        type=Path,
        metavar="FILE",
        help="measure with 1 to N cameras, and draw the latencies as a picture, FILE.png",
    )
    parser.add_argument(
        "--seconds",
        type=positive_float,
        default=20.0,
        help="how long each node gets frames (default: 20; 300 shows whether memory grows)",
    )
    add_device_options(parser)
    options = parser.parse_args(argv)
    if options.sweep:
        from night_seg_ros.bench.chart import draw_nodes  # what is missing shows before the work
    # Killed politely, it still takes its nodes along.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = []
    try:
        for cameras in range(1 if options.sweep else options.cameras, options.cameras + 1):
            with tempfile.TemporaryDirectory(prefix="night-seg-bench-") as work:
                results.append(bench_node(options, cameras, Path(work)))
            print(format_nodes(results[-1]))
    except NodeError as error:
        print(f"night-seg bench node: {error}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
    if options.sweep:
        draw_nodes(options.sweep, results)
    if options.json:
        write_json(options.json, {"sweep": results} if options.sweep else results[0])
    return 0


def format_nodes(result: dict[str, Any]) -> str:
    """The result of ``bench_node`` as tables for people."""
    height, width = result["frame_size"]
    lines = [
        f"{result['network']}: {result['cameras']} x {width}x{height} at {result['rate_hz']:g} Hz for "
        f"{result['seconds']:g} s each",
        f"{result['device']}, {result['precision']}, torch {result['torch']}, "
        f"{result['threads']} threads, Fast DDS as {result['fastdds_profiles'] or 'it comes'}",
    ]
    for name in ("ours", "plain"):
        node = result[name]
        lines.append(
            f"{name}, sent at {node['rate_hz']:.1f} Hz, after {node['warm_up']} frames to warm up, answered "
            f"{node['answered_hz']:.1f} a second"
        )
        for topic, camera in node["cameras"].items():
            lines.append(f"  {topic}: {_format_counts(camera)}")
            if camera["latency"]:
                lines.append(f"    latency {_format_latency(camera['latency'])}")
            if camera["report"] and camera["report"]["stages_ms"]:
                lines.append(f"    {_format_stages(camera['report'])}")
        for number, quarter in enumerate(node["quarters"], 1):
            median = "no answer" if quarter["median_ms"] is None else f"{quarter['median_ms']:.1f} ms"
            lines.append(f"  quarter {number}: median {median}, memory {quarter['resident_mib']:.0f} MiB")
    lines.append(
        f"median latency, plain / ours: {result['speedup']:.2f}; frames answered, ours / plain: "
        f"{result['answers_ratio']:.2f}"
    )
    lines.append(format_arithmetic(result))
    if result["agreement"] is not None:
        lines.append(
            f"equal labels, ours and plain: {100 * result['agreement']:.3f} % of the pixels of "
            f"{result['agreement_frames']} frames"
        )
    return "\n".join(lines)


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
