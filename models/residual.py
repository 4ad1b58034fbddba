# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Residual blocks (He et al., "Deep Residual Learning for Image Recognition") and stages of them.

Names of the tensors, arithmetic and the order of random draws are those of ``torchvision.models.resnet``.
``import torchvision`` costs more time than the rest of a command's start.
"""

from __future__ import annotations

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; the first one strides.

    Args:
        in_channels: channels of the input.
        planes: channels of both convolutions.
        stride: of the block.

    Shape: (N, in_channels, H, W) -> (N, planes, ceil(H/stride), ceil(W/stride)).
    """

    expansion = 1

    def __init__(self, in_channels: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        downsample = _shortcut(in_channels, planes * self.expansion, stride)
        self.conv1 = _conv3x3(in_channels, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, features: Tensor) -> Tensor:
        shortcut = features if self.downsample is None else self.downsample(features)
        features = self.relu(self.bn1(self.conv1(features)))
        features = self.bn2(self.conv2(features))
        features += shortcut
        return self.relu(features)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; the 3x3 one strides.

    Args:
        in_channels: channels of the input.
        planes: channels of the first two convolutions; the third has four times as many.
        stride: of the block.

    Shape: (N, in_channels, H, W) -> (N, 4 planes, ceil(H/stride), ceil(W/stride)).
    """

    expansion = 4

    def __init__(self, in_channels: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = planes * self.expansion
        downsample = _shortcut(in_channels, out_channels, stride)
        self.conv1 = nn.Conv2d(in_channels, planes, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv3x3(planes, planes, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out_channels, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, features: Tensor) -> Tensor:
        shortcut = features if self.downsample is None else self.downsample(features)
        features = self.relu(self.bn1(self.conv1(features)))
        features = self.relu(self.bn2(self.conv2(features)))
        features = self.bn3(self.conv3(features))
        features += shortcut
        return self.relu(features)


Block = type[BasicBlock] | type[Bottleneck]


def residual_stage(block: Block, in_channels: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    """Blocks in a row, of which the first strides.

    Shape: (N, in_channels, H, W) -> (N, planes * expansion, ceil(H/stride), ceil(W/stride)).
    """
    first = block(in_channels, planes, stride)
    return nn.Sequential(first, *(block(planes * block.expansion, planes) for _ in range(blocks - 1)))


def initialise(part: nn.Module) -> None:
    """Draw the weights of all convolutions, for the ReLUs behind them (He et al., 2015; ``fan_out``).

    On the device "meta", where ``load_model`` builds, there are none: torch would import its compiler for
    them.
    """
    for module in part.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            # nn.init takes a depthwise convolution's fan for that of a whole one.
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.groups > 1:
                module.weight.data.mul_(module.groups**0.5)


def _conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """A 1x1 convolution where a block changes the size or the channels."""
    if stride == 1 and in_channels == out_channels:
        return None
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))
