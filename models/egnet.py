# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""EGNet: night-time scene parsing guided by exposure.

Source: Tan et al., "Night-time Scene Parsing with a Large Real Dataset" (NightCity).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from night_seg_ros.models.encoder import build_encoder
from night_seg_ros.models.exposure import ExposureMap
from night_seg_ros.models.fusion import FusionDecoder
from night_seg_ros.models.loading import load_part
from night_seg_ros.models.output import SegmentationOutput
from night_seg_ros.models.pooling import region_means

DECODER_LEVELS = {4: 0, 8: 1}  # which scale of the encoder has a stride
Guidance = Literal["attention", "concat", "sum", "none"]
Exposure = Literal["stream", "input", "attention_map", "none"]


class ExposureGuidance(nn.Module):
    """Exposure guidance layer (EGL), Eq. 1: ``w1 f_S + w2 f_S * W_r``, ``W_r = sigmoid(W f_E + b)``.

    ``W_r`` is a soft spatial attention map: one channel, by a 1x1 convolution (the paper does not
    give the kernel).

    Args:
        channels: channels of both feature maps.
        w1, w2: weights of the plain and of the attended features.

    Shape: f_S and f_E (N, channels, H, W) -> (N, channels, H, W), and W_r (N, 1, H, W).
    """

    def __init__(self, channels: int, w1: float, w2: float) -> None:
        super().__init__()
        self.w1 = w1
        self.w2 = w2
        self.attention = nn.Conv2d(channels, 1, kernel_size=1)

    def forward(self, segmentation: Tensor, exposure: Tensor) -> tuple[Tensor, Tensor]:
        attention = self.attention(exposure).sigmoid()
        return segmentation * (self.w1 + self.w2 * attention), attention


class MapGuidance(nn.Module):
    """Eq. 1 with the exposure map itself in place of ``W_r`` (ablation without an exposure stream).

    Shape: f_S (N, C, h, w) and the map (N, 1, H, W) in [0, 1] -> (N, C, h, w), and the map at that size.
    """

    def __init__(self, w1: float, w2: float) -> None:
        super().__init__()
        self.w1 = w1
        self.w2 = w2

    def forward(self, segmentation: Tensor, exposure: Tensor) -> tuple[Tensor, Tensor]:
        height, width = segmentation.shape[-2:]
        attention = region_means(exposure, (height, width))
        return segmentation * (self.w1 + self.w2 * attention), attention


class ConcatGuidance(nn.Module):
    """``w1 f_S`` and ``w2 f_E`` side by side, brought back to their channels by a 1x1 convolution (ablation).

    Shape: f_S and f_E (N, channels, H, W) -> (N, channels, H, W), and no map.
    """

    def __init__(self, channels: int, w1: float, w2: float) -> None:
        super().__init__()
        self.w1 = w1
        self.w2 = w2
        self.project = nn.Conv2d(2 * channels, channels, kernel_size=1)

    def forward(self, segmentation: Tensor, exposure: Tensor) -> tuple[Tensor, None]:
        return self.project(torch.cat([self.w1 * segmentation, self.w2 * exposure], dim=1)), None


class SumGuidance(nn.Module):
    """``w1 f_S + w2 f_E`` (ablation): Eq. 1 with the exposure features in place of the attended ones.

    Shape: f_S and f_E (N, C, H, W) -> (N, C, H, W), and no map.
    """

    def __init__(self, w1: float, w2: float) -> None:
        super().__init__()
        self.w1 = w1
        self.w2 = w2

    def forward(self, segmentation: Tensor, exposure: Tensor) -> tuple[Tensor, None]:
        return self.w1 * segmentation + self.w2 * exposure, None


class LastScale(nn.Module):
    """No decoder: the coarsest scale as it is."""

    def forward(self, scales: list[Tensor]) -> Tensor:
        return scales[-1]


class NoGuidance(nn.Module):
    """The segmentation features as they are, and no map (ablation)."""

    def forward(self, segmentation: Tensor, exposure: Tensor | None) -> tuple[Tensor, None]:
        return segmentation, None


