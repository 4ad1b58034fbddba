# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Checkpoints rebuild their model by themselves, and bad ones say what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import (
    CheckpointError,
    demonstration_weights,
    load_model,
    load_weights,
    save_checkpoint,
)


@pytest.fixture()
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model("egnet", backbone="resnet10", output_stride=16, w2=0.5).eval()


def rewrite(path: Path, tensors: dict[str, torch.Tensor] | None = None, **header: object) -> None:
    """Write the checkpoint again with other tensors or header entries."""
    with safe_open(path, "pt") as file:
        old = json.loads(file.metadata()["night_seg_ros"])
    tensors = load_file(path) if tensors is None else tensors
    save_file(tensors, path, {"night_seg_ros": json.dumps({**old, **header})})


@pytest.mark.parametrize(("storage", "tolerance"), [("float32", 0), ("float16", 2e-3), ("int8", 3e-2)])
def test_round_trip(tmp_path: Path, model: torch.nn.Module, storage: str, tolerance: float) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, {"input_size": 360, "scores": {"miou": 0.5}}, storage)
    loaded, metadata = load_model(path)
    assert metadata["input_size"] == 360 and metadata["scores"] == {"miou": 0.5}
    assert metadata["model"]["w2"] == 0.5 and not loaded.training
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected, found = model(image).logits, loaded(image).logits
    assert (found - expected).norm() <= tolerance * expected.norm()
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_weights_to_train_further_from(tmp_path: Path, model: torch.nn.Module) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, {})
    other = build_model("egnet", backbone="resnet10", output_stride=16, w2=0.5).eval()
    load_weights(path, other)
    image = torch.randn(1, 3, 64, 64)
    assert torch.equal(other(image).logits, model(image).logits)
    with pytest.raises(CheckpointError, match="exposure_head"):
        load_weights(path, build_model("egnet", backbone="resnet10", guidance="none", exposure="none"))
    with pytest.raises(CheckpointError, match="segmentation_head.weight"):
        load_weights(path, build_model("egnet", backbone="resnet10", num_classes=5))


def test_int8_error_is_half_a_step_of_its_channel(tmp_path: Path, model: torch.nn.Module) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, {}, "int8")
    loaded = load_model(path)[0].state_dict()
    weight = model.state_dict()["segmentation_stages.2.0.conv2.weight"]
    step = weight.abs().amax(dim=(1, 2, 3)) / 127
    error = (loaded["segmentation_stages.2.0.conv2.weight"] - weight).abs().amax(dim=(1, 2, 3))
    assert (error <= 0.501 * step).all() and error.sum() > 0
    assert path.stat().st_size < 0.3 * sum(p.numel() * 4 for p in model.parameters())


def test_bad_files_say_what_is_wrong(tmp_path: Path, model: torch.nn.Module) -> None:
    path = tmp_path / "model.safetensors"

    def expect(message: str) -> None:
        with pytest.raises(CheckpointError, match=message):
            load_model(path)
        save_checkpoint(path, model, {})

    with pytest.raises(FileNotFoundError, match="model.safetensors"):
        load_model(path)
    path.write_bytes(b"no weights")
    expect("not a readable safetensors file")
    save_file({"a": torch.zeros(1)}, path)
    expect("not written by this package")
    tensors = load_file(path)
    rewrite(path, {k: v for k, v in tensors.items() if k != "stem.conv1.weight"})
    expect("'stem.conv1.weight' is missing")
    rewrite(path, {**tensors, "stem.conv1.weight": torch.zeros(1)})
    expect("'stem.conv1.weight' has shape")
    rewrite(path, {**tensors, "stem.conv1.weight": torch.full_like(tensors["stem.conv1.weight"], torch.nan)})
    expect("'stem.conv1.weight' holds NaN")
    rewrite(path, {**tensors, "extra": torch.zeros(1)})
    expect("'extra' does not belong")
    rewrite(path, model={"name": "nightnet"})
    expect("unknown model 'nightnet'")
    rewrite(path, model={"name": "egnet", "backbone": "resnet10", "danger": 1})
    expect("danger")
    rewrite(path, classes=["road"])
    expect("names 1 classes")
    rewrite(path, format=2)
    expect("format 2")


def test_a_header_of_huge_sizes_allocates_nothing(tmp_path: Path, model: torch.nn.Module) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, {})
    huge = 10**12
    rewrite(path, model={"name": "egnet", "backbone": "resnet10", "num_classes": huge}, classes=["a"] * 3)
    with pytest.raises(CheckpointError):
        load_model(path)


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path, model: torch.nn.Module) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, {})
    before = path.read_bytes()
    with torch.no_grad():
        model.stem.conv1.weight[0] = torch.inf
    with pytest.raises(ValueError, match="stem.conv1.weight"):
        save_checkpoint(path, model, {})
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["egnet", "dannet", "bimix"])
def test_demonstration_weights_are_small_and_load(name: str) -> None:
    path = demonstration_weights(name)
    assert path.stat().st_size <= 12_000_000
    model, metadata = load_model(path)
    assert metadata["model"]["name"] == name and metadata["input_size"]


def test_unknown_demonstration_weights() -> None:
    with pytest.raises(FileNotFoundError, match="egnet"):
        demonstration_weights("nightnet")
