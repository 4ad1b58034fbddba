# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""ESPNet against the figures of the authors' network, and the import of their weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.reference_weights import reference_image
from test_dannet import REFERENCE, assert_near, released
from torch import nn
from torch.nn import functional as F

from night_seg_ros import Segmenter
from night_seg_ros.cli import main
from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import CheckpointError, import_espnet, load_model, save_checkpoint
from night_seg_ros.models.espnet import ESPModule

# Logits of the authors' code, 20 classes, at every seventh pixel: each parity of the three doublings occurs.
GOLDEN = np.load(REFERENCE / "golden_espnet.npz")["espnet"]


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def command(file: Path, out: Path) -> list[str]:
    return ["import-weights", "espnet", "--segmentation", str(file), "--out", str(out)]


@torch.no_grad()
def test_import_gives_the_released_figures(tmp_path: Path) -> None:
    torch.save(released("espnet"), tmp_path / "espnet_p_2_q_3.pth")
    out = tmp_path / "espnet.safetensors"
    assert main(command(tmp_path / "espnet_p_2_q_3.pth", out)) == 0
    model, metadata = load_model(out)
    built = {"name": "espnet", "num_classes": 19, "p": 2, "q": 3, "normalisation": "release"}
    assert metadata["model"] == built and metadata["input_size"] == [512, 1024]
    assert metadata["imported_from"] == ["espnet_p_2_q_3.pth"]
    image = torch.from_numpy(200 * reference_image(96, 160))  # the authors' images have values of 0.02
    logits = model(image).logits
    assert logits.shape == (1, 19, 96, 160)
    assert_near(logits[..., ::7, ::7], GOLDEN[:, :19])  # all but void


def test_parameter_counts_are_the_papers() -> None:
    """0.364 million at p = 2, q = 8, and what the authors' code has at q = 3 and 5."""
    for q, expected in ((3, 202_649), (5, 267_417), (8, 364_569)):
        assert parameters(build_model("espnet", num_classes=20, q=q)) == expected
    assert parameters(build_model("espnet")) == 364_569 - 20 * 4  # one class less


@pytest.mark.parametrize(("out_channels", "stride"), [(19, 1), (64, 2), (20, 1)])
@torch.no_grad()
def test_pyramid_by_hand(out_channels: int, stride: int) -> None:
    torch.manual_seed(0)
    module = ESPModule(20, out_channels, stride, residual=out_channels == 20).eval()
    x, weights = torch.randn(2, 20, 33, 40), [branch.weight for branch in module.branches]
    reduced = F.conv2d(x, module.reduce.weight, stride=stride, padding=0 if stride == 1 else 1)
    a, b, c, d, e = (
        F.conv2d(reduced, weight, padding=rate, dilation=rate)
        for weight, rate in zip(weights, (1, 2, 4, 8, 16), strict=True)
    )
    expected = torch.cat([a, b, b + c, b + c + d, b + c + d + e], dim=1)
    if out_channels == 20:
        expected = expected + x
    expected = F.prelu(expected / (1 + 1e-3) ** 0.5, torch.tensor(0.25))  # of new normalisation layers
    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (97, 161), (38, 35)])
def test_forward_and_backward(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = build_model("espnet", p=1, q=1, num_classes=5)
    output = model(torch.randn(2, 3, *size))
    assert output.logits.shape == (2, 5, *size)
    assert output.aux_logits is None and output.exposure is None and output.relit is None
    F.cross_entropy(output.logits, torch.randint(0, 5, (2, *size))).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@torch.no_grad()
def test_an_odd_size_is_a_cut_of_an_even_one() -> None:
    """What is past the edge counts as 0, so a row and a column of zeros more change nothing."""
    torch.manual_seed(0)
    model = build_model("espnet", p=1, q=1).eval()
    image = torch.randn(1, 3, 63, 95)
    odd, even = model(image).logits, model(F.pad(image, (0, 1, 0, 1))).logits
    torch.testing.assert_close(odd, even[..., :63, :95], rtol=1e-4, atol=1e-4 * even.abs().max().item())


def test_save_and_load(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model("espnet", p=1, q=2, normalisation="release").eval()
    save_checkpoint(tmp_path / "w.safetensors", model, {"input_size": [64, 96]})
    again, _ = load_model(tmp_path / "w.safetensors")
    image = torch.randn(1, 3, 65, 97)
    torch.testing.assert_close(again(image).logits, model(image).logits)
    frame = np.random.default_rng(0).integers(0, 256, (72, 100, 3), np.uint8)
    segmentation = Segmenter(tmp_path / "w.safetensors", device="cpu", precision="fp32")(frame)
    assert segmentation.labels.shape == (72, 100)
    np.testing.assert_array_equal(segmentation.exposure, frame.max(axis=2))  # the V channel


@pytest.mark.parametrize("change", ["is missing", "has shape", "does not belong"])
def test_a_wrong_file_is_named_with_its_tensor(change: str, tmp_path: Path) -> None:
    state = released("espnet")
    name = "classifier.weight"
    if change == "is missing":
        del state[name]
    elif change == "has shape":
        state[name] = state[name][:, :12]  # as of CamVid
    else:
        name = "encoder.level4.weight"
        state[name] = torch.zeros(1)
    torch.save(state, tmp_path / "espnet.pth")
    with pytest.raises(CheckpointError, match=f"espnet.pth: tensor '{name}' {change}"):
        import_espnet(tmp_path / "espnet.pth")


def test_a_file_of_another_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(released("dannet_relight"), tmp_path / "relight.pth")
    assert main(command(tmp_path / "relight.pth", tmp_path / "out.safetensors")) == 1
    assert "relight.pth: tensor 'encoder.level1.conv.weight' is missing" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


def test_there_is_no_backbone_to_choose() -> None:
    with pytest.raises(ValueError, match="espnet has no backbone to choose, 'resnet18' or other"):
        build_model("espnet", backbone="resnet18")
    with pytest.raises(ValueError, match="known: imagenet, release"):
        build_model("espnet", normalisation="cityscapes")
    with pytest.raises(ValueError, match="output_stride"):
        build_model("espnet", output_stride=8)
