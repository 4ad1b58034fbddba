"""``night-seg train METHOD``: a recipe in YAML, every value of it an option."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from jsonargparse import ArgumentParser

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
    is left alone unless ``--resume`` is given.

    Args:
        function: its arguments are the sections of the recipe, and ``resume``.
        program: as the user calls it.
        argv: the command line, or None for the process's own.
    """
    parser = ArgumentParser(prog=program, description=function.__doc__)
    parser.add_argument(
        "--config", action="config", help="recipe (YAML), e.g. config/training/egnet_demo.yaml"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the state in run.out")
    parser.add_function_arguments(function, skip={"resume"})
    arguments = parser.parse_args(argv)
    values = parser.instantiate(arguments)
    del values["config"]
    out = Path(arguments.run.out)
    if (out / "state.pt").is_file() and not arguments.resume:
        print(f"{program}: {out} holds a run already: give --resume, or another --run.out", file=sys.stderr)
        return 1
    out.mkdir(parents=True, exist_ok=True)
    recipe = arguments.clone()
    del recipe["resume"]
    parser.save(recipe, out / "recipe.yaml", overwrite=True)
    try:
        model = function(**values)
    except (OSError, ValueError, FloatingPointError) as error:
        # From a worker process, the message comes behind that process's traceback.
        message = str(error).strip().splitlines()[-1] if isinstance(error, DataError) else str(error)
        print(f"{program}: {message}", file=sys.stderr)
        return 1
    print(f"model: {model}")
    return 0
