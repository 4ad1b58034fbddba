# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What README, docs/ and the like name exists: links, paths, commands, options, recipes, data sets, rooms."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from fnmatch import fnmatch
from functools import cache
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from test_layers import PARTS, TRAINING

import night_seg_ros
from night_seg_ros.cli import COMMANDS, main
from night_seg_ros.training.data.datasets import DATASETS, SYNTHETIC

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(CHECKOUT)): path.read_text(encoding="utf-8")
    for path in [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md"), CHECKOUT / "models/weights/README.md"]
}
FOLDERS = ("models", "training", "night_seg_ros", "launch", "config", "docs", "test", "resource")
FILES = [
    str(path.relative_to(CHECKOUT))
    for folder in FOLDERS
    for path in (CHECKOUT / folder).rglob("*")
    if "__pycache__" not in path.parts
]
PLACEHOLDERS = r"NAME|DATA|SPLIT|METHOD|FILE"
FENCE = r"^(```|~~~)(\w*)\n(.*?)^\1$"

pages = pytest.mark.parametrize("page", PAGES)


def blocks(text: str, language: str) -> list[str]:
    """The contents of the fenced blocks of a language."""
    return [found[3] for found in re.finditer(FENCE, text, re.MULTILINE | re.DOTALL) if found[2] == language]


def prose(text: str) -> str:
    return re.sub(FENCE, "", text, flags=re.MULTILINE | re.DOTALL)


def spans(text: str) -> list[str]:
    """What stands in back-quotes outside of blocks."""
    return [re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", prose(text))]


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the tables between a heading and the next one; without their heads."""
    section = re.search(rf"^#+ {heading}\n(.*?)(?=^#+ |\Z)", PAGES[page], re.MULTILINE | re.DOTALL)
    assert section is not None, f"{page} has no section {heading}"
    tables = re.findall(r"^\|[^\n]+\n\| ---[^\n]+\n((?:\|[^\n]+\n)+)", section[1], re.MULTILINE)
    return [
        [cell.strip() for cell in line.split("|")[1:-1]] for table in tables for line in table.splitlines()
    ]


def test_the_readme_is_short() -> None:
    assert PAGES["README.md"].count("\n") <= 150


@pages
def test_links(page: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", prose(PAGES[page])):
        if link.startswith(("http:", "https:")):
            continue
        target, _, anchor = link.partition("#")
        path = (CHECKOUT / page).parent / target if target else CHECKOUT / page
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), link


@pages
def test_paths(page: str) -> None:
    """A path from the top of the checkout is there; a file name, or the end of a path, is some file's."""
    in_blocks = re.findall(r"[\w.*/-]+", " ".join(b[2] for b in re.findall(FENCE, PAGES[page], re.M | re.S)))
    for name in [*spans(PAGES[page]), *in_blocks]:
        whole = re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w.*/-]*", name)
        ending = re.fullmatch(r"[\w.*-][\w.*/-]*\.(py|yaml|xml|rviz)|[\w.-]+/[\w./-]+\.md", name)
        if re.search(PLACEHOLDERS, name) or not (whole or ending):
            continue
        found = [path for path in FILES if fnmatch(path, name.rstrip("/"))]
        if not whole:
            found += [path for path in FILES if fnmatch(path, f"*/{name}")]
        assert found or (CHECKOUT / name).exists(), f"no {name}"


@cache
def explained(*command: str) -> str:
    """What ``night-seg COMMAND --help`` prints."""
    with redirect_stdout(StringIO()) as said, pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0, f"night-seg {' '.join(command)}"
    return said.getvalue()


def given_commands(page: str) -> list[list[str]]:
    """The words of every call of night-seg on a page."""
    text = "\n".join(blocks(PAGES[page], "bash")).replace("\\\n", " ")
    lines = [line.split(" #")[0] for line in text.splitlines()] + spans(PAGES[page])
    return [line.split()[1:] for line in lines if re.match(r"night-seg [a-z]", line.strip())]


