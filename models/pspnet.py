# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""PSPNet: pyramid scene parsing.

Source: H. Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017; strides and stem as DANNet uses it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from night_seg_ros.models.encoder import build_encoder
from night_seg_ros.models.output import SegmentationOutput
from night_seg_ros.models.pooling import region_means

BINS = (1, 2, 3, 6)


class PyramidPooling(nn.Module):
    """Means over 1, 2x2, 3x3 and 6x6 regions, laid beside the features and mixed with them.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(
            nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False) for _ in BINS
        )
        mixed = in_channels + len(BINS) * out_channels
        self.bottleneck = nn.Sequential(
            nn.Conv2d(mixed, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.Dropout2d(0.1),
        )

    def forward(self, features: Tensor) -> Tensor:
        size = features.shape[-2:]
        pyramid = []
        for bins, projection in zip(BINS, self.projections, strict=True):
            means = projection(region_means(features, (bins, bins)))
            pyramid.append(F.interpolate(means, size=size, mode="bilinear", align_corners=True))
        return self.bottleneck(torch.cat([*pyramid, features], dim=1))


class PSPNet(nn.Module):
    """PSPNet with an auxiliary head on stage 3.

    Args:
        backbone: see ``encoder.BACKBONES``; the paper's is ``resnet101``.
        num_classes: channels of the logits.
        output_stride: 8 (the paper's), 16 or 32, the stride of the logits.

    Shape: normalised RGB (N, 3, H, W) -> logits (N, num_classes, about H/s, W/s); in training, aux_logits
        likewise.
    """

    def __init__(self, backbone: str = "resnet101", num_classes: int = 19, output_stride: int = 8) -> None:
        super().__init__()
        self.encoder = build_encoder(
            backbone, output_stride, deep_stem=True, dilate_first=True, ceil_pool=True
        )
        _, _, third, fourth = self.encoder.out_channels
        width = fourth // 4
        self.pyramid = PyramidPooling(fourth, width)
        self.classifier = nn.Conv2d(width, num_classes, kernel_size=1)
        self.aux_head = nn.Sequential(
            nn.Conv2d(third, width, kernel_size=3, padding=1),
            nn.BatchNorm2d(width),
            nn.Dropout2d(0.1),
            nn.Conv2d(width, num_classes, kernel_size=1),
        )

    def forward(self, image: Tensor) -> SegmentationOutput:
        _, _, third, fourth = self.encoder(image)
        logits = self.classifier(self.pyramid(fourth))
        aux_logits = self.aux_head(third) if self.training else None
        return SegmentationOutput(logits, aux_logits=aux_logits, align_corners=True)
