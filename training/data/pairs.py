# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pairs of a day and a night image of about the same place, without labels to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from night_seg_ros.common.images import read_size
from night_seg_ros.models.classes import IMAGENET_MEAN, IMAGENET_STD
from night_seg_ros.training.data.datasets import (
    SYNTHETIC,
    DataError,
    numbered_lines,
    open_dataset,
    read_rgb,
    to_image,
    to_night,
)
from night_seg_ros.training.data.night_simulation import NightSimulation
from night_seg_ros.training.data.sampling import EpochLane
from night_seg_ros.training.data.stream import DataConfig, TrainingStream
from night_seg_ros.training.streets.scene import StreetScene
from night_seg_ros.training.streets.street import TRAINING_SEEDS


@dataclass
class PairConfig:
    """The pairs, and what of them the network sees.

    Attributes:
        dataset: ``dark_zurich`` or ``folder``, which have a list of pairs; ``synthetic``, drawn streets;
            ``simulated``, day images and the nights that are made of them.
        root: folder of the data set, relative to ``data.root``; unused by ``synthetic``.
        list: file of the lines ``night,day``, relative to ``root``; unused by ``synthetic`` and
            ``simulated``.
        misalignment: the day image is shifted by up to this share of its size, and scaled by up to this
            share, at random; 0 to leave it as it is.
        canvas: height and width in pixels that an image is scaled to fit, times a random factor of ``scale``.
        scale: see ``canvas``.
        crop: height and width in pixels; one crop and one flip for both images of a pair.
        size: height and width to which the crop is resized, or None to leave it.
        day, split: of ``simulated``, the day images: a labelled data set of ``datasets.DATASETS``, and its
            split. The labels serve the simulation alone, and may be a network's.

    Raises:
        ValueError: a side below 32 pixels (the light losses look at patches of 32), a range of ``scale`` that
            is empty or not above 0, or a misalignment beyond 0..1.
    """

    dataset: str
    root: str
    list: str
    misalignment: float
    canvas: tuple[int, int]
    scale: tuple[float, float]
    crop: tuple[int, int]
    size: tuple[int, int] | None
    day: str = "folder"
    split: str = ""

    def __post_init__(self) -> None:
        for name in ("canvas", "crop", "size"):
            sides = getattr(self, name)
            if sides is not None and min(sides) < 32:
                raise ValueError(f"data.pairs.{name} is {list(sides)}: give two sides of 32 pixels or more")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"data.pairs.scale is {list(self.scale)}: give a range above 0, lower end first")
        if not 0 <= self.misalignment <= 1:
            raise ValueError(f"data.pairs.misalignment is {self.misalignment}: give a share of 0..1")


@dataclass
class AdaptationDataConfig(DataConfig):
    """What the network sees: the labelled source as in ``DataConfig``, and pairs of the target.

    Attributes:
        pairs: see ``PairConfig``.
    """

    pairs: PairConfig

    def open_stream(self, seed: int, cache: Path) -> Dataset[dict[str, torch.Tensor]]:
        source = TrainingStream(self, seed, cache)
        return AdaptationStream(source, PairStream(self.pairs, self.root, seed))


class FolderPairs(Dataset[dict[str, Any]]):
    """Night images, each with the day image of about the same place, as a list names them.

    Samples: ``night`` and ``day``, RGB (3, H, W) uint8, and the ``name`` of the night image.

    Args:
        root: folder of the images.
        list_file: lines ``night,day``, each the path of an image below the root. A first line of two plain
            words is a heading.

    Raises:
        DataError: a line is of another form, an image is missing, or the columns are swapped, as far as the
            folders ``night`` and ``day`` in the paths tell.
    """

    def __init__(self, root: str | Path, list_file: str | Path) -> None:
        self.pairs: list[tuple[Path, Path]] = []
        for number, line in numbered_lines(Path(list_file)):
            names = line.split(",")
            if len(names) != 2:
                raise DataError(f"{list_file}, line {number}: expected night,day, but it is {line!r}")
            if number == 1 and all(name.strip().isalpha() for name in names):
                continue
            night, day = (self.find(Path(root), name.strip()) for name in names)
            for image in (night, day):
                if not image.is_file():
                    raise DataError(f"{list_file}, line {number}: no image {image}")
            if "day" in Path(names[0]).parts and "night" in Path(names[1]).parts:
                raise DataError(
                    f"{list_file}, line {number}: expected night,day, but the day comes first: {line}"
                )
            self.pairs.append((night, day))
        if not self.pairs:
            raise DataError(f"{list_file} names no pairs: expected lines night,day")

    @staticmethod
    def find(root: Path, name: str) -> Path:
        """The file that a name of the list stands for."""
        return root / name.lstrip("/")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        night, day = self.pairs[index]
        return {"night": to_image(read_rgb(night)), "day": to_image(read_rgb(day)), "name": night.stem}


