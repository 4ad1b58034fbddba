"""``night-seg train METHOD``: a recipe in YAML, every value of it an option."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from jsonargparse import ArgumentParser
from lightning.fabric.utilities.rank_zero import rank_zero_only

from night_seg_ros.models.files import write_bytes
from night_seg_ros.training.datasets import DataError

METHODS = {"egnet": "night_seg_ros.training.train_egnet"}


def main(argv: list[str]) -> int:
    """Hand over to a method's script."""
    if not argv or argv[0] not in METHODS:
        print(
            f"usage: night-seg train METHOD --config RECIPE ...\nmethods: {', '.join(METHODS)}",
            file=sys.stderr,
        )
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    return int(importlib.import_module(METHODS[argv[0]]).main(argv[1:]))


def run_training(function: Callable[..., Path], program: str, argv: list[str] | None) -> int:
    """Call a training function with the values of a recipe and of the command line.

    The recipe in force is kept as ``recipe.yaml`` in the run's folder. A folder that holds a run already
    is left alone unless ``--resume`` is given. Of several processes, rank 0 alone writes and reports success.

    Args:
        function: its arguments are the sections of the recipe, and ``resume``.
        program: as the user calls it.
        argv: the command line, or None for the process's own.
    """
    parser = recipe_parser(function, program)
    parser.add_argument("--resume", action="store_true", help="go on from the state in run.out")
    arguments = parser.parse_args(argv)
    values = parser.instantiate(arguments)
    del values["config"]
    out = Path(arguments.run.out)
    # Every process looks: none gets to write a state before all have met.
    if (out / "state.pt").is_file() and not arguments.resume:
        print(f"{program}: {out} holds a run already: give --resume, or another --run.out", file=sys.stderr)
        return 1
    recipe = arguments.clone()
    del recipe["resume"]
    rank_zero_only(write_bytes)(out / "recipe.yaml", parser.dump(recipe).encode())
    try:
        model = function(**values)
    except (OSError, ValueError, FloatingPointError) as error:
        # From a worker process, the message comes behind that process's traceback.
        message = str(error).strip().splitlines()[-1] if isinstance(error, DataError) else str(error)
        print(f"{program}: {message}", file=sys.stderr)
        return 1
    rank_zero_only(print)(f"model: {model}")
    return 0


def recipe_parser(function: Callable[..., object], program: str) -> ArgumentParser:
    """A parser of recipes and of every value in them; ``resume`` is not one of them.

    Args:
        function: its arguments are the sections of the recipe.
        program: as the user calls it.
    """
    parser = ArgumentParser(prog=program, description=function.__doc__)
    parser.add_argument(
        "--config", action="config", help="recipe (YAML), e.g. config/training/egnet_demo.yaml"
    )
    parser.add_function_arguments(function, skip={"resume"})
    return parser
