# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Labels from small logits on CUDA: interpolation, argmax and confidence in one kernel."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 256  # pixels of a row per program


# Sizes and strides are not compiled in: a camera's new resolution must not wait for the compiler.
@triton.jit(
    do_not_specialize=[
        "channels", "rows", "columns", "width", "stride_n", "stride_c", "stride_y", "stride_x"
    ]
)  # fmt: skip
def _labels_kernel(  # type: ignore[no-untyped-def]  # its arguments are Triton's
    logits, labels, confidences,
    channels, rows, columns, width,
    stride_n, stride_c, stride_y, stride_x,
    scale_y, scale_x, offset_y, offset_x,
    WITH_CONFIDENCE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A block of one row of one image. Scores are computed in float32, class by class."""
    x = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    y = tl.program_id(1)
    image = tl.program_id(2).to(tl.int64)
    inside = x < width

    source_y = tl.minimum(tl.maximum(y * scale_y + offset_y, 0.0), (rows - 1).to(tl.float32))
    source_x = tl.minimum(tl.maximum(x * scale_x + offset_x, 0.0), (columns - 1).to(tl.float32))
    above = source_y.to(tl.int32)
    left = source_x.to(tl.int32)
    below = tl.minimum(above + 1, rows - 1)
    right = tl.minimum(left + 1, columns - 1)
    weight_y = source_y - above
    weight_x = source_x - left

    base = logits + image * stride_n
    best = tl.full((BLOCK,), float("-inf"), tl.float32)
    leader = tl.zeros((BLOCK,), tl.int32)
    total = tl.zeros((BLOCK,), tl.float32)  # of exp(score - best)
    for c in range(channels):
        plane = base + c * stride_c
        upper, lower = plane + above * stride_y, plane + below * stride_y
        upper_left = tl.load(upper + left * stride_x, mask=inside, other=0.0).to(tl.float32)
        upper_right = tl.load(upper + right * stride_x, mask=inside, other=0.0).to(tl.float32)
        lower_left = tl.load(lower + left * stride_x, mask=inside, other=0.0).to(tl.float32)
        lower_right = tl.load(lower + right * stride_x, mask=inside, other=0.0).to(tl.float32)
        top = upper_left + weight_x * (upper_right - upper_left)
        bottom = lower_left + weight_x * (lower_right - lower_left)
        score = top + weight_y * (bottom - top)
        ahead = score > best
        if WITH_CONFIDENCE:
            higher = tl.maximum(score, best)
            total = total * tl.exp(best - higher) + tl.exp(score - higher)
        leader = tl.where(ahead, c, leader)
        best = tl.where(ahead, score, best)

    place = (image * tl.num_programs(1) + y) * width + x
    tl.store(labels + place, leader.to(tl.uint8), mask=inside)
    if WITH_CONFIDENCE:
        tl.store(confidences + place, (255.0 / total + 0.5).to(tl.uint8), mask=inside)


def labels_on_cuda(
    logits: Tensor, size: tuple[int, int], align_corners: bool, confidence: bool
) -> tuple[Tensor, Tensor | None]:
    """See ``label_map.predict_labels``; reads the logits with whatever strides they have."""
    count, channels, rows, columns = logits.shape
    height, width = size
    labels = torch.empty((count, height, width), dtype=torch.uint8, device=logits.device)
    confidences = torch.empty_like(labels) if confidence else None
    (scale_y, offset_y), (scale_x, offset_x) = (
        _placement(*counts, align_corners) for counts in ((rows, height), (columns, width))
    )
    with torch.cuda.device_of(logits):  # Triton launches on the current device
        _labels_kernel[(triton.cdiv(width, _BLOCK), height, count)](
            logits, labels, labels if confidences is None else confidences,
            channels, rows, columns, width,
            *logits.stride(),
            scale_y, scale_x, offset_y, offset_x,
            WITH_CONFIDENCE=confidence, BLOCK=_BLOCK,
        )  # fmt: skip
    return labels, confidences


def _placement(count: int, length: int, align_corners: bool) -> tuple[float, float]:
    """Scale and offset from a position of the result to one among the logits."""
    if align_corners:
        return (count - 1) / max(1, length - 1), 0.0
    scale = count / length
    return scale, 0.5 * scale - 0.5
