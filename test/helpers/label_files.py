# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Writes label files and images, by a table of Cityscapes classes that is not the package's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

# From cityscapesScripts: train id -> label id, and label id -> colour.
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
COLOURS = {
    0: (0, 0, 0), 5: (111, 74, 0), 6: (81, 0, 81), 7: (128, 64, 128), 8: (244, 35, 232), 9: (250, 170, 160),
    10: (230, 150, 140), 11: (70, 70, 70), 12: (102, 102, 156), 13: (190, 153, 153), 14: (180, 165, 180),
    15: (150, 100, 100), 16: (150, 120, 90), 17: (153, 153, 153), 19: (250, 170, 30), 20: (220, 220, 0),
    21: (107, 142, 35), 22: (152, 251, 152), 23: (70, 130, 180), 24: (220, 20, 60), 25: (255, 0, 0),
    26: (0, 0, 142), 27: (0, 0, 70), 28: (0, 60, 100), 29: (0, 0, 90), 30: (0, 0, 110), 31: (0, 80, 100),
    32: (0, 0, 230), 33: (119, 11, 32),
}  # fmt: skip
VOID = tuple(sorted(set(COLOURS) - set(LABEL_IDS)))
HEIGHT, WIDTH = 8, 10


def label_ids(seed: int) -> np.ndarray:
    """All Cityscapes label ids, in a shuffled picture."""
    ids = np.resize(np.array([*LABEL_IDS, *VOID], np.uint8), HEIGHT * WIDTH)
    return np.random.default_rng(seed).permutation(ids).reshape(HEIGHT, WIDTH)


def train_ids(ids: np.ndarray) -> np.ndarray:
    return np.array([[LABEL_IDS.index(i) if i in LABEL_IDS else 255 for i in row] for row in ids], np.uint8)


def colours(ids: np.ndarray) -> np.ndarray:
    return np.array([[COLOURS[i] for i in row] for row in ids], np.uint8)


ENCODE = {"label ids": lambda ids: ids, "train ids": train_ids, "colours": colours}


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)  # type: ignore[arg-type]
    return path


def image(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def plant(root: Path, *files: str, content: str = "label ids") -> None:
    """Write images and labels: a path with "=" is the image's, and behind it the label's."""
    for seed, file in enumerate(files):
        picture, _, label = file.partition("=")
        save(root / picture, image(seed))
        if label:
            save(root / label, ENCODE[content](label_ids(seed)))
