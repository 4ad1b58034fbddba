# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg``, the one program: finds the command and hands over to its module.

Here alone the parts meet: a command's module is imported when the command is given, so that a vehicle
without the training packages runs all that it needs.
"""

from __future__ import annotations

import os
import sys

import night_seg_ros
from night_seg_ros.common.subcommands import run_command

COMMANDS = {
    "demo": ("commands.demo", "replay a night drive through the node and leave pictures"),
    "segment": ("commands.segment", "segment images, folders, videos"),
    "compare": ("commands.compare", "lay the results of several models side by side"),
    "play": ("nodes.play_node", "play a bag, video or image folder as camera topics"),
    "export": (
        "commands.export",
        "write a model as ONNX or PT2 and check it against the checkpoint",
    ),
    "import-weights": ("commands.import_weights", "make a checkpoint of published weights"),
    "evaluate": ("training.evaluation.evaluate", "score a model on labelled images"),
    "submit": (
        "training.evaluation.submit",
        "write and check the archive that a benchmark's server scores",
    ),
    "check-data": (
        "training.inspection.check_data",
        "look a data set over: faults, statistics, plots",
    ),
    "draw-streets": (
        "training.streets.draw_streets",
        "write synthetic streets as a data set of files",
    ),
    "train": ("training.engine.recipe_command", "train a method from a recipe"),
    "study": ("training.study", "train variants with several seeds and compare them"),
    "bench": ("bench.command", "measure speed and memory"),
}

_ON_MANY_FRAMES = ("segment", "compare", "evaluate", "submit")


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in _ON_MANY_FRAMES:
        # Read when torch loads OpenMP. Threads that wait actively for each other at the end of every layer
        # take, on a busy machine, the processor from the one that they wait for.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if argv == ["--version"]:
        print(f"night-seg {night_seg_ros.__version__}")
        return 0
    return run_command("night-seg", COMMANDS, argv)


if __name__ == "__main__":
    raise SystemExit(main())
