# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Which image each training sample is.

Everything here is a closed form of the seed and the sample's number, so that any process can start at any
sample, in any order, without a look at those before it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import NamedTuple

import numpy as np

BLOCK = 1000  # samples over which the shares of the sources are exact


class Draw(NamedTuple):
    """An image of a source.

    Attributes:
        source: number of the source.
        image: number of the image in it.
        wanted: train id that the crop should hold, or None.
    """

    source: int
    image: int
    wanted: int | None = None


class Lane(ABC):
    """An endless sequence of images of one source."""

    def __init__(self, source: int) -> None:
        self.source = source

    @abstractmethod
    def draw(self, number: int, entropy: tuple[int, ...]) -> Draw:
        """The image at place ``number``; ``entropy`` seeds the order."""


class EpochLane(Lane):
    """Each of ``length`` images once per epoch, every epoch in an order of its own."""

    def __init__(self, source: int, length: int) -> None:
        super().__init__(source)
        self.length = length

    def draw(self, number: int, entropy: tuple[int, ...]) -> Draw:
        epoch, place = divmod(number, self.length)
        return Draw(self.source, int(_permutation((*entropy, epoch), self.length)[place]))


class ClassLane(Lane):
    """Classes in turn, each with images that show it, so that a rare class is seen as often as a common one.

    After class-uniform sampling (Zhu et al., "Improving Semantic Segmentation via Video Propagation and
    Label Relaxation", CVPR 2019) and rare class sampling (Hoyer et al., "DAFormer", CVPR 2022); here both
    the classes and the images of each go by epochs instead of at random.

    Args:
        source: number of the source.
        images: numbers of the images that show a class, by train id; not empty.
    """

    def __init__(self, source: int, images: dict[int, np.ndarray]) -> None:
        super().__init__(source)
        self.images = images
        self.classes = sorted(images)

    def draw(self, number: int, entropy: tuple[int, ...]) -> Draw:
        turn, place = divmod(number, len(self.classes))
        wanted = self.classes[int(_permutation((*entropy, 0, turn), len(self.classes))[place])]
        # A turn takes one image of each class, so this is image number `turn` of the class.
        images = self.images[wanted]
        epoch, place = divmod(turn, len(images))
        return Draw(
            self.source, int(images[_permutation((*entropy, 1 + wanted, epoch), len(images))[place]]), wanted
        )


class Schedule:
    """Mixes lanes by weight: every block of 1000 samples holds each lane's share, in an order of its own.

    Args:
        seed: of all orders.
        lanes: one or more.
        weights: of the lanes, finite, none below 0, not all 0; a positive one gets at least one sample of a
            block.
    """

    def __init__(self, seed: int, lanes: list[Lane], weights: list[float]) -> None:
        self.seed = seed
        self.lanes = lanes
        self.counts = _shares_of_block(weights)

    def draw(self, number: int) -> Draw:
        """The image of sample ``number``, from 0 up."""
        block, place = divmod(number, BLOCK)
        order = _block((self.seed, 1, block), self.counts)
        lane = int(order[place])
        before = block * self.counts[lane] + int(np.count_nonzero(order[:place] == lane))
        return self.lanes[lane].draw(before, (self.seed, 2, lane))


def _shares_of_block(weights: list[float]) -> tuple[int, ...]:
    """Samples of a block by lane: largest remainders, and at least one for a positive weight."""
    exact = np.array(weights, float) / sum(weights) * BLOCK
    counts = np.maximum(np.floor(exact), exact > 0).astype(int)
    while counts.sum() < BLOCK:
        counts[np.argmax(exact - counts)] += 1
    while counts.sum() > BLOCK:
        counts[np.argmax(counts)] -= 1
    return tuple(counts.tolist())


@lru_cache(maxsize=16)
def _block(entropy: tuple[int, ...], counts: tuple[int, ...]) -> np.ndarray:
    """The lanes of a block's samples, in order."""
    return np.random.default_rng(entropy).permutation(np.repeat(np.arange(len(counts)), counts))


@lru_cache(maxsize=256)
def _permutation(entropy: tuple[int, ...], length: int) -> np.ndarray:
    return np.random.default_rng(entropy).permutation(length).astype(np.int32)
