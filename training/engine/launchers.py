# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""How many processes take part in a training run, and in what order they do a thing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def launched_processes(devices: int, nodes: int) -> tuple[int, int]:
    """Processes per machine, and machines: as torchrun or Slurm has started them, else the numbers given.

    Raises:
        ValueError: a Slurm job whose processes per machine are not told.
    """
    from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        per_machine = int(os.environ["LOCAL_WORLD_SIZE"])
        return per_machine, int(os.environ["WORLD_SIZE"]) // per_machine
    if SLURMEnvironment.detect():
        per_machine = int(os.environ.get("SLURM_NTASKS_PER_NODE", 1))
        machines = int(os.environ["SLURM_NNODES"])
        if per_machine * machines != int(os.environ["SLURM_NTASKS"]):
            raise ValueError(
                "Slurm: say how many processes run on a machine with --ntasks-per-node, not --ntasks"
            )
        return per_machine, machines
    return devices, nodes


@contextmanager
def rank_zero_first(fabric: Fabric) -> Iterator[None]:
    """Rank 0 goes first, the others follow, also if it fails: then each meets the error and can report it.

    Fabric's own context lets the error out at once, and the others break down in its barrier.
    """
    failure: Exception | None = None
    with fabric.rank_zero_first():
        try:
            yield
        except Exception as error:
            failure = error
    if failure is not None:
        raise failure
