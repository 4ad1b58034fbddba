# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""docs/methods.md: the files, functions and tests that it names are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINES = (ROOT / "docs" / "methods.md").read_text().splitlines()


def named(lines: list[str]) -> list[str]:
    return [name for line in lines for name in re.findall(r"`([^`]+)`", line)]


def test_files_and_what_is_in_them() -> None:
    """In a table's second column, a file and then names of what it defines."""
    rows = [line.split(" | ") for line in LINES if line.startswith("| ")]
    checked = 0
    for row in rows:
        source = ""
        for name in named(row[1:2]):
            if re.fullmatch(r"[\w/]+\.py", name):
                source = (ROOT / name).read_text()
            elif source:
                assert re.search(rf"^\s*(def|class) {name}\b", source, re.M), (row[0], name)
                checked += 1
    assert checked > 25


def test_tests() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "test").rglob("test_*.py"))
    names = [name for name in named(LINES) if name.startswith("test_")]
    assert len(names) > 30
    for name in names:
        assert f"def {name}(" in tests, name


def test_recipes() -> None:
    there = {path.name for path in (ROOT / "config" / "training").rglob("*.yaml")}
    names = {name for name in named(LINES) if name.endswith(".yaml")}
    assert names and names <= there
