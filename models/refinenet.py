# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""RefineNet, four paths.

Source: G. Lin et al., "RefineNet: Multi-Path Refinement Networks for High-Resolution Semantic
Segmentation", CVPR 2017.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from night_seg_ros.models.encoder import build_encoder
from night_seg_ros.models.output import SegmentationOutput


def _conv3x3(in_channels: int, out_channels: int, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=bias)


class ResidualUnits(nn.Module):
    """Residual convolution units in turn, each ``x + conv(relu(conv(relu(x))))``.

    Shape: (N, channels, H, W) -> the same.
    """

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(), _conv3x3(channels, channels, bias=True), nn.ReLU(), _conv3x3(channels, channels)
            )
            for _ in range(count)
        )

    def forward(self, x: Tensor) -> Tensor:
        for unit in self.units:
            x = x + unit(x)
        return x


class ChainedPooling(nn.Module):
    """Chained residual pooling: four times a 5x5 maximum and a convolution, all added up.

    Shape: (N, channels, H, W) -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(_conv3x3(channels, channels) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        total = path = F.relu(x)
        for convolution in self.convolutions:
            path = convolution(F.max_pool2d(path, kernel_size=5, stride=1, padding=2))
            total = total + path
        return total


class RefinePath(nn.Module):
    """One of the four paths: adapts a level of the encoder, adds the coarser path, pools, refines.

    Args:
        in_channels: of the encoder's level.
        channels: of this path.
        out_channels: of the next finer path; None for the finest, which has none to adapt to.
        coarsest: whether there is no coarser path to add.

    Shape: level (N, in_channels, H, W) and coarser (N, channels, h, w), or None -> (N, out_channels, H, W).
    """

    def __init__(self, in_channels: int, channels: int, out_channels: int | None, coarsest: bool) -> None:
        super().__init__()
        self.reduce = _conv3x3(in_channels, channels)
        self.adapt = ResidualUnits(channels, 2)
        self.merge = nn.Identity() if coarsest else _conv3x3(channels, channels)
        self.pool = ChainedPooling(channels)
        self.refine = ResidualUnits(channels, 3)
        self.project = nn.Identity() if out_channels is None else _conv3x3(channels, out_channels)

    def forward(self, level: Tensor, coarser: Tensor | None) -> Tensor:
        x = self.merge(self.adapt(self.reduce(level)))
        if coarser is not None:
            x = x + F.interpolate(coarser, size=x.shape[-2:], mode="bilinear", align_corners=True)
        return self.project(self.refine(self.pool(x)))


class RefineNet(nn.Module):
    """RefineNet on a ResNet of output stride 32.

    Args:
        backbone: see ``encoder.BACKBONES``; the paper's is ``resnet101``.
        num_classes: channels of the logits.
        width: channels of the three finer paths; the coarsest has twice as many.

    Shape: normalised RGB (N, 3, H, W) -> logits (N, num_classes, about H/4, W/4).
    """

    def __init__(self, backbone: str = "resnet101", num_classes: int = 19, width: int = 256) -> None:
        super().__init__()
        self.encoder = build_encoder(backbone)
        first, second, third, fourth = self.encoder.out_channels
        self.paths = nn.ModuleList(  # from fine to coarse, as the encoder's levels
            [
                RefinePath(first, width, None, coarsest=False),
                RefinePath(second, width, width, coarsest=False),
                RefinePath(third, width, width, coarsest=False),
                RefinePath(fourth, 2 * width, width, coarsest=True),
            ]
        )
        self.dropout = nn.Dropout(0.5)
        self.classifier = _conv3x3(width, num_classes, bias=True)

    def forward(self, image: Tensor) -> SegmentationOutput:
        first, second, third, fourth = self.encoder(image)
        levels = [first, second, self.dropout(third), self.dropout(fourth)]
        path: Tensor | None = None
        for refine, level in zip(reversed(self.paths), reversed(levels), strict=True):
            path = refine(level, path)
        return SegmentationOutput(self.classifier(self.dropout(path)), align_corners=True)
