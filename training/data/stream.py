# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The training stream: weighted sources, augmentation, and samples that depend on their number alone."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from night_seg_ros.common.workers import leave_interrupts
from night_seg_ros.models.classes import IGNORE, IMAGENET_MEAN, IMAGENET_STD
from night_seg_ros.training.data.class_counts import class_counts
from night_seg_ros.training.data.datasets import (
    DATASETS,
    SYNTHETIC,
    DataError,
    LabelledFiles,
    LabelledImages,
    Sample,
    SimulatedNights,
    SyntheticStreets,
    held_out_streets,
    open_dataset,
    to_night,
)
from night_seg_ros.training.data.enhancement import Enhancement, enhance
from night_seg_ros.training.data.night_simulation import NightSimulation
from night_seg_ros.training.data.sampling import ClassLane, EpochLane, Lane, Schedule
from night_seg_ros.training.streets.street import TRAINING_SEEDS

MIN_SHARE = 1e-4  # of the pixels: so much of a class an image, and a crop, must show to count as holding it
CROP_TRIES = 10  # for a crop that holds a class, as in DAFormer


@dataclass
class SourceConfig:
    """One source of labelled images.

    Attributes:
        dataset: a data set of ``datasets.DATASETS``, or ``synthetic``.
        root: folder of the data set, relative to ``data.root``; unused by ``synthetic``.
        split: its split; unused by ``synthetic``.
        weight: share of the samples, relative to the other sources.
        night: share of this source's images that are turned to night, 0..1: rendered at night
            (``synthetic``) or by ``NightSimulation``.
        class_balanced: share of this source's samples that are drawn by class, 0..1: each class of the
            source as often as any other, in a crop that holds it (see ``sampling.ClassLane``). The other
            samples go through the images epoch by epoch. Not for ``synthetic``.
        enhancement: of the images before the network sees them, in training and for scores, ``none`` or
            ``clahe``: see ``enhancement.enhance``. Scores by exposure go by the image as it was.
    """

    dataset: str
    root: str = ""
    split: str = ""
    weight: float = 1.0
    night: float = 0.0
    class_balanced: float = 0.0
    enhancement: Enhancement = "none"


@dataclass
class AugmentationConfig:
    """Random changes of the training images, after scale, crop and flip.

    Attributes:
        colour: strength of the colour jitter that four images in five get, 0..1, 0 for none: brightness,
            contrast and saturation change by factors of ``1 - colour`` to ``1 + colour``, hue by up to
            ``colour / 8`` of its circle.
        blur: share of the images that are blurred a little (Gaussian, sigma 0.2 to 1.5 pixels), 0..1.
    """

    colour: float
    blur: float


@dataclass
class DataConfig:
    """What the network sees.

    Attributes:
        root: folder that the sources' roots are relative to.
        train: the sources of the training images.
        validation: the sources that are scored from time to time, whole; with a ``night`` above 0, all of
            them by night.
        batch_size: images per step, over all processes together.
        crop: height and width of the training crops in pixels.
        scale: images are resized to ``canvas`` as ``resize`` says, times a random factor from this range.
        canvas: height and width in pixels, see ``scale``; training scenes of ``synthetic`` have this size.
        resize: ``fit`` keeps an image's proportions, it just fits into the canvas; ``exact`` stretches it to
            the canvas.
        augmentation: what else changes at random.
        workers: processes that load images.

    Raises:
        ValueError: an empty crop, canvas or batch.
    """

    root: str
    train: list[SourceConfig]
    validation: list[SourceConfig]
    batch_size: int
    crop: tuple[int, int]
    scale: tuple[float, float]
    canvas: tuple[int, int]
    augmentation: AugmentationConfig
    workers: int
    resize: Literal["fit", "exact"] = field(default="fit", kw_only=True)

    def __post_init__(self) -> None:
        for name in ("crop", "canvas"):
            if min(getattr(self, name)) < 1:
                raise ValueError(
                    f"data.{name} is {list(getattr(self, name))}: give two sides of 1 pixel or more"
                )
        if self.batch_size < 1:
            raise ValueError(f"data.batch_size is {self.batch_size}: give 1 or more")

    def open_stream(self, seed: int, cache: Path) -> Dataset[dict[str, torch.Tensor]]:
        """Samples by their numbers, as batches are made of them; see ``TrainingStream``."""
        return TrainingStream(self, seed, cache)


