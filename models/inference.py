"""From an image to a network's input, and from its logits to labels."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from night_seg_ros.models.classes import IMAGENET_MEAN, IMAGENET_STD

InputSize = int | tuple[int, int] | None
"""Size at which a network sees an image: its shorter side in pixels (the shape is kept), an exact
(height, width), or None for the image's own size."""

MIN_SIDE = 32

_BAND_ELEMENTS = 1 << 21  # logits that are upsampled at once: 8 MiB, small enough for the caches


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


def predict_labels(
    logits: Tensor, size: tuple[int, int], *, align_corners: bool = False, confidence: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Argmax of bilinearly upsampled logits, without ever holding them whole.

    The width is interpolated first, on the few rows of the logits; then bands of output rows are
    mixed from neighbouring rows and reduced at once.

    Args:
        logits: (N, C, h, w), any floating type, C up to 255.
        size: height and width of the result.
        align_corners: see ``SegmentationOutput``.
        confidence: also give the softmax probability of the label.

    Returns:
        labels (N, H, W) uint8; confidence (N, H, W) uint8, 0..255 = 0..1, or None.
    """
    height, width = size
    count, channels, rows, _ = logits.shape
    wide = F.interpolate(
        logits.float().contiguous(), size=(rows, width), mode="bilinear", align_corners=align_corners
    )
    labels = torch.empty((count, height, width), dtype=torch.uint8, device=logits.device)
    scores = torch.empty_like(labels) if confidence else None
    source = torch.arange(height, device=logits.device, dtype=torch.float32)
    if align_corners:
        source *= (rows - 1) / max(1, height - 1)
    else:
        source = ((source + 0.5) * (rows / height) - 0.5).clamp_(0, rows - 1)
    above = source.long()
    below = (above + 1).clamp_(max=rows - 1)
    weight = (source - above).view(1, 1, -1, 1)
    band = max(1, _BAND_ELEMENTS // (count * channels * width))
    for start in range(0, height, band):
        part = slice(start, start + band)
        mixed = torch.lerp(wide[:, :, above[part]], wide[:, :, below[part]], weight[:, :, part])
        best, index = mixed.max(dim=1)
        labels[:, part] = index
        if scores is not None:
            # exp(best) / sum(exp) = 1 / sum(exp(mixed - best))
            total = mixed.sub_(best.unsqueeze(1)).exp_().sum(dim=1)
            scores[:, part] = total.reciprocal_().mul_(255).round_()
    return labels, scores
