# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Convolutions that add and rectify what they compute, for networks on the CPU.

ReLUs and sums read and write whole feature maps, and each starts all threads anew; as part of the convolution
before them they cost next to nothing. oneDNN can do that; PyTorch has it as operators of its compiler.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

_EXAMPLE = (2, 3, 97, 161)  # image batch at which no two shapes are equal by chance
_SUMS = (operator.add, torch.add)
_RELUS = (F.relu, torch.relu, F.relu_)


def can_fuse() -> bool:
    """Whether this PyTorch has oneDNN and its fused convolutions."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


class FusedConvolution(nn.Module):
    """A convolution, and what follows it.

    Args:
        convolution: whose weights it shares.
        relu: whether the result is rectified.

    Shape: (N, C, H, W), float32 or bfloat16, channels last; and what to add, of the result's shape -> the
        result.
    """

    def __init__(self, convolution: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self._geometry = convolution.padding, convolution.stride, convolution.dilation, convolution.groups
        self._relu = "relu" if relu else None

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        convolve = torch.ops.mkldnn._convolution_pointwise
        if other is None:
            result: Tensor = convolve(x, self.weight, self.bias, *self._geometry, "relu", [], "")
            return result
        result = convolve.binary(
            x, other, self.weight, self.bias, *self._geometry, "add", 1.0, self._relu, [], None
        )
        return result


class _Shapes(fx.Interpreter):
    """Notes the shape of each tensor. (torch's ``ShapeProp`` imports SymPy, which takes half a second.)"""

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        if isinstance(value, Tensor):
            node.meta["shape"] = value.shape
        return value


def fuse_convolutions(traced: fx.GraphModule) -> None:
    """Fuse convolution, sum and ReLU wherever nothing else needs what lies between them."""
    _Shapes(traced).run(torch.zeros(_EXAMPLE))
    for node in list(traced.graph.nodes):
        convolution = _module(traced, node)
        if not isinstance(convolution, nn.Conv2d) or not _can_hold(convolution):
            continue
        last, other = node, None
        if (following := _only_user(node)) is not None and (
            other := _other_term(following, node)
        ) is not None:
            last = following
        rectified = _only_user(last)
        relu = rectified is not None and _is_relu(traced, rectified)
        if relu:
            last = rectified
        if last is node:
            continue
        name = f"fused_{node.name}"
        traced.add_submodule(name, FusedConvolution(convolution, relu))
        with traced.graph.inserting_before(last):
            arguments = (node.args[0],) if other is None else (node.args[0], other)
            fused = traced.graph.call_module(name, arguments)
        fused.meta = dict(last.meta)
        last.replace_all_uses_with(fused)
    traced.graph.eliminate_dead_code()


def _can_hold(convolution: nn.Conv2d) -> bool:
    return convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)


def _module(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_relu(traced: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_function":
        return node.target in _RELUS
    return isinstance(_module(traced, node), nn.ReLU)


def _other_term(node: fx.Node, term: fx.Node) -> fx.Node | None:
    """What else a sum of two tensors of one shape adds to ``term``."""
    if node.op != "call_function" or node.target not in _SUMS or len(node.args) != 2 or node.kwargs:
        return None
    others = [each for each in node.args if each is not term]
    if len(others) != 1 or not isinstance(others[0], fx.Node):
        return None
    shapes = [each.meta["shape"] for each in (term, others[0]) if "shape" in each.meta]
    return others[0] if len(shapes) == 2 and shapes[0] == shapes[1] else None
