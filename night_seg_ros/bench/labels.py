# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg bench labels``: from a network's small logits to labels of a frame's size."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from night_seg_ros.bench.baseline import plain_confidence, plain_labels
from night_seg_ros.bench.measuring import compare_speed, describe_device, format_device
from night_seg_ros.bench.options import add_run_options, prepare_device, save_result, side
from night_seg_ros.common.tables import percent
from night_seg_ros.common.timing import format_speed
from night_seg_ros.inference.label_map import predict_labels
from night_seg_ros.inference.segmenter import PRECISIONS, choose_precision
from night_seg_ros.models.classes import NUM_CLASSES
from night_seg_ros.models.output import SegmentationOutput

_PATCH = 12  # logits between two independent ones of the random image: regions of about a street's sizes


def smooth_logits(batch: int, size: tuple[int, int]) -> Tensor:
    """Random logits with regions in them, (batch, NUM_CLASSES, *size) float32; the same at every call."""
    coarse = [2 + length // _PATCH for length in size]
    noise = torch.randn(batch, NUM_CLASSES, *coarse, generator=torch.Generator().manual_seed(0))
    return F.interpolate(4 * noise, size, mode="bicubic")


@torch.inference_mode()
def bench_labels(
    logits: Tensor, size: tuple[int, int], *, confidence: bool, rounds: int, repeats: int
) -> dict[str, Any]:
    """Measure ``predict_labels`` against full-size logits and their argmax.

    Args:
        logits: (N, C, h, w) on the device; plain gets the same values in float32.
        size: height and width of the labels.
        confidence: also of the labels; plain takes the softmax of the full-size logits.
        rounds, repeats: see ``compare_speed``.

    Returns:
        JSON values: ``speed``, what ``compare_speed`` gives of ``ours`` and ``plain``; ``agreement``, share
        of the pixels that have the same label; ``confidence_difference``, of 255, at most, None without it;
        ``logits`` (shape), ``precision``, ``frame_size`` (height, width), and what ``describe_device`` gives.
    """
    answer = SegmentationOutput(logits.float())

    def ours() -> tuple[Tensor, Tensor | None]:
        return predict_labels(logits, size, confidence=confidence)

    def plain() -> tuple[Tensor, Tensor | None]:
        return plain_confidence(size, answer) if confidence else (plain_labels(size, answer), None)

    speed = compare_speed(
        {"ours": ours, "plain": plain},
        images=len(logits),
        rounds=rounds,
        repeats=repeats,
        device=logits.device,
    )
    (labels, sure), (plain_found, plain_sure) = ours(), plain()
    difference = None
    if sure is not None and plain_sure is not None:
        difference = (sure.int() - plain_sure.int()).abs().max().item()
    return {
        **describe_device(logits.device),
        "precision": next(name for name, dtype in PRECISIONS.items() if dtype == logits.dtype),
        "logits": list(logits.shape),
        "frame_size": list(size),
        "speed": speed,
        "agreement": (labels == plain_found).float().mean().item(),
        "confidence_difference": difference,
    }


def main(argv: list[str]) -> int:
    """Entry of ``night-seg bench labels``."""
    parser = argparse.ArgumentParser(
        "night-seg bench labels",
        description="Measure the way from random smooth logits on the device to labels of a frame's size: "
        "ours against logits that are upsampled to that size, and their argmax.",
    )
    sizes: dict[str, Any] = {"type": side, "nargs": 2, "metavar": ("H", "W")}
    parser.add_argument("--logits", default=(135, 240), help="size of the logits (default: 135 240)", **sizes)
    parser.add_argument(
        "--frame-size", default=(1080, 1920), help="of the labels, in pixels (default: 1080 1920)", **sizes
    )
    parser.add_argument("--confidence", action="store_true", help="also compute the confidence of each label")
    add_run_options(parser)
    options = parser.parse_args(argv)
    device = prepare_device(options)
    dtype = PRECISIONS[choose_precision(options.precision, device)]
    logits = smooth_logits(options.batch, tuple(options.logits)).to(device, dtype)
    result = bench_labels(
        logits,
        tuple(options.frame_size),
        confidence=options.confidence,
        rounds=options.rounds,
        repeats=options.repeats,
    )
    print(_format(result))
    save_result(options, result)
    return 0


def _format(result: dict[str, Any]) -> str:
    height, width = result["frame_size"]
    lines = [
        f"logits {'x'.join(map(str, result['logits']))} to labels {width}x{height}",
        format_device(result),
        format_speed(result["speed"]),
        f"equal labels, ours and plain: {percent(result['agreement'], 4)} of the pixels",
    ]
    if result["confidence_difference"] is not None:
        lines.append(f"confidence, ours and plain: within {result['confidence_difference']} of 255")
    return "\n".join(lines)
