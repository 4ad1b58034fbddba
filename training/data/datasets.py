# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Labelled images, as samples ``{"image", "label", "name"}``.

``image`` is RGB, (3, H, W) uint8; ``label`` holds train ids, (H, W) uint8, 255 = ignored, and is missing
where there are none; both are tv_tensors, so that torchvision's v2 transforms treat each as what it is.
``open_dataset`` opens each data set of ``DATASETS`` as its owners ship it.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from night_seg_ros.common.files import read_file
from night_seg_ros.common.images import read_image
from night_seg_ros.training.data.label_files import DataError, detect_format, read_label
from night_seg_ros.training.data.layouts import FileList, FolderLayout, find_files, has_images, match_files
from night_seg_ros.training.data.names import SYNTHETIC
from night_seg_ros.training.data.night_simulation import NightSimulation
from night_seg_ros.training.streets.scene import StreetScene
from night_seg_ros.training.streets.street import HELD_OUT_SEEDS

if TYPE_CHECKING:
    from torchvision import tv_tensors

Sample = dict[str, Any]

NIGHT_SEED = 11  # of the nights that models are scored on; no training draws from it


class LabelledFiles(Dataset[Sample]):
    """Image files, each with a label file; or all of them without.

    Args:
        files: the images and their labels.
        label_scales: how many times as wide and high as its image a label may be.

    Attributes:
        pairs: the image and the label (None: without) of each sample.
        labelled: whether the samples have labels.
        label_format: what the label files hold; None without labels. Samples have train ids in any case.

    Raises:
        DataError: an image has no label, or the label files are of no known format.
    """

    def __init__(self, files: FileList, label_scales: tuple[int, ...] = (1,)) -> None:
        if files.missing:
            image, expected = files.missing[0]
            more = f" (one of {len(files.missing)} such images)" if len(files.missing) > 1 else ""
            raise DataError(f"image {image} has no label: expected {expected}{more}")
        self.pairs = files.pairs
        self.label_scales = label_scales
        labels = [label for _, label in self.pairs if label is not None]
        self.labelled = bool(labels)
        self.label_format = detect_format(labels) if labels else None

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Read a sample.

        Raises:
            InputError: a file can't be read or decoded, or image and label differ in size.
        """
        image_file, label_file = self.pairs[index]
        image = read_rgb(image_file)
        if label_file is None or self.label_format is None:
            return to_sample(image, None, image_file.stem)
        label = read_label(label_file, self.label_format)
        height, width, _ = image.shape
        if label.shape not in [(height * scale, width * scale) for scale in self.label_scales]:
            turned = label.shape == (width, height)
            raise DataError(
                f"image {image_file} of {width}x{height} and label {label_file} of "
                f"{label.shape[1]}x{label.shape[0]} differ in size"
                + (": a label lies on the image as its EXIF orientation turns it" if turned else "")
            )
        return to_sample(image, label, image_file.stem)


class FolderDataset(LabelledFiles):
    """Images of one folder, and in another label PNGs of the same names; sub-folders too."""

    def __init__(self, images: str | Path, labels: str | Path) -> None:
        super().__init__(match_files(Path(images), [Path(labels)], "", (".png",)))


class PublishedDataset(LabelledFiles):
    """A split of a data set as its owners ship it; its sub-classes say how that is.

    Args:
        root: folder of the data set.
        split: one of ``SPLITS``.

    Attributes:
        LAYOUTS: how the data set may lie on the disk, tried in this order.
        SPLITS: names of the splits, each with the folder names it goes by, tried in this order.
        PARTS: parts that a split is made of, all needed; ``{part}`` in a layout.
        UNLABELLED: splits whose labels are not published.
        LABEL_SCALES: see ``LabelledFiles``, for splits where it isn't (1,).

    Raises:
        DataError: the split is unknown, or a folder or file is missing; says what was expected where.
    """

    LAYOUTS: tuple[FolderLayout, ...]
    SPLITS: dict[str, tuple[str, ...]]
    PARTS: tuple[str, ...] = ("",)
    UNLABELLED: tuple[str, ...] = ()
    LABEL_SCALES: dict[str, tuple[int, ...]] = {}

    def __init__(self, root: str | Path, split: str) -> None:
        super().__init__(self.list_files(root, split), self.LABEL_SCALES.get(split, (1,)))

    @classmethod
    def splits_in(cls, root: str | Path) -> list[str]:
        """The splits that ``root`` has a folder of images for."""
        return [
            split
            for split, folders in cls.SPLITS.items()
            if all(has_images(Path(root), cls.LAYOUTS, folders[0], part) for part in cls.PARTS)
        ]

    @classmethod
    def list_files(cls, root: str | Path, split: str) -> FileList:
        """The files of a split, also where some labels are missing.

        Raises:
            DataError: the split is unknown, or its images or all of its labels are not there.
        """
        if split not in cls.SPLITS:
            raise DataError(f"no split {split!r}: the splits of this data set are {', '.join(cls.SPLITS)}")
        labelled = split not in cls.UNLABELLED
        parts = (find_files(Path(root), cls.LAYOUTS, cls.SPLITS[split], part, labelled) for part in cls.PARTS)
        return sum(parts, FileList())


class SplitFolders(PublishedDataset):
    """The folder layout: ``images/SPLIT``, and ``labels/SPLIT`` with PNGs of the same names."""

    LAYOUTS = (FolderLayout(("images/{split}",), ("labels/{split}",), "", (".png",)),)

    @classmethod
    def splits_in(cls, root: str | Path) -> list[str]:
        """The sub-folders of ``images``."""
        return sorted(path.name for path in Path(root, "images").glob("[!.]*") if path.is_dir())

    @classmethod
    def list_files(cls, root: str | Path, split: str) -> FileList:
        """The files of a split; any folder is one.

        Raises:
            DataError: its images or all of its labels are not there.
        """
        return find_files(Path(root), cls.LAYOUTS, (split,), "", labelled=True)


class NightCityDataset(PublishedDataset):
    """NightCity (Tan et al.), 2,998 images of 1024x512 for training and 1,299 to test on.

    In the owners' layout, or that of NightCity-fine (Wei et al., ICCV 2023). The validation labels that Deng
    et al. (CVPR 2022) re-annotated, 2048x1024, in the place of the first ones are told by their size.
    """

    SPLITS = {"train": ("train",), "val": ("val", "test"), "test": ("test", "val")}
    LAYOUTS = (
        FolderLayout(
            ("images/{split}", "NightCity-images/images/{split}", "NightCity-images/{split}"),
            ("label/{split}", "NightCity-label/label/{split}", "NightCity-label/{split}"),
            "",
            ("_trainIds.png", "_labelIds.png", ".png", "_color.png"),
        ),
        FolderLayout(("{split}/img",), ("{split}/lbl",), "", ("_trainIds.png", "_labelIds.png", ".png")),
    )
    LABEL_SCALES = {"val": (1, 2), "test": (1, 2)}


class CityscapesDataset(PublishedDataset):
    """Cityscapes (Cordts et al., CVPR 2016): leftImg8bit and gtFine unpacked into one folder."""

    SPLITS = {"train": ("train",), "val": ("val",), "test": ("test",)}
    UNLABELLED = ("test",)  # gtFine has files for it, but all of their pixels are void
    LAYOUTS = (
        FolderLayout(
            ("leftImg8bit/{split}",),
            ("gtFine/{split}",),
            "_leftImg8bit.png",
            ("_gtFine_labelIds.png", "_gtFine_labelTrainIds.png"),
        ),
    )


class BDD100KDataset(PublishedDataset):
    """BDD100K (Yu et al., CVPR 2020): the 10K images and semantic segmentation, or the older ``seg``."""

    SPLITS = {"train": ("train",), "val": ("val",), "test": ("test",)}
    UNLABELLED = ("test",)
    LAYOUTS = (
        FolderLayout(("images/10k/{split}",), ("labels/sem_seg/masks/{split}",), ".jpg", (".png",)),
        FolderLayout(("seg/images/{split}",), ("seg/labels/{split}",), ".jpg", ("_train_id.png",)),
    )


class BDD100KNightDataset(BDD100KDataset):
    """The night images of BDD100K.

    They are those that ``night_SPLIT.txt`` in the root names, one a line, as file names or paths. Without
    this file, those whose ``attributes.timeofday`` is "night" in the owners' detection labels,
    ``labels/det_20`` or ``labels/bdd100k_labels_images_*.json``: reading these takes a while, and images that
    they don't speak of are left out. To do it once and keep the list::

        pairs = open_dataset("bdd100k_night", root, "train").pairs
        with Path(root, "night_train.txt").open("w") as names:
            for image, _ in pairs:
                print(image.name, file=names)
    """

    @classmethod
    def list_files(cls, root: str | Path, split: str) -> FileList:
        """The files of the night images of a split; ``orphans`` is empty.

        Raises:
            DataError: as for BDD100K, or nothing tells which images are of the night.
        """
        files = super().list_files(root, split)
        known = {image.stem for image, _ in [*files.pairs, *files.missing]}
        listed = Path(root, f"night_{split}.txt")
        night = _listed_names(listed, known) if listed.is_file() else _night_by_attributes(Path(root))
        if not night & known:
            raise DataError(
                f"nothing in {root} says which images of {split!r} are of the night: expected "
                f"{listed.name} with an image name per line, or {' or '.join(TIMES_OF_DAY)} "
                'with the attributes.timeofday "night"'
            )
        return FileList(
            [pair for pair in files.pairs if pair[0].stem in night],
            [pair for pair in files.missing if pair[0].stem in night],
        )


TIMES_OF_DAY = ("labels/det_20/*.json", "labels/bdd100k_labels_images_*.json")


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a text file that are not empty, stripped, with their numbers from 1.

    Raises:
        InputError: the file can't be read, is empty or is no UTF-8.
    """
    try:
        text = read_file(path).decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: save it as UTF-8") from error
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _listed_names(path: Path, known: set[str]) -> set[str]:
    names = set()
    for number, line in numbered_lines(path):
        name = Path(line).stem
        if name not in known:
            raise DataError(f"{path}, line {number}: the split has no image {name}")
        names.add(name)
    return names


