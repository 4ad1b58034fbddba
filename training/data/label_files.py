# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Label images of every kind as train ids.

A label file holds one of three things: Cityscapes label ids (0..33; 255 where -1 was written as a byte),
train ids (0..18; 255 = ignored) or Cityscapes colours. All files of a data set hold the same one, so it is
decided once, by ``detect_format``.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image

from night_seg_ros.common.files import InputError, read_file
from night_seg_ros.common.images import open_image
from night_seg_ros.models.classes import IGNORE, LABEL_ID_TO_TRAIN_ID, NUM_CLASSES, PALETTE

LabelFormat = Literal["label ids", "train ids", "colours"]

LAST_LABEL_ID = 33
SAMPLED = 8  # files that detect_format looks into

# Cityscapes' colours of what is not evaluated: unlabelled, dynamic, ground, parking, rail track, guard rail,
# bridge, tunnel, caravan, trailer. Its licence plates and pole groups look like cars and poles.
VOID_COLOURS = (
    (0, 0, 0), (111, 74, 0), (81, 0, 81), (250, 170, 160), (230, 150, 140), (180, 165, 180),
    (150, 100, 100), (150, 120, 90), (0, 0, 90), (0, 0, 110),
)  # fmt: skip
_UNKNOWN = 254

# What the end of a label file's name says about it, as the owners of the data sets write it.
_NAME_HINTS: tuple[tuple[str, LabelFormat], ...] = (
    (r"train_?ids?$", "train ids"),
    (r"label_?ids?$", "label ids"),
    (r"[_-](label)?colou?rs?$", "colours"),
)


class DataError(InputError):
    """Data that can't be used; the message says what is wrong, where, and what was expected."""


def read_label(path: Path, label_format: LabelFormat) -> np.ndarray:
    """Read a label image.

    Args:
        path: an image with one channel of ids (grey, palette, or three equal channels), or, for ``colours``,
            a palette or RGB image; a fourth channel is left aside.
        label_format: what the file holds.

    Returns:
        Train ids, (H, W) uint8: 0..18, and 255 = ignored.

    Raises:
        InputError: the file can't be read or decoded, or holds something else than the format has.
    """
    image = _open(path)
    if label_format == "colours":
        return _from_colours(path, image)
    ids = _ids(path, image)
    table = _TRAIN_IDS if label_format == "train ids" else _LABEL_IDS
    label = table[ids]
    if (label == _UNKNOWN).any():
        row, column = np.argwhere(label == _UNKNOWN)[0]
        last = NUM_CLASSES - 1 if label_format == "train ids" else LAST_LABEL_ID
        raise DataError(
            f"label {path} holds {ids[row, column]} at row {row}, column {column}: "
            f"the {label_format} of this data set are 0..{last} and {IGNORE}"
        )
    return label


def detect_format(paths: Sequence[Path]) -> LabelFormat:
    """Tell what the label files of a data set hold.

    Eight files spread over the set are looked at. Colours show themselves. Ids are label ids if one of the
    files has an id of 19..33 (vegetation, sky, people and cars are among them, so that hardly a street lacks
    all), and otherwise train ids. The name (``_labelIds``, ``_trainIds``, ``_color``) decides in one case:
    ids that are all below 19, without 255, are label ids if the files are called so. Where name and content
    contradict each other, nothing is guessed.

    Args:
        paths: the label files, at least one.

    Raises:
        InputError: a file can't be read or decoded, is of no known format, or is not what its name or the
            others say.
    """
    hint = _name_hint(paths[0])
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, SAMPLED).round().astype(int))]
    content = _content({path: _open(path) for path in chosen}, hint)
    if hint is None:
        return content.formats[0]
    if hint not in content.formats:
        raise DataError(
            f"label {content.path} holds {content.words}, but its name says {hint}: rename the label files"
        )
    return hint


class _Content(NamedTuple):
    """What label files hold."""

    formats: tuple[LabelFormat, ...]  # those that it may be; the first, where the names don't tell
    words: str
    path: Path  # a file that shows it


def _content(images: dict[Path, Image.Image], hint: LabelFormat | None) -> _Content:
    in_colours = _coloured(images, hint)
    seen: dict[int, Path] = {}  # ids, each with the first file that has it
    for path, image in images.items():
        if path in in_colours:
            _from_colours(path, image)
        else:
            for value in np.flatnonzero(np.bincount(_ids(path, image).ravel())).tolist():
                seen.setdefault(value, path)
    if not in_colours:
        return _content_of_ids(seen)
    if seen:
        raise DataError(
            f"label {in_colours[0]} holds colours, but label {next(iter(seen.values()))} holds ids"
        )
    return _Content(("colours",), "colours", in_colours[0])


def _coloured(images: dict[Path, Image.Image], hint: LabelFormat | None) -> list[Path]:
    """The files of which the colours count, rather than the ids."""
    coloured = [path for path, image in images.items() if _is_coloured(image)]
    # A palette is often just there for viewers of ids: they count if the name says so, or one file's colours
    # aren't Cityscapes'.
    palettes = {path for path, image in images.items() if image.mode == "P"}
    if hint in ("label ids", "train ids") or not palettes.issubset(coloured):
        return [path for path in coloured if path not in palettes]
    return coloured


