# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Makes image files in memory, whole ones and such that aren't."""

from __future__ import annotations

import io
import zlib

import numpy as np
from PIL import Image


def encode(rgb: np.ndarray, suffix: str = "jpeg", orientation: int | None = None, **options: object) -> bytes:
    """An image file of (H, W, 3) uint8 RGB, with an EXIF orientation if one is given."""
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, suffix, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def monstrous_png() -> bytes:
    """A small PNG whose header promises 60,000 x 60,000 pixels."""
    whole = encode(np.zeros((4, 4, 3), np.uint8), "png")
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + whole[24:29]
    return whole[:12] + header + zlib.crc32(header).to_bytes(4, "big") + whole[33:]


def monstrous_jpeg() -> bytes:
    """A small JPEG whose header promises 65,000 x 65,000 pixels."""
    whole = encode(np.zeros((16, 16, 3), np.uint8))
    frame = whole.index(b"\xff\xc0")
    return whole[: frame + 5] + (65_000).to_bytes(2, "big") * 2 + whole[frame + 9 :]


def exif_orientation(rgb: np.ndarray, orientation: int) -> np.ndarray:
    """What a viewer shows of pixels that are stored with an orientation, as the EXIF standard has it.

    It says where the stored row 0 and column 0 lie: 6 is "right side, top", for example.
    """
    turned = {
        1: rgb,
        2: np.fliplr(rgb),
        3: np.rot90(rgb, 2),
        4: np.flipud(rgb),
        5: np.rot90(np.fliplr(rgb)),
        6: np.rot90(rgb, -1),
        7: np.rot90(np.fliplr(rgb), -1),
        8: np.rot90(rgb),
    }
    return turned[orientation]
