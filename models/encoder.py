# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Encoders by name: what a network is built on."""

from __future__ import annotations

from typing import Any

from night_seg_ros.models.efficientnet_lite import SCALES, EfficientNetLiteStages
from night_seg_ros.models.resnet import BACKBONES as RESNETS
from night_seg_ros.models.resnet import ResNetStages

Encoder = ResNetStages | EfficientNetLiteStages
"""Maps an image to features at four scales."""

BACKBONES = (*RESNETS, *SCALES)


def build_encoder(backbone: str, output_stride: int = 32, in_channels: int = 3, **resnet: Any) -> Encoder:
    """Build an encoder with random weights.

    Args:
        backbone: a name in ``BACKBONES``.
        output_stride: input pixels per feature of the last stage: 8, 16 or 32.
        in_channels: channels of the image.
        resnet: details of a ResNet that a paper gives, see ``ResNetStages``; they mean nothing to others.

    Raises:
        ValueError: unknown backbone or output stride.
    """
    if backbone in SCALES:
        return EfficientNetLiteStages(backbone, output_stride, in_channels)
    if backbone in RESNETS:
        return ResNetStages(backbone, output_stride, in_channels, **resnet)
    raise ValueError(f"unknown backbone {backbone!r}; known: {', '.join(BACKBONES)}")
