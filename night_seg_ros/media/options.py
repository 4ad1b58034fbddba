# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The options that all commands have which make files of images, videos and bags."""

from __future__ import annotations

import argparse
from pathlib import Path

from night_seg_ros.inference.names import PRECISIONS
from night_seg_ros.inference.options import add_device_option

# What OpenCV's wheels can encode: vp09 plays in browsers too, but takes 0.1 s a frame and more; mp4v is
# fast, for desktop players.
CODECS = ("vp09", "mp4v")


def parse_options(parser: argparse.ArgumentParser, argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line with the parser's own arguments and those that all such commands have."""
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    add_device_option(parser)
    parser.add_argument("--precision", default="auto", choices=["auto", *PRECISIONS])
    parser.add_argument("--alpha", type=float, default=0.5, help="weight of the colours, 0..1 (default: 0.5)")
    parser.add_argument(
        "--codec",
        default="mp4v",
        choices=CODECS,
        help="of videos; mp4v is fast, vp09 is slow but plays in browsers (default: mp4v)",
    )
    parser.add_argument("--topic", default="", help="image topic of a bag that has several")
    options = parser.parse_args(argv)
    if not 0 <= options.alpha <= 1:
        parser.error(f"--alpha is {options.alpha}: give 0 to 1")
    return options
