# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg segment``: segments images, folders of images, videos and bags into files.

An image gives ``NAME_labels.png`` (train ids), ``NAME_exposure.png`` (0..255 = 0..1), ``NAME_overlay.png``
and, from networks that relight it, ``NAME_relit.png``; a video or a bag ``NAME_overlay.mp4``. With
--attention, EGNet adds ``NAME_attention.png`` or ``.mp4``: the frame and the maps W_r of its guidance layers.
"""

from __future__ import annotations

import argparse

from night_seg_ros.inference.options import add_program_options
from night_seg_ros.media.options import parse_options


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg segment``; exit status 1 if something could not be read."""
    options = _parse(argv)
    from night_seg_ros.commands.segment_files import run  # with torch, which --help does without

    return run(options)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("night-seg segment", description=__doc__.split(": ", 1)[1])
    parser.add_argument("paths", nargs="+", metavar="PATH", help="image, folder of images, video or rosbag2")
    add_program_options(parser)
    parser.add_argument(
        "--attention",
        action="store_true",
        help="EGNet: also draw the attention maps W_r of the three guidance layers, and print how each "
        "correlates with V of HSV (Pearson), over all pixels of all frames at the frames' size",
    )
    return parse_options(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
