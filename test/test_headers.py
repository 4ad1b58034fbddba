# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Every source file says whose it is and under which licence."""

from __future__ import annotations

from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
HEADER = "# Copyright 2026 night_seg_ros maintainers\n# SPDX-License-Identifier: Apache-2.0\n"
FOLDERS = ("models", "training", "night_seg_ros", "launch", "test")
FILES = [
    CHECKOUT / "setup.py",
    *(path for folder in FOLDERS for path in (CHECKOUT / folder).rglob("*.py")),
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_header(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if text.startswith("#!"):
        text = text.partition("\n")[2]
    assert text.startswith(HEADER)


def test_the_licence_is_there() -> None:
    assert "Apache License" in (CHECKOUT / "LICENSE").read_text(encoding="utf-8")
