# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg demo``: replays a night drive through the real nodes and leaves pictures and figures.

Three processes talk over rclpy, in a ROS domain of their own: play_node sends the frames, segment_node
answers, record_node writes both down. Without an input the drive is a synthetic one, whose truth is known.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from night_seg_ros.common.tables import percent
from night_seg_ros.inference.options import add_device_option, add_weights_options
from night_seg_ros.nodes.processes import NodeError

DRIVE_SEED = 200_014  # no network has seen it: the scenes of training and validation have seeds below 200,000


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg demo``."""
    options = _parse(argv)
    from night_seg_ros.commands.replay import run_demo  # with torch, which --help does without

    options.out.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".demo-", dir=options.out))
    # Killed politely, it still takes its nodes along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        summary = run_demo(options, work)
    except NodeError as error:
        print(f"night-seg demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(work, ignore_errors=True)
    figures = f"{summary['frames_processed']} of {summary['frames_in']} frames processed, "
    figures += f"latency median {summary['latency_median_ms']:.0f} ms, p99 {summary['latency_p99_ms']:.0f} ms"
    if "miou" in summary:
        figures += f", mIoU {percent(summary['miou'])}"
    print(f"{figures}\nLook at {options.out / 'contact_sheet.png'}, overlay.mp4 and summary.md beside it.")
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "night-seg demo",
        description="Replay a night drive through the real nodes; leave pictures and figures.",
    )
    parser.add_argument(
        "input", nargs="?", type=Path, help="rosbag2, video or folder of images; none: a synthetic drive"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("demo"), help="folder for the results (default: demo)"
    )
    add_weights_options(parser, "checkpoint (.safetensors) or .onnx program")
    add_device_option(parser)
    parser.add_argument("--topic", default="", help="image topic of a bag that has several")
    parser.add_argument(
        "--seconds",
        type=float,
        help="how much of the drive (default: all of INPUT, 10 s of the synthetic one)",
    )
    parser.add_argument(
        "--seed", type=int, default=DRIVE_SEED, help=f"of the synthetic drive (default: {DRIVE_SEED})"
    )
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="send at the recorded rate, like a camera; without it the player waits for the node",
    )
    options = parser.parse_args(argv)
    if options.seconds is not None and not options.seconds > 0:
        parser.error(f"--seconds is {options.seconds}: give a number above 0")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
