"""How many processes take part in a training run."""

from __future__ import annotations

import os

from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment


def launched_processes(devices: int, nodes: int) -> tuple[int, int]:
    """Processes per machine, and machines: as torchrun or Slurm has started them, else the numbers given.

    Raises:
        ValueError: a Slurm job whose processes per machine are not told.
    """
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
