# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""CCNet: criss-cross attention.

Source: Z. Huang et al., "CCNet: Criss-Cross Attention for Semantic Segmentation", ICCV 2019; kernels, stem
and second head, which the paper does not give, as in the authors' code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from night_seg_ros.models.encoder import build_encoder
from night_seg_ros.models.output import SegmentationOutput


class CrissCrossAttention(nn.Module):
    """To each position, adds a mean of the values in its column and row, by attention (Eq. 1, 2).

    A position has H + W - 1 weights, a softmax of the products of its query with the keys; no H*W x H*W
    matrix is made. (The authors' code multiplies the mean with a learned scalar that begins at 0, which is
    not in the paper.)

    Args:
        channels: of the features; queries and keys have an eighth of them.

    Shape: (N, channels, H, W) -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, kernel_size=1)
        self.key = nn.Conv2d(channels, channels // 8, kernel_size=1)
        self.value = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        query, key, value = self.query(features), self.key(features), self.value(features)
        column = torch.einsum("nchw,ncjw->nhwj", query, key)
        row = torch.einsum("nchw,nchj->nhwj", query, key)
        # The position itself is in its row and in its column: it counts once.
        itself = torch.full_like(query[0, 0, :, 0], float("-inf")).diag_embed()  # H x H
        attention = torch.cat([column + itself[:, None], row], dim=-1).softmax(dim=-1)  # N x H x W x (H + W)
        height = features.shape[-2]
        of_column = torch.einsum("nhwj,ncjw->nchw", attention[..., :height], value)
        of_row = torch.einsum("nhwj,nchj->nchw", attention[..., height:], value)
        return features + of_column + of_row


class CCNet(nn.Module):
    """CCNet with an auxiliary head on stage 3.

    Args:
        backbone: see ``encoder.BACKBONES``; the paper's is ``resnet101``.
        num_classes: channels of the logits.
        output_stride: 8 (the paper's), 16 or 32, the stride of the logits.
        recurrence: how often the attention is applied, with the same weights; from 2 (the paper's) on, every
            position sees every other.

    Shape: normalised RGB (N, 3, H, W) -> logits (N, num_classes, about H/s, W/s); in training, aux_logits
        likewise.
    """

    def __init__(
        self,
        backbone: str = "resnet101",
        num_classes: int = 19,
        output_stride: int = 8,
        recurrence: int = 2,
    ) -> None:
        super().__init__()
        self.encoder = build_encoder(
            backbone, output_stride, deep_stem=True, dilate_first=True, ceil_pool=True
        )
        _, _, third, fourth = self.encoder.out_channels
        width = fourth // 4
        self.recurrence = recurrence
        self.reduce = _convolution(fourth, width)
        self.attention = CrissCrossAttention(width)
        self.refine = _convolution(width, width)
        self.fuse = nn.Sequential(_convolution(fourth + width, width), nn.Dropout2d(0.1))
        self.classifier = nn.Conv2d(width, num_classes, kernel_size=1)
        self.aux_head = nn.Sequential(
            _convolution(third, width),
            nn.Dropout2d(0.1),
            nn.Conv2d(width, num_classes, kernel_size=1),
        )

    def forward(self, image: Tensor) -> SegmentationOutput:
        _, _, third, fourth = self.encoder(image)
        context = self.reduce(fourth)
        for _ in range(self.recurrence):
            context = self.attention(context)
        fused = self.fuse(torch.cat([fourth, self.refine(context)], dim=1))
        aux_logits = self.aux_head(third) if self.training else None
        return SegmentationOutput(self.classifier(fused), aux_logits=aux_logits, align_corners=True)


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3, normalised and rectified."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
