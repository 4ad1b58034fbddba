"""The recipes and studies that ship: each is complete, and what it names exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonargparse import ArgumentParser

from night_seg_ros.training.command import recipe_parser
from night_seg_ros.training.data import TrainingStream
from night_seg_ros.training.datasets import DATASETS, DataError
from night_seg_ros.training.engine import poly_factor
from night_seg_ros.training.study import study
from night_seg_ros.training.train_egnet import train_egnet

CONFIG = Path(__file__).resolve().parents[1] / "config"
RECIPES = sorted((CONFIG / "training").glob("*.yaml"))


def values(*recipes: Path) -> dict[str, Any]:
    parser = recipe_parser(train_egnet, "test")
    arguments = [argument for recipe in recipes for argument in ("--config", str(recipe))]
    return parser.instantiate(parser.parse_args(arguments))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_whole(recipe: Path, tmp_path: Path) -> None:
    sections = values(recipe)
    data, schedule = sections["data"], sections["schedule"]
    known = {*DATASETS, "synthetic"}
    assert {source.dataset for source in [*data.train, *data.validation]} <= known
    assert poly_factor(schedule.iterations - 1, schedule) > 0
    assert Path(sections["run"].out) == Path("runs") / recipe.stem
    data.root = str(tmp_path)  # where no data set is
    missing = next(source.root for source in data.train if source.dataset != "synthetic")
    with pytest.raises(DataError, match=f"no folder .*{missing}"):
        TrainingStream(data, sections["run"].seed, tmp_path)


@pytest.mark.parametrize(
    "ablation", sorted((CONFIG / "training" / "ablations").glob("*.yaml")), ids=lambda p: p.stem
)
def test_ablation_changes_the_network_only(ablation: Path) -> None:
    base = CONFIG / "training" / "egnet_nightcity.yaml"
    plain, changed = values(base), values(base, ablation)
    assert plain["model"].guidance == "attention" and plain["model"].exposure == "stream"
    assert (changed["model"] != plain["model"]) == (ablation.stem != "full")
    assert all(changed[name] == plain[name] for name in ("loss", "optimizer", "schedule", "data", "run"))


def test_the_papers_numbers() -> None:
    sections = values(CONFIG / "training" / "egnet_nightcity.yaml")
    model, loss, optimizer = sections["model"], sections["loss"], sections["optimizer"]
    assert (model.backbone, model.w1, model.w2) == ("resnet101", 1, 0.3)
    assert (loss.alpha, loss.beta, loss.class_weights) == (1, 0.01, None)
    assert (optimizer.name, optimizer.lr) == ("sgd", 1e-5)
    assert (sections["schedule"].iterations, sections["schedule"].power) == (40_000, 0.9)
    assert (sections["data"].batch_size, sections["data"].crop) == (6, (500, 500))
    assert sections["run"].input_size == (900, 900)


@pytest.mark.parametrize("path", sorted((CONFIG / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_study_names_recipes_that_are_there(path: Path) -> None:
    parser = ArgumentParser()
    parser.add_argument("--config", action="config")
    parser.add_function_arguments(study)
    arguments = parser.instantiate(parser.parse_args(["--config", str(path), "--data_root", "."]))
    for variant in arguments["variants"].values():
        sections = values(*(Path(recipe.absolute) for recipe in variant.recipes))
        assert sections["data"].validation == []
    assert len(arguments["variants"]) == 7 and len(arguments["seeds"]) == 3
