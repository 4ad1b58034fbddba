# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg study``: real small trainings, and its table by hand."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import yaml

from night_seg_ros.cli import main
from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import load_model, save_checkpoint
from night_seg_ros.training.data.stream import SourceConfig, build_validation
from night_seg_ros.training.evaluation import evaluate as evaluation
from night_seg_ros.training.streets.scene import StreetScene
from night_seg_ros.training.study import format_differences, format_table, score_run

CONFIG = Path(__file__).resolve().parents[2] / "config"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two variants, one seed, two steps; relative paths in it."""
    folder = tmp_path_factory.mktemp("study")
    for kind in ("images", "labels"):
        (folder / "streets" / kind / "all").mkdir(parents=True)
    for seed in range(2):
        frame = StreetScene(seed).render(64, 64)
        cv2.imwrite(str(folder / "streets" / "images" / "all" / f"{seed}.png"), frame.night[..., ::-1])
        cv2.imwrite(str(folder / "streets" / "labels" / "all" / f"{seed}.png"), frame.label)
    source = {"dataset": "folder", "root": "streets", "split": "all"}
    recipe: dict[str, Any] = {"base": str(CONFIG / "training" / "egnet_study.yaml")}
    recipe["model"] = {"backbone": "resnet10"}
    recipe["loss"] = {"beta": 0.1}
    recipe["data"] = {"train": [source], "batch_size": 2, "crop": [64, 64], "canvas": [64, 64], "workers": 0}
    recipe["schedule"] = {"iterations": 2}
    recipe["run"] = {"input_size": 64, "accelerator": "cpu"}
    (folder / "base.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "sum.yaml").write_text("model: {guidance: sum}\n")
    study = {
        "variants": {
            "full": {"method": "egnet", "recipes": ["base.yaml"]},
            "by sum": {"method": "egnet", "recipes": ["base.yaml", "sum.yaml"]},
        },
        "seeds": [3],
        "tests": {"streets": source},
        "out": str(folder / "out"),
        "device": "cpu",
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def studied(folder: Path) -> Path:
    """The folder of runs and results that the study leaves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(CONFIG.parent))
        assert main(["study", "--config", str(folder / "study.yaml"), "--data_root", str(folder)]) == 0
    return folder / "out"


