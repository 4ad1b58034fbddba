# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""How many pixels of each class every label of a data set has; counted once, kept in a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from night_seg_ros.common.files import write_bytes
from night_seg_ros.models.classes import NUM_CLASSES
from night_seg_ros.training.data.datasets import LabelledFiles
from night_seg_ros.training.data.label_files import read_label


class _LabelCounts(Dataset[np.ndarray]):
    def __init__(self, dataset: LabelledFiles) -> None:
        assert dataset.label_format is not None
        self.labels = [label for _, label in dataset.pairs if label is not None]
        self.format = dataset.label_format

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> np.ndarray:
        return np.bincount(read_label(self.labels[index], self.format).ravel(), minlength=256)[:NUM_CLASSES]


def class_counts(dataset: LabelledFiles, cache: Path, workers: int) -> np.ndarray:
    """Pixels of each class in each label.

    Args:
        dataset: with a label for every image.
        cache: JSON file that keeps the result; it counts as long as the label files are the same ones (path,
            size, time of the last change); a damaged one is written anew.
        workers: processes that read labels.

    Returns:
        (images, 19) int64.

    Raises:
        DataError: a label can't be read.
    """
    labels = _LabelCounts(dataset)
    stats = [label.stat() for label in labels.labels]
    files = [
        [str(path.resolve()), s.st_size, s.st_mtime_ns] for path, s in zip(labels.labels, stats, strict=True)
    ]
    kept = _kept_counts(cache, files)
    if kept is not None:
        return kept
    loader = DataLoader(labels, batch_size=None, num_workers=workers)
    counts = np.stack(
        [np.asarray(row, np.int64) for row in tqdm(loader, "count classes", unit="label", leave=False)]
    )
    write_bytes(cache, json.dumps({"files": files, "counts": counts.tolist()}).encode())
    return counts


def _kept_counts(cache: Path, files: list[list[object]]) -> np.ndarray | None:
    """The counts in a cache, if they are those of these files."""
    try:
        kept = json.loads(cache.read_bytes())
        if kept["files"] != files:
            return None
        return np.array(kept["counts"], np.int64).reshape(len(files), NUM_CLASSES)
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # not there, or damaged
        return None
