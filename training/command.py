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
        print(f"usage: night-seg train METHOD --config RECIPE ...\nmethods: {', '.join(METHODS)}", file=sys.stderr)
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    return int(importlib.import_module(METHODS[argv[0]]).main(argv[1:]))


def run_training(function: Callable[..., Path], program: str, argv: list[str] | None) -> int:
    """Call a training function with the values of a recipe and of the command line.

    Args:
        function: its arguments are the sections of the recipe.
        program: as the user calls it.
        argv: the command line, or None for the process's own.
    """
    parser = ArgumentParser(prog=program, description=function.__doc__)
    parser.add_argument("--config", action="config", help="recipe (YAML), e.g. config/training/egnet_demo.yaml")
    parser.add_function_arguments(function)
    arguments = parser.parse_args(argv)
    values = parser.instantiate_classes(arguments)
    del values["config"]
    recipe = Path(arguments.run.out) / "recipe.yaml"
    recipe.parent.mkdir(parents=True, exist_ok=True)
    parser.save(arguments, recipe, overwrite=True)
    try:
        model = function(**values)
    except (DataError, OSError, FloatingPointError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    print(f"model: {model}")
    return 0
