"""The chart of ``night-seg bench frame --sweep``. Needs matplotlib, which training brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from night_seg_ros.models.files import atomic_path


def draw_latency(path: Path, results: list[dict[str, Any]]) -> None:
    """Draw median latencies over the size of the frame: a line for ours and each baseline.

    Args:
        path: picture to write, in the format of its suffix.
        results: of ``bench_frame`` and ``network``, one for each size; of one network on one device.
    """
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    pixels = [height * width / 1e6 for height, width in (result["frame_size"] for result in results)]
    for name in results[0]["speed"]:
        latencies = [result["speed"][name]["latency"] for result in results]
        medians = [latency["median_ms"] for latency in latencies]
        (line,) = axes.plot(pixels, medians, marker="o", label=name)
        p90 = [latency["p90_ms"] for latency in latencies]
        axes.fill_between(pixels, medians, p90, color=line.get_color(), alpha=0.2, linewidth=0)
    ticks = ["{1}x{0}".format(*result["frame_size"]) for result in results]
    axes.set_xticks(pixels, ticks, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("frame")
    axes.set_ylabel("latency in ms: median, and up to p90")
    first = results[0]
    axes.set_title(f"{first['network']}, batch {first['batch']}, {first['device']}, {first['precision']}")
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
