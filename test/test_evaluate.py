"""Scores of a model, and ``night-seg evaluate`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from night_seg_ros.cli import main
from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import save_checkpoint
from night_seg_ros.training.datasets import CityscapesDataset, FolderDataset


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "w.safetensors"
    save_checkpoint(weights, build_model("egnet", backbone="resnet10"), {"input_size": 64})
    rng = np.random.default_rng(0)
    for i in range(2):
        for kind, size in (("images", (64, 96, 3)), ("labels", (64, 96))):
            (tmp_path / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / kind / f"{i}.png"), rng.integers(0, 19, size).astype(np.uint8))
    out = tmp_path / "scores" / "out.json"
    arguments = ["evaluate", "--weights", str(weights), "--images", str(tmp_path / "images")]
    assert (
        main([*arguments, "--labels", str(tmp_path / "labels"), "--json", str(out), "--device", "cpu"]) == 0
    )
    scores = json.loads(out.read_text())
    assert {"miou", "iou", "pixel_accuracy", "images"} <= set(scores) and scores["images"] == 2
    assert f"{100 * scores['miou']:.1f}" in capsys.readouterr().out
    assert main([*arguments, "--labels", str(tmp_path / "nowhere")]) == 1
    error = capsys.readouterr().err
    assert "has no label" in error and error.count("\n") == 1


def test_real_folders(shared_data: Path) -> None:
    camvid = shared_data / "camvid"
    dataset = FolderDataset(camvid / "images" / "day_val", camvid / "labels" / "day_val")
    assert len(dataset) == 101
    assert dataset[0]["image"].shape == (3, 360, 480) and dataset[0]["label"].shape == (360, 480)
    cityscapes = CityscapesDataset(shared_data / "cityscapes_mini", "val")
    assert len(cityscapes) == 12
    assert set(cityscapes[0]["label"].unique().tolist()) <= {*range(19), 255}


def test_checkpoints_of_other_classes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, images = tmp_path / "w.safetensors", tmp_path / "images"
    save_checkpoint(weights, build_model("egnet", backbone="resnet10", num_classes=5), {})
    images.mkdir()
    cv2.imwrite(str(images / "a.png"), np.zeros((40, 40), np.uint8))
    arguments = ["evaluate", "--weights", str(weights), "--images", str(images), "--labels", str(images)]
    assert main(arguments) == 1
    assert "classes" in capsys.readouterr().err
    assert main([*arguments, "--device", "tpu9"]) == 1
    assert "tpu9" in capsys.readouterr().err
