# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Bi-Mix's network against the figures of the released one, and the import of its weights."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.reference_weights import reference_image
from test_dannet import GOLDEN, assert_near, released
from torch.nn import functional as F

from night_seg_ros.cli import main
from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import load_model
from night_seg_ros.models.dannet import RELIGHTING_NETWORKS
from night_seg_ros.models.relighting import CurveRelighting
from night_seg_ros.training.losses.adaptation import light_loss


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Released-shaped files, as PyTorch writes them."""
    folder = tmp_path_factory.mktemp("released")
    for name in ("dannet_refinenet", "bimix_relight", "dannet_relight"):
        torch.save(released(name), folder / f"{name}.pth")
    return folder


def command(files: Path, out: Path, relighting: str) -> list[str]:
    argv = ["import-weights", "bimix", "--segmentation-network", "refinenet", "--out", str(out)]
    argv += ["--segmentation", str(files / "dannet_refinenet.pth")]
    return [*argv, "--relighting", str(files / f"{relighting}.pth")]


@torch.no_grad()
def test_import_gives_the_released_figures(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "bimix.safetensors"
    assert main(command(files, out, "bimix_relight")) == 0
    model, metadata = load_model(out)
    assert metadata["model"]["name"] == "bimix" and metadata["input_size"] == [540, 960]
    image = torch.from_numpy(reference_image(96, 160))
    assert_near(model.relighting_network(0.5 * image)[..., ::4, ::4], GOLDEN["bimix_relight"])
    assert_near(model.segmentation_network(image).logits, GOLDEN["dannet_refinenet"])
    whole = model(0.5 * image)
    torch.testing.assert_close(whole.relit, 0.5 * image + model.relighting_network(0.5 * image))


def test_a_file_of_the_other_method_is_named(files: Path, tmp_path: Path, capsys) -> None:
    assert main(command(files, tmp_path / "out.safetensors", "dannet_relight")) == 1
    error = capsys.readouterr().err
    assert "dannet_relight.pth: tensor 'e_conv1.weight' is missing" in error
    assert not (tmp_path / "out.safetensors").exists()


@torch.no_grad()
def test_curves_by_a_loop() -> None:
    """Each pixel goes along its own eight curves; without clamping after steps 4 and 8."""
    torch.manual_seed(0)
    network = CurveRelighting(4)
    for convolution in network.convolutions:
        convolution.weight.mul_(15)  # as of a trained one: not nearly 0
    image = torch.rand(1, 3, 5, 6) * 4 - 2
    curves = network.curves(image)
    assert len(curves) == 8 and all(0.1 < curve.abs().max() <= 1 for curve in curves)
    result = network(image)
    for c, i, j in np.ndindex(3, 5, 6):
        x = image[0, c, i, j].item()
        for step in range(8):
            increment = curves[step][0, c, i, j].item() * (x * x - x)
            x += increment
            if step not in (3, 7):
                x = min(max(x, -2.1179), 2.64)
        assert result[0, c, i, j].item() == pytest.approx(increment, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_curves_do_not_saturate_in_training(seed: int) -> None:
    """Saturated, they have no gradient, and the light loss would stay at many times what it was before."""
    torch.manual_seed(seed)
    network = CurveRelighting(16)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0025, momentum=0.9)
    for _ in range(30):
        image = F.interpolate(torch.rand(4, 3, 16, 16) * 4.5 - 2, size=(64, 64), mode="bilinear")
        intensity = torch.tensor(-0.5)
        loss = light_loss(image, image + network(image), intensity, "paper")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1.5 * light_loss(image, image, intensity, "paper")
    assert max(curve.abs().max() for curve in network.curves(image)) < 0.9


@pytest.mark.parametrize("relighting", RELIGHTING_NETWORKS)
@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
@torch.no_grad()
def test_relighting_networks_are_exchangeable(relighting: str, size: tuple[int, int]) -> None:
    for name in ("dannet", "bimix"):
        model = build_model(
            name,
            backbone="resnet10",
            segmentation_network="deeplab",
            relighting=relighting,
            relighting_width=4,
        ).eval()
        output = model(torch.rand(2, 3, *size))
        assert output.relit.shape == (2, 3, *size)


def test_defaults_are_the_papers() -> None:
    with torch.device("meta"):
        model = build_model("bimix")
    assert type(model.relighting_network) is CurveRelighting
    assert model.relighting_network.convolutions[0].out_channels == 32
    assert type(model.segmentation_network).__name__ == "RefineNet"
    assert model.reweighting.kind == "none"
    with pytest.raises(ValueError, match="unknown relighting 'gamma'; known: residual, curves, none"):
        build_model("bimix", relighting="gamma")


def test_segment_writes_the_relit_image(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "bimix.safetensors"
    assert main(command(files, out, "bimix_relight")) == 0
    cv2.imwrite(str(tmp_path / "a.png"), np.full((40, 60, 3), 90, np.uint8))
    argv = ["segment", str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--weights", str(out)]
    assert main([*argv, "--device", "cpu"]) == 0
    assert (tmp_path / "out" / "a_relit.png").is_file()
