# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg`` for test_distributed.py: leaves notes on what each rank did, and can go wrong on rank 1.

Under $NOTES: ``seen_RANK``, a line per step with the numbers of the images in the batch, and ``wrote_RANK``,
the files that were put in place. $FAULT, ``sigint`` or ``nan``, happens on rank 1 in step $FAULT_STEP.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from night_seg_ros.cli import main
from night_seg_ros.models.classes import IMAGENET_MEAN, IMAGENET_STD
from night_seg_ros.training.engine.engine import Batch, StepReport
from night_seg_ros.training.train_egnet import EGNetMethod


def images_of(batch: Batch) -> list[int]:
    """Numbers of the images of a batch: image i has the grey 20 i everywhere."""
    greys = (batch["image"][:, 0, 0, 0] * IMAGENET_STD[0] + IMAGENET_MEAN[0]) * 255
    return [round(grey / 20) for grey in greys.tolist()]


def watch(notes: Path, rank: str, fault: str | None, fault_step: int) -> None:
    """Wrap the training step and ``os.replace``, by which all files get to their place."""
    step, replace, steps = EGNetMethod.step, os.replace, []

    def watched_step(self: EGNetMethod, batch: Batch, backward: Callable[[Tensor], None]) -> StepReport:
        steps.append(images_of(batch))
        with open(notes / f"seen_{rank}", "a") as lines:
            print(*steps[-1], file=lines)
        faulty = fault is not None and rank == "1" and len(steps) == fault_step
        if faulty and fault == "sigint":
            os.kill(os.getpid(), signal.SIGINT)
        report = step(self, batch, backward)
        if fault == "nan" and faulty:
            return StepReport({name: loss * float("nan") for name, loss in report.losses.items()})
        return report

    def watched_replace(source: Any, target: Any, **options: Any) -> None:
        with open(notes / f"wrote_{rank}", "a") as lines:
            print(target, file=lines)
        replace(source, target, **options)

    EGNetMethod.step = watched_step  # type: ignore[method-assign]
    os.replace = watched_replace


if __name__ == "__main__":
    environment = os.environ
    watch(
        Path(environment["NOTES"]),
        environment["RANK"],
        environment.get("FAULT"),
        int(environment.get("FAULT_STEP", 0)),
    )
    raise SystemExit(main(sys.argv[1:]))
