# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What images and labels hold, in pixels: classes, exposure, sizes. Statistics add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch

from night_seg_ros.models.classes import IGNORE, NUM_CLASSES
from night_seg_ros.training.evaluation.metrics import EXPOSURE_BINS, exposure_bins


def _zeros(length: int) -> np.ndarray:
    return field(default_factory=lambda: np.zeros(length, np.int64))


@dataclass
class Statistics:
    """Counts over any number of images and labels.

    Attributes:
        images, labels: how many were counted.
        image_sizes, label_sizes: how many there are of each (width, height).
        value_pixels: pixels of the images by V of HSV = max(R, G, B), (256,) int64; ignored ones too.
        class_pixels: pixels of the labels by train id, (19,) int64.
        class_images: labels that hold the class at all, (19,) int64.
        ignored_pixels: pixels of the labels that never count.
    """

    images: int = 0
    labels: int = 0
    image_sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    label_sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    value_pixels: np.ndarray = _zeros(256)
    class_pixels: np.ndarray = _zeros(NUM_CLASSES)
    class_images: np.ndarray = _zeros(NUM_CLASSES)
    ignored_pixels: int = 0

    def add_image(self, image: np.ndarray) -> None:
        """Count an RGB image, (H, W, 3) uint8."""
        height, width, _ = image.shape
        value = cv2.max(cv2.max(image[..., 0], image[..., 1]), image[..., 2])
        self.images += 1
        self.image_sizes[width, height] += 1
        self.value_pixels += np.bincount(value.ravel(), minlength=256)

    def add_label(self, label: np.ndarray) -> None:
        """Count a label of train ids, (H, W) uint8."""
        height, width = label.shape
        pixels = np.bincount(label.ravel(), minlength=256)
        self.labels += 1
        self.label_sizes[width, height] += 1
        self.class_pixels += pixels[:NUM_CLASSES]
        self.class_images += pixels[:NUM_CLASSES] > 0
        self.ignored_pixels += int(pixels[IGNORE])

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            self.images + other.images,
            self.labels + other.labels,
            self.image_sizes + other.image_sizes,
            self.label_sizes + other.label_sizes,
            self.value_pixels + other.value_pixels,
            self.class_pixels + other.class_pixels,
            self.class_images + other.class_images,
            self.ignored_pixels + other.ignored_pixels,
        )

    @property
    def ignored_share(self) -> float:
        """Share of the pixels of the labels that are ignored, 0..1; NaN without labels."""
        total = int(self.class_pixels.sum()) + self.ignored_pixels
        return self.ignored_pixels / total if total else float("nan")

    @property
    def mean_exposure(self) -> float:
        """Mean of V / 255 over the pixels of the images, 0..1; NaN without images."""
        total = int(self.value_pixels.sum())
        return float(self.value_pixels @ np.arange(256)) / 255 / total if total else float("nan")

    @property
    def exposure_pixels(self) -> np.ndarray:
        """Pixels of the images by exposure bin, (10,) int64; see ``metrics.exposure_bins``."""
        pixels = np.zeros(EXPOSURE_BINS, np.int64)
        np.add.at(pixels, exposure_bins(torch.arange(256)).numpy(), self.value_pixels)
        return pixels
