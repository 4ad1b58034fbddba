# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg train METHOD``: a recipe in YAML, every value of it an option."""

from __future__ import annotations

import importlib
import os
import sys
from argparse import ArgumentError
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml
from jsonargparse import ActionConfigFile, ArgumentParser, Namespace, get_loader

from night_seg_ros.common.files import InputError, write_bytes
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
    "run.keep",
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
    "run.best",
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
        message = str(error).strip().splitlines()[-1] if isinstance(error, InputError) else str(error)
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
        "--config", action=RecipeAction, help="recipe (YAML), e.g. config/training/egnet_demo.yaml"
    )
    parser.add_function_arguments(function, skip={"resume"})
    return parser


class RecipeAction(ActionConfigFile):
    """``--config RECIPE``: reads the bases of a file before it; later values go before earlier ones."""

    def __call__(self, parser: Any, namespace: Any, value: Any, option: str | None = None) -> None:
        recipes = [value]
        if os.path.isfile(value):
            try:
                recipes = [yaml.safe_dump(recipe) for recipe in read_chain(Path(value))]
            except ValueError as error:
                raise ArgumentError(self, str(error)) from error
        for recipe in recipes:
            # Read by itself: jsonargparse would fill the items of a list up from those of an earlier list as
            # long, so that a source got the root of another one.
            own = Namespace()
            super().__call__(parser, own, recipe, option)
            namespace.update(own)


def read_chain(path: Path, above: tuple[Path, ...] = ()) -> list[dict[str, Any]]:
    """The values of a recipe file, behind those of its ``base``, of that one's base, and so on.

    Args:
        path: the file. Its key ``base``, a path relative to it, names the recipe whose values hold where it
            has none of its own.
        above: the files that led here.

    Returns:
        The values of each file, without the key ``base``; later ones go before earlier ones.

    Raises:
        ValueError: a file is no recipe, a base is not there, or bases go round in a circle.
    """
    try:
        recipe = get_loader("yaml")(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(recipe, dict):
        raise ValueError(f"{path} is no recipe: it has no sections")
    if "base" not in recipe:
        return [recipe]
    name = recipe.pop("base")
    if not isinstance(name, str):
        raise ValueError(f"{path}: base is {name!r}: give the path of a recipe")
    base, above = path.parent / name, (*above, path.resolve())
    if not base.is_file():
        raise ValueError(f"{path}: there is no base {base}")
    if base.resolve() in above:
        raise ValueError(f"{path}: its base {base} leads back to it")
    return [*read_chain(base, above), recipe]
