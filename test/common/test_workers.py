# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Worker processes leave Ctrl-C to the main process."""

from __future__ import annotations

import os
import signal

from torch.utils.data import DataLoader, Dataset

from night_seg_ros.common.workers import leave_interrupts


class Interrupted(Dataset[int]):
    """Each process that reads an item gets a SIGINT."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return index


def test_a_worker_lives_on_after_an_interrupt() -> None:
    loader = DataLoader(Interrupted(), batch_size=None, num_workers=2, worker_init_fn=leave_interrupts)
    assert list(loader) == [0, 1, 2, 3]