@functools.cache
def _night_by_attributes(root: Path) -> set[str]:
    night = set()
    paths = [path for pattern in TIMES_OF_DAY for path in sorted(root.glob(pattern))]
    if paths:
        print(
            f"{root}: reading the time of day from the owners' labels, every time and in every process; "
            "a list night_SPLIT.txt there saves it, see BDD100KNightDataset",
            file=sys.stderr,
        )
    for path in paths:
        try:
            for frame in json.loads(read_file(path)):
                if frame["attributes"]["timeofday"] == "night":
                    night.add(Path(frame["name"]).stem)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: expected a list of frames with name and attributes.timeofday"
            ) from error
    return night


class DarkZurichDataset(PublishedDataset):
    """Dark Zurich (Sakaridis et al., ICCV 2019), the anonymised images.

    ``train`` is the night, ``train_day`` and ``train_twilight`` are the rest of the training images, none of
    them with labels; ``val`` (50 night images) has labels, ``test`` (151) has none.
    """

    SPLITS = {
        "train": ("train/night",),
        "train_day": ("train/day",),
        "train_twilight": ("train/twilight",),
        "val": ("val/night",),
        "test": ("test/night",),
    }
    UNLABELLED = ("train", "train_day", "train_twilight", "test")
    LAYOUTS = (
        FolderLayout(
            ("rgb_anon/{split}",),
            ("gt/{split}",),
            "_rgb_anon.png",
            ("_gt_labelTrainIds.png", "_gt_labelIds.png"),
        ),
    )


