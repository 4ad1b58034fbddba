# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Means over the regions of a grid, in a form that can also be exported."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def region_means(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Means over a grid of regions that cover an image, as ``F.adaptive_avg_pool2d``.

    While a model is exported they are written as two products with matrices, which are made from the size of
    the image: ONNX has no such pooling, and could follow it for one size only.

    Args:
        image: (N, C, H, W), any floating type.
        size: (h, w), regions in a column and in a row.

    Returns:
        (N, C, h, w), of the image's type.
    """
    # Older torch can't tell whether it exports.
    if not getattr(torch.compiler, "is_exporting", bool)():
        return F.adaptive_avg_pool2d(image, size)
    rows, columns = (
        _shares(regions, length, image) for regions, length in zip(size, image.shape[-2:], strict=True)
    )
    means = F.linear(image, columns)  # N x C x H x w
    return F.linear(means.transpose(2, 3), rows).transpose(2, 3)


def _shares(regions: int, length: int, like: Tensor) -> Tensor:
    """Share of each pixel of a line in each region's mean, (regions, length).

    Region i reaches from floor(i * length / regions) to ceil((i + 1) * length / regions).
    """
    region = torch.arange(regions, device=like.device)[:, None]
    pixel = torch.arange(length, device=like.device)
    inside = (pixel >= region * length // regions) & (pixel * regions < (region + 1) * length)
    shares = inside.to(like.dtype)
    return shares / shares.sum(dim=1, keepdim=True)
