# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Losses. They take their device and type from their inputs and never change them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from night_seg_ros.models.classes import IGNORE, NUM_CLASSES
from night_seg_ros.models.exposure import ExposureMap
from night_seg_ros.models.output import SegmentationOutput


class EGNetLoss(nn.Module):
    """``alpha * cross-entropy + beta * L1(exposure, V)`` (EGNet, total loss).

    Args:
        alpha, beta: weights of the two terms; the paper's are 1 and 0.01.
        class_weights: weight of each class in the cross-entropy, or None for 1.

    Shape: the model's output, the normalised image (N, 3, H, W) and the label (N, H, W) int64 with
        255 = ignored -> the two weighted terms ``segmentation`` and ``exposure``, scalars, means over
        pixels; without an exposure stream the first alone. The logits are upsampled to the label's size.
        A batch of ignored pixels only gives a segmentation term of 0.

    Raises:
        ValueError: ``class_weights`` are not one per class.
    """

    class_weights: Tensor | None

    def __init__(self, alpha: float, beta: float, class_weights: list[float] | None = None) -> None:
        super().__init__()
        if class_weights is not None and len(class_weights) != NUM_CLASSES:
            raise ValueError(f"loss.class_weights has {len(class_weights)} values, not {NUM_CLASSES}")
        self.alpha = alpha
        self.beta = beta
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)
        self.exposure_target = ExposureMap()

    def forward(self, output: SegmentationOutput, image: Tensor, label: Tensor) -> dict[str, Tensor]:
        logits = upsample(output, label.shape[-2:])
        losses = {"segmentation": self.alpha * cross_entropy(logits, label, self.class_weights)}
        if output.exposure is not None:
            target = self.exposure_target(image.float())
            losses["exposure"] = self.beta * F.l1_loss(output.exposure.float(), target)
        return losses


def upsample(output: SegmentationOutput, size: Sequence[int]) -> Tensor:
    """The logits at a label's size, (N, C, H, W) float32."""
    return F.interpolate(
        output.logits.float(), size=tuple(size), mode="bilinear", align_corners=output.align_corners
    )


def cross_entropy(logits: Tensor, label: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the pixels that count; 0 where none does (DANNet, Eq. 7; Bi-Mix, Eq. 13).

    With weights a weighted mean: over the sum of the weights of those pixels' classes. The papers print a
    division by N |C|, pixels times classes, which makes the loss 19 times smaller beside the others; the
    releases take the mean, as here.

    Shape: logits (N, C, H, W), label (N, H, W) int64 with 255 = ignored -> scalar.
    """
    total = F.cross_entropy(logits, label, class_weights, ignore_index=IGNORE, reduction="sum")
    valid = label != IGNORE
    if class_weights is None:
        weight = valid.sum()
    else:  # without label[valid], for whose size a GPU would have to be waited for
        weight = (class_weights[label.where(valid, 0)] * valid).sum()
    return total / weight.clamp(min=1e-6)
