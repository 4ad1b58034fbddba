# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The discriminator of adversarial domain adaptation."""

from __future__ import annotations

from torch import nn


class Discriminator(nn.Sequential):
    """Tells, patch by patch, whether a prediction is of a source or of a target image.

    Five 4x4 convolutions with leaky ReLU between them (DANNet, section 3.2).

    Args:
        num_classes: channels of the prediction.
        width: channels of the first convolution, 64 in the paper.

    Shape: softmax of the logits (N, num_classes, H, W), from 16 up -> (N, 1, about H/4, W/4), unbounded.
    """

    def __init__(self, num_classes: int = 19, width: int = 64) -> None:
        channels = [num_classes, width, 2 * width, 4 * width, 4 * width]
        layers: list[nn.Module] = []
        for i, stride in enumerate((2, 2, 1, 1)):
            layers.append(nn.Conv2d(channels[i], channels[i + 1], kernel_size=4, stride=stride, padding=1))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        super().__init__(*layers, nn.Conv2d(channels[-1], 1, kernel_size=4, padding=1))
