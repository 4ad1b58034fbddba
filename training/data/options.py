# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``--dataset``, ``--root``, ``--split``: labelled images for a command, by the name of a data set."""

from __future__ import annotations

import argparse

from night_seg_ros.training.data.names import DATASETS, SYNTHETIC


def add_dataset_options(parser: argparse.ArgumentParser) -> None:
    """Add the three options."""
    parser.add_argument(
        "--dataset", choices=[*DATASETS, SYNTHETIC], metavar="NAME", help="labelled images: %(choices)s"
    )
    parser.add_argument("--root", metavar="DIR", help="folder of the data set")
    parser.add_argument("--split", help="such as val; night or day of synthetic")


def check_input_options(
    parser: argparse.ArgumentParser, options: argparse.Namespace, others: dict[str, set[str]]
) -> None:
    """End the program with an error unless the options name a data set, or what may stand for it.

    Args:
        others: what may be given instead, as the user calls it: names of options.
    """
    names = {"dataset", "root", "split"}.union(*others.values())
    given = {name for name in names if getattr(options, name)}
    dataset = {"dataset", "split"} | ({"root"} if options.dataset != SYNTHETIC else set())
    if given != dataset and given not in others.values():
        parser.error(
            f"give {', '.join(others)}, or --dataset, --root and --split, or --dataset synthetic and --split"
        )
