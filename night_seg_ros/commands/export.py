# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg export``: writes a model as a program (ONNX or PT2) and checks that against the checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from night_seg_ros.inference.names import FORMATS, MIN_SIDE
from night_seg_ros.inference.options import add_weights_options
from night_seg_ros.training.data.options import add_dataset_options, check_input_options


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg export``."""
    options = _parse(argv)
    from night_seg_ros.commands.checked_export import run  # with torch, which --help does without

    return run(options)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "night-seg export",
        description="Write a model as a program (ONNX or PT2) that runs without this package, and check it "
        "against its checkpoint.",
        epilog="The program takes a normalised RGB image, (N, 3, H, W) float32, and gives logits and, where "
        "the model has them, exposure and relit. It computes in float32. It is kept if 99.9 % of the labels "
        "of the frames of the check are the checkpoint's.",
    )
    parser.add_argument("--format", choices=FORMATS, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="FILE.onnx or FILE.pt2")
    add_weights_options(parser)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="of the input, in pixels (default: what the checkpoint's input size makes of a 1920x1080 frame)",
    )
    sizes.add_argument("--dynamic", action="store_true", help="take any number of images of any size")
    parser.add_argument(
        "--frames",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="images, folders, videos or bags to check with (default: synthetic streets)",
    )
    parser.add_argument("--topic", default="", help="image topic of a bag that has several")
    add_dataset_options(parser)
    parser.add_argument("--device", default="cpu", help="of the check: cpu, auto, cuda ... (default: cpu)")
    options = parser.parse_args(argv)
    if options.out.suffix != f".{options.format}":
        parser.error(f"--out is {options.out}: give a name that ends in .{options.format}")
    if options.size and min(options.size) < MIN_SIDE:
        parser.error(f"--size: give two numbers from {MIN_SIDE} up")
    check_input_options(parser, options, {"--frames": {"frames"}, "nothing": set()})
    return options


if __name__ == "__main__":
    raise SystemExit(main())
