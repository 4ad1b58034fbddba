# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The one decoder of images, and their sizes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from PIL import Image

from night_seg_ros.common import jpeg
from night_seg_ros.common.files import InputError, read_file

_ORIENTATION = 0x0112  # the EXIF tag
_LONGEST_SIDE = 1 << 20  # OpenCV takes no more


def read_image(path: Path) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 BGR, turned upright as its EXIF orientation says.

    Grey and 16-bit images are converted.

    Raises:
        InputError: it can't be read or decoded, or is not whole.
    """
    return decode_image(read_file(path), f"image {path}", upright=True)


def decode_image(data: bytes, what: str, *, upright: bool) -> np.ndarray:
    """Decode an image.

    A JPEG is whole without its end marker, too, and whatever follows on that marker.

    Args:
        data: a JPEG, PNG, WebP, BMP ...
        what: begins the message of an error.
        upright: turn the pixels as the EXIF orientation says; else they come as they are stored, but for
            TIFF, which OpenCV turns by itself.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        InputError: no image, not a whole one, or one of a monstrous size.
    """
    header = open_image(io.BytesIO(data), what)
    if data.startswith(jpeg.START) and not jpeg.has_end(data):
        pixels = _decode_without_end(data)
        if pixels is None:
            raise InputError(f"{what} can't be decoded: it is cut off")
    else:
        pixels = _decode(data)
        if pixels is None:
            raise InputError(f"{what} can't be decoded: it is no image, or not a whole one")
    return _turn(pixels, _orientation(header)) if upright and header.format != "TIFF" else pixels


def open_image(file: IO[bytes], what: str) -> Image.Image:
    """Read the header of an image, and no pixels.

    Args:
        what: begins the message of an error.

    Raises:
        InputError: no image, or one of a monstrous size.
    """
    try:
        image = Image.open(file)
        monstrous = max(image.size) > _LONGEST_SIDE
    except Image.DecompressionBombError:
        monstrous = True
    except Exception as error:  # there is no end to what Pillow raises on broken headers
        raise InputError(f"{what} can't be decoded: it is no image, or not a whole one") from error
    if monstrous:
        raise InputError(f"{what} can't be decoded: its header promises a monstrous size")
    return image


def read_size(path: Path) -> tuple[int, int]:
    """Height and width of the image that ``read_image`` gives, from the header of its file where that can be.

    Raises:
        InputError: it can't be read, is no image, or one of a monstrous size.
    """
    try:
        with path.open("rb") as file:
            header = open_image(file, f"image {path}")
            orientation = _orientation(header)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from error
    if header.format == "TIFF":  # some versions of Pillow give its size turned, some don't
        height, width, _ = read_image(path).shape
        return height, width
    width, height = header.size
    return (width, height) if orientation >= 5 else (height, width)


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale (H, W, 3) uint8 to a size: pixels are averaged where it shrinks, interpolated where it grows."""
    shrinks = height * width < image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def fit(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale (H, W, 3) uint8 to fit into a size, and fill the rest of it with black; keeps the proportions."""
    if image.shape[:2] == (height, width):
        return image
    scale = min(height / image.shape[0], width / image.shape[1])
    scaled = resize(image, max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale)))
    result = np.zeros((height, width, 3), np.uint8)
    top, left = (height - scaled.shape[0]) // 2, (width - scaled.shape[1]) // 2
    result[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return result


def _decode(data: bytes) -> np.ndarray | None:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def _decode_without_end(data: bytes) -> np.ndarray | None:
    """A JPEG that lacks its end marker; None if it lacks more: how it goes on then makes a difference."""
    scans = data.rstrip(b"\0").rstrip(b"\xff")  # zeros that fill a file up, and half an end marker
    if not jpeg.has_all_scans(scans):
        return None
    pixels, others = map(_decode, jpeg.continuations(scans))
    whole = pixels is not None and others is not None and np.array_equal(pixels, others)
    return pixels if whole else None


def _orientation(header: Image.Image) -> int:
    """1..8 as in EXIF; 1, upright, if it says nothing or nonsense."""
    try:
        # The method of the base class: that of a PNG decodes all pixels, to look for EXIF data behind them.
        found = int(Image.Image.getexif(header)[_ORIENTATION])
    except Exception:  # KeyError; and there is no end to what Pillow raises on broken EXIF data
        return 1
    return found if 1 <= found <= 8 else 1


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Mirror and turn pixels by an orientation of EXIF."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
