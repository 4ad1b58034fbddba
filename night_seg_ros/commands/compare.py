# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg compare``: shows what several networks make of the same frames, and says how far they agree.

An image gives ``NAME_compare.png``, a video or a bag ``NAME_compare.mp4``: the frame, and of each network the
overlay, its exposure map and the relit frame, where it has them. ``compare.json`` and ``compare.md`` hold the
figures over all frames. Labelled images add the truth, where each network is wrong, and its scores.
"""

from __future__ import annotations

import argparse

from night_seg_ros.media.options import parse_options
from night_seg_ros.models import METHODS
from night_seg_ros.training.data.options import add_dataset_options, check_input_options


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg compare``; exit status 1 if something could not be read."""
    options = _parse(argv)
    from night_seg_ros.commands.comparison import run  # with torch, which --help does without

    return run(options)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("night-seg compare", description=__doc__.split(": ", 1)[1])
    parser.add_argument("paths", nargs="*", metavar="PATH", help="image, folder of images, video or rosbag2")
    parser.add_argument(
        "--models",
        default=",".join(METHODS),
        help="with commas between: a method, for its demonstration weights, or NAME=PATH.safetensors, a "
        "checkpoint of yours (default: %(default)s)",
    )
    add_dataset_options(parser)
    options = parse_options(parser, argv)
    check_input_options(parser, options, {"PATH": {"paths"}})
    return options


if __name__ == "__main__":
    raise SystemExit(main())