def build_files(config: SourceConfig, root: str) -> LabelledFiles:
    """The data set of a source other than ``synthetic``.

    Raises:
        DataError: it is not known, it is not there, or it has no labels.
    """
    if config.dataset not in DATASETS:
        raise DataError(f"no data set {config.dataset!r}: known are {SYNTHETIC}, {', '.join(DATASETS)}")
    dataset = open_dataset(config.dataset, Path(root) / config.root, config.split)
    if not dataset.labelled:
        raise DataError(
            f"{config.dataset}, split {config.split!r}, has no labels: it can't be learned or scored"
        )
    return dataset


def build_validation(config: SourceConfig, root: str) -> LabelledImages:
    """The images that a source is scored on: for synthetic streets, scenes that no training sees.

    With ``night`` above 0 all of them are by night: drawn so, or turned to night by ``NightSimulation``.

    Raises:
        DataError: see ``build_files``.
    """
    if config.dataset == SYNTHETIC:
        return held_out_streets(config.night > 0)
    files = build_files(config, root)
    return SimulatedNights(files) if config.night > 0 else files


class TrainingStream(Dataset[dict[str, torch.Tensor]]):
    """Endless augmented samples; sample i depends on the seed and on i alone, whichever process makes it.

    Samples: ``image`` (3, h, w) float32 normalised, ``label`` (h, w) int64.

    Args:
        config: what to draw, and how to change it.
        seed: of all that is random.
        cache: folder that keeps the class counts which class-balanced sources need.

    Raises:
        DataError: a source is missing or broken, its image and label differ in size, it is class-balanced
            but all labels are ignored, or its numbers make no sense.
    """

    def __init__(self, config: DataConfig, seed: int, cache: str | Path) -> None:
        from torchvision import tv_tensors
        from torchvision.transforms import v2

        self.seed = seed
        self.sources = config.train
        _check_sources(config.train)
        # By day and by night: the two differ for synthetic streets only.
        self.datasets: list[tuple[LabelledImages, LabelledImages]] = []
        lanes: list[Lane] = []
        weights: list[float] = []
        for i, source in enumerate(config.train):
            if source.dataset == SYNTHETIC:
                day, night = (
                    SyntheticStreets(night, len(TRAINING_SEEDS), 0, *config.canvas) for night in (False, True)
                )
                self.datasets.append((day, night))
            else:
                files = build_files(source, config.root)
                self.datasets.append((files, files))
                if source.class_balanced:
                    counts = class_counts(files, Path(cache) / f"class_counts_{i}.json", config.workers)
                    if not counts.any():
                        raise DataError(
                            f"data.train: every pixel of {source.dataset}, split {source.split!r}, in "
                            f"{source.root!r} is ignored (255): mend the labels or leave the source out"
                        )
                    lanes.append(ClassLane(i, _images_by_class(counts)))
                    weights.append(source.weight * source.class_balanced)
            lanes.append(EpochLane(i, len(self.datasets[i][0])))
            weights.append(source.weight * (1 - source.class_balanced))
        self.schedule = Schedule(seed, lanes, weights)
        self.night = NightSimulation()
        self.canvas, self.factors, self.resize = config.canvas, config.scale, config.resize
        fill: dict[Any, Any] = {tv_tensors.Image: 0, tv_tensors.Mask: IGNORE}
        self.crop = v2.RandomCrop(config.crop, pad_if_needed=True, fill=fill)
        colour, blur = config.augmentation.colour, config.augmentation.blur
        self.finish = v2.Compose(
            [
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(colour, colour, colour, colour / 8)], p=0.8),
                v2.RandomApply([v2.GaussianBlur(5, (0.2, 1.5))], p=blur),
                v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64}, scale=True),
                v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            ]
        )

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        from torchvision.tv_tensors import wrap

        draw = self.schedule.draw(index)
        rng = np.random.default_rng((self.seed, 0, index))
        source = self.sources[draw.source]
        night = bool(rng.random() < source.night)
        sample = self.datasets[draw.source][night][draw.image]
        _check_sizes(sample)
        if night and source.dataset != SYNTHETIC:
            sample = to_night(sample, self.night, rng)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**62)))
            enhanced = enhance(sample["image"], source.enhancement)
            image, label = self._scale(wrap(enhanced, like=sample["image"]), sample["label"])
            image, label = self.finish(*self._cut(image, label, draw.wanted))
        return {"image": image.as_subclass(torch.Tensor), "label": label.as_subclass(torch.Tensor)}

    def _scale(self, image: torch.Tensor, label: torch.Tensor) -> Any:
        """Resize to the canvas, times a random factor. (v2.ScaleJitter swaps the canvas's sides.)"""
        from torchvision.transforms.v2.functional import resize

        height, width = label.shape
        down, across = self.canvas[0] / height, self.canvas[1] / width
        if self.resize == "fit":
            down = across = min(down, across)
        factor = torch.empty(()).uniform_(*self.factors).item()
        size = [max(1, round(height * (down * factor))), max(1, round(width * (across * factor)))]
        return resize(image, size, antialias=True), resize(label, size)

    def _cut(self, image: torch.Tensor, label: torch.Tensor, wanted: int | None) -> Any:
        """A random crop; after some tries one that holds the class that is wanted, if any is."""
        for _ in range(1 if wanted is None else CROP_TRIES):
            crop = self.crop(image, label)
            if wanted is None or (crop[1] == wanted).float().mean() >= MIN_SHARE:
                break
        return crop


