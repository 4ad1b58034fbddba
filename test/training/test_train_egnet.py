# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The training engine on real steps: it learns, resumes exactly, stops cleanly, and refuses bad data."""

from __future__ import annotations

import json
import os
import re
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
from safetensors.torch import load_file

from night_seg_ros.models.checkpoint import load_model
from night_seg_ros.training.data.datasets import DataError, open_dataset
from night_seg_ros.training.data.stream import (
    AugmentationConfig,
    DataConfig,
    SourceConfig,
    StepSampler,
    TrainingStream,
)
from night_seg_ros.training.engine.engine import source_name
from night_seg_ros.training.engine.optimization import ScheduleConfig, moving_average, poly_factor
from night_seg_ros.training.evaluation import evaluate as evaluation
from night_seg_ros.training.streets.scene import StreetScene
from night_seg_ros.training.train_egnet import main

CHECKOUT = Path(__file__).resolve().parents[2]
RECIPE = CHECKOUT / "config" / "training" / "egnet_demo.yaml"


@pytest.fixture(scope="session")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four synthetic night streets as a folder data set."""
    root = tmp_path_factory.mktemp("streets")
    for kind in ("images", "labels"):
        (root / kind / "train").mkdir(parents=True)
    for seed in range(4):
        frame = StreetScene(seed).render(96, 128)
        cv2.imwrite(str(root / "images" / "train" / f"{seed}.png"), frame.night[..., ::-1])
        cv2.imwrite(str(root / "labels" / "train" / f"{seed}.png"), frame.label)
    return root


def recipe(streets: Path, out: Path, **changes: object) -> list[str]:
    """Command line of a small run: the demonstration recipe on four images."""
    source = {"dataset": "folder", "root": str(streets), "split": "train", "night": 0.0}
    values: dict[str, Any] = {"base": str(RECIPE)}
    values["data"] = {
        "train": [source],
        "validation": [source],
        "batch_size": 4,
        "crop": [64, 64],
        "workers": 0,
    }
    values["data"] |= {"canvas": [64, 64], "scale": [1.0, 1.5]}
    values["schedule"] = {"iterations": 30, "warmup": 5}
    values["run"] = {"out": str(out), "accelerator": "cpu", "precision": "32-true", "ema": 0.9}
    values["run"] |= {"log_every": 1, "picture_every": 1000, "validate_every": 1000, "input_size": 96}
    path = out.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(values))
    return ["--config", str(path), *(f"--{key}={value}" for key, value in changes.items())]


def losses(out: Path, name: str) -> list[float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out / "logs"))
    events.Reload()
    return [event.value for event in events.Scalars(f"loss/{name}")]


def test_thirty_steps_halve_the_loss(streets: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main(recipe(streets, out)) == 0
    total = losses(out, "total")
    assert len(total) == 30
    assert np.mean(total[-3:]) < 0.5 * np.mean(total[:3])
    parts = np.add(losses(out, "segmentation"), losses(out, "exposure"))
    np.testing.assert_allclose(total, parts, rtol=1e-5)
    model, metadata = load_model(out / "model.safetensors")
    assert metadata["iterations"] == 30 and metadata["input_size"] == 96
    assert torch.isfinite(model(torch.randn(1, 3, 64, 64)).logits).all()


def test_resume_continues_bit_for_bit(streets: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    changes = {"schedule.iterations": 8, "run.storage": "float32", "run.save_every": 3}
    assert main(recipe(streets, whole, **changes)) == 0

    # The second run is stopped at its sixth step by the signal that Ctrl-C sends.
    import night_seg_ros.training.train_egnet as method

    step, steps = method.EGNetMethod.step, []

    def interrupted(self: object, *arguments: object) -> object:
        steps.append(1)
        if len(steps) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method.EGNetMethod, "step", interrupted)
        assert main(recipe(streets, parts, **changes)) == 0
    assert len(steps) == 6
    assert main([*recipe(streets, parts, **changes), "--resume"]) == 0

    expected, found = (load_file(out / "model.safetensors") for out in (whole, parts))
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    expected, found = (torch.load(out / "state.pt", weights_only=True) for out in (whole, parts))
    for key, value in expected["networks"]["model"].items():
        assert torch.equal(value, found["networks"]["model"][key]), key


def test_a_run_keeps_its_scored_models_and_the_best_over_a_resume(streets: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    name = f"{streets.name}/train"
    changes = {"run.validate_every": 2, "run.keep": "all", "run.best": f"miou/{name}"}
    assert main([*recipe(streets, out, **changes), "--schedule.iterations=4"]) == 0
    assert main([*recipe(streets, out, **changes), "--schedule.iterations=7", "--resume"]) == 0
    kept = sorted((out / "snapshots").iterdir())
    assert [path.name for path in kept] == [f"step_{step:08d}.safetensors" for step in (2, 4, 6, 7)]
    told = [load_model(path)[1] for path in kept]
    assert [each["iterations"] for each in told] == [2, 4, 6, 7]
    assert [each["scores"][name]["step"] for each in told] == [2, 4, 6, 7]
    scores = [each["scores"][name]["miou"] for each in told]
    assert len(set(scores)) > 1
    best = load_model(out / "best.safetensors")[1]
    assert best["scores"][name]["miou"] == max(scores)
    assert best["iterations"] == told[scores.index(max(scores))]["iterations"]


def test_a_run_is_not_overwritten_without_resume(
    streets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(recipe(streets, out, **{"schedule.iterations": 1})) == 0
    before = (out / "state.pt").read_bytes()
    assert main(recipe(streets, out, **{"schedule.iterations": 1})) == 1
    assert "--resume" in capsys.readouterr().err
    assert (out / "state.pt").read_bytes() == before


def test_resume_needs_a_state_of_the_same_model(
    streets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main([*recipe(streets, out), "--resume"]) == 1
    assert "nothing to resume" in capsys.readouterr().err
    assert main(recipe(streets, out, **{"schedule.iterations": 1})) == 0
    other = [*recipe(streets, out, **{"model.backbone": "resnet18"}), "--resume"]
    assert main(other) == 1
    assert "model.backbone resnet10, but resnet18 is wanted now" in capsys.readouterr().err
    (out / "recipe.yaml").unlink()
    assert main(other) == 1
    assert "another model" in capsys.readouterr().err


def test_ctrl_c_in_a_real_process_keeps_the_state(streets: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "night_seg_ros.cli", "train", "egnet"]
    changes = {"schedule.iterations": 10_000, "run.save_every": 10_000, "data.workers": 1}
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, *recipe(streets, out, **changes)], env=environment, stderr=subprocess.PIPE, text=True
    )
    while not list(out.glob("logs/events*")) and process.poll() is None:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "--resume" in error and "Traceback" not in error
    assert torch.load(out / "state.pt", weights_only=True)["step"] > 0
    load_model(out / "model.safetensors")


def test_a_broken_image_is_one_line_from_a_worker_too(streets: Path, tmp_path: Path) -> None:
    broken = tmp_path / "streets"
    for kind in ("images", "labels"):
        (broken / kind / "train").mkdir(parents=True)
        cv2.imwrite(str(broken / kind / "train" / "a.png"), np.full((64, 64), 3, np.uint8))
    (broken / "images" / "train" / "a.png").write_bytes(b"broken")
    command = [sys.executable, "-m", "night_seg_ros.cli", "train", "egnet"]
    command += recipe(broken, tmp_path / "run", **{"data.workers": 1})
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert re.search(r"^night-seg train egnet: .*a\.png can't be decoded", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


def test_a_crash_leaves_no_workers_to_wait_for(streets: Path, tmp_path: Path) -> None:
    """Workers don't hear SIGTERM, with which Python's exit ends them: it must not come to that."""
    crash = tmp_path / "crash.py"
    crash.write_text(
        "import sys\n"
        "from night_seg_ros.training.engine.engine import Engine\n"
        "from night_seg_ros.training.train_egnet import main\n"
        "def update(*arguments): raise RuntimeError('out of memory')\n"
        "Engine.update = update\n"
        "main(sys.argv[1:])\n"
    )
    command = [sys.executable, str(crash), *recipe(streets, tmp_path / "run", **{"data.workers": 1})]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1 and "out of memory" in done.stderr


@pytest.mark.parametrize(
    "change, message",
    [
        ({"optimizer.lr": 0.5}, "optimizer.lr 0.001, but 0.5 is wanted now"),
        ({"run.seed": 9}, "run.seed 1, but 9 is wanted now"),
        ({"data.crop": "[32,32]"}, r"data.crop \[64, 64\], but \[32, 32\]"),
        ({"run.log_every": 2, "data.workers": 1, "run.storage": "float32"}, None),
    ],
)
def test_a_run_goes_on_as_it_was_begun(
    streets: Path, tmp_path: Path, capsys, change: dict[str, object], message: str | None
) -> None:
    out = tmp_path / "run"
    assert main(recipe(streets, out, **{"schedule.iterations": 1})) == 0
    before = (out / "recipe.yaml").read_bytes()
    status = main([*recipe(streets, out, **{"schedule.iterations": 2}, **change), "--resume"])
    assert status == (message is not None)
    if message:
        assert re.search(message, capsys.readouterr().err)
        assert (out / "recipe.yaml").read_bytes() == before


def test_a_refusal_leaves_the_run_as_it_was(streets: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    assert main(recipe(streets, out, **{"schedule.iterations": 1})) == 0
    checkpoint = tmp_path / "model.safetensors"
    checkpoint.write_bytes((out / "model.safetensors").read_bytes())

    def refused(message: str, **changes: object) -> None:
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        assert main([*recipe(streets, out, **{"schedule.iterations": 9}, **changes), "--resume"]) == 1
        assert message in capsys.readouterr().err
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before

    refused("but 9 is wanted now", **{"run.seed": 9})
    refused("began with another model.checkpoint", **{"model.checkpoint": checkpoint})
    refused("sources of one name", **{"data.validation": json.dumps([{"dataset": "synthetic"}] * 2)})
    (out / "state.pt").write_bytes(b"damaged")
    refused("can't be read")
    (out / "state.pt").unlink()
    refused("nothing to resume")


def test_a_damaged_state_is_named(streets: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "state.pt").write_bytes(b"damaged")
    assert main([*recipe(streets, out), "--resume"]) == 1
    assert f"{out / 'state.pt'} can't be read" in capsys.readouterr().err


def test_sources_of_validation_keep_their_names(streets: Path, tmp_path: Path, capsys) -> None:
    day, night = ({"dataset": "synthetic", "night": share} for share in (0.0, 1.0))
    assert [source_name(SourceConfig(**source)) for source in (day, night)] == [
        "synthetic/day",
        "synthetic/night",
    ]
    assert source_name(SourceConfig("acdc_night", "acdc", "val")) == "acdc_night/val"
    assert source_name(SourceConfig("folder", "sets/camvid/", "dusk")) == "camvid/dusk"
    argv = recipe(streets, tmp_path / "run")
    assert main([*argv, "--data.validation", json.dumps([night, night])]) == 1
    assert "sources of one name" in capsys.readouterr().err


def test_every_0_is_never(streets: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    never = {f"run.{name}_every": 0 for name in ("log", "picture", "save", "validate")}
    assert main(recipe(streets, out, **never, **{"schedule.iterations": 2})) == 0
    assert load_model(out / "model.safetensors")[1]["scores"] == {}


def test_exact_input_size(streets: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main(recipe(streets, out, **{"schedule.iterations": 1, "run.input_size": "[64, 128]"})) == 0
    metadata = load_model(out / "model.safetensors")[1]
    assert metadata["input_size"] == [64, 128]
    assert metadata["scores"][f"{streets.name}/train"]["images"] == 4


def test_an_enhanced_source_is_scored_enhanced(streets: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    source = {"dataset": "folder", "root": str(streets), "split": "train", "enhancement": "clahe"}
    argv = recipe(streets, out, **{"schedule.iterations": 3, "run.storage": "float32"})
    assert main([*argv, "--data.validation", json.dumps([source])]) == 0
    model, metadata = load_model(out / "model.safetensors")
    dataset = open_dataset("folder", streets, "train")
    samples = [dataset[number] for number in range(len(dataset))]
    enhanced, plain = (
        evaluation.evaluate(model, samples, input_size=96, test_time=how, progress=False).compute()
        for how in (evaluation.TestTime(enhancement="clahe"), evaluation.TestTime())
    )
    scores = metadata["scores"][f"{streets.name}/train"]
    assert scores["pixel_accuracy"] == pytest.approx(enhanced["pixel_accuracy"], abs=1e-4)
    assert abs(enhanced["pixel_accuracy"] - plain["pixel_accuracy"]) > 1e-3
    assert scores["exposure_pixels"] == plain["exposure_pixels"]


def test_poly_schedule_by_formula() -> None:
    schedule = ScheduleConfig(iterations=100, power=0.9, warmup=10)
    assert poly_factor(0, schedule) == pytest.approx(0.1)
    assert poly_factor(9, schedule) == pytest.approx(0.91**0.9)
    assert poly_factor(75, schedule) == pytest.approx(0.25**0.9)
    assert poly_factor(0, ScheduleConfig(100, 0.9, 0)) == 1


def stream(root: Path, **changes: object) -> TrainingStream:
    source = SourceConfig(
        **{"dataset": "folder", "root": str(root), "split": "train", "night": 0.5} | changes
    )
    config = DataConfig("", [source], [], 2, (48, 48), (0.5, 2.0), (64, 64), AugmentationConfig(0.4, 0.2), 0)
    return TrainingStream(config, seed=3, cache=root)


def test_a_sample_depends_on_its_number_alone(streets: Path) -> None:
    first, second = stream(streets), stream(streets)
    torch.manual_seed(1)
    a = [first[i] for i in range(4)]
    torch.manual_seed(2)
    b = [second[i] for i in reversed(range(4))][::-1]
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x["image"], y["image"]) and torch.equal(x["label"], y["label"])
        assert x["image"].shape == (3, 48, 48) and x["label"].shape == (48, 48)
        assert x["image"].dtype == torch.float32 and x["label"].dtype == torch.int64
        assert set(x["label"].unique().tolist()) <= {*range(19), 255}
    assert not torch.equal(a[0]["image"], a[1]["image"])


def test_processes_share_the_samples_of_a_step() -> None:
    parts = [list(StepSampler(2, 5, 4, rank, 2)) for rank in range(2)]
    assert sorted(parts[0] + parts[1]) == list(range(8, 20))
    assert not set(parts[0]) & set(parts[1])
    # The first batch of both processes together is the batch of step 2.
    assert sorted(parts[0][:2] + parts[1][:2]) == [8, 9, 10, 11]


def test_broken_sources(tmp_path: Path) -> None:
    for changes, message in [
        ({"dataset": "nightcty"}, "no data set 'nightcty': known are synthetic, folder, nightcity"),
        ({}, str(tmp_path)),
        ({"weight": -1.0}, "weight"),
        ({"weight": 0.0}, "weight"),
        ({"class_balanced": 1.5}, "class_balanced"),
        ({"night": -0.5}, "night"),
        ({"dataset": "synthetic", "class_balanced": 0.5}, "class_balanced must be 0"),
    ]:
        with pytest.raises(DataError, match=re.escape(message)):
            stream(tmp_path, **changes)
    for kind in ("images", "labels"):
        (tmp_path / kind / "train").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "images" / "train" / "a.png"), np.zeros((40, 50, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "labels" / "train" / "a.png"), np.zeros((20, 50), np.uint8))
    with pytest.raises(DataError, match="differ in size"):
        stream(tmp_path)[0]


def test_labels_are_needed(tmp_path: Path) -> None:
    image = tmp_path / "rgb_anon" / "test" / "night" / "GP010376" / "GP010376_frame_000001_rgb_anon.png"
    image.parent.mkdir(parents=True)
    cv2.imwrite(str(image), np.zeros((40, 50, 3), np.uint8))
    with pytest.raises(DataError, match="dark_zurich, split 'test', has no labels"):
        stream(tmp_path, dataset="dark_zurich", split="test")


def test_the_average_soon_forgets_the_start() -> None:
    """After 100 steps, a decay of 0.999 alone would leave nine tenths of the random start."""
    average, values = [torch.zeros(1)], [torch.ones(1)]
    for step in range(1, 101):  # the first step copies
        moving_average(0.999)(average, values, step)
    assert average[0].item() > 0.99
    late = [torch.zeros(1)]
    moving_average(0.999)(late, values, 100_000)
    assert late[0].item() == pytest.approx(0.001, rel=1e-3)


def test_scores_are_told(streets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = {"schedule.iterations": 2, "run.validate_every": 2}
    assert main(recipe(streets, tmp_path / "run", **changes)) == 0
    score = load_model(tmp_path / "run" / "model.safetensors")[1]["scores"][f"{streets.name}/train"]
    assert f"step 2: {streets.name}/train: mIoU {100 * score['miou']:.1f} %" in capsys.readouterr().err


def test_no_step_is_refused(streets: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="schedule.iterations is 0"):
        main(recipe(streets, tmp_path / "run", **{"schedule.iterations": 0}))


def test_help_tells_what_values_mean(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "height and width of the training crops in pixels" in text
    assert "exponential moving average" in text