@pages
def test_commands_and_options_exist(page: str) -> None:
    for words in given_commands(page):
        name, *rest = [word.replace("METHOD", "egnet") for word in words]
        assert name in COMMANDS
        depth = {"train": 1, "bench": 1, "import-weights": 1}.get(name, 0) + (rest[:1] == ["train"])
        options = [word.partition("=")[0] for word in rest if word.startswith("--")]
        if not options:
            continue
        help_text = explained(name, *rest[:depth])
        for option in options:
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w.-])", help_text), f"{words}: {option}"


@pages
def test_other_programs_are_called_as_they_are(page: str) -> None:
    text = "\n".join([*blocks(PAGES[page], "bash"), *spans(PAGES[page])])
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    setup = (CHECKOUT / "setup.py").read_text(encoding="utf-8")
    for executable in re.findall(r"ros2 run night_seg_ros ([\w-]+)", text):
        assert f'"{executable} = ' in setup
    launch = (CHECKOUT / "launch" / "segment.launch.py").read_text(encoding="utf-8")
    for call in re.findall(r"ros2 launch night_seg_ros segment\.launch\.py(.*)", text):
        for argument in re.findall(r"(\w+):=", call):
            assert f'rgument("{argument}"' in launch or f'rgument(\n        "{argument}"' in launch, argument
    for extras in re.findall(r"pip install '\.\[([\w,]+)\]'", text):
        for extra in extras.split(","):
            assert f'"{extra}": [' in setup
    for module in re.findall(r"-m (night_seg_ros[\w.]+)", text):
        if not re.search(PLACEHOLDERS, module):
            assert (CHECKOUT / f"{module.replace('.', '/')}.py").exists(), module


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks(PAGES["docs/commands.md"], "python")
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("night.png", np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8))
    exec(compile(code, "docs/commands.md", "exec"), {})
    overlay = cv2.imread("overlay.png")
    assert overlay is not None and overlay.shape == (96, 128, 3)


def test_every_recipe_is_in_the_table() -> None:
    folder = CHECKOUT / "config" / "training"
    patterns = [name for row in rows("docs/training.md", "Recipes") for name in re.findall("`(.+?)`", row[0])]
    shipped = [path for place in ("*.yaml", "trained_on/*", "ablations/*/*") for path in folder.glob(place)]
    recipes = [path.relative_to(folder) for path in shipped]
    for recipe in recipes:
        assert any(recipe.match(pattern) for pattern in patterns), recipe
    for pattern in patterns:
        assert any(recipe.match(pattern) for recipe in recipes), pattern


def test_every_data_set_is_in_the_table() -> None:
    named = {name for row in rows("docs/data.md", "Data sets") for name in re.findall("`(.+?)`", row[0])}
    assert named == {*DATASETS, SYNTHETIC}


def test_the_rooms_are_those_that_test_layers_holds() -> None:
    found = {
        row[0].strip("`"): set(re.findall("`(.+?)`", row[2]))
        for row in rows("docs/architecture.md", "The rooms")
    }
    assert found == PARTS | TRAINING


def test_version() -> None:
    version = re.escape(night_seg_ros.__version__)
    changelog = (CHECKOUT / "CHANGELOG.rst").read_text(encoding="utf-8")
    assert re.search(rf"^{version} \(\d{{4}}-\d\d-\d\d\)\n-+$", changelog, re.MULTILINE)
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["license"] == "Apache-2.0"
    assert str(citation["version"]) == night_seg_ros.__version__
    assert len(citation["references"]) == 3


def test_the_changelog_is_read_by_ros_tools() -> None:
    changelog = pytest.importorskip("catkin_pkg.changelog", reason="catkin_pkg and docutils are missing")
    versions = changelog.get_changelog_from_path(str(CHECKOUT / "CHANGELOG.rst")).foreach_version()
    assert [version for version, _, _ in versions] == [night_seg_ros.__version__]


def test_pre_commit_runs_what_make_lint_runs() -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^lint:.*\n((?:\t.+\n)+)", makefile, re.MULTILINE)
    assert recipe is not None
    lint = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]
    config = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (local,) = config["repos"]
    assert [hook["entry"] for hook in local["hooks"]] == lint
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
