# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Criss-cross attention against a loop over positions, and CCNet against its paper's figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from night_seg_ros.models import build_model
from night_seg_ros.models.ccnet import CCNet, CrissCrossAttention
from night_seg_ros.models.checkpoint import load_model, save_checkpoint
from night_seg_ros.models.resnet import ResNetStages

SIZES = [(5, 7), (7, 5), (1, 6), (4, 1)]


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def by_a_loop(attention: CrissCrossAttention, features: Tensor) -> Tensor:
    """Eq. 1 and 2, position by position: H + W - 1 neighbours, itself one of them."""
    query, key, value = (layer(features) for layer in (attention.query, attention.key, attention.value))
    count, _, height, width = features.shape
    result = features.clone()
    for n in range(count):
        for y in range(height):
            for x in range(width):
                cross = {(y, i) for i in range(width)} | {(j, x) for j in range(height)}
                assert len(cross) == height + width - 1
                places = sorted(cross)
                affinity = torch.stack([query[n, :, y, x] @ key[n, :, j, i] for j, i in places])
                for weight, (j, i) in zip(affinity.softmax(0), places, strict=True):
                    result[n, :, y, x] += weight * value[n, :, j, i]
    return result


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_attention_by_a_loop(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    attention, features = CrissCrossAttention(16), 3 * torch.randn(2, 16, *size)
    torch.testing.assert_close(attention(features), by_a_loop(attention, features), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_two_recurrences_reach_every_position(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    attention = CrissCrossAttention(16)
    height, width = size
    for y, x in {(0, 0), (height - 1, width // 2), (height // 2, width - 1)}:
        features = torch.randn(1, 16, *size, requires_grad=True)
        once = attention(features)
        (reached,) = torch.autograd.grad(once[0, :, y, x].sum(), features, retain_graph=True)
        cross = torch.zeros(size, dtype=torch.bool)
        cross[y, :] = cross[:, x] = True
        assert torch.equal(reached[0].abs().sum(0) > 0, cross)
        (reached,) = torch.autograd.grad(attention(once)[0, :, y, x].sum(), features)
        assert (reached[0].abs().sum(0) > 0).all()


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_attention_in_bfloat16(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    attention, features = CrissCrossAttention(64), torch.randn(2, 64, *size)
    expected = attention(features)
    for answer in (attention.bfloat16()(features.bfloat16()), autocast(attention.float(), features)):
        assert torch.isfinite(answer).all()
        torch.testing.assert_close(answer.float(), expected, rtol=3e-2, atol=3e-2)


def autocast(attention: CrissCrossAttention, features: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return attention(features)


class Largest(TorchDispatchMode):
    """Remembers the size of the largest tensor that anything has made."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.elements = max([self.elements, *(tensor.numel() for tensor in tensors)])
        return result


def test_no_matrix_of_all_pairs() -> None:
    height, width = 33, 41
    features = torch.randn(1, 16, height, width, requires_grad=True)
    with Largest() as largest:
        CrissCrossAttention(16)(features).sum().backward()
    assert largest.elements == height * width * (height + width)  # the weights of Eq. 1


def test_attention_saves_what_the_paper_says() -> None:
    """Two recurrences need about 85 % less FLOPs than a non-local block, here for 769x769 pixels."""
    side, channels = 97, 512
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        CrissCrossAttention(channels)(torch.empty(1, channels, side, side))
    projections = channels * (2 * channels // 8 + channels) * side**2
    all_pairs = (channels // 8 + channels) * side**4
    non_local = 2 * (projections + all_pairs)  # a multiplication and an addition
    assert 1 - 2 * counter.get_total_flops() / non_local == pytest.approx(0.85, abs=0.005)


def test_parameter_count_of_resnet101() -> None:
    encoder = parameters(ResNetStages("resnet101", 8, deep_stem=True))
    attention = 2 * (512 + 1) * 64 + (512 + 1) * 512
    head = 9 * (2048 + 512 + 2560) * 512 + 3 * 2 * 512 + (512 + 1) * 19
    aux_head = 9 * 1024 * 512 + 2 * 512 + (512 + 1) * 19
    with torch.device("meta"):
        assert parameters(build_model("ccnet")) == encoder + attention + head + aux_head


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (97, 161)])
def test_forward_and_backward(size: tuple[int, int], output_stride: int) -> None:
    torch.manual_seed(0)
    model = build_model("ccnet", backbone="resnet10", output_stride=output_stride, num_classes=5)
    output = model(torch.randn(2, 3, *size))
    for logits, stride in ((output.logits, output_stride), (output.aux_logits, min(output_stride, 16))):
        assert logits.shape[:2] == (2, 5)
        for side, of in zip(logits.shape[-2:], size, strict=True):
            assert abs(side - of / stride) < 1.5  # the pool rounds up
    (output.logits.square().mean() + output.aux_logits.square().mean()).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []
    answer = model.eval()(torch.randn(1, 3, *size))
    assert answer.aux_logits is None and answer.align_corners
    assert answer.exposure is None and answer.relit is None


@torch.no_grad()
def test_recurrences_share_their_weights_and_change_the_answer() -> None:
    torch.manual_seed(0)
    models = [CCNet("resnet10", recurrence=recurrence).eval() for recurrence in (0, 1, 2)]
    for model in models[1:]:
        model.load_state_dict(models[0].state_dict())
    image = torch.randn(1, 3, 64, 64)
    none, one, two = (model(image).logits for model in models)
    assert not torch.allclose(none, one) and not torch.allclose(one, two)


@pytest.mark.parametrize("backbone", ["resnet10", "resnet18", "resnet34", "resnet50", "resnet101"])
def test_every_backbone(backbone: str) -> None:
    with torch.device("meta"):
        assert build_model("ccnet", backbone=backbone)(torch.empty(1, 3, 64, 64)).logits.shape[1] == 19


def test_save_and_load(tmp_path: Path) -> None:
    model = build_model("ccnet", backbone="resnet10", recurrence=1).eval()
    save_checkpoint(tmp_path / "w.safetensors", model, {})
    again, metadata = load_model(tmp_path / "w.safetensors")
    built = {"name": "ccnet", "backbone": "resnet10", "num_classes": 19, "recurrence": 1}
    assert metadata["model"] == built
    image = torch.randn(1, 3, 64, 96)
    torch.testing.assert_close(again(image).logits, model(image).logits)