class NighttimeDrivingDataset(PublishedDataset):
    """Nighttime Driving test (Dai and Van Gool, ITSC 2018), 50 images."""

    SPLITS = {"test": ("test/night",)}
    LAYOUTS = (
        FolderLayout(
            ("leftImg8bit/{split}",),
            ("gtCoarse_daytime_trainvaltest/{split}",),
            "_leftImg8bit.png",
            ("_gtCoarse_labelTrainIds.png", "_gtCoarse_labelIds.png"),
        ),
    )


class ACDCDataset(PublishedDataset):
    """ACDC (Sakaridis et al., ICCV 2021), all four conditions; not its reference images of the day."""

    SPLITS = {"train": ("train",), "val": ("val",), "test": ("test",)}
    PARTS: tuple[str, ...] = ("fog", "night", "rain", "snow")
    UNLABELLED = ("test",)
    LAYOUTS = (
        FolderLayout(
            ("rgb_anon/{part}/{split}", "rgb_anon_trainvaltest/rgb_anon/{part}/{split}"),
            ("gt/{part}/{split}", "gt_trainval/gt/{part}/{split}"),
            "_rgb_anon.png",
            ("_gt_labelTrainIds.png", "_gt_labelIds.png"),
        ),
    )


class ACDCNightDataset(ACDCDataset):
    """The night images of ACDC."""

    PARTS = ("night",)


