# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Lays titled pictures of one size side by side."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from night_seg_ros.common.images import resize
from night_seg_ros.models.classes import CLASSES
from night_seg_ros.pictures.drawing import BACKGROUND, BRIGHT, LEGEND_LINE, draw_legend, font

_LONGER_SIDE = 640  # of a tile, in pixels
_TITLE_HEIGHT = 38
_GAP = 10


def tile_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the tile for a picture of this size, in pixels; it keeps the proportions."""
    scale = _LONGER_SIDE / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def lay_out(columns: list[list[tuple[str, np.ndarray]]]) -> np.ndarray:
    """Draw columns of tiles, each with its title above it.

    Args:
        columns: title and picture, (H, W, 3) uint8 BGR, of each tile from the top; all pictures are scaled to
            the tile of the first.

    Returns:
        (H', W', 3) uint8 BGR.
    """
    height, width = tile_size(*columns[0][0][1].shape[:2])
    step_down, step_right = _TITLE_HEIGHT + height + _GAP, width + _GAP
    rows = max(len(column) for column in columns)
    sheet = np.empty((rows * step_down, _GAP + len(columns) * step_right, 3), np.uint8)
    sheet[:] = BACKGROUND[::-1]
    for i, column in enumerate(columns):
        left = _GAP + i * step_right
        for k, (title, picture) in enumerate(column):
            top = k * step_down
            sheet[top : top + _TITLE_HEIGHT, left : left + width] = _title(title, width)
            top += _TITLE_HEIGHT
            sheet[top : top + height, left : left + width] = resize(picture, height, width)
    return sheet


@lru_cache
def legend(height: int, width: int) -> np.ndarray:
    """A tile with the colours of the classes, (height, width, 3) uint8 BGR."""
    columns = -(-len(CLASSES) // max(1, height // LEGEND_LINE))
    tile = Image.new("RGB", (width, height), BACKGROUND)
    draw_legend(ImageDraw.Draw(tile), 0, 0, width, columns)
    return np.asarray(tile)[:, :, ::-1]


@lru_cache
def _title(text: str, width: int) -> np.ndarray:
    strip = Image.new("RGB", (width, _TITLE_HEIGHT), BACKGROUND)
    ImageDraw.Draw(strip).text((0, _TITLE_HEIGHT // 2), text, BRIGHT, font(24), anchor="lm")
    return np.asarray(strip)[:, :, ::-1]
