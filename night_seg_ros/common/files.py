# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Files read whole, and files that appear at their place only when they are complete."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class InputError(ValueError):
    """An input that can't be used; the message says which, what is wrong, and what was expected."""


def read_file(path: Path) -> bytes:
    """Read a file whole.

    Raises:
        InputError: it can't be read, or is empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from error
    if not data:
        raise InputError(f"{path} is empty")
    return data


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path to write to; it becomes ``path`` at the end, or disappears on an error.

    The folder is made if it is missing. The temporary name keeps the suffix, by which libraries choose the
    format.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file atomically, see ``atomic_path``."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: str | Path, value: Any) -> None:
    """Write strict JSON (no NaN) atomically, see ``atomic_path``."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
