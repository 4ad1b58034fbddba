# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Networks that relight an image, so that day and night look alike to the network behind them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ResidualRelighting(nn.Module):
    """DANNet's relighting network: what is to be added to an image.

    Two strided convolutions, three residual blocks, two transposed convolutions; batch norm and ReLU after
    every convolution but the last, tanh after that one (DANNet, section 3.2).

    Args:
        width: channels of the first layer; the paper's is 64.

    Shape: normalised RGB (N, 3, H, W), any size from 8 up -> (N, 3, H, W) in -1..1.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_normalised(nn.Conv2d(3, width, kernel_size=7, bias=False)),
            *_normalised(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)),
            *_normalised(nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1, bias=False)),
            *[ResidualBlock(4 * width) for _ in range(3)],
            *_normalised(_doubling(4 * width, 2 * width)),
            *_normalised(_doubling(2 * width, width)),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 3, kernel_size=7),
            nn.Tanh(),
        )

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % 4, 0, -height % 4), mode="reflect")  # two strides of 2
        return self.layers(padded)[..., :height, :width]


class ResidualBlock(nn.Module):
    """``x + f(x)`` with two 3x3 convolutions.

    Shape: (N, channels, H, W) -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.ReflectionPad2d(1),
            *_normalised(nn.Conv2d(channels, channels, kernel_size=3, bias=False)),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, kernel_size=3, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


def _normalised(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)]


def _doubling(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """A convolution after which height and width are twice as large."""
    return nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1, bias=False)


CURVES = 8
UNCLAMPED = (3, 7)  # steps, from 0, after which the authors' code does not clamp
NORMALISED_RANGE = (-2.1179, 2.64)  # from black to the brightest blue


class CurveRelighting(nn.Module):
    """Bi-Mix's relighting network: what is to be added to an image, by curves (Bi-Mix, Eq. 1).

    Seven 3x3 convolutions, the later ones with symmetric skips, give each pixel and colour eight curves r,
    applied in turn as ``x + r (x^2 - x)``, with x held to the range of a normalised image; the result is the
    last increment alone, as in the authors' code. After Guo et al., "Zero-DCE", CVPR 2020, and as there the
    weights begin at a standard deviation of 0.02: larger ones saturate within a few steps of SGD.

    Args:
        width: channels of the convolutions; 32 in the release.

    Shape: normalised RGB (N, 3, H, W), any size -> (N, 3, H, W).
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sizes = [(3, width), *[(width, width)] * 3, *[(2 * width, width)] * 2, (2 * width, 3 * CURVES)]
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, kernel_size=3, padding=1) for a, b in sizes)
        for name, parameter in self.named_parameters():
            if not parameter.is_meta:  # see ``residual.initialise``
                nn.init.normal_(parameter, std=0.02 if name.endswith("weight") else 0.0)

    def forward(self, image: Tensor) -> Tensor:
        x = image
        for step, curve in enumerate(self.curves(image)):
            increment = curve * (x**2 - x)
            x = x + increment
            if step not in UNCLAMPED:
                x = x.clamp(*NORMALISED_RANGE)
        return increment

    def curves(self, image: Tensor) -> tuple[Tensor, ...]:
        """The eight curves of each pixel, each (N, 3, H, W) in -1..1."""
        *downwards, fifth, sixth, seventh = self.convolutions
        features = [image]
        for convolution in downwards:
            features.append(F.relu(convolution(features[-1])))
        _, first, second, third, fourth = features
        x = F.relu(fifth(torch.cat([third, fourth], dim=1)))
        x = F.relu(sixth(torch.cat([second, x], dim=1)))
        curves = torch.tanh(seventh(torch.cat([first, x], dim=1)))
        return tuple(curves[:, 3 * i : 3 * i + 3] for i in range(CURVES))  # split can't be traced
