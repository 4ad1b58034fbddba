# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""EGNet's numbers against independent formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from night_seg_ros.models import build_model
from night_seg_ros.models.egnet import ExposureGuidance
from night_seg_ros.models.exposure import ExposureMap
from night_seg_ros.models.output import SegmentationOutput
from night_seg_ros.models.pretrained import read_pretrained
from night_seg_ros.models.resnet import ResNetStages
from night_seg_ros.training.losses.supervised import EGNetLoss, cross_entropy


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_exposure_guidance_by_hand() -> None:
    layer = ExposureGuidance(channels=2, w1=1.0, w2=0.3)
    with torch.no_grad():
        layer.attention.weight.copy_(torch.tensor([2.0, -1.0]).view(1, 2, 1, 1))
        layer.attention.bias.fill_(0.5)
    segmentation = torch.tensor([[[[1.0, -2.0]], [[3.0, 4.0]]]])  # 1 x 2 x 1 x 2
    exposure = torch.tensor([[[[0.5, 1.0]], [[2.0, -1.0]]]])
    # W_r: 2 * 0.5 - 2 + 0.5 = -0.5 and 2 * 1 + 1 + 0.5 = 3.5 before the sigmoid
    attention = [1 / (1 + np.exp(0.5)), 1 / (1 + np.exp(-3.5))]
    expected = [[f + 0.3 * f * a for f, a in zip(row, attention, strict=True)] for row in ([1, -2], [3, 4])]
    guided, maps = layer(segmentation, exposure)
    torch.testing.assert_close(guided[0, :, 0], torch.tensor(expected, dtype=torch.float32))
    torch.testing.assert_close(maps[0, 0, 0], torch.tensor(attention, dtype=torch.float32))


@torch.no_grad()
def test_attention_maps_by_hand() -> None:
    """Eq. 1 in NumPy, on what the stages before each guidance layer give the exposure stream."""
    torch.manual_seed(0)
    model = build_model("egnet", backbone="resnet10", output_stride=16).eval()
    image = torch.randn(2, 3, 45, 67)
    features = model.stage1(model.stem(image))
    attention = model(image).attention
    assert len(attention) == 3 and model.has_attention
    for index, (layer, found) in enumerate(zip(model.guidance, attention, strict=True)):
        weight, bias = layer.attention.weight[0, :, 0, 0].numpy(), layer.attention.bias.item()
        scores = np.einsum("c,nchw->nhw", weight, features.numpy()) + bias
        assert found.shape == (2, 1, *[(12, 17), (6, 9), (3, 5)][index])
        np.testing.assert_allclose(found[:, 0].numpy(), 1 / (1 + np.exp(-scores)), atol=1e-5)
        assert found.std() > 0.01
        features = model.exposure_stages[index](features)


@pytest.mark.parametrize(
    ("guidance", "exposure"),
    [("concat", "stream"), ("sum", "stream"), ("none", "stream"), ("none", "input"), ("none", "none")],
)
@torch.no_grad()
def test_guidance_without_attention_has_no_maps(guidance: str, exposure: str) -> None:
    model = build_model("egnet", backbone="resnet10", guidance=guidance, exposure=exposure).eval()
    assert model(torch.randn(1, 3, 45, 67)).attention is None and not model.has_attention


