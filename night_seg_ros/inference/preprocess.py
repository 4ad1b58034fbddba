# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""From an image to a network's input: its device, precision, size and normalisation."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from night_seg_ros.inference.names import MIN_SIDE
from night_seg_ros.models.classes import IMAGENET_MEAN, IMAGENET_STD

InputSize = int | tuple[int, int] | None
"""Size at which a network sees an image: its shorter side in pixels (the shape is kept), an exact
(height, width), or None for the image's own size."""


def choose_device(device: str) -> torch.device:
    """The device of a name: ``auto`` (CUDA where there is one), ``cpu``, ``cuda``, ``cuda:1`` ...

    Raises:
        ValueError: another name, or a CUDA device that is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise ValueError(f"unknown device {device!r}; give auto, cpu, cuda or cuda:N")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {device!r} is not there: {torch.cuda.device_count()} CUDA devices found")
    return chosen


def computes_in_bf16(device: torch.device) -> bool:
    """Whether the device has bf16 arithmetic of its own, which is then faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Older torch can't tell what the CPU computes in.
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def network_size(height: int, width: int, input_size: InputSize) -> tuple[int, int]:
    """Height and width at which the network sees an image; no side is under 32 pixels."""
    if input_size is None:
        size = (float(height), float(width))
    elif isinstance(input_size, int):
        scale = input_size / min(height, width)
        size = (height * scale, width * scale)
    else:
        size = (float(input_size[0]), float(input_size[1]))
    return max(MIN_SIDE, round(size[0])), max(MIN_SIDE, round(size[1]))


def is_distorted(height: int, width: int, input_size: InputSize) -> bool:
    """Whether an image loses its shape, by more than 1 %, when it is resized to the input."""
    if not isinstance(input_size, tuple):
        return False
    stretch = (input_size[1] / input_size[0]) / (width / height)
    return abs(stretch - 1) > 0.01


def preprocess(rgb: Tensor, input_size: InputSize, dtype: torch.dtype = torch.float32) -> Tensor:
    """Resize (bilinear, antialiased) and normalise images on their own device.

    Args:
        rgb: (N, 3, H, W) uint8, any memory format.
        input_size: see ``InputSize``.
        dtype: of the result.

    Returns:
        (N, 3, h, w) normalised, channels last.
    """
    size = network_size(rgb.shape[-2], rgb.shape[-1], input_size)
    image = rgb.to(torch.float32, memory_format=torch.channels_last)
    if size != tuple(rgb.shape[-2:]):
        image = F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)
    mean, std = _normalisation(rgb.device)
    return image.sub_(mean).div_(std).to(dtype, memory_format=torch.channels_last)


@lru_cache
@torch.inference_mode(False)  # an inference tensor could not be used outside of inference mode later
def _normalisation(device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation in units of 0..255, (1, 3, 1, 1)."""
    mean = torch.tensor(IMAGENET_MEAN, device=device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=device).view(1, 3, 1, 1)
    return mean * 255, std * 255
