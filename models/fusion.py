# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""A light decoder that adds up an encoder's scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FusionDecoder(nn.Module):
    """Each scale of an encoder by a 1x1 convolution to one width, all added up at the size of one of them.

    With them goes the mean of the coarsest scale over the image; then come two 3x3 convolutions. What is thin
    or small is lost at a stride of 16, and where the image lies as a whole is not seen at one of 4.

    Args:
        in_channels: of the scales, from fine to coarse.
        width: channels of the result.
        level: the scale whose size the result has.

    Shape: scales (N, in_channels[i], H_i, W_i) -> (N, width, H_level, W_level).
    """

    def __init__(self, in_channels: Sequence[int], width: int, level: int) -> None:
        super().__init__()
        self.level = level
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
            for channels in in_channels
        )
        self.context = nn.Conv2d(in_channels[-1], width, 1)
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
            layers += [nn.ReLU(inplace=True)]
        self.refine = nn.Sequential(*layers)

    def forward(self, scales: list[Tensor]) -> Tensor:
        size = scales[self.level].shape[-2:]
        total = self.context(scales[-1].mean(dim=(2, 3), keepdim=True))
        for i, (projection, scale) in enumerate(zip(self.projections, scales, strict=True)):
            part = projection(scale)
            if i != self.level:
                part = F.interpolate(part, size=size, mode="bilinear", align_corners=False)
            total = total + part
        return self.refine(torch.relu(total))
