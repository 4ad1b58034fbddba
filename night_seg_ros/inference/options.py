# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``--model``, ``--weights``, ``--device``: which network a command takes, and where it runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from night_seg_ros.models import METHODS


def add_weights_options(
    parser: argparse.ArgumentParser, files: str = "checkpoint (.safetensors)"
) -> argparse._MutuallyExclusiveGroup:
    """Add the two options, of which a user gives one at most; see ``chosen_weights``.

    Args:
        files: what ``--weights`` may be.

    Returns:
        Their group, for what else may stand in their place.
    """
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--model",
        default="egnet",
        choices=METHODS,
        help="whose demonstration weights to take (default: egnet)",
    )
    group.add_argument("--weights", type=Path, metavar="FILE", help=f"{files} to take instead")
    return group


def add_program_options(parser: argparse.ArgumentParser) -> None:
    """Add --model, --weights and --trust-pt2, for a command that also runs exported programs."""
    add_weights_options(parser, "checkpoint (.safetensors) or exported program (.onnx, .pt2)")
    parser.add_argument(
        "--trust-pt2",
        action="store_true",
        help="load a .pt2 file, which could run code if it came from someone else",
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add --device; see ``preprocess.choose_device``."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: auto)")


def chosen_weights(options: argparse.Namespace) -> Path:
    """The file that the two options name.

    Raises:
        FileNotFoundError: no demonstration weights ship for this model.
    """
    from night_seg_ros.models.checkpoint import demonstration_weights

    return options.weights or demonstration_weights(options.model)