def write_study(folder: Path, own: Path, recipe: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """A study in a folder of its own, with other values than that of ``folder``; its command."""
    (own / "base.yaml").write_text(yaml.safe_dump(recipe))
    study = yaml.safe_load((folder / "study.yaml").read_text()) | values
    (own / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return [
        *("study", "--config", str(own / "study.yaml")),
        *("--data_root", str(folder), "--out", str(own / "out")),
    ]


def test_study_from_training_to_plot(folder: Path, studied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["study", "--config", str(folder / "study.yaml"), "--data_root", str(folder)]
    out = studied
    table = (out / "results.md").read_text()
    results = json.loads((out / "results.json").read_text())
    assert set(results) == {"full", "by sum"}
    for name in results:
        run = out / name.replace(" ", "_") / "seed3"
        recipe = yaml.safe_load((run / "recipe.yaml").read_text())
        assert recipe["run"]["seed"] == 3
        assert recipe["model"]["guidance"] == ("sum" if name == "by sum" else "attention")
        kept = json.loads((run / "scores.json").read_text())["streets"]
        assert results[name]["streets"] == [kept["scores"]]
        assert f"| {name} | {100 * kept['scores']['miou']:.1f} |" in table
    for chart in ("ef1.png", "miou.png"):
        assert cv2.imread(str(out / chart)).shape[1] > 300

    # The second time, nothing is trained or scored again.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if "seed3" in path.parts}
    assert main(argv) == 0
    assert table in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in before}

    # Another test of the same name is another score.
    kept = json.loads((out / "full" / "seed3" / "scores.json").read_text())["streets"]["scores"]
    values = yaml.safe_load((folder / "study.yaml").read_text())
    values["tests"]["streets"] = {"dataset": "synthetic", "night": 1.0}
    del values["variants"]["by sum"]
    (folder / "other.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    assert main(["study", "--config", str(folder / "other.yaml"), *argv[3:]]) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["full"]["streets"][0]["images"] == 100 != kept["images"]

    # Another recipe is another study.
    written = (folder / "base.yaml").read_text()
    for section, name, before, now in (("loss", "beta", 0.1, 0.5), ("run", "input_size", 64, 48)):
        recipe = yaml.safe_load(written)
        recipe[section][name] = now
        (folder / "base.yaml").write_text(yaml.safe_dump(recipe))
        capsys.readouterr()
        assert main(argv) == 1
        error = capsys.readouterr().err
        assert str(out / "full" / "seed3" / "recipe.yaml") in error
        assert f"{section}.{name} {before}, but {now} is wanted now" in error
    (folder / "base.yaml").write_text(written)


def test_ctrl_c_stops_the_training_after_its_step(folder: Path, tmp_path: Path) -> None:
    """To the whole process group, as a terminal sends it; the study goes on from there."""
    recipe = yaml.safe_load((folder / "base.yaml").read_text())
    recipe["schedule"]["iterations"] = 10**6
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(recipe))
    values = yaml.safe_load((folder / "study.yaml").read_text())
    values["variants"] = {"long": {"method": "egnet", "recipes": ["long.yaml"]}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "night_seg_ros.cli", "study", "--config", str(tmp_path / "study.yaml")]
    command += ["--data_root", str(folder), "--out", str(tmp_path / "out")]
    run = tmp_path / "out" / "long" / "seed3"
    process = subprocess.Popen(command, cwd=CONFIG.parent, stderr=subprocess.PIPE, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not list(run.glob("logs/events*")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
    assert torch.load(run / "state.pt", weights_only=True)["step"] > 0


def test_tests_are_opened_before_anything_is_trained(folder: Path, tmp_path: Path, capsys) -> None:
    values = yaml.safe_load((folder / "study.yaml").read_text())
    values["tests"]["streets"]["split"] = "nowhere"
    path = folder / "wrong.yaml"
    path.write_text(yaml.safe_dump(values))
    out = tmp_path / "out"
    assert main(["study", "--config", str(path), "--data_root", str(folder), "--out", str(out)]) == 1
    assert "nowhere" in capsys.readouterr().err
    assert not out.exists()


def test_variants_of_one_folder_are_refused(folder: Path, tmp_path: Path, capsys) -> None:
    values = yaml.safe_load((folder / "study.yaml").read_text())
    values["variants"]["by_sum"] = values["variants"]["by sum"]
    path = folder / "twins.yaml"
    path.write_text(yaml.safe_dump(values))
    assert main(["study", "--config", str(path), "--data_root", str(folder)]) == 1
    assert "by sum, by_sum" in capsys.readouterr().err


def test_table_by_hand() -> None:
    def scores(miou: float, ef1: float) -> dict[str, Any]:
        return {"miou": miou, "mef1_micro": ef1, "mef1_macro": ef1 / 2}

    nothing = dict.fromkeys(scores(0, 0))
    runs = {"a": {"night": [scores(0.1, 0.5), scores(0.3, 0.7)]}, "b": {"night": [scores(0.25, 0.8)]}}
    runs["c"] = {"night": [scores(0.25, 0.8), nothing]}
    head, _, a, b, c = format_table(runs).splitlines()
    assert head == "| variant | night: mIoU % | night: mEF1 micro | night: mEF1 macro |"
    assert a == "| a | 20.0 ± 14.1 | 0.600 ± 0.141 | 0.300 ± 0.071 |"  # sqrt(0.02) = 0.141
    assert b == "| b | 25.0 | 0.800 | 0.400 |"
    assert c == "| c | - | - | - |"


def test_a_model_is_rescored_without_its_reweighting(folder: Path, tmp_path: Path) -> None:
    source = SourceConfig("folder", "streets", "all")
    dataset = build_validation(source, str(folder))
    torch.manual_seed(2)
    model = build_model("dannet", backbone="resnet10", relighting="none")
    model.reweighting.weights = torch.linspace(0.1, 4, 19)
    plain = build_model("dannet", backbone="resnet10", relighting="none", reweighting="none")
    plain.load_state_dict(model.state_dict())
    for name, network in (("reweighted", model), ("plain", plain)):
        save_checkpoint(tmp_path / name / "model.safetensors", network, {"input_size": 64})
    scores = [
        score_run(tmp_path / name, "streets", source, dataset, "cpu", std)["miou"]
        for name, std in (("reweighted", None), ("reweighted", 0.0), ("plain", None), ("reweighted", None))
    ]
    assert scores[1] == scores[2] != scores[0] == scores[3]


def test_an_enhanced_test_is_scored_enhanced(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = build_model("pspnet", backbone="resnet10")
    save_checkpoint(tmp_path / "model.safetensors", model, {"input_size": 64})
    scores = {}
    for enhancement in ("none", "clahe"):
        source = SourceConfig("folder", "streets", "all", enhancement=enhancement)
        dataset = build_validation(source, str(folder))
        scores[enhancement] = score_run(tmp_path, enhancement, source, dataset, "cpu", None)
    samples = [dataset[number] for number in range(len(dataset))]
    how = evaluation.TestTime(enhancement="clahe")
    expected = evaluation.evaluate(model, samples, input_size=64, test_time=how, progress=False).compute()
    assert scores["clahe"]["iou"] == expected["iou"] != scores["none"]["iou"]


def test_differences_by_hand() -> None:
    scores = {
        "DANNet": {"night": [{"miou": 0.2}, {"miou": 0.3}, {"miou": None}]},
        "plain": {"night": [{"miou": 0.19}, {"miou": 0.325}, {"miou": 0.1}]},
    }
    expected = "- plain, less DANNet, night, seed by seed: -1.00, +2.50 points of mIoU\n"
    assert format_differences(scores, {"plain": "DANNet"}) == expected
    assert format_differences(scores, {}) == ""


def test_a_failed_training_is_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = yaml.safe_load((folder / "base.yaml").read_text())
    recipe["data"]["train"][0]["split"] = "nowhere"
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(recipe))
    shutil.copy(folder / "sum.yaml", tmp_path)
    shutil.copy(folder / "study.yaml", tmp_path)
    arguments = ["--data_root", str(folder), "--out", str(tmp_path / "out")]
    assert main(["study", "--config", str(tmp_path / "study.yaml"), *arguments]) == 1
    assert "full/seed3: the training failed" in capsys.readouterr().err


def test_variants_that_start_from_another(
    folder: Path,
    studied: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CONFIG.parent))
    recipe = yaml.safe_load((folder / "base.yaml").read_text())
    recipe["model"] |= {"guidance": "attention", "checkpoint": None}
    variants = {
        "first": {"method": "egnet", "recipes": ["base.yaml"]},
        "second": {"method": "egnet", "recipes": ["base.yaml"], "starts_from": "first"},
    }
    argv = write_study(folder, tmp_path, recipe, {"variants": variants})
    out = tmp_path / "out"
    shutil.copytree(studied / "full", out / "first")  # a run of the same recipe
    assert main(argv) == 0
    first, second = (out / name / "seed3" / "model.safetensors" for name in ("first", "second"))
    began_with = load_model(second)[1]["starts_from"]
    assert began_with == hashlib.sha256(first.read_bytes()).hexdigest()
    assert load_model(first)[1]["starts_from"] is None

    # The start is trained anew: what began with the old one is no row of this study.
    before = second.stat().st_mtime_ns
    shutil.rmtree(first.parent)
    recipe["loss"]["beta"] = 0.2
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(recipe))
    recipe["loss"]["beta"] = 0.1
    variants["first"]["recipes"] = ["other.yaml"]
    write_study(folder, tmp_path, recipe, {"variants": variants})
    capsys.readouterr()
    assert main(argv) == 1
    assert f"{second.parent} did not begin with {first} as it is now" in capsys.readouterr().err
    assert second.stat().st_mtime_ns == before


def test_a_sweep_adds_its_rows_and_a_plot(
    folder: Path,
    studied: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CONFIG.parent))
    recipe = yaml.safe_load((folder / "base.yaml").read_text())
    values = {
        "variants": {"full": {"method": "egnet", "recipes": ["base.yaml"]}},
        "sweeps": {"beta": {"variant": "full", "parameter": "loss.beta", "values": [0, 1.5]}},
    }
    argv = write_study(folder, tmp_path, recipe, values)
    out = tmp_path / "out"
    shutil.copytree(studied / "full", out / "full")  # a run of the same recipe
    assert main(argv) == 0
    results = json.loads((out / "results.json").read_text())
    assert set(results) == {"full", "beta = 0", "beta = 1.5"}
    kept = [
        yaml.safe_load((out / name / "seed3" / "recipe.yaml").read_text())["loss"]["beta"]
        for name in ("full", "beta_=_0", "beta_=_1.5")
    ]
    assert kept == [0.1, 0.0, 1.5]
    assert cv2.imread(str(out / "sweeps.png")).shape[0] > 300

    values["sweeps"]["beta"]["variant"] = "nothing"
    write_study(folder, tmp_path, recipe, values)
    capsys.readouterr()
    assert main(argv) == 1
    assert "sweep 'beta' is of 'nothing', which is no variant" in capsys.readouterr().err


@pytest.mark.parametrize("start", ["second", "third", "nowhere"])
def test_a_start_must_come_before(folder: Path, tmp_path: Path, capsys, start: str) -> None:
    values = yaml.safe_load((folder / "study.yaml").read_text())
    variant = {"method": "egnet", "recipes": [str(folder / "base.yaml")]}
    values["variants"] = {"first": variant, "second": variant | {"starts_from": start}, "third": variant}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    assert main(["study", "--config", str(tmp_path / "study.yaml"), "--data_root", str(folder)]) == 1
    assert f"'second' starts from '{start}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rescored", "complaint"),
    [
        (
            {"plain": {"variant": "nowhere", "std": 0}},
            "rescored 'plain' is of 'nowhere', which is no variant",
        ),
        ({"full": {"variant": "by sum", "std": 0.0}}, "rescored 'full' has the name of a variant"),
    ],
)
def test_rescored_rows_are_of_variants(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], rescored: dict, complaint: str
) -> None:
    values = yaml.safe_load((folder / "study.yaml").read_text()) | {"rescored": rescored}
    for recipe in ("base.yaml", "sum.yaml"):
        shutil.copy(folder / recipe, tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    options = ["--config", str(tmp_path / "study.yaml"), "--data_root", str(folder)]
    assert main(["study", *options, "--out", str(tmp_path / "out")]) == 1
    assert complaint in capsys.readouterr().err and not (tmp_path / "out").exists()
