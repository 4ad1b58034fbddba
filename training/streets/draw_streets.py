# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg draw-streets``: writes synthetic streets, by day and by night, as a data set of files.

Drawn once, they can be looked at, learned again and again without being drawn each time, and used elsewhere.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from night_seg_ros.common.files import write_bytes
from night_seg_ros.common.images import read_size
from night_seg_ros.common.workers import leave_interrupts
from night_seg_ros.training.streets.scene import StreetScene
from night_seg_ros.training.streets.street import TRAINING_SEEDS

IMAGE, LABEL = "images/{time}/street_{seed:06d}.png", "labels/{time}/street_{seed:06d}.png"


class Streets(Dataset[int]):
    """Item i is the seed ``first + i``, once the files of its street are there; it draws what is missing.

    Args:
        out: folder of the data set, in the layout of ``folder``, with the splits ``day`` and ``night``.
        first, count: seeds of the streets.
        size: height and width in pixels, from 32 up.
    """

    def __init__(self, out: Path, first: int, count: int, size: tuple[int, int]) -> None:
        self.out, self.first, self.count, self.size = out, first, count, size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        seed = self.first + index
        paths = {
            (layout, time): self.out / layout.format(time=time, seed=seed)
            for layout in (LABEL, IMAGE)
            for time in ("day", "night")
        }
        if all(path.is_file() for path in paths.values()):
            return seed
        frame = StreetScene(seed).render(*self.size)
        assert frame.day is not None and frame.night is not None
        images = {"day": frame.day, "night": frame.night}
        for (layout, time), path in paths.items():
            write_png(path, frame.label if layout == LABEL else images[time][..., ::-1])
        return seed

    def check_sizes(self) -> None:
        """Look at the streets that are there.

        Raises:
            ValueError: one has another size.
        """
        for seed in range(self.first, self.first + self.count):
            path = self.out / IMAGE.format(time="day", seed=seed)
            if not path.is_file():
                continue
            height, width = read_size(path)
            if (height, width) != self.size:
                raise ValueError(
                    f"{path} is {width}x{height}, not {self.size[1]}x{self.size[0]}: give that size, or "
                    "another --out"
                )


def write_png(path: Path, image: np.ndarray) -> None:
    """Write (H, W) or (H, W, 3) BGR uint8, atomically."""
    write_bytes(path, cv2.imencode(".png", image)[1].tobytes())


def draw_streets(out: Path, first: int, count: int, size: tuple[int, int], workers: int) -> None:
    """Write streets by day and by night with their labels, and the list of all pairs there, ``pairs.csv``.

    Args:
        out, first, count, size: see ``Streets``.
        workers: processes that draw.

    Raises:
        ValueError: a street is there in another size, or a seed is one of the streets kept for tests.
    """
    if first + count > TRAINING_SEEDS.stop:
        raise ValueError(
            f"seeds from {TRAINING_SEEDS.stop} up are the streets for tests: start with a lower --first"
        )
    streets = Streets(out, first, count, size)
    streets.check_sizes()  # here, and not in a worker, whose errors come with a traceback
    loader = DataLoader(streets, batch_size=None, num_workers=workers, worker_init_fn=leave_interrupts)
    for _ in tqdm(loader, "draw", unit="street"):
        pass
    names = sorted(path.name for path in (out / "images" / "night").glob("street_*.png"))
    lines = [f"images/night/{name},images/day/{name}" for name in names]
    write_bytes(out / "pairs.csv", "\n".join(["night,day", *lines, ""]).encode())


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg draw-streets``."""
    parser = argparse.ArgumentParser("night-seg draw-streets", description=(__doc__ or "").split(": ", 1)[1])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=1000, help="how many streets (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one (default: 0)")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(360, 480), metavar=("HEIGHT", "WIDTH"), help="default: 360 480"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: one per core")
    options = parser.parse_args(argv)
    if options.count < 1 or options.first < 0 or options.workers < 0 or min(options.size) < 32:
        parser.error("--count must be 1 or more, --first and --workers 0 or more, --size from 32 pixels up")
    draw_streets(options.out, options.first, options.count, tuple(options.size), options.workers)
    print(f"{options.out}: {options.count} streets by day and by night; pairs.csv lists the pairs")
    return 0
