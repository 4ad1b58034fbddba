# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The charts of ``night-seg bench ... --sweep``. Needs matplotlib, which training brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from night_seg_ros.common.files import atomic_path


def draw_frames(path: Path, results: list[dict[str, Any]]) -> None:
    """Draw median latencies over the size of the frame: a line for ours and each baseline.

    Args:
        path: picture to write, in the format of its suffix.
        results: of ``bench_frame`` and ``network``, one for each size; of one network on one device.
    """
    first = results[0]
    figure = _figure(
        f"{first['network']}, batch {first['batch']}, {first['device']}, {first['precision']}", charts=1
    )
    sizes = [each["frame_size"] for each in results]
    _draw_latencies(
        figure.add_subplot(),
        "frame",
        {"{1}x{0}".format(*size): size[0] * size[1] / 1e6 for size in sizes},
        {name: [each["speed"][name]["latency"] for each in results] for name in first["speed"]},
    )
    _save(figure, path)


def draw_nodes(path: Path, results: list[dict[str, Any]]) -> None:
    """Draw median latencies and answers over the number of cameras: a line for ours and the plain node.

    Args:
        path: picture to write, in the format of its suffix.
        results: of ``bench_node``, one for each number of cameras.
    """
    first = results[0]
    height, width = first["frame_size"]
    figure = _figure(
        f"{first['network']}, {width}x{height} at {first['rate_hz']:g} Hz, {first['device']}, "
        f"{first['precision']}",
        charts=2,
    )
    latencies, answers = figure.subplots(1, 2)
    cameras = {str(each["cameras"]): each["cameras"] for each in results}
    _draw_latencies(
        latencies,
        "cameras",
        cameras,
        {name: [each[name]["latency"] for each in results] for name in ("ours", "plain")},
    )
    for name in ("ours", "plain"):
        shares = []
        for each in results:
            sent = sum(camera["sent"] for camera in each[name]["cameras"].values())
            shares.append(100 * each[name]["answered"] / sent)
        answers.plot(list(cameras.values()), shares, marker="o", label=name)
    answers.set_ylim(0, 103)
    _finish(answers, "cameras", cameras, "frames answered, %")
    _save(figure, path)


def _figure(title: str, charts: int) -> Figure:
    figure = Figure(figsize=(3 + 5 * charts, 5), dpi=120, layout="constrained")
    figure.suptitle(title)
    return figure


def _draw_latencies(
    axes: Axes,
    label: str,
    places: Mapping[str, float],
    latencies: Mapping[str, Sequence[Mapping[str, float]]],
) -> None:
    """Draw a line for each name: medians, with a band up to the 90th percentile.

    Args:
        label: of the axis across.
        places: on it, by what is written there.
        latencies: see ``latency.percentiles``, one for each place.
    """
    across = list(places.values())
    for name, values in latencies.items():
        medians = [latency["median_ms"] for latency in values]
        (line,) = axes.plot(across, medians, marker="o", label=name)
        p90 = [latency["p90_ms"] for latency in values]
        axes.fill_between(across, medians, p90, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set_ylim(bottom=0)
    _finish(axes, label, places, "latency in ms: median, and up to p90")


def _finish(axes: Axes, across: str, places: Mapping[str, float], up: str) -> None:
    axes.set_xticks(list(places.values()), list(places), rotation=30, ha="right", rotation_mode="anchor")
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    axes.legend()


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
