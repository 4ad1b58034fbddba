# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Training in two real processes, started by torchrun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from helpers.watched_training import images_of

from night_seg_ros.cli import main
from night_seg_ros.models.checkpoint import load_model
from night_seg_ros.training.data.datasets import FolderDataset
from night_seg_ros.training.engine.engine import Batch
from night_seg_ros.training.engine.launchers import launched_processes
from night_seg_ros.training.evaluation.evaluate import evaluate
from night_seg_ros.training.train_egnet import EGNetMethod

CHECKOUT = Path(__file__).resolve().parents[2]
RECIPE = CHECKOUT / "config" / "training" / "egnet_demo.yaml"
SCRIPT = CHECKOUT / "test" / "helpers" / "watched_training.py"
TRAINING, VALIDATION = 8, 5  # images; the validation does not divide by two


@pytest.fixture(scope="module")
def greys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of one grey each, 20 times their number; labels at random."""
    root = tmp_path_factory.mktemp("greys")
    rng = np.random.default_rng(0)
    for split, count in (("train", TRAINING), ("val", VALIDATION)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for i in range(count):
            label = cv2.resize(
                rng.integers(0, 19, (8, 8), np.uint8), (64, 64), interpolation=cv2.INTER_NEAREST
            )
            image = np.full((64, 64, 3), 20 * i, np.uint8)
            cv2.imwrite(str(root / "images" / split / f"{i}.png"), image)
            cv2.imwrite(str(root / "labels" / split / f"{i}.png"), label)
    return root


def command(greys: Path, out: Path, *options: str) -> list[str]:
    source = {"dataset": "folder", "root": str(greys)}
    values: dict[str, Any] = {"base": str(RECIPE)}
    values["data"] = {
        "train": [source | {"split": "train"}],
        "validation": [source | {"split": "val"}],
        "batch_size": 4,
        "crop": [64, 64],
        "canvas": [64, 64],
        "scale": [1.0, 1.0],
        "augmentation": {"colour": 0.0, "blur": 0.0},
        "workers": 0,
    }
    values["schedule"] = {"iterations": 1000, "warmup": 0}
    values["run"] = {"out": str(out), "accelerator": "cpu", "precision": "32-true", "storage": "float32"}
    values["run"] |= {"log_every": 1, "picture_every": 0, "save_every": 0, "validate_every": 0}
    values["run"] |= {"input_size": 64}
    path = out.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(values))
    return ["train", "egnet", "--config", str(path), *options]


def start(greys: Path, out: Path, *options: str, **more: str) -> subprocess.Popen[str]:
    notes = out.with_suffix(".notes")
    notes.mkdir()
    variables = {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1", "NOTES": str(notes)}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    return subprocess.Popen(
        [*launcher, str(SCRIPT), *command(greys, out, *options)],
        env={**os.environ, **variables, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def seen(out: Path, rank: int) -> list[list[int]]:
    """Numbers of the images by step."""
    path = out.with_suffix(".notes") / f"seen_{rank}"
    return [[int(image) for image in line.split()] for line in path.read_text().splitlines()]


def test_two_processes_are_one_run(greys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two epochs in two processes; Ctrl-C reaches one of them; one process goes on."""
    out = tmp_path / "run"
    process = start(greys, out, "--run.validate_every=4", FAULT="sigint", FAULT_STEP="4")
    output, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert "stopped after step 4" in error and error.count("--resume") == 1
    assert output == f"model: {out}/model.safetensors\n"

    # Every image once per epoch, over both processes.
    steps = [first + second for first, second in zip(seen(out, 0), seen(out, 1), strict=True)]
    assert [len(step) for step in steps] == [4, 4, 4, 4]
    assert all(len(step) == 2 for step in seen(out, 0))
    for epoch in (steps[:2], steps[2:]):
        assert sorted(epoch[0] + epoch[1]) == list(range(TRAINING))

    # Rank 0 alone wrote.
    assert {path.name for path in out.iterdir()} == {"recipe.yaml", "state.pt", "model.safetensors", "logs"}
    assert len(list((out / "logs").glob("events*"))) == 1
    assert [path.name for path in out.with_suffix(".notes").glob("wrote_*")] == ["wrote_0"]

    # The scores of both are those of one process.
    model, metadata = load_model(out / "model.safetensors")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    dataset = FolderDataset(greys / "images" / "val", greys / "labels" / "val")
    samples = [dataset[i] for i in range(VALIDATION)]
    alone = evaluate(model.to(memory_format=torch.channels_last), samples, input_size=64, progress=False)
    torch.set_num_threads(threads)
    scores = metadata["scores"][f"{greys.name}/val"]
    assert scores.pop("step") == 4 and scores["images"] == VALIDATION
    assert json.dumps(scores) == json.dumps(alone.compute())

    # One process goes on with the third epoch.
    step, third = EGNetMethod.step, []

    def watched(self: EGNetMethod, batch: Batch, backward: Any) -> dict[str, torch.Tensor]:
        third.extend(images_of(batch))
        return step(self, batch, backward)

    monkeypatch.setattr(EGNetMethod, "step", watched)
    assert main(command(greys, out, "--schedule.iterations=6", "--resume")) == 0
    assert sorted(third) == list(range(TRAINING))
    assert load_model(out / "model.safetensors")[1]["iterations"] == 6


def test_ctrl_c_to_torchrun_stops_both(greys: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(greys, out)
    try:
        deadline = time.monotonic() + 120
        while len(list(out.with_suffix(".notes").glob("seen_*"))) < 2:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert error.count("go on with --resume") == 1
    assert "SIGKILL" not in error  # torchrun's answer to a process that does not stop
    step = torch.load(out / "state.pt", weights_only=True)["step"]
    assert step == len(seen(out, 0)) == len(seen(out, 1)) > 0
    load_model(out / "model.safetensors")


def test_a_loss_that_breaks_on_one_rank_ends_both(greys: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(greys, out, "--run.save_every=1", FAULT="nan", FAULT_STEP="2")
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert error.count("night-seg train egnet: loss 'total' is not finite at step 1") == 2
    assert torch.load(out / "state.pt", weights_only=True)["step"] == 1


def test_a_wrong_folder_is_one_line_of_each_rank(tmp_path: Path) -> None:
    root = tmp_path / "nowhere"
    process = start(root, tmp_path / "run")
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    # torchrun may end one rank before it speaks.
    assert error.count(f"night-seg train egnet: no folder {root}\n") in (1, 2)
    assert "barrier" not in error


@pytest.mark.parametrize(
    "variables, expected",
    [
        ({}, (3, 2)),
        ({"TORCHELASTIC_RUN_ID": "a", "LOCAL_WORLD_SIZE": 4, "WORLD_SIZE": 8, "SLURM_NTASKS": 2}, (4, 2)),
        ({"SLURM_NTASKS": 16, "SLURM_NTASKS_PER_NODE": 8, "SLURM_NNODES": 2}, (8, 2)),
        ({"SLURM_NTASKS": 1, "SLURM_NNODES": 1}, (1, 1)),
        ({"SLURM_NTASKS": 1, "SLURM_NNODES": 1, "SLURM_JOB_NAME": "interactive"}, (3, 2)),
    ],
)
def test_the_launcher_says_how_many(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, object], expected: tuple[int, int]
) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    assert launched_processes(3, 2) == expected


def test_slurm_must_tell_the_processes_per_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "8")
    monkeypatch.setenv("SLURM_NNODES", "2")
    with pytest.raises(ValueError, match="--ntasks-per-node"):
        launched_processes(1, 1)