def _check_sources(sources: list[SourceConfig]) -> None:
    for source in sources:
        if not (math.isfinite(source.weight) and source.weight >= 0):
            raise DataError(
                f"data.train: the weight of {source.dataset} is {source.weight}: "
                "give a finite number from 0 up"
            )
        if source.dataset == SYNTHETIC and source.class_balanced:
            raise DataError("data.train: synthetic scenes are drawn when asked for; class_balanced must be 0")
        if not (0 <= source.class_balanced <= 1 and 0 <= source.night <= 1):
            raise DataError(f"data.train: night and class_balanced of {source.dataset} must lie in 0..1")
    if not any(source.weight > 0 for source in sources):
        raise DataError("data.train needs at least one source with a weight above 0")


def _check_sizes(sample: Sample) -> None:
    image, label = tuple(sample["image"].shape[-2:]), tuple(sample["label"].shape[-2:])
    if image != label:
        raise DataError(f"{sample['name']}: image {image} and label {label} differ in size")


def _images_by_class(counts: np.ndarray) -> dict[int, np.ndarray]:
    """Numbers of the images that show a class, by train id, from (images, 19) counts of pixels."""
    shown = (counts > 0) & (counts >= MIN_SHARE * counts.sum(1, keepdims=True))
    return {c: shown[:, c].nonzero()[0] for c in range(shown.shape[1]) if shown[:, c].any()}


class StepSampler(Sampler[int]):
    """Numbers of the samples of this process from step ``first`` to step ``last``, batch by batch."""

    def __init__(self, first: int, last: int, batch_size: int, rank: int, world_size: int) -> None:
        self.samples = range(first * batch_size + rank, last * batch_size, world_size)

    def __iter__(self) -> Iterator[int]:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)


@contextmanager
def training_loader(
    stream: Dataset[dict[str, torch.Tensor]],
    config: DataConfig,
    first: int,
    last: int,
    rank: int,
    world_size: int,
) -> Iterator[DataLoader[dict[str, torch.Tensor]]]:
    """Batches of the steps ``first`` (included) to ``last`` (excluded) for one process of ``world_size``.

    The workers end with the context.

    Raises:
        DataError: the batch can't be shared evenly between the processes.
    """
    if config.batch_size % world_size:
        raise DataError(
            f"data.batch_size {config.batch_size} must be a multiple of the {world_size} processes"
        )
    loader = DataLoader(
        stream,
        batch_size=config.batch_size // world_size,
        sampler=StepSampler(first, last, config.batch_size, rank, world_size),
        num_workers=config.workers,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_init_worker,
        persistent_workers=config.workers > 0,
    )
    try:
        yield loader
    finally:
        # After an error the traceback keeps the loader, and Python's exit would wait for ever for workers
        # that do not hear its SIGTERM. DataLoader has no public way to end them.
        if loader._iterator is not None:
            loader._iterator._shutdown_workers()  # type: ignore[attr-defined]


def _init_worker(worker: int) -> None:
    """Ctrl-C, or a launcher's SIGTERM to all, is the main process's business: it stops after a whole step."""
    leave_interrupts(worker)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
