# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pictures for TensorBoard, (3, H, W) uint8 on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from night_seg_ros.models.classes import COLOUR_TABLE, IMAGENET_MEAN, IMAGENET_STD

_COLOURS = torch.from_numpy(COLOUR_TABLE)


def image_picture(image: Tensor) -> Tensor:
    """Normalised (N, 3, H, W) -> (N, 3, H, W) uint8."""
    mean = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    return ((image.float().cpu() * std + mean).clamp(0, 1) * 255).to(torch.uint8)


def label_picture(label: Tensor) -> Tensor:
    """Train ids (N, H, W) -> (N, 3, H, W) uint8, 255 black."""
    return _COLOURS[label.cpu().long()].permute(0, 3, 1, 2)


def exposure_picture(exposure: Tensor) -> Tensor:
    """Exposure (N, 1, H, W) in [0, 1] -> (N, 3, H, W) uint8, grey."""
    return (exposure.float().cpu() * 255).to(torch.uint8).expand(-1, 3, -1, -1)


def side_by_side(*columns: Tensor) -> Tensor:
    """Lay batches (N, 3, h, w) uint8 beside one another, a row per image, at the size of the first."""
    from torchvision.utils import make_grid

    size = columns[0].shape[-2:]
    same = [F.interpolate(c, size=size, mode="nearest") for c in columns]
    tiles = torch.stack(same, dim=1).flatten(0, 1)
    return make_grid(tiles, nrow=len(columns), padding=2)
