# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The recipes and studies that ship: each is complete, and what it names exists."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from helpers.study_files import read_study
from jsonargparse import ArgumentParser

from night_seg_ros.training.data.datasets import DATASETS, SYNTHETIC, DataError
from night_seg_ros.training.engine.optimization import poly_factor
from night_seg_ros.training.engine.recipe_command import (
    flatten,
    read_chain,
    recipe_parser,
    training_function,
)

CONFIG = Path(__file__).resolve().parents[2] / "config"
BASES = {
    "egnet": "egnet_nightcity.yaml",
    "dannet": "dannet_pspnet.yaml",
    "bimix": "bimix_refinenet.yaml",
}
NIGHTCITY = ("egnet", "source")
RECIPES = sorted((CONFIG / "training").glob("*.yaml"))
BASE_FILES = sorted((CONFIG / "training" / "base").glob("*.yaml"))


@cache
def parser_of(method: str) -> ArgumentParser:
    return recipe_parser(training_function(method), "test")


def values(method: str, *recipes: Path) -> dict[str, Any]:
    arguments = [argument for recipe in recipes for argument in ("--config", str(recipe))]
    return parser_of(method).instantiate(parser_of(method).parse_args(arguments))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_whole(recipe: Path, tmp_path: Path) -> None:
    sections = values(recipe.stem.split("_")[0], recipe)
    data, schedule = sections["data"], sections["schedule"]
    known = {*DATASETS, SYNTHETIC}
    assert {source.dataset for source in [*data.train, *data.validation]} <= known
    assert poly_factor(schedule.iterations - 1, schedule) > 0
    assert Path(sections["run"].out) == Path("runs") / recipe.stem
    data.root = str(tmp_path)  # where no data set is
    missing = [source.root for source in data.train if source.dataset != SYNTHETIC]
    if not missing:  # all of its images are drawn
        sample = data.open_stream(sections["run"].seed, tmp_path)[0]
        assert sample["image"].shape[1:] == data.crop
        return
    with pytest.raises(DataError, match=f"no folder .*{missing[0]}"):
        data.open_stream(sections["run"].seed, tmp_path)


