# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What all charts share."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from night_seg_ros.common.files import atomic_path


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure atomically, in the format of the suffix; its folder is made if it is missing."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
