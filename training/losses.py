"""Losses. They take their device and type from their inputs and never change them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from night_seg_ros.models.classes import IGNORE, IMAGENET_MEAN, IMAGENET_STD
from night_seg_ros.models.output import SegmentationOutput


class ExposureTarget(nn.Module):
    """Exposure of each pixel: V of HSV = max(R, G, B) (EGNet, section on the exposure stream).

    Shape: normalised image (N, 3, H, W) -> (N, 1, H, W) in [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        rgb = image.float() * self.std + self.mean
        return rgb.amax(dim=1, keepdim=True).clamp(0, 1)


class EGNetLoss(nn.Module):
    """``alpha * cross-entropy + beta * L1(exposure, V)``, both means over pixels (EGNet, total loss).

    Args:
        alpha, beta: weights of the two terms; the paper's are 1 and 0.01.
        class_weights: weight of each class in the cross-entropy, or None for 1.

    Shape: the model's output, the normalised image (N, 3, H, W) and the label (N, H, W) int64 with
        255 = ignored -> the two weighted terms ``segmentation`` and ``exposure``, scalars. The logits are
        upsampled to the label's size. A batch of ignored pixels only gives a segmentation term of 0.
    """

    class_weights: Tensor | None

    def __init__(self, alpha: float, beta: float, class_weights: list[float] | None = None) -> None:
        super().__init__()
        self.alpha = alpha
        self.beta = beta
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)
        self.exposure_target = ExposureTarget()

    def forward(self, output: SegmentationOutput, image: Tensor, label: Tensor) -> dict[str, Tensor]:
        if output.exposure is None:
            raise ValueError("EGNetLoss needs a model with an exposure stream")
        logits = F.interpolate(
            output.logits.float(), size=label.shape[-2:], mode="bilinear", align_corners=False
        )
        return {
            "segmentation": self.alpha * cross_entropy(logits, label, self.class_weights),
            "exposure": self.beta * F.l1_loss(output.exposure.float(), self.exposure_target(image)),
        }


def cross_entropy(logits: Tensor, label: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the pixels that count; 0 where none does.

    Shape: logits (N, C, H, W), label (N, H, W) int64 with 255 = ignored -> scalar.
    """
    total = F.cross_entropy(logits, label, class_weights, ignore_index=IGNORE, reduction="sum")
    valid = label != IGNORE
    weight = valid.sum() if class_weights is None else class_weights[label[valid]].sum()
    return total / weight.clamp(min=1e-6)
