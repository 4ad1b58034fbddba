# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg bench network``: the network alone, from its normalised input on the device to its logits."""

from __future__ import annotations

import argparse
import copy
import statistics
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from night_seg_ros.bench.measuring import compare_speed, describe_device, format_device, measure_arithmetic
from night_seg_ros.bench.options import (
    add_batch_options,
    open_network,
    prepare_device,
    read_batches,
    save_result,
)
from night_seg_ros.common.tables import percent
from night_seg_ros.common.timing import format_arithmetic, format_speed
from night_seg_ros.inference.engines.torch_cuda import kernels
from night_seg_ros.inference.preprocess import InputSize, preprocess
from night_seg_ros.inference.segmenter import PRECISIONS, Segmenter, choose_precision


class PreparedRun:
    """A network on one input, as the Segmenter runs it: on CUDA, kernels by trial and a captured graph.

    Args:
        network: on its device, in its precision, channels last.
        image: its input.
    """

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        self._network = network
        self._image = image
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Compute the outputs, which nobody takes."""
        if self._image.device.type != "cuda":
            self._network(self._image)
            return
        if self._graph is None:
            with kernels(choose_fastest=True):
                self._network(self._image)  # chooses the kernels, which can't be done in a capture
                self._graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self._graph):
                    self._network(self._image)
        self._graph.replay()


@torch.inference_mode()
def bench_network(
    network: nn.Module,
    input_size: InputSize,
    batches: list[list[np.ndarray]],
    *,
    device: torch.device,
    precision: str,
    rounds: int,
    repeats: int,
) -> dict[str, Any]:
    """Measure the network as the Segmenter prepares it against the network as it is, in float32.

    Args:
        network: of ``build_model``, in evaluation mode; stays as it is.
        input_size: at which it sees a frame.
        batches: of one length, of frames of one size, (H, W, 3) uint8 BGR; the first is measured with.
        precision: of ours, a key of ``PRECISIONS``.
        rounds, repeats: see ``compare_speed``.

    Returns:
        JSON values: ``speed``, what ``compare_speed`` gives of ``ours`` and ``plain``; what
        ``judge_arithmetic`` gives of ours, by a matrix product in its precision; ``agreement``, share of the
        logits' places in all batches where the same class leads; ``network_size`` (height, width),
        ``precision``, and what ``describe_device`` gives.
    """
    dtype = PRECISIONS[precision]
    plain = copy.deepcopy(network).to(device)
    ours = Segmenter(network, device=str(device), precision=precision).network.network
    images = [_network_input(batch, input_size, device) for batch in batches]
    wide = images[0].contiguous()
    speed = compare_speed(
        {"ours": PreparedRun(ours, images[0].to(dtype)), "plain": lambda: plain(wide)},
        images=len(wide),
        rounds=rounds,
        repeats=repeats,
        device=device,
    )
    where = describe_device(device)  # before more memory is taken
    batch, _, height, width = wide.shape
    arithmetic = measure_arithmetic(
        network, (batch, height, width), speed["ours"]["latency"]["median_ms"], device, dtype
    )
    return {
        **where,
        "precision": precision,
        "network_size": [height, width],
        "batch": batch,
        "speed": speed,
        **arithmetic,
        "agreement": _agreement(ours, plain, images, dtype),
    }


def _network_input(batch: list[np.ndarray], input_size: InputSize, device: torch.device) -> Tensor:
    bgr = torch.from_numpy(np.stack(batch)).to(device)
    return preprocess(bgr.permute(0, 3, 1, 2).flip(1), input_size)


def _agreement(ours: nn.Module, plain: nn.Module, images: list[Tensor], dtype: torch.dtype) -> float:
    """Share of the logits' places where the same class leads; ours gets the images in its dtype."""
    with kernels(choose_fastest=False):
        found = [ours(image.to(dtype)).logits.argmax(dim=1) for image in images]
    equal = [
        (classes == plain(image.contiguous()).logits.argmax(dim=1)).float().mean().item()
        for classes, image in zip(found, images, strict=True)
    ]
    return statistics.fmean(equal)


def main(argv: list[str]) -> int:
    """Entry of ``night-seg bench network``."""
    parser = argparse.ArgumentParser(
        "night-seg bench network",
        description="Measure the network alone, from its normalised input on the device to its logits: as it "
        "is prepared for inference, against the same network in float32 as PyTorch runs it by default.",
    )
    add_batch_options(parser)
    options = parser.parse_args(argv)
    device = prepare_device(options)
    network, input_size, name = open_network(options)
    result = bench_network(
        network,
        input_size,
        read_batches(options, tuple(options.frame_size)),
        device=device,
        precision=choose_precision(options.precision, device),
        rounds=options.rounds,
        repeats=options.repeats,
    )
    result = {"network": name, **result}
    print(_format(result))
    save_result(options, result)
    return 0


def _format(result: dict[str, Any]) -> str:
    height, width = result["network_size"]
    return "\n".join(
        [
            f"{result['network']}: {result['batch']} x {width}x{height}",
            format_device(result),
            format_speed(result["speed"]),
            format_arithmetic(result),
            f"equal labels, ours and plain: {percent(result['agreement'], 3)} of the logits' places",
        ]
    )