DATASETS: dict[str, type[PublishedDataset]] = {
    "folder": SplitFolders,
    "nightcity": NightCityDataset,
    "cityscapes": CityscapesDataset,
    "bdd100k": BDD100KDataset,
    "bdd100k_night": BDD100KNightDataset,
    "dark_zurich": DarkZurichDataset,
    "nighttime_driving": NighttimeDrivingDataset,
    "acdc": ACDCDataset,
    "acdc_night": ACDCNightDataset,
}


def open_dataset(name: str, root: str | Path, split: str) -> PublishedDataset:
    """Open a split of a data set.

    Args:
        name: a key of ``DATASETS``.
        root: folder of the data set.
        split: see the class.

    Raises:
        DataError: the name or the split is unknown, or files are missing; says what was expected where.
    """
    if name not in DATASETS:
        raise DataError(f"no data set {name!r}: known are {', '.join(DATASETS)}")
    return DATASETS[name](root, split)


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


def held_out_streets(night: bool, limit: int | None = None) -> SyntheticStreets:
    """The synthetic streets to score and look at, 480x360, which no training sees.

    Args:
        night: by night instead of by day.
        limit: the first so many only.
    """
    seeds = HELD_OUT_SEEDS[:limit]
    return SyntheticStreets(night, len(seeds), first_seed=seeds.start)


class SimulatedNights(Dataset[Sample]):
    """Labelled day images, turned to night: image i always to the same one.

    Args:
        images: by day.
    """

    def __init__(self, images: LabelledFiles) -> None:
        self.images = images
        self._simulation = NightSimulation(dusk=0.0)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        return to_night(self.images[index], self._simulation, np.random.default_rng((NIGHT_SEED, index)))


LabelledImages = LabelledFiles | SyntheticStreets | SimulatedNights


def open_labelled(name: str, root: str | Path, split: str) -> LabelledImages:
    """Open a split to score models on: of a data set, or of the held-out streets.

    Args:
        name: a key of ``DATASETS``, or ``synthetic``.
        root: folder of the data set; of no use to ``synthetic``.
        split: of the data set; ``night`` or ``day`` of ``synthetic``.

    Raises:
        DataError: see ``open_dataset``; or the images are published without labels.
    """
    if name == SYNTHETIC:
        if split not in ("night", "day"):
            raise DataError(f"no split {split!r}: the splits of this data set are night, day")
        return held_out_streets(split == "night")
    dataset = open_dataset(name, root, split)
    if not dataset.labelled:
        raise DataError(
            f"{name} {split}: these images are published without labels, they can't be scored here"
        )
    return dataset


def to_sample(image: np.ndarray, label: np.ndarray | None, name: str) -> Sample:
    """Wrap an RGB image (H, W, 3) uint8 and its label (H, W) uint8, if it has one."""
    from torchvision import tv_tensors

    sample = {"image": to_image(image), "name": name}
    return sample if label is None else sample | {"label": tv_tensors.Mask(torch.from_numpy(label))}


def to_night(sample: Sample, simulation: NightSimulation, rng: np.random.Generator) -> Sample:
    """A labelled sample with its image turned to night."""
    image = np.ascontiguousarray(sample["image"].permute(1, 2, 0).numpy())
    return sample | {"image": to_image(simulation(image, sample["label"].numpy(), rng))}


def to_image(image: np.ndarray) -> tv_tensors.Image:
    """Wrap an RGB image (H, W, 3) uint8."""
    from torchvision import tv_tensors  # takes long to import, which commands that read no sample do without

    return tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1))


def read_rgb(path: Path) -> np.ndarray:
    """Read an image as RGB, (H, W, 3) uint8, turned upright; see ``common.images.read_image``."""
    return cv2.cvtColor(read_image(path), cv2.COLOR_BGR2RGB)
