# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Draws the contact sheet of a drive: frames and what the network makes of them, side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from night_seg_ros.common.images import fit
from night_seg_ros.inference.colours import colourise
from night_seg_ros.models.classes import CLASSES
from night_seg_ros.pictures.drawing import (
    BACKGROUND,
    BRIGHT,
    LEGEND_LINE,
    draw_legend,
    font,
    map_colours,
)

_DIM = (150, 156, 166)
_CELL_WIDTH = 400
_GAP = 8
_MARGIN = 28
_LEGEND_COLUMNS = 7


@dataclass(frozen=True)
class Row:
    """One line of the sheet.

    ``camera`` and ``overlay`` are (H, W, 3) uint8 BGR, ``labels`` (H, W) uint8 train ids, ``exposure``
    (H, W) uint8, 0..255 = 0..1, or None where it was not recorded.
    """

    caption: str
    camera: np.ndarray
    labels: np.ndarray
    exposure: np.ndarray | None
    overlay: np.ndarray


def contact_sheet(rows: list[Row], title: str, subtitle: str) -> np.ndarray:
    """Lay out the rows under column titles, with a legend of the class colours below; (H, W, 3) uint8 BGR."""
    titles = ["camera", "labels", "exposure map", "overlay"]
    height, width = rows[0].camera.shape[:2]
    cell = round(_CELL_WIDTH * height / width)
    sheet_width = 2 * _MARGIN + len(titles) * _CELL_WIDTH + (len(titles) - 1) * _GAP
    top = _MARGIN + 96
    legend_top = top + len(rows) * (cell + _GAP) + 18
    legend_height = -(-len(CLASSES) // _LEGEND_COLUMNS) * LEGEND_LINE
    sheet = Image.new("RGB", (sheet_width, legend_top + legend_height + _MARGIN - 6), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN - 8), title, BRIGHT, font(28))
    draw.text((_MARGIN, _MARGIN + 30), subtitle, _DIM, font(17))

    for column, name in enumerate(titles):
        left = _MARGIN + column * (_CELL_WIDTH + _GAP)
        draw.text((left, top - 26), name, BRIGHT, font(18))
        if name == "exposure map":
            _draw_scale(sheet, draw, left + _CELL_WIDTH, top - 20)
    for index, row in enumerate(rows):
        y = top + index * (cell + _GAP)
        exposure = np.zeros_like(row.camera) if row.exposure is None else map_colours(row.exposure)
        for column, bgr in enumerate((row.camera, colourise(row.labels), exposure, row.overlay)):
            picture = Image.fromarray(fit(bgr, cell, _CELL_WIDTH)[:, :, ::-1])
            sheet.paste(picture, (_MARGIN + column * (_CELL_WIDTH + _GAP), y))
        # Dark behind bright letters: readable on sky and on night.
        draw.text(
            (_MARGIN + 8, y + cell - 26),
            row.caption,
            BRIGHT,
            font(16),
            stroke_width=2,
            stroke_fill=(0, 0, 0),
        )
    draw_legend(draw, _MARGIN, legend_top, sheet_width - 2 * _MARGIN, _LEGEND_COLUMNS)
    return np.ascontiguousarray(np.asarray(sheet)[:, :, ::-1])


def _draw_scale(sheet: Image.Image, draw: ImageDraw.ImageDraw, right: int, y: int) -> None:
    """The colours of the exposure map from dark to bright, ending at ``right``."""
    ramp = np.tile(np.linspace(0, 255, 110).astype(np.uint8), (12, 1))
    left = right - 48 - ramp.shape[1]
    sheet.paste(Image.fromarray(map_colours(ramp)[:, :, ::-1]), (left, y))
    draw.text((left - 6, y - 2), "dark", _DIM, font(14), anchor="ra")
    draw.text((right, y - 2), "bright", _DIM, font(14), anchor="ra")
