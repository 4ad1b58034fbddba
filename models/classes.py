# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The 19 Cityscapes evaluation classes: names, colours, ids, and the normalisation of images.

Everything that speaks of classes or of normalised images takes it from here.
"""

from __future__ import annotations

import numpy as np

CLASSES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
    "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train",
    "motorcycle", "bicycle",
)  # fmt: skip
"""Class names by train id."""

NUM_CLASSES = len(CLASSES)

IGNORE = 255
"""Train id of pixels that never count."""

PALETTE = np.array(
    [
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
        (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152),
        (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100),
        (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ],
    np.uint8,
)  # fmt: skip
"""The Cityscapes colours, RGB, shape (19, 3), by train id."""

COLOUR_TABLE = np.zeros((256, 3), np.uint8)
"""``PALETTE`` by any value of a label image, RGB, shape (256, 3): what is no class is black."""
COLOUR_TABLE[:NUM_CLASSES] = PALETTE

LABEL_ID_TO_TRAIN_ID = np.full(256, IGNORE, np.uint8)
"""Lookup table from Cityscapes label ids (0..33) to train ids, shape (256,)."""
LABEL_ID_TO_TRAIN_ID[[7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]] = np.arange(
    NUM_CLASSES
)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Networks take RGB in [0, 1], less this mean, over this standard deviation."""
