"""``night-seg train METHOD``: a recipe in YAML, every value of it an option."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentParser

from night_seg_ros.common.files import write_bytes
from night_seg_ros.training.data.datasets import DataError
from night_seg_ros.training.engine.engine import Engine, Method

# The class of each method, which with its function NAME_training stands in the module train_NAME.
METHODS = {"egnet": "EGNetMethod", "source": "SourceMethod", "dannet": "DANNetMethod", "bimix": "BiMixMethod"}

# What a trained model does not depend on.
CIRCUMSTANCES = {
    "data.root",
    "data.workers",
    "run.out",
    "run.accelerator",
    "run.devices",
    "run.nodes",
    "run.log_every",
    "run.picture_every",
    "run.save_every",
    "run.validate_every",
}
# What may change between the start of a run and its going on.
MAY_CHANGE = CIRCUMSTANCES | {
    "model.pretrained",
    "model.checkpoint",
    "schedule.iterations",
    "data.validation",
    "run.precision",
    "run.input_size",
    "run.storage",
}


def main(argv: list[str]) -> int:
    """Hand over to a method's script."""
    if not argv or argv[0] not in METHODS:
        if argv and not argv[0].startswith("-"):
            print(f"night-seg train: no method {argv[0]!r}", file=sys.stderr)
        print(
            f"usage: night-seg train METHOD --config RECIPE ...\nmethods: {', '.join(METHODS)}",
            file=sys.stderr,
        )
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    return run_training(training_function(argv[0]), f"night-seg train {argv[0]}", argv[1:])


def training_function(method: str) -> Callable[..., Engine]:
    """The function that sets up the training of a method; its arguments are the sections of the recipe."""
    function: Callable[..., Engine] = getattr(_module(method), f"{method}_training")
    return function


def method_class(method: str) -> Callable[..., Method]:
    """A method of ``METHODS``; takes the recipe's sections but schedule, data, run."""
    chosen: Callable[..., Method] = getattr(_module(method), METHODS[method])
    return chosen


def _module(method: str) -> ModuleType:
    return importlib.import_module(f"night_seg_ros.training.train_{method}")


def run_training(function: Callable[..., Engine], program: str, argv: list[str] | None) -> int:
    """Train with the values of a recipe and of the command line.

    The recipe in force is kept as ``recipe.yaml`` in the run's folder. A folder that holds a run already
    is left alone unless ``--resume`` is given and the run can go on. Of several processes, rank 0 alone
    writes and reports success.

    Args:
        function: sets the training up; its arguments are the sections of the recipe, and ``resume``.
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
    written = parser.dump(recipe)
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    try:
        _check_writable(out)
        if arguments.resume:
            check_same(out / "recipe.yaml", yaml.safe_load(written), MAY_CHANGE)
        engine = function(**values)
        # Not before the engine has accepted it all: a refused recipe must not replace the run's own.
        rank_zero_only(write_bytes)(out / "recipe.yaml", written.encode())
        model = engine.train()
    except (OSError, ValueError, FloatingPointError) as error:
        # From a worker process, the message comes behind that process's traceback.
        message = str(error).strip().splitlines()[-1] if isinstance(error, DataError) else str(error)
        print(f"{program}: {message}", file=sys.stderr)
        return 1
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()  # else its threads can abort the process when Python exits
    rank_zero_only(print)(f"model: {model}")
    return 0


def _check_writable(folder: Path) -> None:
    """Every process checks: if rank 0 alone failed to write, the others would wait for it for ever.

    Raises:
        OSError: no files can be written to the folder, or it can't be made.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise OSError(f"{folder}: {there} is no folder that can be written to; give another --run.out")


def check_same(path: Path, recipe: dict[str, Any], may_change: set[str]) -> None:
    """Check that a run goes on as it was begun.

    Args:
        path: the recipe that the run's folder keeps; without one there is nothing to check.
        recipe: the one that is wanted now.
        may_change: values that need not agree, by their dotted names.

    Raises:
        ValueError: a value differs.
    """
    if not path.is_file():
        return
    kept, wanted = flatten(yaml.safe_load(path.read_text())), flatten(recipe)
    for name in sorted(kept.keys() | wanted.keys()):
        if name not in may_change and kept.get(name) != wanted.get(name):
            raise ValueError(
                f"{path} has {name} {kept.get(name)}, but {wanted.get(name)} is wanted now: "
                "keep to its value, or start anew in another folder"
            )


def flatten(recipe: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"run": {"seed": 1}}`` -> ``{"run.seed": 1}``; lists stay."""
    values: dict[str, Any] = {}
    for name, value in recipe.items():
        values |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return values


def recipe_parser(function: Callable[..., object], program: str) -> ArgumentParser:
    """A parser of recipes and of every value in them; ``resume`` is not one of them.

    Args:
        function: its arguments are the sections of the recipe.
        program: as the user calls it.
    """
    parser = ArgumentParser(prog=program, description=(function.__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--config", action="config", help="recipe (YAML), e.g. config/training/egnet_demo.yaml"
    )
    parser.add_function_arguments(function, skip={"resume"})
    return parser
