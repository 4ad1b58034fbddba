"""Scores of label images, all from one confusion matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from night_seg_ros.models.classes import CLASSES, IGNORE, NUM_CLASSES


class SegmentationMetrics:
    """Accumulates a confusion matrix on its device; ignored pixels never count."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._confusion = MulticlassConfusionMatrix(NUM_CLASSES, ignore_index=IGNORE, validate_args=False).to(
            device
        )
        self.images = 0

    def update(self, prediction: Tensor, label: Tensor) -> None:
        """Add predictions and labels, train ids of shape (N, H, W)."""
        self._confusion.update(prediction.long(), label.long())
        self.images += len(label)

    def compute(self) -> dict[str, Any]:
        """The scores.

        Returns:
            ``miou`` (0..1), the mean of ``iou``: by class name, for the classes that occur in the
            prediction or in the truth; ``miou_truth``, the mean over the classes that occur in the truth;
            ``pixel_accuracy`` (0..1); ``images``, how many. NaN where no pixel counted.
        """
        confusion = self._confusion.compute().double()  # truth x prediction
        hit = confusion.diagonal()
        truth = confusion.sum(dim=1)
        union = truth + confusion.sum(dim=0) - hit
        iou = hit / union
        return {
            "miou": iou[union > 0].mean().item(),
            "miou_truth": iou[truth > 0].mean().item(),
            "pixel_accuracy": (hit.sum() / confusion.sum()).item(),
            "images": self.images,
            "iou": {name: iou[i].item() for i, name in enumerate(CLASSES) if union[i] > 0},
        }
