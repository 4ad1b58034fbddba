# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Scores of label images, all from one tensor of counts; and which images score worst."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from night_seg_ros.models.classes import CLASSES, IGNORE, NUM_CLASSES

EXPOSURE_BINS = 10
EXPOSURE_BIN_NAMES = tuple(
    f"{k / EXPOSURE_BINS:.1f} to {(k + 1) / EXPOSURE_BINS:.1f}" for k in range(EXPOSURE_BINS)
)


def exposure_bins(exposure: Tensor) -> Tensor:
    """Bin of each exposure: bin k holds [k / 10, (k + 1) / 10), the last one 1.0 as well (EGNet, EF1).

    In whole numbers, so that no rounding moves a pixel over an edge.

    Args:
        exposure: V of HSV = max(R, G, B), 0..255 = 0..1, any shape, uint8.

    Returns:
        0..9, int64, of the same shape.
    """
    return (exposure.long() * EXPOSURE_BINS // 255).clamp_(max=EXPOSURE_BINS - 1)


class SegmentationMetrics:
    """Counts pixels by exposure, truth and prediction on its device; all scores come from these counts.

    Whole numbers only: the scores depend neither on the order of the images nor on how they are shared
    between processes. ``update`` never waits for the device. Ignored pixels never count.

    Attributes:
        confusion: pixels by exposure bin, true class and predicted class, (10, 19, 19) int64.
        images: how many were added.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.confusion = torch.zeros(
            EXPOSURE_BINS, NUM_CLASSES, NUM_CLASSES, dtype=torch.int64, device=device
        )
        self.images = 0

    def update(self, prediction: Tensor, label: Tensor, exposure: Tensor) -> None:
        """Add images of one size.

        Args:
            prediction: (N, H, W) train ids 0..18.
            label: (N, H, W) train ids 0..18, or 255 where a pixel does not count.
            exposure: (N, H, W) uint8, V of the image.
        """
        cell = (exposure_bins(exposure) * NUM_CLASSES + label.long()) * NUM_CLASSES + prediction.long()
        cells = self.confusion.numel()
        cell = torch.where(label == IGNORE, cells, cell).flatten()  # one cell more, which is left out
        # torch.bincount would do the same, but on a GPU it waits for the device.
        counts = torch.zeros(cells + 1, dtype=torch.int64, device=cell.device)
        counts.scatter_add_(0, cell, torch.ones_like(cell))
        self.confusion += counts[:-1].view_as(self.confusion)
        self.images += len(label)

    def reduce(self, all_reduce: Callable[[Tensor], Tensor]) -> None:
        """Add up the counts of all processes, in each of them.

        Args:
            all_reduce: gives the sum over the processes of an int64 tensor on this one's device.
        """
        images = torch.tensor(self.images, device=self.confusion.device)
        self.confusion, self.images = all_reduce(self.confusion), int(all_reduce(images))

    def compute(self) -> dict[str, Any]:
        """The scores, as JSON values; None for what no pixel counted for.

        Returns:
            ``miou`` (0..1): the mean of ``iou``, by class name, over the classes that occur in the
            prediction or in the truth. ``miou_truth``: over those that occur in the truth.
            ``pixel_accuracy`` (0..1). ``images``: how many.

            EF1 of EGNet (Eq. 2, 3), the F1 score by exposure, 0..1, ten numbers each. ``ef1_micro``: from
            the true positives, false positives and false negatives of a bin, summed over the classes; as
            every pixel has one truth and one prediction, precision and recall are then both the bin's
            pixel accuracy. ``ef1_macro``: the F1 of mean precision and mean recall, both means over the
            classes that occur in the bin's truth or prediction; a class that is never predicted there has
            precision 0, one that is never true there has recall 0. ``mef1_micro``, ``mef1_macro``: the
            means over the bins that hold pixels. ``exposure_pixels``: how many pixels each bin holds.
        """
        by_exposure = self.confusion.cpu().double()
        pixels = by_exposure.sum(dim=(1, 2))
        confusion = by_exposure.sum(dim=0)  # truth x prediction
        hit = confusion.diagonal()
        truth = confusion.sum(dim=1)
        union = truth + confusion.sum(dim=0) - hit
        iou = hit / union
        micro = by_exposure.diagonal(dim1=1, dim2=2).sum(dim=1) / pixels
        macro = _macro_f1(by_exposure)
        return {
            "miou": _mean(iou[union > 0]),
            "miou_truth": _mean(iou[truth > 0]),
            "pixel_accuracy": (hit.sum() / pixels.sum()).item() if pixels.any() else None,
            "images": self.images,
            "iou": {name: iou[i].item() for i, name in enumerate(CLASSES) if union[i] > 0},
            "mef1_micro": _mean(micro[pixels > 0]),
            "mef1_macro": _mean(macro[pixels > 0]),
            "ef1_micro": [f1 if n else None for f1, n in zip(micro.tolist(), pixels, strict=True)],
            "ef1_macro": [f1 if n else None for f1, n in zip(macro.tolist(), pixels, strict=True)],
            "exposure_pixels": pixels.long().tolist(),
        }


def _macro_f1(confusion: Tensor) -> Tensor:
    """``ef1_macro`` of ``compute``: (bins, truth, prediction) -> (bins,); NaN if empty."""
    hit = confusion.diagonal(dim1=1, dim2=2)
    truth, predicted = confusion.sum(dim=2), confusion.sum(dim=1)  # bins x classes
    classes = ((truth > 0) | (predicted > 0)).sum(dim=1)
    precision = (hit / predicted.clamp(min=1)).sum(dim=1) / classes
    recall = (hit / truth.clamp(min=1)).sum(dim=1) / classes
    return 2 * precision * recall / (precision + recall).clamp(min=torch.finfo(confusion.dtype).tiny)


def _mean(values: Tensor) -> float | None:
    return values.mean().item() if len(values) else None


class WorstImages:
    """Keeps the numbers of the images with the lowest pixel accuracy, and nothing else of any image.

    Pixel accuracy, not mIoU: there, one wrong pixel of a class that the image lacks would cost as much as
    a whole class.

    Args:
        count: how many to keep.
        device: of the predictions.
    """

    def __init__(self, count: int, device: torch.device | str = "cpu") -> None:
        self.count = count
        self._accuracies = torch.empty(0, device=device)
        self._numbers = torch.empty(0, dtype=torch.int64, device=device)

    def update(self, number: int, prediction: Tensor, label: Tensor) -> None:
        """Consider an image, without waiting for the device.

        Args:
            number: of the image.
            prediction, label: train ids of any one shape; 255 in the label = does not count.
        """
        counted = label != IGNORE
        accuracy = ((prediction == label) & counted).sum() / counted.sum()  # NaN, the last, if none counts
        accuracies, order = torch.cat([self._accuracies, accuracy.view(1)]).sort(stable=True)
        numbers = torch.cat([self._numbers, self._numbers.new_full((1,), number)])[order]
        self._accuracies, self._numbers = accuracies[: self.count], numbers[: self.count]

    def compute(self) -> list[tuple[int, float]]:
        """Number and pixel accuracy (0..1) of the images that were kept, the worst one first."""
        kept = zip(self._numbers.tolist(), self._accuracies.tolist(), strict=True)
        return [(number, accuracy) for number, accuracy in kept if not math.isnan(accuracy)]
