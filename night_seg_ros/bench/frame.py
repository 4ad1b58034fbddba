# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg bench frame``: from a frame in memory to its labels, as the vehicle's test bed sees it.

Ours is the Segmenter. Plain is the same network as PyTorch runs it by default (``baseline``), and authors is
plain with the last step as the methods' authors wrote it: full-size logits go to NumPy.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from night_seg_ros.bench.baseline import PlainSegmenter
from night_seg_ros.bench.measuring import (
    Stages,
    compare_speed,
    describe_device,
    format_device,
    format_stages,
    measure_arithmetic,
    measure_stages,
)
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
from night_seg_ros.inference.label_map import predict_labels
from night_seg_ros.inference.preprocess import InputSize, network_size
from night_seg_ros.inference.segmenter import PRECISIONS, Segmenter
from night_seg_ros.models.output import SegmentationOutput

SWEEP = (1 / 3, 1 / 2, 2 / 3, 1.0)  # of the frame's height and width: of 1080p, also 360p, 540p and 720p

Way = Callable[[list[np.ndarray]], Any]
"""From a batch of frames to their labels."""


def bench_frame(
    network: nn.Module,
    input_size: InputSize,
    batches: list[list[np.ndarray]],
    *,
    device: str,
    precision: str,
    rounds: int,
    repeats: int,
) -> dict[str, Any]:
    """Measure the Segmenter against the two baselines.

    Args:
        network: of ``build_model``, in evaluation mode; stays as it is.
        input_size: at which it sees a frame.
        batches: of one length, of frames of one size, (H, W, 3) uint8 BGR.
        device, precision: of the Segmenter; the baselines use its device.
        rounds, repeats: see ``compare_speed``.

    Returns:
        JSON values: ``speed``, what ``compare_speed`` gives of ``ours``, ``plain``, ``authors``; ``stages``
        of each, run one by one, see ``measure_stages``; what ``judge_arithmetic`` gives of the network's
        operations in the whole way of ours; ``agreement``, share of the pixels of all batches that have
        plain's label; sizes (height, width), ``precision``, and what ``describe_device`` gives.
    """
    segmenter = Segmenter(network, device=device, precision=precision, input_size=input_size)
    height, width, _ = batches[0][0].shape
    size = (height, width)
    segmenter.warm_up(size, len(batches[0]))
    baselines = _baselines(network, input_size, segmenter.device)
    ways: dict[str, Way] = {"ours": partial(_labels, segmenter), **baselines}
    speed = compare_speed(
        {name: _through_all(batches, way) for name, way in ways.items()},
        images=len(batches[0]),
        rounds=rounds,
        repeats=repeats,
        device=segmenter.device,
    )
    stages = {"ours": our_stages(segmenter, size)}
    stages |= {name: baseline.stages(size) for name, baseline in baselines.items()}
    with torch.inference_mode():
        stage_times = {
            name: measure_stages(each, batches[0], rounds * repeats, segmenter.device)
            for name, each in stages.items()
        }
    where = describe_device(segmenter.device)  # before more memory is taken
    seen = network_size(height, width, input_size)
    return {
        **where,
        "precision": segmenter.precision,
        "frame_size": list(size),
        "network_size": list(seen),
        "batch": len(batches[0]),
        "speed": speed,
        "stages": stage_times,
        **measure_arithmetic(
            network,
            (len(batches[0]), *seen),
            speed["ours"]["latency"]["median_ms"],
            segmenter.device,
            PRECISIONS[segmenter.precision],
        ),
        "agreement": float(
            np.mean([np.array(ways["ours"](batch)) == ways["plain"](batch) for batch in batches])
        ),
    }


def _baselines(network: nn.Module, input_size: InputSize, device: torch.device) -> dict[str, PlainSegmenter]:
    """By name; they share a copy of the network."""
    network = copy.deepcopy(network).to(device)
    return {
        "plain": PlainSegmenter(network, input_size),
        "authors": PlainSegmenter(network, input_size, numpy_argmax=True),
    }


def _labels(segmenter: Segmenter, batch: list[np.ndarray]) -> list[np.ndarray | None]:
    return [segmentation.labels for segmentation in segmenter(batch, ("labels",))]


def _through_all(batches: list[list[np.ndarray]], way: Way) -> Callable[[], Any]:
    """A function that segments the next batch at each call."""
    source = cycle(batches)
    return lambda: way(next(source))


def our_stages(segmenter: Segmenter, size: tuple[int, int]) -> Stages:
    """The way of a list of frames of this height and width to labels, as ``PlainSegmenter.stages`` has it.

    On CUDA the Segmenter itself goes it faster: it launches all between upload and download at once.
    """
    device = segmenter.device

    def upload(frames: list[np.ndarray]) -> Tensor:
        shape = (len(frames), *frames[0].shape)
        pinned = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
        np.stack(frames, out=pinned.numpy())
        return pinned.to(device)

    def network(image: Tensor) -> SegmentationOutput:
        with kernels(choose_fastest=True):
            return segmenter.network.network(image)

    def labels(answer: SegmentationOutput) -> Tensor:
        return predict_labels(answer.logits, size, align_corners=answer.align_corners)[0]

    return [
        ("upload", upload),
        ("prepare", segmenter.network.prepare),
        ("network", network),
        ("labels", labels),
        ("download", lambda found: found.cpu().numpy()),
    ]


def main(argv: list[str]) -> int:
    """Entry of ``night-seg bench frame``."""
    parser = argparse.ArgumentParser(
        "night-seg bench frame",
        description="Measure the way from a frame in memory, (H, W, 3) uint8, to its labels: ours, plain "
        "PyTorch, and with logits that go to NumPy, as the methods' authors wrote it.",
    )
    add_batch_options(parser)
    parser.add_argument(
        "--sweep",
        type=Path,
        metavar="FILE",
        help="measure at a third, half, two thirds and all of the frame size, and draw the latencies as a "
        "picture, FILE.png",
    )
    options = parser.parse_args(argv)
    shares = SWEEP if options.sweep else (1.0,)
    if options.sweep:
        from night_seg_ros.bench.chart import draw_frames  # what is missing shows before the work
    device = prepare_device(options)
    network, input_size, name = open_network(options)
    results = []
    for share in shares:
        height, width = (round(share * side) for side in options.frame_size)
        result = bench_frame(
            network,
            input_size,
            read_batches(options, (height, width)),
            device=str(device),
            precision=options.precision,
            rounds=options.rounds,
            repeats=options.repeats,
        )
        results.append({"network": name, **result})
        print(_format(results[-1]))
    if options.sweep:
        draw_frames(options.sweep, results)
    save_result(options, {"sweep": results} if options.sweep else results[0])
    return 0


def _format(result: dict[str, Any]) -> str:
    (height, width), (rows, columns) = result["frame_size"], result["network_size"]
    return "\n".join(
        [
            f"{result['network']}: {result['batch']} x {width}x{height}, the network sees {columns}x{rows}",
            format_device(result),
            format_speed(result["speed"]),
            format_stages(result["stages"]),
            format_arithmetic(result),
            f"equal labels, ours and plain: {percent(result['agreement'], 3)} of the pixels",
        ]
    )
