# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What is prepared for inference computes what the model does."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
import torch
from torch import nn

from night_seg_ros.inference.engines.cpu_fusion import FusedConvolution, can_fuse, fuse_convolutions
from night_seg_ros.inference.engines.inference_graph import fold_batch_norm, inference_graph
from night_seg_ros.models import build_model

MODELS = [
    ("egnet", {}),
    ("egnet", {"guidance": "concat"}),
    ("egnet", {"guidance": "none", "exposure": "none"}),
    ("egnet", {"exposure": "input", "guidance": "none"}),
    ("egnet", {"exposure": "attention_map"}),
    ("dannet", {"segmentation_network": "pspnet"}),
    ("dannet", {"segmentation_network": "deeplab", "relighting": "none"}),
    ("dannet", {"segmentation_network": "refinenet", "reweighting": "logits"}),
    ("bimix", {"segmentation_network": "refinenet", "width": 16}),
    ("bimix", {"segmentation_network": "deeplab", "backbone": "resnet50"}),
    ("ccnet", {}),
]


def random_statistics(model: nn.Module) -> nn.Module:
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
            nn.init.normal_(layer.weight, 1, 0.2)
            nn.init.normal_(layer.bias)
    return model


needs_onednn = pytest.mark.skipif(not can_fuse(), reason="this PyTorch has no oneDNN with fused convolutions")


@pytest.mark.parametrize("fuse", [False, pytest.param(True, marks=needs_onednn)])
@pytest.mark.parametrize(("name", "options"), MODELS)
@torch.no_grad()
def test_same_outputs_at_any_size(name: str, options: dict, fuse: bool) -> None:
    torch.manual_seed(0)
    model = random_statistics(build_model(name, **{"backbone": "resnet10", **options})).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    folded = inference_graph(model, fuse)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    check_outputs(folded, model)
    assert not any(name.split(".")[-1] == "aux_head" for name, _ in folded.named_modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def check_outputs(folded: nn.Module, model: nn.Module) -> None:
    for size in ((65, 97), (70, 50), (32, 32)):
        image = torch.randn(2, 3, *size)
        ours, expected = folded(image), model(image)
        check_values(ours._replace(attention=None), expected._replace(attention=None))
        assert (ours.attention is None) == (expected.attention is None)
        if expected.attention is not None:
            check_values(ours.attention, expected.attention)


def check_values(found: Sequence[object], wanted: Sequence[object]) -> None:
    for ours, expected in zip(found, wanted, strict=True):
        if isinstance(expected, torch.Tensor):
            torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
        else:
            assert ours == expected


@pytest.mark.parametrize("fuse", [False, pytest.param(True, marks=needs_onednn)])
@pytest.mark.parametrize("normalisation", ["imagenet", "release"])
@torch.no_grad()
def test_same_outputs_where_batch_norms_follow_no_convolution(normalisation: str, fuse: bool) -> None:
    """Of ESPNet's, those behind a single convolution are folded."""
    torch.manual_seed(0)
    model = random_statistics(build_model("espnet", p=1, q=1, normalisation=normalisation)).eval()
    folded = inference_graph(model, fuse)
    left = {name for name, layer in folded.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    pyramids = ("encoder.down2", "encoder.level2.0", "encoder.down3", "encoder.level3.0", "merge2.1")
    joined = ("encoder.norm1", "encoder.norm2", "encoder.norm3", "merge2.0")
    assert left == {*(f"{name}.norm.bn" for name in pyramids), *(f"{name}.bn" for name in joined)}
    check_outputs(folded, model)


def test_only_in_evaluation_mode() -> None:
    with pytest.raises(ValueError, match="in training mode"):
        inference_graph(build_model("egnet", backbone="resnet10"))


def test_a_batch_norm_that_can_not_be_folded_stays() -> None:
    """What a convolution gives is needed elsewhere too, or there is none."""

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(4)
            self.convolution = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.convolution(self.first(x))
            return x + self.second(x)

    model = random_statistics(Odd()).eval()
    folded = torch.fx.symbolic_trace(model)
    fold_batch_norm(folded)
    folded.recompile()
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(folded(x), model(x))
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules()) == 2


class Sums(nn.Module):
    """Sums and ReLUs after convolutions, some of which can be fused."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(6))
        self.mirrored = nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b, c, d, e, f = self.layers
        fused = torch.relu(x + a(x)) + b(x)  # both
        needed_twice = c(fused)
        pooled = nn.functional.adaptive_avg_pool2d(fused, 1)
        broadcast = d(fused) + pooled
        scaled = torch.relu(e(fused) + 1)
        mirrored = torch.relu(self.mirrored(fused))
        return torch.relu(f(fused)) + needed_twice * torch.relu(needed_twice) + broadcast + scaled + mirrored


@needs_onednn
@torch.no_grad()
def test_convolutions_are_fused_where_nothing_else_needs_them() -> None:
    torch.manual_seed(0)
    model = Sums().eval().to(memory_format=torch.channels_last)
    fused = torch.fx.symbolic_trace(model)
    fuse_convolutions(fused)
    fused.recompile()
    names = [node.args[0] for node in fused.graph.nodes if node.op == "call_module"]
    kinds = [type(layer) for _, layer in fused.named_children()]
    assert len(names) == 7 and kinds.count(FusedConvolution) == 3
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 3e-2)):
        x = torch.randn(2, 3, 11, 17).to(dtype, memory_format=torch.channels_last)
        torch.testing.assert_close(
            fused.to(dtype)(x), model.to(dtype)(x), rtol=tolerance, atol=tolerance, check_stride=False
        )


@torch.no_grad()
def test_other_threads_go_on_while_one_prepares() -> None:
    torch.manual_seed(0)
    model = build_model("egnet", backbone="resnet10").eval()
    running, image = inference_graph(model), torch.randn(1, 3, 48, 48)
    expected = running(image).logits
    stop, failures, runs = threading.Event(), [], []

    @torch.no_grad()
    def run() -> None:
        while not stop.is_set():
            try:
                torch.testing.assert_close(running(image).logits, expected)
            except BaseException as error:
                failures.append(repr(error))
            runs.append(1)

    def prepare() -> None:
        for _ in range(8):
            try:
                inference_graph(model)
            except BaseException as error:
                failures.append(repr(error))

    runner = threading.Thread(target=run)
    preparers = [threading.Thread(target=prepare) for _ in range(2)]
    for thread in (runner, *preparers):
        thread.start()
    for thread in preparers:
        thread.join()
    stop.set()
    runner.join()
    assert runs and not failures
