# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The variants of a study file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from night_seg_ros.training.study import study


def read_study(path: Path) -> dict[str, Any]:
    """The arguments of ``study`` that a file gives, with the data below the working folder."""
    parser = ArgumentParser()
    parser.add_argument("--config", action="config")
    parser.add_function_arguments(study)
    arguments: dict[str, Any] = parser.instantiate(
        parser.parse_args(["--config", str(path), "--data_root", "."])
    )
    return arguments