class DarkZurichPairs(FolderPairs):
    """Dark Zurich's pairs, by its owners' lists or their derivatives.

    A name of the list is a path below the root or below its ``rgb_anon``; where it lacks the suffix, the end
    of Dark Zurich's images, ``_rgb_anon.png``, is added.
    """

    @staticmethod
    def find(root: Path, name: str) -> Path:
        below = name.lstrip("/").removeprefix("rgb_anon/")
        return root / "rgb_anon" / (below if below.endswith(".png") else f"{below}_rgb_anon.png")


SIMULATED = "simulated"
FILE_PAIRS = {"dark_zurich": DarkZurichPairs, "folder": FolderPairs}


class SyntheticPairs(Dataset[dict[str, Any]]):
    """Synthetic streets by day and by night; pair i is the scene of seed i.

    Samples: ``night``, ``day``, ``name``, and ``night_label`` (H, W) train ids.

    Args:
        height, width: of the images in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self.size = (height, width)

    def __len__(self) -> int:
        return len(TRAINING_SEEDS)

    def __getitem__(self, index: int) -> dict[str, Any]:
        from torchvision import tv_tensors

        frame = StreetScene(index).render(*self.size)
        assert frame.day is not None and frame.night is not None
        return {
            "night": to_image(frame.night),
            "day": to_image(frame.day),
            "night_label": tv_tensors.Mask(torch.from_numpy(frame.label)),
            "name": f"street_{index:06d}",
        }


class SimulatedPairs(Dataset[dict[str, Any]]):
    """Day images, of which ``PairStream`` makes the nights: each time another one.

    Samples: ``day``, RGB (3, H, W) uint8, ``label`` (H, W) train ids, ``name``.

    Args:
        dataset: a key of ``DATASETS``.
        root, split: of the data set.

    Raises:
        DataError: it can't be opened, or has no labels.
    """

    def __init__(self, dataset: str, root: str | Path, split: str) -> None:
        self.images = open_dataset(dataset, root, split)
        if not self.images.labelled:
            raise DataError(
                f"data.pairs: {root}, split {split!r}, has no labels: the night is made with them"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.images[index]
        return {"day": sample["image"], "label": sample["label"], "name": sample["name"]}


def shifted(image: torch.Tensor, misalignment: float, rng: np.random.Generator) -> torch.Tensor:
    """The view of a camera that stood and looked a little differently; borders are mirrored.

    Args:
        image: (3, H, W) uint8.
        misalignment: see ``PairConfig``.
    """
    if misalignment == 0:
        return image
    height, width = image.shape[-2:]
    scale, right, down = 1 + rng.uniform(-misalignment, misalignment, 3)
    x, y = (1 - scale) * width / 2 + (right - 1) * width, (1 - scale) * height / 2 + (down - 1) * height
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    pixels = image.permute(1, 2, 0).numpy()
    return to_image(cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REFLECT))


class PairStream(Dataset[dict[str, torch.Tensor]]):
    """Endless augmented pairs; pair i depends on the seed and on i alone.

    Samples: ``day`` and ``night`` (3, h, w) float32 normalised; ``night_label`` (h, w) int64 if it is known.

    Args:
        config: what to draw.
        root: folder that ``config.root`` is relative to.
        seed: of all that is random.

    Raises:
        DataError: the data set is not known, an image is missing, the images of a pair differ in size, or
            are smaller than the crop once they are scaled.
    """

    def __init__(self, config: PairConfig, root: str, seed: int) -> None:
        from torchvision import tv_tensors
        from torchvision.transforms import v2

        if config.dataset == SYNTHETIC:
            self.pairs: Dataset[dict[str, Any]] = SyntheticPairs(*config.canvas)
            length, sizes = len(TRAINING_SEEDS), {config.canvas: "synthetic streets"}
        elif config.dataset == SIMULATED:
            simulated = SimulatedPairs(config.day, Path(root) / config.root, config.split)
            self.pairs, length = simulated, len(simulated)
            sizes = {read_size(image): str(image) for image, _ in simulated.images.pairs}
        elif config.dataset in FILE_PAIRS:
            folder = Path(root) / config.root
            files = FILE_PAIRS[config.dataset](folder, folder / config.list)
            self.pairs, length, sizes = files, len(files), image_sizes(files.pairs)
        else:
            known = ", ".join([*FILE_PAIRS, SYNTHETIC, SIMULATED])
            raise DataError(f"data.pairs: no data set {config.dataset!r}: known are {known}")
        self.simulation = NightSimulation(dusk=0.0)
        self.seed = seed
        self.lane = EpochLane(0, length)
        self.config = config
        for size, name in sizes.items():
            least = self._scaled(size, config.scale[0])
            if least[0] < config.crop[0] or least[1] < config.crop[1]:
                raise DataError(
                    f"data.pairs: {name}, scaled to fit {config.scale[0]} of the canvas, is only "
                    f"{least[0]} x {least[1]} pixels (height x width), the crop {list(config.crop)}: "
                    "enlarge canvas or scale, or take a smaller crop"
                )
        resize = [] if config.size is None else [v2.Resize(config.size, antialias=True)]
        self.finish = v2.Compose(
            [
                v2.RandomCrop(config.crop),
                *resize,
                v2.RandomHorizontalFlip(),
                v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64}, scale=True),
                v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            ]
        )

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        from torchvision.transforms import v2

        sample = self.pairs[self.lane.draw(index, (self.seed, 5)).image]
        del sample["name"]
        rng = np.random.default_rng((self.seed, 6, index))
        if self.config.dataset == SIMULATED:
            night = to_night({"image": sample["day"], "label": sample.pop("label")}, self.simulation, rng)
            sample["night"] = night["image"]
        sample["day"] = shifted(sample["day"], self.config.misalignment, rng)
        size = self._scaled(sample["night"].shape[-2:], rng.uniform(*self.config.scale))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**62)))
            sample = self.finish(v2.Resize(size, antialias=True)(sample))
        return {name: value.as_subclass(torch.Tensor) for name, value in sample.items()}

    def _scaled(self, size: tuple[int, int], factor: float) -> list[int]:
        """Height and width of an image that is scaled to fit the canvas, times a factor."""
        factor *= min(self.config.canvas[0] / size[0], self.config.canvas[1] / size[1])
        return [round(size[0] * factor), round(size[1] * factor)]


class AdaptationStream(Dataset[dict[str, torch.Tensor]]):
    """Sample i: that of the labelled source, and that of the pairs."""

    def __init__(self, source: TrainingStream, pairs: PairStream) -> None:
        self.source = source
        self.pairs = pairs

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {**self.source[index], **self.pairs[index]}


def image_sizes(pairs: list[tuple[Path, Path]]) -> dict[tuple[int, int], str]:
    """The sizes (height, width) of all images, which are in their first bytes, with an image of each.

    Raises:
        InputError: the images of a pair differ in size, or one can't be read.
    """
    found: dict[tuple[int, int], str] = {}
    for night, day in pairs:
        size, day_size = read_size(night), read_size(day)
        if size != day_size:
            raise DataError(f"{night} is {size[::-1]} pixels, but its day image {day} is {day_size[::-1]}")
        found.setdefault(size, str(night))
    return found
