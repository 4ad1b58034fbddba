# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""DeepLab-v2.

Source: L.-C. Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous
Convolution, and Fully Connected CRFs", TPAMI 2018; strides and second head as DANNet uses it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from night_seg_ros.models.encoder import build_encoder
from night_seg_ros.models.output import SegmentationOutput

RATES = (6, 12, 18, 24)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: the sum of 3x3 convolutions of several rates.

    Shape: (N, channels, H, W) -> (N, num_classes, H, W).
    """

    def __init__(self, channels: int, num_classes: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, num_classes, kernel_size=3, padding=rate, dilation=rate) for rate in rates
        )

    def forward(self, features: Tensor) -> Tensor:
        return torch.stack([branch(features) for branch in self.branches]).sum(dim=0)


class DeepLab(nn.Module):
    """DeepLab-v2 with a second head on stage 3.

    Args:
        backbone: see ``encoder.BACKBONES``; the paper's is ``resnet101``.
        num_classes: channels of the logits.
        output_stride: 8 (the paper's), 16 or 32, the stride of the logits.
        rates: of the dilated convolutions that are added up. The network in DANNet's release has weights
            for all four, but adds up the first two.

    Shape: normalised RGB (N, 3, H, W) -> logits (N, num_classes, about H/s, W/s); in training, aux_logits
        likewise.
    """

    def __init__(
        self,
        backbone: str = "resnet101",
        num_classes: int = 19,
        output_stride: int = 8,
        rates: Sequence[int] = RATES,
    ) -> None:
        super().__init__()
        self.encoder = build_encoder(
            backbone, output_stride, stride_first=True, dilate_first=True, ceil_pool=True
        )
        _, _, third, fourth = self.encoder.out_channels
        self.head = ASPP(fourth, num_classes, rates)
        self.aux_head = ASPP(third, num_classes, rates)

    def forward(self, image: Tensor) -> SegmentationOutput:
        _, _, third, fourth = self.encoder(image)
        aux_logits = self.aux_head(third) if self.training else None
        return SegmentationOutput(self.head(fourth), aux_logits=aux_logits, align_corners=True)
