# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""ESPNet: a small network of spatial pyramids of dilated convolutions.

Source: S. Mehta et al., "ESPNet: Efficient Spatial Pyramid of Dilated Convolutions for Semantic
Segmentation", ECCV 2018; what the paper leaves open, as in the authors' code.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import accumulate
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from night_seg_ros.models.classes import IMAGENET_MEAN, IMAGENET_STD
from night_seg_ros.models.output import SegmentationOutput

DILATIONS = (1, 2, 4, 8, 16)

Normalisation = Literal["imagenet", "release"]

RELEASE_MEAN = (73.15840149, 82.90893555, 72.3923111)
RELEASE_STD = (44.91483307, 46.15289307, 45.3192215)
"""Of R, G and B in 0..255, over Cityscapes, by the authors."""


class ESPModule(nn.Module):
    """Reduce, split, transform, merge (section 3): a spatial pyramid of 3x3 convolutions.

    One convolution reduces the channels to a fifth; five of dilations 1 to 16 read the result. The second to
    the fifth are added up one by one, so that no grid of the large dilations shows (hierarchical feature
    fusion), and all are laid side by side.

    Args:
        in_channels, out_channels: of the features.
        stride: 1, or 2 for a module that halves the resolution; its reduction is 3x3, else 1x1.
        residual: whether the input is added; needs stride 1 and as many channels out as in.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride), rounded up.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, residual: bool = False) -> None:
        super().__init__()
        self.residual = residual
        width = out_channels // len(DILATIONS)
        kernel = 1 if stride == 1 else 3
        self.reduce = nn.Conv2d(in_channels, width, kernel, stride, padding=kernel // 2, bias=False)
        widths = [out_channels - (len(DILATIONS) - 1) * width, *[width] * (len(DILATIONS) - 1)]
        self.branches = nn.ModuleList(
            nn.Conv2d(width, channels, kernel_size=3, padding=rate, dilation=rate, bias=False)
            for channels, rate in zip(widths, DILATIONS, strict=True)
        )
        self.norm = _norm(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        reduced = self.reduce(features)
        first, *others = [branch(reduced) for branch in self.branches]
        merged = torch.cat([first, *accumulate(others)], dim=1)
        return self.norm(features + merged if self.residual else merged)


class ESPNetEncoder(nn.Module):
    """ESPNet-C without its classifier: three levels, each of which reads the shrunken image too.

    Args:
        p, q: residual modules of the second and third level, after the one that halves the resolution.

    Attributes:
        out_channels: channels of each level.

    Shape: (N, 3, H, W) -> three levels of 16, 131 and 256 channels, at strides 2, 4 and 8, sizes rounded up.
    """

    def __init__(self, p: int, q: int) -> None:
        super().__init__()
        self.out_channels = [16, 2 * 64 + 3, 2 * 128]
        self.shrink = nn.AvgPool2d(kernel_size=3, stride=2, padding=1)
        self.level1 = _convolution(3, 16, stride=2)
        self.norm1 = _norm(16 + 3)
        self.down2 = ESPModule(16 + 3, 64, stride=2)
        self.level2 = nn.Sequential(*[ESPModule(64, 64, residual=True) for _ in range(p)])
        self.norm2 = _norm(2 * 64 + 3)
        self.down3 = ESPModule(2 * 64 + 3, 128, stride=2)
        self.level3 = nn.Sequential(*[ESPModule(128, 128, residual=True) for _ in range(q)])
        self.norm3 = _norm(2 * 128)

    def forward(self, image: Tensor) -> list[Tensor]:
        half = self.shrink(image)
        first = self.level1(image)
        x = self.down2(self.norm1(torch.cat([first, half], dim=1)))
        second = self.norm2(torch.cat([self.level2(x), x, self.shrink(half)], dim=1))
        x = self.down3(second)
        return [first, second, self.norm3(torch.cat([x, self.level3(x)], dim=1))]


class ESPNet(nn.Module):
    """ESPNet: the encoder ESPNet-C, and a decoder that doubles the resolution three times.

    Args:
        num_classes: channels of the logits.
        p, q: depth of the encoder's second and third level; the authors published 2 with 3, 5 and 8.
        width: channels of the decoder. The paper takes as many as there are classes: 20 on Cityscapes, the
            last for void.
        normalisation: of the images that the weights know: ``imagenet``, as they come; or ``release``, what
            the authors trained on, to which the network brings them first.

    Shape: normalised RGB (N, 3, H, W) -> logits (N, num_classes, H, W).

    Raises:
        ValueError: another normalisation.
    """

    def __init__(
        self,
        num_classes: int = 19,
        p: int = 2,
        q: int = 8,
        width: int = 20,
        normalisation: Normalisation = "imagenet",
    ) -> None:
        super().__init__()
        if normalisation not in get_args(Normalisation):
            known = ", ".join(get_args(Normalisation))
            raise ValueError(f"unknown normalisation {normalisation!r}; known: {known}")
        self.normalisation = normalisation
        self.encoder = ESPNetEncoder(p, q)
        first, second, third = self.encoder.out_channels
        self.project3 = nn.Sequential(
            nn.Conv2d(third, width, kernel_size=1, bias=False), nn.BatchNorm2d(width, eps=1e-3)
        )
        self.up3 = _doubling(width, width)
        self.project2 = nn.Conv2d(second, width, kernel_size=1, bias=False)
        self.merge2 = nn.Sequential(_norm(2 * width), ESPModule(2 * width, width))
        self.up2 = nn.Sequential(_doubling(width, width), _norm(width))
        self.merge1 = _convolution(first + width, width)
        self.classifier = _doubling(width, num_classes)

    def forward(self, image: Tensor) -> SegmentationOutput:
        if self.normalisation == "release":
            image = _as_released(image)
        first, second, third = self.encoder(image)
        x = _cut(self.up3(self.project3(third)), second)
        x = self.merge2(torch.cat([self.project2(second), x], dim=1))
        x = _cut(self.up2(x), first)
        x = self.merge1(torch.cat([x, first], dim=1))
        return SegmentationOutput(_cut(self.classifier(x), image))


def _as_released(image: Tensor) -> Tensor:
    """From ImageNet's normalisation to that of the authors: BGR, which they also divide by 255.

    Shape: (N, 3, H, W) -> the same.
    """
    channels = []
    for c in (2, 1, 0):
        pixels = 255 * (image[:, c : c + 1] * IMAGENET_STD[c] + IMAGENET_MEAN[c])
        channels.append((pixels - RELEASE_MEAN[c]) / (255 * RELEASE_STD[c]))
    return torch.cat(channels, dim=1)


def _norm(channels: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(channels, eps=1e-3), act=nn.PReLU(channels)))


def _convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=_norm(out_channels)))


def _doubling(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """A convolution after which height and width are twice as large."""
    return nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2, bias=False)


def _cut(x: Tensor, like: Tensor) -> Tensor:
    """Without the last row or column, where that of ``like`` was rounded up when it was halved."""
    return x[..., : like.shape[-2], : like.shape[-1]]