@torch.no_grad()
def test_exposure_map_in_place_of_attention() -> None:
    """Each value is the mean V of its block of pixels: the sides are multiples of all strides."""
    model = build_model("egnet", backbone="resnet10", output_stride=16, exposure="attention_map").eval()
    rgb = np.random.default_rng(0).random((1, 3, 64, 96))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    attention = model(torch.from_numpy((rgb - mean[:, None, None]) / std[:, None, None]).float()).attention
    assert model.has_attention
    for stride, found in zip((4, 8, 16), attention, strict=True):
        blocks = rgb.max(axis=1).reshape(64 // stride, stride, 96 // stride, stride)
        np.testing.assert_allclose(found[0, 0].numpy(), blocks.mean(axis=(1, 3)), atol=1e-5)


def test_exposure_is_the_largest_channel() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    image = torch.from_numpy(((rgb / 255 - mean) / std).astype(np.float32)).permute(2, 0, 1)[None]
    expected = rgb.max(axis=2) / 255
    np.testing.assert_allclose(ExposureMap()(image)[0, 0].numpy(), expected, atol=1e-6)


def test_parameter_count_of_resnet101() -> None:
    resnet = torchvision.models.resnet101()
    doubled = [resnet.layer2, resnet.layer3, resnet.layer4]
    once = parameters(resnet) - parameters(resnet.fc)
    guidance = (256 + 1) + (512 + 1) + (1024 + 1)
    heads = (2048 * 9 + 1) * 19 + (2048 * 9 + 1)
    expected = once + sum(map(parameters, doubled)) + guidance + heads
    assert parameters(build_model("egnet")) == expected


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("backbone", ["resnet10", "resnet50"])
def test_any_size_from_32(backbone: str, output_stride: int) -> None:
    model = build_model("egnet", backbone=backbone, output_stride=output_stride).eval()
    for height, width in [(32, 32), (33, 47), (64, 101)]:
        with torch.no_grad():
            output = model(torch.randn(1, 3, height, width))
        stride = [-(-side // output_stride) for side in (height, width)]
        assert output.logits.shape == (1, 19, *stride)
        assert output.exposure.shape == (1, 1, height, width)
        assert 0 <= output.exposure.min() and output.exposure.max() <= 1
        assert output.relit is None and output.aux_logits is None


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_dilation_samples_what_the_strides_left_out(backbone: str) -> None:
    """Atrous convolution: every fourth feature at stride 8 is the stride-32 feature."""
    torch.manual_seed(0)
    plain, dilated = ResNetStages(backbone, 32).eval(), ResNetStages(backbone, 8).eval()
    dilated.load_state_dict(plain.state_dict())
    x = plain.stem(torch.randn(1, 3, 128, 160))
    y = x
    with torch.no_grad():
        for a, b in zip(plain.stages, dilated.stages, strict=True):
            x, y = a(x), b(y)
    torch.testing.assert_close(y[:, :, ::4, ::4], x, rtol=1e-3, atol=1e-3)


def test_dilation_agrees_with_torchvision() -> None:
    ours = ResNetStages("resnet50", 8)
    theirs = torchvision.models.resnet50(replace_stride_with_dilation=[False, True, True])
    for ours_stage, stage in zip(ours.stages, ["layer1", "layer2", "layer3", "layer4"], strict=True):
        for a, b in zip(ours_stage.modules(), getattr(theirs, stage).modules(), strict=True):
            if isinstance(a, nn.Conv2d):
                assert (a.stride, a.dilation, a.padding) == (b.stride, b.dilation, b.padding)


@pytest.mark.parametrize("term", ["segmentation", "exposure"])
def test_gradients_reach_both_streams_from_either_loss(term: str) -> None:
    torch.manual_seed(0)
    model = build_model("egnet", backbone="resnet10", output_stride=16)
    image, label = torch.randn(2, 3, 64, 64), torch.randint(0, 19, (2, 64, 64))
    EGNetLoss(1, 0.01)(model(image), image, label)[term].backward()

    def moved(module: nn.Module) -> bool:
        return any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())

    assert moved(model.stem) and moved(model.stage1)
    # Through the guidance layers, the segmentation loss reaches the exposure stages that feed them.
    assert moved(model.exposure_stages[0]) and moved(model.exposure_stages[1])
    assert moved(model.segmentation_stages) == (term == "segmentation")
    assert moved(model.guidance) == (term == "segmentation")


def test_loss_against_a_loop() -> None:
    torch.manual_seed(1)
    logits, label = torch.randn(2, 19, 3, 4), torch.randint(0, 19, (2, 3, 4))
    label[0, 0] = 255
    weights = [0.5 + 0.1 * c for c in range(19)]
    total = weight = 0.0
    for n in range(2):
        for y in range(3):
            for x in range(4):
                c = int(label[n, y, x])
                if c != 255:
                    scores = logits[n, :, y, x].double().numpy()
                    total -= weights[c] * (scores[c] - np.log(np.exp(scores).sum()))
                    weight += weights[c]
    assert cross_entropy(logits, label, torch.tensor(weights)).item() == pytest.approx(
        total / weight, rel=1e-5
    )


def test_total_loss_by_loops() -> None:
    """Logits of the label's size, alpha and beta unlike, an exposure that is V nowhere."""
    rng = np.random.default_rng(2)
    rgb, exposure = rng.random((2, 3, 4, 5)), rng.random((2, 1, 4, 5))
    logits, label = rng.normal(size=(2, 19, 4, 5)), rng.integers(0, 19, (2, 4, 5))
    label[0, 1:3, 2] = 255
    segmentation, distances = [], []
    for n, y, x in np.ndindex(2, 4, 5):
        distances.append(abs(exposure[n, 0, y, x] - rgb[n, :, y, x].max()))  # of ignored pixels too
        if label[n, y, x] != 255:
            scores = logits[n, :, y, x]
            segmentation.append(np.log(np.exp(scores).sum()) - scores[label[n, y, x]])
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    image = torch.from_numpy((rgb - mean[:, None, None]) / std[:, None, None]).float()
    output = SegmentationOutput(torch.from_numpy(logits), exposure=torch.from_numpy(exposure))
    losses = EGNetLoss(0.5, 0.01)(output, image, torch.from_numpy(label))
    assert losses["segmentation"].item() == pytest.approx(0.5 * np.mean(segmentation), rel=1e-5)
    assert losses["exposure"].item() == pytest.approx(0.01 * np.mean(distances), rel=1e-4)


def test_loss_of_ignored_pixels_only_is_zero() -> None:
    label = torch.full((1, 4, 4), 255)
    for weights in (None, torch.ones(19)):
        assert cross_entropy(torch.randn(1, 19, 4, 4), label, weights).item() == 0


def test_pretrained_weights_reach_both_streams() -> None:
    torch.manual_seed(0)
    model = build_model("egnet", backbone="resnet18")
    weights = torchvision.models.resnet18().state_dict()
    model.load_backbone(weights)
    for stream in (model.segmentation_stages, model.exposure_stages):
        torch.testing.assert_close(stream[2][1].conv2.weight, weights["layer4.1.conv2.weight"])
    del weights["layer3.0.conv1.weight"]
    with pytest.raises(ValueError, match="layer3.0.conv1.weight"):
        model.load_backbone(weights)


def test_pretrained_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none.pth"):
        read_pretrained(str(tmp_path / "none.pth"), "resnet18")
    for name in ("bad.pth", "bad.safetensors"):
        (tmp_path / name).write_bytes(b"no weights")
        with pytest.raises(ValueError, match=name):
            read_pretrained(str(tmp_path / name), "resnet18")


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ValueError, match="egnet"):
        build_model("nightnet")
    with pytest.raises(ValueError, match="resnet101"):
        build_model("egnet", backbone="vgg16")
    with pytest.raises(ValueError, match="8, 16 or 32"):
        build_model("egnet", backbone="resnet10", output_stride=4)
    with pytest.raises(ValueError, match="segmentation_network"):
        build_model("egnet", segmentation_network="pspnet")