def _content_of_ids(seen: dict[int, Path]) -> _Content:
    for value, path in seen.items():
        if LAST_LABEL_ID < value < IGNORE:
            raise DataError(
                f"label {path} holds {value}: neither a label id (0..{LAST_LABEL_ID}) "
                f"nor a train id (0..{NUM_CLASSES - 1}, {IGNORE}) nor a colour"
            )
    for value, path in seen.items():
        if NUM_CLASSES <= value <= LAST_LABEL_ID:
            return _Content(("label ids",), f"the label id {value}", path)
    words = f"train ids (0..{NUM_CLASSES - 1}, {IGNORE})"
    if IGNORE in seen:
        return _Content(("train ids",), words, seen[IGNORE])
    return _Content(("train ids", "label ids"), words, next(iter(seen.values())))


def _name_hint(path: Path) -> LabelFormat | None:
    for pattern, label_format in _NAME_HINTS:
        if re.search(pattern, path.stem, re.IGNORECASE):
            return label_format
    return None


def _open(path: Path) -> Image.Image:
    """Decode a label; its mode is one of L, P, RGB and RGBA."""
    image = open_image(io.BytesIO(read_file(path)), f"label {path}")
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:  # SyntaxError: Pillow's word for a broken PNG
        raise InputError(f"label {path} can't be decoded: it is no image, or not a whole one") from error
    if image.mode not in ("L", "P", "RGB", "RGBA"):
        raise DataError(f"label {path} is of the mode {image.mode}: expected 8-bit grey, palette or RGB")
    return image


def _is_coloured(image: Image.Image) -> bool:
    """Whether the colours of an image are the label, rather than the numbers in it."""
    if image.mode == "L":
        return False
    if image.mode == "P":
        # With a palette that is grey or of other colours than Cityscapes', the ids count.
        used = _palette(image)[:, np.bincount(np.asarray(image).ravel(), minlength=256) > 0]
        return not _is_grey(used) and _all_known(used)
    pixels = np.asarray(image)
    return not _is_grey(pixels) or _all_known(pixels)


def _all_known(colours: np.ndarray) -> bool:
    return bool((_colour_table()[_packed(colours)] != _UNKNOWN).all())


def _is_grey(colours: np.ndarray) -> bool:
    return bool((colours[..., :1] == colours[..., 1:3]).all())


def _ids(path: Path, image: Image.Image) -> np.ndarray:
    """The numbers in a label, (H, W) uint8."""
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        return pixels
    if not _is_grey(pixels):
        raise DataError(f"label {path} holds colours, but the other labels of this data set hold ids")
    return pixels[..., 0]


def _from_colours(path: Path, image: Image.Image) -> np.ndarray:
    if image.mode == "L":
        raise DataError(f"label {path} holds ids, but the other labels of this data set hold colours")
    if image.mode == "P":
        label = _colour_table()[_packed(_palette(image))][0][np.asarray(image)]
    else:
        label = _colour_table()[_packed(np.asarray(image))]
    if (label == _UNKNOWN).any():
        row, column = np.argwhere(label == _UNKNOWN)[0]
        colour = image.convert("RGB").getpixel((int(column), int(row)))
        raise DataError(
            f"label {path} holds the colour {colour} at row {row}, column {column}: not one of Cityscapes"
        )
    return label


def _palette(image: Image.Image) -> np.ndarray:
    """Colours of a palette image by index, (1, 256, 3) uint8; what the file leaves out is black."""
    colours = np.zeros((1, 256, 3), np.uint8)
    given = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    colours[0, : len(given)] = given
    return colours


def _packed(colours: np.ndarray) -> np.ndarray:
    """One number below 2^24 for each colour, (H, W, 3 or 4) uint8 -> (H, W) uint32."""
    four = colours if colours.shape[2] == 4 else cv2.cvtColor(colours, cv2.COLOR_RGB2RGBA)
    return four.view("<u4")[..., 0] & 0xFFFFFF


@functools.cache
def _colour_table() -> np.ndarray:
    """Train id by packed colour, (2^24,) uint8: one look-up per pixel is far faster than a search."""
    table = np.full(1 << 24, _UNKNOWN, np.uint8)
    table[_packed(np.array([VOID_COLOURS], np.uint8))] = IGNORE
    table[_packed(PALETTE[None])] = np.arange(NUM_CLASSES)
    return table


def _id_table(train_ids: np.ndarray) -> np.ndarray:
    table = np.full(256, _UNKNOWN, np.uint8)
    table[: len(train_ids)] = train_ids
    table[IGNORE] = IGNORE
    return table


_TRAIN_IDS = _id_table(np.arange(NUM_CLASSES, dtype=np.uint8))
_LABEL_IDS = _id_table(LABEL_ID_TO_TRAIN_ID[: LAST_LABEL_ID + 1])
