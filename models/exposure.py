# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Exposure of an image: V of HSV."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from night_seg_ros.models.classes import IMAGENET_MEAN, IMAGENET_STD


class ExposureMap(nn.Module):
    """Exposure of each pixel: V of HSV = max(R, G, B) (EGNet, section on the exposure stream).

    Shape: normalised image (N, 3, H, W) -> (N, 1, H, W) in [0, 1], of the image's dtype.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN))
        self.register_buffer("std", torch.tensor(IMAGENET_STD))

    def forward(self, image: Tensor) -> Tensor:
        return (
            (image * self.std.view(3, 1, 1) + self.mean.view(3, 1, 1)).amax(dim=1, keepdim=True).clamp(0, 1)
        )
