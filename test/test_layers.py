# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Who may import whom: imports run one way, from the commands down to what all parts share."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "night_seg_ros"

# A part, and the parts it may import besides itself. `cli` imports commands by name, when they are given.
PARTS = {
    "common": set(),
    "models": {"common"},
    "inference": {"common", "models"},
    "media": {"common", "models", "inference"},
    "pictures": {"common", "models", "inference", "media"},
    "nodes": {"common", "models", "inference", "media"},
    "training": {"common", "models", "inference"},
    "commands": {"common", "models", "inference", "media", "pictures", "nodes", "training"},
    "bench": {"common", "models", "inference", "media", "nodes", "training"},
    "cli": {"common"},
}
# Likewise inside of training; its files outside of folders may import all of them.
TRAINING = {
    "losses": set(),
    "streets": set(),
    "data": {"streets"},
    "evaluation": {"data", "losses"},
    "inspection": {"data", "evaluation"},
    "engine": {"data", "evaluation"},
}
ROS = {"rclpy", "sensor_msgs", "std_msgs", "diagnostic_msgs", "lifecycle_msgs", "rcl_interfaces", "cv_bridge"}


def walk(folder: Path) -> list[Path]:
    """All Python files of the package, by the links to models/ and training/, too."""
    found = []
    for path in sorted(folder.iterdir()):
        found += walk(path) if path.is_dir() else [path] if path.suffix == ".py" else []
    return found


FILES = {str(path.relative_to(PACKAGE)): path for path in walk(PACKAGE)}


@cache
def imports(name: str) -> set[str]:
    """The dotted names of all modules that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative imports do not say which part they reach"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def parts(name: str, prefix: str) -> set[str]:
    """The parts of a package that a file imports, by the names behind the package's."""
    return {each.removeprefix(prefix).split(".")[0] for each in imports(name) if each.startswith(prefix)}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_what_stands_below_it(part: str) -> None:
    files = [name for name in FILES if name.startswith(f"{part}/") or name == f"{part}.py"]
    assert files
    for name in files:
        assert parts(name, "night_seg_ros.") <= PARTS[part] | {part}, name


@pytest.mark.parametrize("part", TRAINING)
def test_parts_of_training(part: str) -> None:
    files = [name for name in FILES if name.startswith(f"training/{part}/")]
    assert files
    for name in files:
        assert parts(name, "night_seg_ros.training.") <= TRAINING[part] | {part}, name


def test_every_file_belongs_to_a_part() -> None:
    assert {name.split("/")[0].removesuffix(".py") for name in FILES} == {*PARTS, "__init__"}
    folders = {name.split("/")[1] for name in FILES if name.startswith("training/") and name.count("/") > 1}
    assert folders == set(TRAINING)


@pytest.mark.parametrize("name", FILES)
def test_only_nodes_and_the_conversion_of_messages_import_ros(name: str) -> None:
    may = name.startswith("nodes/") or name == "media/conversion.py"
    may = may or (name.startswith("bench/") and name.endswith("_node.py"))
    assert may or not {each.split(".")[0] for each in imports(name)} & ROS


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = {
        f"night_seg_ros.{name.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__"): name
        for name in FILES
    }
    graph = {}
    for module, name in modules.items():
        targets = {target for each in imports(name) for target in (each, each.rpartition(".")[0])}
        graph[module] = targets & modules.keys() - {module}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules
