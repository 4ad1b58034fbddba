"""Labelled images, as samples ``{"image", "label", "name"}``.

``image`` is RGB, (3, H, W) uint8; ``label`` holds train ids, (H, W) uint8, 255 = ignored; both are
tv_tensors, so that torchvision's v2 transforms treat each as what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset
from torchvision import tv_tensors

from night_seg_ros.models.classes import IGNORE, LABEL_ID_TO_TRAIN_ID, NUM_CLASSES
from night_seg_ros.training.street import StreetScene

Sample = dict[str, Any]

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}


class DataError(ValueError):
    """Data that can't be used; the message says what is wrong, where, and what was expected."""


class LabelledFiles(Dataset[Sample]):
    """Image files, each with a label file.

    Args:
        images: folder that is searched for images, sub-folders too.
        label_of: path of the label of an image, given the image's path below ``images``.
        read_label: reads a label file as train ids, (H, W) uint8.

    Raises:
        DataError: a folder is missing or empty, or an image has no label.
    """

    def __init__(
        self, images: Path, label_of: Callable[[Path], Path], read_label: Callable[[Path], np.ndarray]
    ) -> None:
        self.read_label = read_label
        self.pairs: list[tuple[Path, Path]] = []
        for image in _list_images(images):
            label = label_of(image.relative_to(images))
            if not label.is_file():
                raise DataError(f"image {image} has no label: expected {label}")
            self.pairs.append((image, label))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        image, label = self.pairs[index]
        return to_sample(read_image(image), self.read_label(label), image.stem)


class FolderDataset(LabelledFiles):
    """Images of one folder, and in another label images of the same names: train ids, single-channel PNG."""

    def __init__(self, images: str | Path, labels: str | Path) -> None:
        super().__init__(Path(images), lambda image: Path(labels) / image.with_suffix(".png"), read_train_ids)


class CityscapesDataset(LabelledFiles):
    """Cityscapes as its owners ship it: ``leftImg8bit/SPLIT/CITY``, ``gtFine/SPLIT/CITY`` with label ids."""

    def __init__(self, root: str | Path, split: str) -> None:
        def label_of(image: Path) -> Path:
            name = image.name.replace("_leftImg8bit.png", "_gtFine_labelIds.png")
            return Path(root) / "gtFine" / split / image.parent / name

        super().__init__(Path(root) / "leftImg8bit" / split, label_of, read_label_ids)


class SyntheticStreets(Dataset[Sample]):
    """Synthetic streets, drawn as they are asked for; sample i is the scene of seed ``first_seed + i``.

    Args:
        night: render the night image instead of the day image.
        length: how many scenes there are.
        height, width: size of the images in pixels.
    """

    def __init__(
        self, night: bool, length: int, first_seed: int = 0, height: int = 360, width: int = 480
    ) -> None:
        self.night = night
        self.size = (height, width)
        self.length = length
        self.first_seed = first_seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.length:
            raise IndexError(index)
        seed = self.first_seed + index
        frame = StreetScene(seed).render(*self.size, day=not self.night, night=self.night)
        image = frame.night if self.night else frame.day
        assert image is not None
        return to_sample(image, frame.label, f"street_{seed:06d}")


LabelledImages = LabelledFiles | SyntheticStreets


def to_sample(image: np.ndarray, label: np.ndarray, name: str) -> Sample:
    """Wrap an RGB image (H, W, 3) uint8 and its label (H, W) uint8."""
    return {
        "image": tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1)),
        "label": tv_tensors.Mask(torch.from_numpy(label)),
        "name": name,
    }


def read_image(path: Path) -> np.ndarray:
    """Read an image as RGB, (H, W, 3) uint8.

    Raises:
        DataError: it can't be decoded.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"image {path} can't be decoded")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_train_ids(path: Path) -> np.ndarray:
    """Read a label image of train ids, (H, W) uint8.

    Raises:
        DataError: it can't be decoded, holds colours, or ids other than 0..18 and 255.
    """
    label = _read_single_channel(path)
    wrong = np.unique(label[(label >= NUM_CLASSES) & (label != IGNORE)])
    if wrong.size:
        raise DataError(
            f"label {path} holds the values {', '.join(map(str, wrong[:5]))}: train ids are "
            f"0..{NUM_CLASSES - 1} and {IGNORE}. If they are Cityscapes label ids, convert them"
        )
    return label


def read_label_ids(path: Path) -> np.ndarray:
    """Read a label image of Cityscapes label ids as train ids, (H, W) uint8.

    Raises:
        DataError: it can't be decoded, or holds colours.
    """
    return LABEL_ID_TO_TRAIN_ID[_read_single_channel(path)]


def _read_single_channel(path: Path) -> np.ndarray:
    label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if label is None:
        raise DataError(f"label {path} can't be decoded")
    if label.ndim != 2 or label.dtype != np.uint8:
        raise DataError(
            f"label {path} is {label.dtype} of shape {label.shape}: "
            "expected one 8-bit channel of ids, not colours"
        )
    return label


def _list_images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: expected one of images")
    images = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        raise DataError(f"folder {folder} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return images