@pytest.mark.parametrize("path", [*RECIPES, *BASE_FILES], ids=lambda path: path.stem)
def test_a_recipe_says_only_what_its_base_does_not(path: Path) -> None:
    below: dict[str, Any] = {}
    *bases, own = read_chain(path)
    for base in bases:
        below |= flatten(base)
    repeated = [name for name, value in flatten(own).items() if name in below and below[name] == value]
    assert repeated == []


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_without_its_base_is_refused(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = re.sub(r"^base: .*\n", "", recipe.read_text(), flags=re.MULTILINE)
    assert text != recipe.read_text()
    (tmp_path / recipe.name).write_text(text)
    with pytest.raises(SystemExit):
        values(recipe.stem.split("_")[0], tmp_path / recipe.name)
    assert "required" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_begins_with_the_command_that_runs_it(recipe: Path) -> None:
    head = recipe.read_text().split("\nbase: ")[0]
    assert all(line.startswith("# ") for line in head.splitlines())
    verb, path = re.findall(r"night-seg (train \w+|study) --config (\S+)", head)[-1]
    if verb == "study":
        study = (CONFIG.parent / path).read_text()
        assert f"../training/{recipe.name}" in study
    else:
        assert (verb.split()[1], CONFIG.parent / path) == (recipe.stem.split("_")[0], recipe)


@pytest.mark.parametrize(
    "ablation",
    sorted((CONFIG / "training" / "ablations").glob("*/*.yaml")),
    ids=lambda p: f"{p.parent.name}-{p.stem}",
)
def test_ablation_changes_what_it_says(ablation: Path) -> None:
    method = ablation.parent.name
    base = CONFIG / "training" / BASES[method]
    plain, changed = values(method, base), values(method, base, ablation)
    different = {name for name in vars(plain) if name != "config" and changed[name] != plain[name]}
    expected = {"model"} if method == "egnet" else {"model", "loss", "data"}
    assert different <= expected
    assert bool(different) == (ablation.stem != "full")


def test_the_papers_numbers() -> None:
    sections = values("egnet", CONFIG / "training" / "egnet_nightcity.yaml")
    model, loss, optimizer = sections["model"], sections["loss"], sections["optimizer"]
    assert (model.backbone, model.w1, model.w2) == ("resnet101", 1, 0.3)
    assert (loss.alpha, loss.beta, loss.class_weights) == (1, 0.01, None)
    assert (optimizer.name, optimizer.lr) == ("sgd", 1e-5)
    assert (sections["schedule"].iterations, sections["schedule"].power) == (40_000, 0.9)
    assert (sections["data"].batch_size, sections["data"].crop) == (6, (500, 500))
    assert (sections["data"].resize, sections["data"].canvas, sections["data"].scale) == (
        "exact",
        (500, 500),
        (1, 1),
    )
    assert sections["run"].input_size == (900, 900)


def test_what_egnet_is_compared_with_sees_the_same() -> None:
    ours, other = (values(method, CONFIG / "training" / f"{method}_nightcity.yaml") for method in NIGHTCITY)
    assert ours["data"] == other["data"]
    assert ours["schedule"] == other["schedule"]
    assert ours["run"].input_size == other["run"].input_size


@pytest.mark.parametrize("network", ["pspnet", "deeplab", "refinenet"])
def test_the_papers_numbers_of_dannet(network: str) -> None:
    sections = values("dannet", CONFIG / "training" / f"dannet_{network}.yaml")
    model, loss, data, pairs = sections["model"], sections["loss"], sections["data"], sections["data"].pairs
    assert (model.segmentation_network, model.backbone, model.relighting_width) == (network, "resnet101", 64)
    assert (loss.light, loss.adversarial, loss.gamma, loss.static) == (0.01, 0.01, 1, "neighbourhood")
    optimizer, discriminator = sections["optimizer"], sections["discriminator"]
    assert (optimizer.name, optimizer.lr, optimizer.momentum) == ("sgd", 2.5e-4, 0.9)
    assert (optimizer.weight_decay, discriminator.lr, discriminator.betas) == (5e-4, 2.5e-4, (0.9, 0.99))
    assert discriminator.width == 64
    assert (model.reweighting, model.std, model.avg) == ("probabilities", 0.16, 1)
    assert (loss.std, loss.avg, loss.pseudo_labels, loss.light_variant) == (0.05, 1, "paper", "paper")
    assert (sections["schedule"].iterations, sections["schedule"].power, data.batch_size) == (50_000, 0.9, 2)
    assert (data.crop, data.scale, pairs.crop, pairs.scale) == ((512, 512), (0.5, 1), (960, 960), (0.9, 1.1))
    assert sections["run"].input_size == (540, 960)


def test_the_papers_numbers_of_bimix() -> None:
    sections = values("bimix", CONFIG / "training" / "bimix_refinenet.yaml")
    model, loss, data, pairs = sections["model"], sections["loss"], sections["data"], sections["data"].pairs
    assert (model.segmentation_network, model.backbone) == ("refinenet", "resnet101")
    assert (model.relighting, model.relighting_width) == ("curves", 32)
    assert (loss.trans2seg, loss.seg2trans, loss.static_weight) == (0.001, 0.001, 1)  # mu1, mu2, mu3
    assert (loss.light, loss.adversarial, loss.static, loss.gamma) == (1, 1, "self_supervised", 1)
    assert (loss.std, loss.adversarial_variant, loss.mixing, model.reweighting) == (
        0,
        "paper",
        "paper",
        "none",
    )
    assert (sections["schedule"].iterations, data.batch_size) == (100_000, 2)
    assert (data.crop, pairs.crop, pairs.size) == ((512, 512), (960, 960), (512, 512))


@pytest.mark.parametrize("recipe", sorted((CONFIG / "training").glob("bimix_*.yaml")), ids=lambda p: p.stem)
def test_bimix_is_the_papers_in_every_recipe_but_one(recipe: Path) -> None:
    sections = values("bimix", recipe)
    loss, reweighting = sections["loss"], sections["model"].reweighting
    chosen = (loss.static, loss.std, loss.adversarial_variant, loss.mixing, reweighting)
    released = recipe.stem == "bimix_release"
    paper = ("self_supervised", 0, "paper", "paper", "none")
    assert chosen == (("release", 0.05, "release", "release", "logits") if released else paper)


@pytest.mark.parametrize("method", ["dannet", "bimix"])
def test_the_releases_numbers(method: str) -> None:
    sections = values(method, CONFIG / "training" / f"{method}_release.yaml")
    model, loss, pairs = sections["model"], sections["loss"], sections["data"].pairs
    assert (loss.static, loss.pseudo_labels, loss.light_variant) == ("release", "release", "release")
    assert (loss.light, loss.light_source, loss.adversarial, loss.std, loss.avg) == (0.01, 1, 0.01, 0.05, 1)
    assert (model.reweighting, model.std, model.avg) == ("logits", 0.16, 1)
    assert (sections["discriminator"].lr, pairs.crop, pairs.size) == (1e-4, (960, 960), (512, 512))
    assert sections["schedule"].iterations == {"dannet": 50_000, "bimix": 100_000}[method]
    assert model.segmentation_network == {"dannet": "pspnet", "bimix": "refinenet"}[method]


@pytest.mark.parametrize("path", sorted((CONFIG / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_study_names_recipes_that_are_there(path: Path) -> None:
    arguments = read_study(path)
    for variant in arguments["variants"].values():
        parser = parser_of(variant.method)
        found = parser.instantiate(parser.parse_args(variant.options()))
        for name, value in variant.values.items():
            section, name = name.split(".")
            kept = getattr(found[section], name)
            assert kept == (tuple(value) if isinstance(value, list) else value)
        assert variant.starts_from is None or variant.starts_from in arguments["variants"]
    assert len(arguments["variants"]) >= 7 and len(arguments["seeds"]) == 3
