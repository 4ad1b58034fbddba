# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Labels in the colours of their classes, alone and over frames: on arrays, and on tensors of a device."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from night_seg_ros.models.classes import COLOUR_TABLE

_BGR = np.ascontiguousarray(COLOUR_TABLE[:, ::-1])


def colourise(labels: np.ndarray) -> np.ndarray:
    """Colours of a label image: (H, W) uint8 train ids -> (H, W, 3) uint8 BGR, 255 black."""
    return cv2.applyColorMap(labels, _BGR[:, None])


def overlay(bgr: np.ndarray, labels: np.ndarray, alpha: float) -> np.ndarray:
    """Lay the class colours over a frame.

    Args:
        bgr: (H, W, 3) uint8, the frame.
        labels: (H, W) uint8 train ids.
        alpha: weight of the colours, 0..1.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    return cv2.addWeighted(bgr, 1 - alpha, colourise(labels), alpha, 0)


def overlay_tensors(bgr: Tensor, labels: Tensor, alpha: float) -> Tensor:
    """Lay the class colours over frames, on their device.

    Args:
        bgr: (N, H, W, 3) uint8.
        labels: (N, H, W) uint8 train ids.
        alpha: weight of the colours, 0..1.

    Returns:
        (N, H, W, 3) uint8 BGR.
    """
    colours = _table_on(bgr.device)[labels.int()]
    return torch.lerp(bgr.float(), colours, alpha).round_().to(torch.uint8)


@lru_cache
@torch.inference_mode(False)  # an inference tensor could not be used outside of inference mode later
def _table_on(device: torch.device) -> Tensor:
    """(256, 3) float32 BGR."""
    return torch.from_numpy(_BGR).float().to(device)
