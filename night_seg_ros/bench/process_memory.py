# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Memory of a process, as Linux tells it."""

from __future__ import annotations

from pathlib import Path


def resident_memory(process: int | str, entry: str = "VmRSS") -> int:
    """Bytes of memory that a process holds.

    Args:
        process: its id, or ``self``.
        entry: ``VmRSS``, now; ``VmHWM``, at most so far.

    Raises:
        OSError: no such process, or not Linux.
        ValueError: the process has ended.
    """
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{entry}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {process} has no memory any more")
