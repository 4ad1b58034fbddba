# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The key ``base`` of a recipe: what it gives, and what is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from night_seg_ros.cli import main
from night_seg_ros.training.engine.recipe_command import flatten, recipe_parser, training_function

CHECKOUT = Path(__file__).resolve().parents[2]
TRAINING = CHECKOUT / "config" / "training"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def parsed(*argv: object, method: str = "egnet") -> dict[str, Any]:
    """The recipe that a command line stands for, by dotted names."""
    parser = recipe_parser(training_function(method), "test")
    return flatten(parser.parse_args([str(argument) for argument in argv]).as_dict())


def small_run(folder: Path) -> Path:
    """A recipe of two small steps, on a chain of two bases in other folders."""
    write(
        folder / "bases" / "deep" / "synthetic.yaml",
        f"base: {TRAINING / 'egnet_study.yaml'}\n"
        "data: {train: [{dataset: synthetic, night: 1.0}], batch_size: 2, canvas: [64, 64], workers: 0}\n",
    )
    write(
        folder / "bases" / "small.yaml",
        "base: deep/synthetic.yaml\n"
        "model: {backbone: resnet10}\n"
        "data: {crop: [64, 64]}\n"
        "run: {input_size: 64, accelerator: cpu, precision: 32-true}\n",
    )
    return write(
        folder / "recipes" / "mine.yaml",
        f"base: ../bases/small.yaml\nschedule: {{iterations: 2}}\nrun: {{out: '{folder / 'run'}'}}\n",
    )


def test_a_recipe_is_its_bases_and_its_own_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = small_run(tmp_path)
    monkeypatch.chdir(tmp_path / "recipes")  # a base is found from the file that names it, from wherever
    study, values = parsed("--config", TRAINING / "egnet_study.yaml"), parsed("--config", "mine.yaml")
    changed = {
        "model.backbone": "resnet10",
        "data.crop": (64, 64),
        "data.canvas": (64, 64),
        "data.batch_size": 2,
        "data.workers": 0,
        "schedule.iterations": 2,
        "run.input_size": 64,
        "run.accelerator": "cpu",
        "run.precision": "32-true",
        "run.out": str(tmp_path / "run"),
    }
    for name in ("config", "data.train"):
        study.pop(name), values.pop(name)
    assert values == study | changed
    assert parsed("--config", mine)["data.batch_size"] == 2


def test_later_files_and_the_command_line_win(tmp_path: Path) -> None:
    mine = small_run(tmp_path)
    other = write(
        tmp_path / "other.yaml", "base: bases/deep/synthetic.yaml\nschedule: {warmup: 7}\nrun: {ema: 0.5}\n"
    )
    values = parsed("--config", mine, "--config", other, "--run.ema", "0.25", "--loss.beta=3")
    # The base of the later file wins over the first file, too.
    assert (values["model.backbone"], values["data.crop"]) == ("resnet18", (192, 192))
    assert (values["schedule.warmup"], values["schedule.iterations"]) == (7, 400)
    assert (values["run.ema"], values["loss.beta"]) == (0.25, 3)
    assert parsed("--run.ema=0.25", "--config", mine)["run.ema"] == 0.99  # a file behind it is later


def test_a_list_and_a_null_replace_what_the_base_has(tmp_path: Path) -> None:
    base = write(
        tmp_path / "base.yaml",
        f"base: {TRAINING / 'dannet_synthetic.yaml'}\n"
        "data: {validation: [{dataset: folder, root: camvid, split: dusk, night: 0.5}]}\n",
    )
    mine = write(
        tmp_path / "mine.yaml",
        "base: base.yaml\n"
        "model: {network: {width: 40}}\n"
        "loss: {class_shares: null}\n"
        "data: {validation: [{dataset: synthetic}]}\n",
    )
    for argv in (["--config", mine], ["--config", base, "--config", mine]):
        values = parsed(*argv, method="dannet")
        (source,) = values["data.validation"]
        assert (source["root"], source["split"], source["night"]) == ("", "", 0)
        assert values["loss.class_shares"] is None
        assert {name: values[name] for name in values if "network." in name} == {"model.network.width": 40}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"mine": "base: a.yaml", "a": "base: deep/b.yaml"}, "{a}: there is no base {b}"),
        ({"mine": "base: mine.yaml"}, "{mine}: its base {mine} leads back to it"),
        (
            {"mine": "base: a.yaml", "a": "base: deep/b.yaml", "b": "base: ../a.yaml"},
            "{b}: its base {folder}/deep/../a.yaml leads back to it",
        ),
        ({"mine": "base: [a.yaml]"}, "{mine}: base is ['a.yaml']: give the path of a recipe"),
        ({"mine": "base:\nrun: {seed: 1}"}, "{mine}: base is None: give the path of a recipe"),
        ({"mine": "base: deep", "b": "{}"}, "{mine}: there is no base {folder}/deep"),
        ({"mine": "base: a.yaml", "a": "a list"}, "{a} is no recipe: it has no sections"),
        ({"mine": "base: a.yaml", "a": "run: {seed: [1}"}, "{a} is no YAML: while parsing"),
    ],
    ids=["missing", "itself", "circle", "two", "none", "folder", "text", "broken"],
)
def test_a_wrong_base_is_one_line_that_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str], message: str
) -> None:
    paths = {name: tmp_path / f"{name}.yaml" for name in ("mine", "a")} | {"b": tmp_path / "deep" / "b.yaml"}
    for name, text in files.items():
        write(paths[name], text + "\n")
    with pytest.raises(SystemExit) as stopped:
        main(["train", "egnet", "--config", str(paths["mine"])])
    assert stopped.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message.format(**paths, folder=tmp_path) in last


def test_a_base_alone_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "dannet", "--config", str(TRAINING / "base" / "dannet_small.yaml")])
    assert "required: run.out" in capsys.readouterr().err


def test_a_module_trains_and_goes_on_from_the_whole_recipe(tmp_path: Path) -> None:
    """As torchrun and Slurm start it: ``python -m``, from another folder."""
    mine, out = small_run(tmp_path), tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "night_seg_ros.training.train_egnet", "--config", "recipes/mine.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = flatten(yaml.safe_load((out / "recipe.yaml").read_text()))
    expected = parsed("--config", mine)
    del expected["config"]
    assert "base" not in kept and kept["data.crop"] == [64, 64] and kept["model.w2"] == 0.3
    assert kept.keys() == {name for name, value in expected.items() if value is not None}

    shutil.rmtree(tmp_path / "bases")  # the run does not need them any more
    argv = ["train", "egnet", "--config", str(out / "recipe.yaml")]
    assert main(argv) == 1  # a run is there
    assert main([*argv, "--resume", "--schedule.iterations=3"]) == 0
    assert yaml.safe_load((out / "recipe.yaml").read_text())["schedule"]["iterations"] == 3
