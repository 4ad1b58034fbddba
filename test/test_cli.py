# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What ``night-seg`` itself does before a command runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import night_seg_ros
from night_seg_ros import cli

CHECKOUT = Path(__file__).resolve().parents[1]

# Runs a command, and says what OpenMP is told when torch is about to be loaded.
PROBE = """
import os, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
sys.meta_path.insert(0, Finder())
from night_seg_ros.cli import main
sys.exit(main(sys.argv[1:]))
"""


def told(command: list[str], **variables: str) -> str:
    """What OpenMP is told by a command that fails for want of its inputs, after torch is loaded."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"PYTHONPATH": str(CHECKOUT), **variables}
    result = subprocess.run(
        [sys.executable, "-c", PROBE, *command], env=environment, capture_output=True, text=True
    )
    assert result.returncode, "there is nothing that it could have worked on"
    return result.stdout.splitlines()[0]


@pytest.mark.parametrize(
    "command",
    [
        ["segment", "nothing.png", "--weights", "nothing", "--out", "out"],
        ["compare", "nothing.png", "--models", "nothing", "--out", "out"],
        ["evaluate", "--images", "nothing", "--labels", "nothing"],
        ["submit", "--root", "nothing", "--out", "out.zip"],
    ],
)
def test_openmp_waits_passively(command: list[str]) -> None:
    assert told(command) == "passive"


def test_what_the_user_tells_openmp_counts() -> None:
    assert (
        told(["evaluate", "--images", "nothing", "--labels", "nothing"], OMP_WAIT_POLICY="active") == "active"
    )


def test_training_keeps_the_policy_of_openmp() -> None:
    assert told(["train", "egnet", "--config", "nothing.yaml"]) == "None"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"night-seg {night_seg_ros.__version__}\n"
