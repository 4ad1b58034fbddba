# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Which of the scored models of a training stay; in a training, see test_train_egnet.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from night_seg_ros.training.engine.snapshots import Snapshots


def test_the_latest_stay(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, 2, None, ["a"])
    (tmp_path / "snapshots").mkdir()
    for step in (900, 1000, 20000):
        snapshots.add(step, {"a": {"miou": 0.1}}, lambda path: path.write_bytes(b"model"))
    names = sorted(path.name for path in (tmp_path / "snapshots").iterdir())
    assert names == ["step_00001000.safetensors", "step_00020000.safetensors"]
    assert not (tmp_path / "best.safetensors").exists()


def test_the_best_by_its_name(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, 0, "mef1_micro/night/val", ["day/val", "night/val"])
    for step, day, night in ((1, 0.9, None), (2, 0.8, 0.3), (3, 0.7, 0.5), (4, 0.9, 0.4)):
        scores = {"day/val": {"mef1_micro": day}, "night/val": {"mef1_micro": night}}
        snapshots.add(step, scores, lambda path, step=step: path.write_text(str(step)))
    assert (tmp_path / "best.safetensors").read_text() == "3" and snapshots.best_score == 0.5
    assert not (tmp_path / "snapshots").exists()


@pytest.mark.parametrize(
    ("keep", "best", "complaint"),
    [
        (-1, None, "run.keep is -1: give 0 or more, or all"),
        (0, "miou/nowhere", "no score 'miou/nowhere' here; known: miou/a/val, miou_truth/a/val"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, keep: int, best: str | None, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Snapshots(tmp_path, keep, best, ["a/val"])


def test_a_resumed_run_forgets_what_came_later_and_other_scores(tmp_path: Path) -> None:
    first = Snapshots(tmp_path, "all", "miou/a", ["a"])
    (tmp_path / "snapshots").mkdir()
    for step, miou in ((1, 0.5), (2, 0.7), (3, 0.6)):
        scores = {"a": {"miou": miou, "pixel_accuracy": miou / 2}}
        first.add(step, scores, lambda path, step=step: path.write_text(str(step)))
    resumed = Snapshots(tmp_path, "all", "miou/a", ["a"])
    resumed.restore(first.state(), step=2)
    assert [path.stem for path in sorted((tmp_path / "snapshots").iterdir())] == [
        "step_00000001",
        "step_00000002",
    ]
    assert resumed.best_score == 0.7
    other = Snapshots(tmp_path, 0, "pixel_accuracy/a", ["a"])
    other.restore(first.state(), step=2)
    other.add(4, {"a": {"miou": 0.1, "pixel_accuracy": 0.2}}, lambda path: path.write_text("4"))
    assert (tmp_path / "best.safetensors").read_text() == "4"
