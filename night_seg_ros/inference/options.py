"""``--model`` and ``--weights``: which network a command takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from night_seg_ros.models.checkpoint import demonstration_weights
from night_seg_ros.models.factory import METHODS


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
        choices=list(METHODS),
        help="whose demonstration weights to take (default: egnet)",
    )
    group.add_argument("--weights", type=Path, metavar="FILE", help=f"{files} to take instead")
    return group


def chosen_weights(options: argparse.Namespace) -> Path:
    """The file that the two options name.

    Raises:
        FileNotFoundError: no demonstration weights ship for this model.
    """
    return options.weights or demonstration_weights(options.model)
