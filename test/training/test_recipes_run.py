# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Every recipe, ablation and network of a table trains: two steps by its command, on a few tiny images."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.data_trees import plant_data_sets
from helpers.study_files import read_study
from safetensors import safe_open

from night_seg_ros.cli import main
from night_seg_ros.models.checkpoint import HEADER
from night_seg_ros.training.engine.recipe_command import flatten, read_chain
from night_seg_ros.training.study import Variant

CONFIG = Path(__file__).resolve().parents[2] / "config"
TRAINING = CONFIG / "training"
ABLATED = {"dannet": TRAINING / "dannet_pspnet.yaml", "bimix": TRAINING / "bimix_refinenet.yaml"}
COMPARED = TRAINING / "source_nightcity.yaml"

# What makes a recipe cheap, and nothing else.
SIDES = [32, 32]
SMALL: dict[str, Any] = {
    "model": {"backbone": "resnet10", "pretrained": None},
    "schedule": {"iterations": 2},
    "data": {"batch_size": 2, "crop": SIDES, "canvas": [40, 50], "workers": 0},
    "run": {
        "input_size": SIDES,
        "accelerator": "cpu",
        "precision": "32-true",
        "log_every": 1,
        "validate_every": 0,
    },
}
SMALL_PAIRS: dict[str, Any] = {
    "model": {**SMALL["model"], "relighting_width": 8},
    "discriminator": {"width": 8},
    "data": {**SMALL["data"], "pairs": {"canvas": [40, 50], "crop": SIDES, "size": SIDES}},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    plant_data_sets(root)
    for name, values in {"small": SMALL, "small_pairs": SMALL | SMALL_PAIRS}.items():
        (root / f"{name}.yaml").write_text(yaml.safe_dump(values))
    return root


def train(method: str, data: Path, out: Path, *recipes: Path, options: Sequence[str] = ()) -> None:
    small = "small_pairs" if method in ("dannet", "bimix") else "small"
    argv = [part for recipe in (*recipes, data / f"{small}.yaml") for part in ("--config", str(recipe))]
    argv += options
    networks = [flatten(part).get("model.segmentation_network") for r in recipes for part in read_chain(r)]
    if "refinenet" in networks or "--model.segmentation_network=refinenet" in options:
        argv += ["--model.network", "{width: 16}"]
    assert main(["train", method, *argv, "--data.root", str(data), "--run.out", str(out)]) == 0
    with safe_open(out / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()[HEADER])["metadata"]["iterations"] == 2
    shutil.rmtree(out)  # of all runs together they are gigabytes


@pytest.mark.parametrize("recipe", sorted(TRAINING.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_recipe_trains(recipe: Path, data: Path, tmp_path: Path) -> None:
    train(recipe.stem.split("_")[0], data, tmp_path / "run", recipe)


@pytest.mark.parametrize(
    "ablation",
    [path for method in ABLATED for path in sorted(TRAINING.glob(f"ablations/{method}/*.yaml"))],
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_an_ablation_trains(ablation: Path, data: Path, tmp_path: Path) -> None:
    """For those of EGNet see test_ablations.py."""
    method = ablation.parent.name
    train(method, data, tmp_path / "run", ABLATED[method], ablation)


def test_there_are_no_other_ablations() -> None:
    assert {path.name for path in TRAINING.glob("ablations/*")} == {"egnet", *ABLATED}


@pytest.mark.parametrize("images", sorted(TRAINING.glob("trained_on/*.yaml")), ids=lambda path: path.stem)
def test_other_images_are_trained_on(images: Path, data: Path, tmp_path: Path) -> None:
    train("source", data, tmp_path / "run", COMPARED, images)


@pytest.mark.parametrize("network", ["deeplab", "refinenet", "ccnet", "espnet"])
def test_a_network_of_the_tables_trains(network: str, data: Path, tmp_path: Path) -> None:
    """As the row of the study says, which no recipe does."""
    (values,) = (
        variant.values
        for variant in read_study(CONFIG / "studies" / "egnet_tables.yaml")["variants"].values()
        if [Path(recipe.absolute).name for recipe in variant.recipes] == [COMPARED.name]
        and variant.values.get("model.segmentation_network") == network
    )
    options = Variant("source", [], values=values).options()
    train("source", data, tmp_path / "run", COMPARED, options=options)
