"""The training stream: weighted sources, augmentation, and batches that depend on their number alone."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision import tv_tensors
from torchvision.transforms import v2

from night_seg_ros.models.classes import IGNORE, IMAGENET_MEAN, IMAGENET_STD
from night_seg_ros.training.datasets import (
    CityscapesDataset,
    DataError,
    FolderDataset,
    LabelledImages,
    SyntheticStreets,
    to_sample,
)
from night_seg_ros.training.night import NightSimulation

SYNTHETIC_TRAINING = 100_000  # synthetic scenes for training, by seed; those after them are held out
SYNTHETIC_HELD_OUT = 100


@dataclass
class SourceConfig:
    """One source of labelled images.

    Attributes:
        dataset: ``folder`` (``images/SPLIT``, ``labels/SPLIT`` with train ids), ``cityscapes`` or
            ``synthetic``.
        root: folder of the data set, relative to ``data.root``; unused by ``synthetic``.
        split: its split; unused by ``synthetic``.
        weight: share of the samples, relative to the other sources.
        night: share of this source's images that are turned to night, 0..1: rendered at night
            (``synthetic``) or by ``NightSimulation``.
        class_balanced: share of this source's samples that are drawn by class, 0..1.
    """

    dataset: Literal["folder", "cityscapes", "synthetic"]
    root: str = ""
    split: str = ""
    weight: float = 1.0
    night: float = 0.0
    class_balanced: float = 0.0


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
        validation: the sources that are scored from time to time, whole; real images stay as they are.
        batch_size: images per step, over all processes together.
        crop: height and width of the training crops in pixels.
        scale: images are scaled to fit ``canvas``, times a random factor from this range.
        canvas: height and width in pixels, see ``scale``.
        augmentation: what else changes at random.
        workers: processes that load images.
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


def build_source(config: SourceConfig, root: str, night: bool) -> LabelledImages:
    """The data set of a source; ``night`` chooses the rendering of synthetic streets."""
    path = Path(root) / config.root
    if config.dataset == "folder":
        return FolderDataset(path / "images" / config.split, path / "labels" / config.split)
    if config.dataset == "cityscapes":
        return CityscapesDataset(path, config.split)
    return SyntheticStreets(night, length=SYNTHETIC_TRAINING)


def build_validation(config: SourceConfig, data: DataConfig) -> LabelledImages:
    """The images that a source is scored on: for synthetic streets, scenes that no training sees."""
    if config.dataset == "synthetic":
        return SyntheticStreets(config.night > 0, length=SYNTHETIC_HELD_OUT, first_seed=SYNTHETIC_TRAINING)
    return build_source(config, data.root, night=False)


class TrainingStream(Dataset[dict[str, torch.Tensor]]):
    """Endless augmented samples; sample i depends on the seed and on i alone, whichever process makes it.

    Samples: ``image`` (3, h, w) float32 normalised, ``label`` (h, w) int64.

    Raises:
        DataError: a source is missing or broken, or its image and label differ in size.
    """

    def __init__(self, config: DataConfig, seed: int) -> None:
        self.seed = seed
        self.sources = config.train
        weights = np.array([source.weight for source in config.train], float)
        if not len(weights) or (weights < 0).any() or weights.sum() == 0:
            raise DataError("data.train needs at least one source with a weight above 0")
        self.shares = weights / weights.sum()
        # By day and by night: the two differ for synthetic streets only.
        self.datasets = [
            [build_source(s, config.root, night) for night in (False, True)] for s in config.train
        ]
        self.night = NightSimulation()
        fill: dict[Any, Any] = {tv_tensors.Image: 0, tv_tensors.Mask: IGNORE}
        colour, blur = config.augmentation.colour, config.augmentation.blur
        self.transform = v2.Compose(
            [
                v2.ScaleJitter(config.canvas, config.scale, antialias=True),
                v2.RandomCrop(config.crop, pad_if_needed=True, fill=fill),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(colour, colour, colour, colour / 8)], p=0.8),
                v2.RandomApply([v2.GaussianBlur(5, (0.2, 1.5))], p=blur),
                v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64}, scale=True),
                v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            ]
        )

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, index))
        choice = int(rng.choice(len(self.sources), p=self.shares))
        source = self.sources[choice]
        night = bool(rng.random() < source.night)
        dataset = self.datasets[choice][night]
        sample = dataset[int(rng.integers(len(dataset)))]
        if sample["image"].shape[-2:] != sample["label"].shape[-2:]:
            raise DataError(
                f"{sample['name']}: image {tuple(sample['image'].shape[-2:])} and "
                f"label {tuple(sample['label'].shape[-2:])} differ in size"
            )
        if night and source.dataset != "synthetic":
            image = np.ascontiguousarray(sample["image"].permute(1, 2, 0).numpy())
            label = sample["label"].numpy()
            sample = to_sample(self.night(image, label, rng), label, sample["name"])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**62)))
            image, label = self.transform(sample["image"], sample["label"])
        return {"image": image.as_subclass(torch.Tensor), "label": label.as_subclass(torch.Tensor)}


class StepSampler(Sampler[int]):
    """Numbers of the samples of this process from step ``first`` to step ``last``, batch by batch."""

    def __init__(self, first: int, last: int, batch_size: int, rank: int, world_size: int) -> None:
        self.samples = range(first * batch_size + rank, last * batch_size, world_size)

    def __iter__(self) -> Iterator[int]:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)


def training_loader(
    stream: TrainingStream, config: DataConfig, first: int, last: int, rank: int, world_size: int
) -> DataLoader[dict[str, torch.Tensor]]:
    """Batches of the steps ``first`` (included) to ``last`` (excluded) for one process of ``world_size``.

    Raises:
        DataError: the batch can't be shared evenly between the processes.
    """
    if config.batch_size % world_size:
        raise DataError(
            f"data.batch_size {config.batch_size} must be a multiple of the {world_size} processes"
        )
    return DataLoader(
        stream,
        batch_size=config.batch_size // world_size,
        sampler=StepSampler(first, last, config.batch_size, rank, world_size),
        num_workers=config.workers,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_init_worker,
        persistent_workers=config.workers > 0,
    )


def _init_worker(worker: int) -> None:
    """Ctrl-C is the main process's business: it stops after a whole step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
