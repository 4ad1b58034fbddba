"""``night-seg study``: real small trainings, and its table by hand."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
import yaml

from night_seg_ros.cli import main
from night_seg_ros.training.street import StreetScene
from night_seg_ros.training.study import format_table

CONFIG = Path(__file__).resolve().parents[1] / "config"


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
    recipe = yaml.safe_load((CONFIG / "training" / "egnet_study.yaml").read_text())
    recipe["model"]["backbone"] = "resnet10"
    recipe["data"] |= {"train": [source], "batch_size": 2, "crop": [64, 64], "canvas": [64, 64], "workers": 0}
    recipe["schedule"]["iterations"] = 2
    recipe["run"] |= {"input_size": 64, "accelerator": "cpu"}
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


def test_study_from_training_to_plot(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CONFIG.parent))
    argv = ["study", "--config", str(folder / "study.yaml"), "--data_root", str(folder)]
    assert main(argv) == 0
    out = folder / "out"
    results = json.loads((out / "results.json").read_text())
    assert set(results) == {"full", "by sum"}
    for name in results:
        run = out / name.replace(" ", "_") / "seed3"
        recipe = yaml.safe_load((run / "recipe.yaml").read_text())
        assert recipe["run"]["seed"] == 3
        assert recipe["model"]["guidance"] == ("sum" if name == "by sum" else "attention")
        assert results[name]["streets"] == [json.loads((run / "scores.json").read_text())["streets"]]
        assert f"| {name} | {100 * results[name]['streets'][0]['miou']:.1f} |" in capsys_text(capsys, out)
    assert cv2.imread(str(out / "ef1.png")).shape[0] > 300

    # The second time, nothing is trained or scored again.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if "seed3" in path.parts}
    assert main(argv) == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}


def capsys_text(capsys: pytest.CaptureFixture[str], out: Path) -> str:
    """The table, which is both printed and written."""
    written = (out / "results.md").read_text()
    printed = capsys.readouterr().out
    assert not printed or written in printed
    return written


def test_table_by_hand() -> None:
    def scores(miou: float, ef1: float) -> dict[str, float]:
        return {"miou": miou, "mef1_micro": ef1, "mef1_macro": ef1 / 2}

    runs = {"a": {"night": [scores(0.1, 0.5), scores(0.3, 0.7)]}, "b": {"night": [scores(0.25, 0.8)]}}
    head, _, a, b = format_table(runs).splitlines()
    assert head == "| variant | night: mIoU % | night: mEF1 micro | night: mEF1 macro |"
    assert a == "| a | 20.0 ± 14.1 | 0.600 ± 0.141 | 0.300 ± 0.071 |"  # sqrt(0.02) = 0.141
    assert b == "| b | 25.0 | 0.800 | 0.400 |"


def test_a_failed_training_is_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data_root", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["study", "--config", str(folder / "study.yaml"), *arguments]) == 1
    assert "full/seed3: the training failed" in capsys.readouterr().err
