# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What README and docs/ tell of topics, parameters, launch arguments and commands is what the code has."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from night_seg_ros.cli import COMMANDS
from night_seg_ros.nodes import play_parameters, segment_parameters
from night_seg_ros.nodes.parameters import Parameters

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = [CHECKOUT / "README.md", CHECKOUT / "docs" / "ros.md", CHECKOUT / "docs" / "commands.md"]
README = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def table(heading: str) -> dict[str, str]:
    """The first table of a section: its second column by its first, both without back-quotes."""
    section = re.search(rf"^#+ {heading}\n(.*?)(?=^#+ |\Z)", README, re.MULTILINE | re.DOTALL)
    assert section is not None, f"no section {heading}"
    rows = re.findall(r"^\|.+$", section[1], re.MULTILINE)[2:]  # after the heads and the line below them
    return dict([cell.strip(" `") for cell in row.split("|")[1:3]] for row in rows)


def shown(default: Any) -> str:
    """A default as the tables write it."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list) and default:
        return f"{len(default)} values"
    return str(default) if default not in ("", []) else "empty"


@pytest.mark.parametrize(
    ("heading", "parameters"),
    [
        ("Parameters of segment_node", segment_parameters.PARAMETERS),
        ("play_node", play_parameters.PARAMETERS),
    ],
)
def test_parameters(heading: str, parameters: Parameters) -> None:
    assert table(heading) == {name: shown(parameter.default) for name, parameter in parameters.items()}


def test_launch_arguments() -> None:
    tree = ast.parse((CHECKOUT / "launch" / "segment.launch.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    # DeclareLaunchArgument("image", ...), and the file's own helper that makes one
    names = [call.args[0] for call in calls if ast.unparse(call.func).lower().endswith("argument")]
    declared = {name.value for name in names if isinstance(name, ast.Constant)}
    assert declared and set(table("Launch arguments")) == declared


def test_topics() -> None:
    pytest.importorskip("rclpy", reason="camera.py needs rclpy")
    from night_seg_ros.nodes.camera import IMAGES, OVERLAYS, TRANSPORTS

    inputs = {f"image{ending}` (in)" for ending, _, _ in TRANSPORTS.values()}
    outputs = {f"~/{output}" for output in (*IMAGES, *OVERLAYS)}
    assert set(table("Topics of segment_node")) == inputs | outputs | {"/diagnostics"}


def test_commands() -> None:
    named = {command.split()[1] for command in table("Command line")}
    assert named == set(COMMANDS)
