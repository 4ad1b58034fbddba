# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the pictures for people have in common: colours, font, legend."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import ImageDraw, ImageFont

from night_seg_ros.models.classes import CLASSES, PALETTE

BACKGROUND = (17, 19, 24)  # RGB
BRIGHT = (236, 238, 242)
LEGEND_LINE = 28

# BGR; brighter than all that mark_wrong leaves grey, so that it shows without colour vision, and in print.
_WRONG = (0, 160, 255)
_WRONG_WEIGHT = 0.8


def draw_legend(draw: ImageDraw.ImageDraw, left: int, top: int, width: int, columns: int) -> None:
    """Draw the colours and names of the classes, in lines of ``LEGEND_LINE`` pixels."""
    for index, (name, colour) in enumerate(zip(CLASSES, PALETTE, strict=True)):
        line, column = divmod(index, columns)
        x, y = left + round(column * width / columns), top + line * LEGEND_LINE
        draw.rounded_rectangle((x, y, x + 26, y + 18), 4, fill=tuple(int(value) for value in colour))
        draw.text((x + 34, y), name, BRIGHT, font(16))


def map_colours(exposure: np.ndarray) -> np.ndarray:
    """(H, W) uint8 -> (H, W, 3) uint8 BGR, black over violet and orange to pale yellow."""
    return cv2.applyColorMap(exposure, cv2.COLORMAP_INFERNO)


def mark_wrong(bgr: np.ndarray, wrong: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Mark pixels of a frame: orange where they are wrong, dim grey where right, black where ignored.

    One colour, not those of the classes: some of these are as dark and grey as the frame.

    Args:
        bgr: (H, W, 3) uint8, the frame.
        wrong, ignored: (H, W) bool.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    grey = cv2.cvtColor(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    dim = cv2.convertScaleAbs(grey, alpha=0.4, beta=30)  # the darkest of a night, too, is not the black
    orange = cv2.addWeighted(dim, 1 - _WRONG_WEIGHT, np.full_like(dim, _WRONG), _WRONG_WEIGHT, 0)
    marked = np.where(wrong[:, :, None], orange, dim)
    marked[ignored] = 0
    return marked


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all pictures, in pixels."""
    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow before 10.1 has one small font only
        return ImageFont.load_default()
