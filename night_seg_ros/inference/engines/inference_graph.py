# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""A model as it is best for inference: less to compute, the same outputs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from night_seg_ros.inference.engines.cpu_fusion import fuse_convolutions


def inference_graph(model: nn.Module, fuse: bool = False) -> nn.Module:
    """A model that computes the same, with batch norms folded into convolutions.

    Args:
        model: of ``build_model``, in evaluation mode; stays as it is; shares layers with the result.
        fuse: also fuse convolutions with what follows them, see ``cpu_fusion``; the result then runs on the
            CPU only, in float32 or bfloat16.

    Returns:
        A model of the same inputs and outputs.

    Raises:
        ValueError: the model is in training mode.
    """
    if model.training:
        raise ValueError("a model in training mode can't be prepared for inference: call model.eval() first")
    with _tracing:
        traced = fx.GraphModule(model, _Tracer().trace(model))
    fold_batch_norm(traced)
    if fuse:
        fuse_convolutions(traced)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced.eval()


_tracing = threading.Lock()  # one at a time: each puts the methods of nn.Module back as it found them


class _Tracer(fx.Tracer):
    """Leaves alone what other threads run: tracing replaces methods of nn.Module for all of them."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def fold_batch_norm(traced: fx.GraphModule) -> None:
    """Fold each batch norm into the convolution before it, where nothing else needs what that one gives."""
    modules = dict(traced.named_modules())
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    for node in list(traced.graph.nodes):
        if node.op != "call_module" or not isinstance(modules[node.target], nn.BatchNorm2d):
            continue
        before = node.args[0]
        convolution = modules.get(before.target) if before.op == "call_module" else None
        if not isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d):
            continue
        if len(before.users) > 1 or calls[before.target] > 1:
            continue
        transposed = isinstance(convolution, nn.ConvTranspose2d)
        folded: Any = fuse_conv_bn_eval(convolution, modules[node.target], transposed)
        traced.set_submodule(before.target, folded)
        modules[before.target] = folded
        node.replace_all_uses_with(before)
        traced.graph.erase_node(node)
