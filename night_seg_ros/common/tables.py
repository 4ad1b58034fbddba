# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tables and figures as text for people."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percent(share: float | None, digits: int = 1) -> str:
    """A share (0..1) in per cent, with so many digits behind the point; "-" for None and NaN."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, without a line end behind it."""
    lines = [head, ["-" * max(3, len(cell)) for cell in head], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def align_columns(rows: Sequence[Sequence[str]], *, numbers: bool = False) -> list[list[str]]:
    """Pad cells with spaces, so that the cells of a column are of one width.

    Args:
        rows: each of as many cells.
        numbers: all columns but the first hold numbers, whose digits stand below each other.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [
            cell.rjust(width) if numbers and i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
