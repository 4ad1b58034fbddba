# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Exported models along a training, each with its validation scores, and the best of them by one score."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

BEST = "best.safetensors"
FOLDER = "snapshots"
KNOWN_SCORES = ("miou", "miou_truth", "pixel_accuracy", "mef1_micro", "mef1_macro")


class Snapshots:
    """Keeps models that were scored: ``snapshots/step_00000500.safetensors`` ... and ``best.safetensors``.

    Args:
        out: the run's folder.
        keep: how many of the latest snapshots stay, or ``all``; 0 writes none.
        best: the score that ``best.safetensors`` has the highest value of, such as ``miou/nightcity/val``;
            None for no such file.
        sources: names of the validation's sources.

    Attributes:
        best_score: the highest value of ``best`` so far; minus infinity before the first.

    Raises:
        ValueError: ``keep`` below 0, or ``best`` is no score of these sources.
    """

    def __init__(self, out: Path, keep: int | Literal["all"], best: str | None, sources: list[str]) -> None:
        if keep != "all" and keep < 0:
            raise ValueError(f"run.keep is {keep}: give 0 or more, or all")
        known = [f"{score}/{source}" for source in sources for score in KNOWN_SCORES]
        if best is not None and best not in known:
            raise ValueError(f"run.best: no score {best!r} here; known: {', '.join(known) or 'none at all'}")
        self.out, self.keep, self.best = out, keep, best
        self.best_score = -math.inf

    def state(self) -> dict[str, Any]:
        """What a resumed run has to know."""
        return {"name": self.best, "score": self.best_score}

    def restore(self, state: dict[str, Any], step: int) -> None:
        """Go on from a state, and forget what came after it.

        Args:
            state: see ``state``; the best by another score is no measure for this one.
            step: at which the run goes on.
        """
        if state["name"] == self.best:
            self.best_score = float(state["score"])
        for path in (self.out / FOLDER).glob("step_*.safetensors"):
            if int(path.stem.removeprefix("step_")) > step:
                path.unlink()

    def add(self, step: int, scores: dict[str, dict[str, Any]], write: Callable[[Path], None]) -> None:
        """Keep a model that was just scored, as far as it shall be kept.

        Args:
            step: how many steps it was trained.
            scores: by source, see ``SegmentationMetrics.compute``.
            write: writes the model, with its scores, to a path.
        """
        if self.keep != 0:
            write(self.out / FOLDER / f"step_{step:08d}.safetensors")
        if self.keep != "all" and self.keep > 0:
            for path in sorted((self.out / FOLDER).glob("step_*.safetensors"))[: -self.keep]:
                path.unlink()
        if self.best is not None:
            score, _, source = self.best.partition("/")
            value = scores[source][score]
            if value is not None and value > self.best_score:
                self.best_score = value
                write(self.out / BEST)
