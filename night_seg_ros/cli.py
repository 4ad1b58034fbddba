# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg``, the one program: finds the command and hands over to its module.

Here alone the parts meet: a command's module is imported when the command is given, so that a vehicle
without the training packages runs all that it needs.
"""

from __future__ import annotations

import importlib
import os
import sys

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
    return run_command("night-seg", COMMANDS, argv)


def run_command(program: str, commands: dict[str, tuple[str, str]], argv: list[str]) -> int:
    """Hand over to the module of a command.

    Args:
        program: what the user typed before the command.
        commands: module of this package, which has ``main(argv) -> exit status``, and help by name.
        argv: the command's name and its arguments.

    Returns:
        The exit status.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(_usage(program, commands))
        return 0 if argv else 2
    name, *rest = argv
    if name not in commands:
        print(f"{program}: unknown command {name!r}\n\n{_usage(program, commands)}", file=sys.stderr)
        return 2
    try:
        return int(importlib.import_module(f"night_seg_ros.{commands[name][0]}").main(rest))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("night_seg_ros"):
            raise
        print(
            f"{program} {name}: the Python package {error.name!r} is missing; "
            "install it with: pip install '.[ros,train]' in its checkout",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError) as error:  # what is wrong with the user's input, in one line
        print(f"{program} {name}: {error}", file=sys.stderr)
        return 1


def _usage(program: str, commands: dict[str, tuple[str, str]]) -> str:
    lines = [f"usage: {program} COMMAND ...", "", "commands:"]
    lines += [f"  {name:<16}{help_text}" for name, (_, help_text) in commands.items()]
    return "\n".join([*lines, "", f"{program} COMMAND --help tells more."])


if __name__ == "__main__":
    raise SystemExit(main())
