# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the worker processes of a ``DataLoader`` have in common."""

from __future__ import annotations

import signal


def leave_interrupts(worker: int) -> None:
    """A ``worker_init_fn``: Ctrl-C, which reaches every process, is the main process's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