class EGNet(nn.Module):
    """Two-stream network: the exposure stream guides the segmentation stream.

    The stem and stage 1 are shared. Stages 2, 3 and 4 exist twice. Before each of them, an exposure
    guidance layer re-weights what the previous stage gives to the segmentation stream. ``guidance`` and
    ``exposure`` choose the paper's ablations.

    Args:
        backbone: a name in ``encoder.BACKBONES``; the paper's is ``resnet101``.
        num_classes: channels of the logits.
        output_stride: 8, 16 or 32, the stride of the logits.
        w1, w2: weights of Eq. 1.
        guidance: how exposure guides the segmentation: ``attention`` (Eq. 1), ``concat``, ``sum`` or
            ``none``.
        exposure: what is known of it: ``stream`` (learned), ``attention_map`` (the V channel in place of
            ``W_r``), ``input`` (the V channel as a fourth input channel, no guidance) or ``none`` (no
            guidance).
        decoder_width: channels of a ``FusionDecoder`` between the segmentation stream and its output layer,
            and four times those of one in the exposure stream; 0 for none, as in the paper.
        decoder_stride: 4 or 8, the stride of its result, and so of the logits.

    Attributes:
        has_attention: whether the guidance layers weight pixels, by ``W_r`` or by the V channel in its place.

    Shape: normalised RGB (N, 3, H, W), H and W from 32 up ->
        ``SegmentationOutput`` with logits (N, num_classes, ceil(H/s), ceil(W/s)),
        exposure (N, 1, H, W) in [0, 1], None without an exposure stream, and
        attention: ``W_r`` of the three guidance layers (Fig. 10), None if ``has_attention`` is False.

    Raises:
        ValueError: unknown backbone, output stride, guidance or exposure, or two that don't go together.
    """

    def __init__(
        self,
        backbone: str = "resnet101",
        num_classes: int = 19,
        output_stride: int = 8,
        w1: float = 1.0,
        w2: float = 0.3,
        guidance: Guidance = "attention",
        exposure: Exposure = "stream",
        decoder_width: int = 0,
        decoder_stride: int = 8,
    ) -> None:
        super().__init__()
        _check_combination(guidance, exposure)
        self.exposure = exposure
        self.has_attention = guidance == "attention"
        segmentation = build_encoder(backbone, output_stride, in_channels=4 if exposure == "input" else 3)
        channels = segmentation.out_channels
        self.stem = segmentation.stem
        self.stage1 = segmentation.stages[0]
        self._stage_prefixes = segmentation.stage_prefixes
        self.segmentation_stages = segmentation.stages[1:]
        self.guidance = nn.ModuleList(_guidance(guidance, exposure, c, w1, w2) for c in channels[:3])
        if decoder_width and decoder_width < 4:
            raise ValueError(f"decoder_width is {decoder_width}; give 4 or more, or 0 for no decoder")
        if decoder_stride not in DECODER_LEVELS:
            raise ValueError(f"decoder_stride is {decoder_stride}; it must be 4 or 8")
        level = DECODER_LEVELS[decoder_stride]
        self.decoder = FusionDecoder(channels, decoder_width, level) if decoder_width else LastScale()
        # 3x3 output layers: the paper gives the channels, not the kernel.
        self.segmentation_head = nn.Conv2d(
            decoder_width or channels[3], num_classes, kernel_size=3, padding=1
        )
        if exposure == "stream":
            self.exposure_stages = build_encoder(backbone, output_stride).stages[1:]
            width = decoder_width // 4
            self.exposure_decoder = FusionDecoder(channels, width, level) if decoder_width else LastScale()
            self.exposure_head = nn.Conv2d(width or channels[3], 1, kernel_size=3, padding=1)
        if exposure in ("input", "attention_map"):
            self.exposure_map = ExposureMap()

    def load_backbone(self, weights: dict[str, Tensor]) -> None:
        """Start both streams from one backbone's weights, see ``read_pretrained``.

        A fourth input channel starts at zero: the network then begins as the pretrained one.

        Raises:
            ValueError: a key is missing or misshapen; the message names it.
        """
        for first in ("conv1.weight", "conv_stem.weight"):
            if self.exposure == "input" and first in weights:
                weights = {**weights, first: F.pad(weights[first], (0, 0, 0, 0, 0, 1))}
        load_part(self.stem, weights, "")
        load_part(self.stage1, weights, self._stage_prefixes[0])
        streams = [self.segmentation_stages, *([self.exposure_stages] if self.exposure == "stream" else [])]
        for stages in streams:
            for stage, prefix in zip(stages, self._stage_prefixes[1:], strict=True):
                load_part(stage, weights, prefix)

    def forward(self, image: Tensor) -> SegmentationOutput:
        if self.exposure == "stream":
            return self._forward_streams(image)
        exposure = self.exposure_map(image) if self.exposure == "attention_map" else None
        features = torch.cat([image, self.exposure_map(image)], dim=1) if self.exposure == "input" else image
        features = self.stage1(self.stem(features))
        scales, maps = [], []
        for guidance, stage in zip(self.guidance, self.segmentation_stages, strict=True):
            guided, attention = guidance(features, exposure)
            scales.append(guided)
            maps.append(attention)
            features = stage(guided)
        logits = self.segmentation_head(self.decoder([*scales, features]))
        return SegmentationOutput(logits, attention=self._attention(maps))

    def _forward_streams(self, image: Tensor) -> SegmentationOutput:
        segmentation = exposure = self.stage1(self.stem(image))
        scales, exposure_scales, maps = [], [exposure], []
        for guidance, segmentation_stage, exposure_stage in zip(
            self.guidance, self.segmentation_stages, self.exposure_stages, strict=True
        ):
            guided, attention = guidance(segmentation, exposure)
            scales.append(guided)
            maps.append(attention)
            segmentation = segmentation_stage(guided)
            exposure = exposure_stage(exposure)
            exposure_scales.append(exposure)
        exposure_logits = self.exposure_head(self.exposure_decoder(exposure_scales))
        exposure_logits = F.interpolate(
            exposure_logits, size=image.shape[-2:], mode="bilinear", align_corners=False
        )
        logits = self.segmentation_head(self.decoder([*scales, segmentation]))
        return SegmentationOutput(logits, exposure_logits.sigmoid(), attention=self._attention(maps))

    def _attention(self, maps: list[Tensor]) -> tuple[Tensor, ...] | None:
        return tuple(maps) if self.has_attention else None


def _check_combination(guidance: str, exposure: str) -> None:
    for name, value, known in (("guidance", guidance, Guidance), ("exposure", exposure, Exposure)):
        if value not in get_args(known):
            raise ValueError(f"unknown {name} {value!r}; known: {', '.join(get_args(known))}")
    needed = {"stream": get_args(Guidance), "attention_map": ("attention",)}.get(exposure, ("none",))
    if guidance not in needed:
        raise ValueError(
            f"exposure {exposure!r} does not go with guidance {guidance!r}, only with {', '.join(needed)}"
        )


def _guidance(guidance: str, exposure: str, channels: int, w1: float, w2: float) -> nn.Module:
    if exposure == "attention_map":
        return MapGuidance(w1, w2)
    if guidance == "attention":
        return ExposureGuidance(channels, w1, w2)
    if guidance == "concat":
        return ConcatGuidance(channels, w1, w2)
    return SumGuidance(w1, w2) if guidance == "sum" else NoGuidance()
