# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg check-data``: looks a data set over and says all that is wrong with it, and what it holds."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from night_seg_ros.common.files import InputError, write_json
from night_seg_ros.common.workers import leave_interrupts
from night_seg_ros.training.data.datasets import (
    DATASETS,
    SYNTHETIC,
    PublishedDataset,
    SyntheticStreets,
    held_out_streets,
    read_rgb,
)
from night_seg_ros.training.data.label_files import DataError, LabelFormat, detect_format, read_label
from night_seg_ros.training.data.layouts import FileList
from night_seg_ros.training.inspection.charts import draw_charts
from night_seg_ros.training.inspection.report import DataReport, SplitReport, as_json, format_report
from night_seg_ros.training.inspection.statistics import Statistics

PUBLISHED = {
    "nightcity": {"train": 2998, "val": 1299, "test": 1299},
    "cityscapes": {"train": 2975, "val": 500, "test": 1525},
    "bdd100k": {"train": 7000, "val": 1000, "test": 2000},
    "bdd100k_night": {"train": 314, "val": 31},  # as EGNet counts them
    "dark_zurich": {"train": 2416, "train_day": 3041, "train_twilight": 2920, "val": 50, "test": 151},
    "nighttime_driving": {"test": 50},
    "acdc": {"train": 1600, "val": 406, "test": 2000},
    "acdc_night": {"train": 400, "val": 106, "test": 500},
}
"""How many images the owners' splits have."""

T = TypeVar("T")

FORMAT_VOTERS = 100  # labels that vote on the format where detect_format finds a fault


@dataclass
class Finding:
    """What an image and its label hold, and what is wrong or unusual about them: (kind, line)."""

    statistics: Statistics = field(default_factory=Statistics)
    faults: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[tuple[str, str]] = field(default_factory=list)


class FileFindings(Dataset[Finding]):
    """The findings in images and labels of a split; a broken file is a finding, never an error.

    Args:
        pairs: images, each with its label or None.
        label_format: what the labels hold; None: they are left alone.
        label_scales: how many times as wide and high as its image a label may be.
    """

    def __init__(
        self,
        pairs: list[tuple[Path, Path | None]],
        label_format: LabelFormat | None,
        label_scales: tuple[int, ...],
    ) -> None:
        self.pairs = pairs
        self.label_format = label_format
        self.label_scales = label_scales

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Finding:
        image_file, label_file = self.pairs[index]
        finding = Finding()
        # Exception, since there is no end to what decoders raise on broken files.
        try:
            finding.statistics.add_image(read_rgb(image_file))
        except Exception as error:
            finding.faults.append(("images that can't be read", _describe(image_file, error)))
        if label_file is None or self.label_format is None:
            return finding
        try:
            finding.statistics.add_label(read_label(label_file, self.label_format))
        except Exception as error:
            finding.faults.append(("labels that can't be used", _describe(label_file, error)))
        if finding.statistics.ignored_share > 0.5:
            line = f"{label_file}: {finding.statistics.ignored_share:.0%}"
            finding.remarks.append(("labels of which more than half is ignored", line))
        for width, height in finding.statistics.image_sizes:
            for label_size in finding.statistics.label_sizes:
                if label_size not in [(width * scale, height * scale) for scale in self.label_scales]:
                    line = (
                        f"{image_file} is {width}x{height}, {label_file} is {label_size[0]}x{label_size[1]}"
                    )
                    finding.faults.append(("images and labels that differ in size", line))
        return finding


class SceneFindings(Dataset[Finding]):
    """What synthetic streets hold."""

    def __init__(self, streets: SyntheticStreets) -> None:
        self.streets = streets

    def __len__(self) -> int:
        return len(self.streets)

    def __getitem__(self, index: int) -> Finding:
        sample = self.streets[index]
        finding = Finding()
        finding.statistics.add_image(sample["image"].permute(1, 2, 0).contiguous().numpy())
        finding.statistics.add_label(sample["label"].numpy())
        return finding


def check_dataset(name: str, root: str, splits: list[str], limit: int | None, workers: int) -> DataReport:
    """Look at every file of a data set, or of some of its splits.

    Args:
        name: a data set of ``datasets.DATASETS``, or ``synthetic``.
        root: its folder; ``day`` or ``night`` for ``synthetic``.
        splits: empty for all that are there.
        limit: read this many images of each split at most, spread evenly over it.
        workers: processes that read.

    Raises:
        DataError: no such data set or split, or nothing of it in ``root``; all else is reported.
    """
    if name == SYNTHETIC:
        return _check_synthetic(root, splits, limit, workers)
    if name not in DATASETS:
        raise DataError(f"no data set {name!r}: known are {', '.join(DATASETS)}, {SYNTHETIC}")
    dataset = DATASETS[name]
    known = list(getattr(dataset, "SPLITS", ()))  # in the folder layout, every folder is a split
    there = dataset.splits_in(root)
    reports = {}
    for split in splits or there or known or ["train"]:
        try:
            files = dataset.list_files(root, split)
        except InputError as error:
            if split not in there:
                raise
            reports[split] = SplitReport(faults={"files that are not where they belong": [str(error)]})
            continue
        reports[split] = _check_split(dataset, name, split, files, limit, workers)
    absent = {} if splits else _absent(dataset, root, [split for split in known if split not in reports])
    return DataReport(_title(name, root, splits), reports, absent)


def _check_synthetic(root: str, splits: list[str], limit: int | None, workers: int) -> DataReport:
    if root not in ("day", "night") or splits:
        raise DataError(
            "synthetic streets have no folder and no splits: give synthetic day, or synthetic night"
        )
    streets, every = held_out_streets(root == "night", limit), len(held_out_streets(root == "night"))
    report = SplitReport(images=every, labels=every, label_format="train ids")
    _read(SceneFindings(streets), report, f"{SYNTHETIC} {root}", workers)
    return DataReport(_title(SYNTHETIC, root, []), {"held out": report}, {})


def _check_split(
    dataset: type[PublishedDataset], name: str, split: str, files: FileList, limit: int | None, workers: int
) -> SplitReport:
    pairs = sorted([*files.pairs, *((image, None) for image, _ in files.missing)])
    labels = [label for _, label in files.pairs if label]
    report = SplitReport(images=len(pairs), published=PUBLISHED.get(name, {}).get(split))
    if split not in dataset.UNLABELLED:
        report.labels = len(labels) + len(files.orphans)
    for image, expected in files.missing:
        report.add_fault("images without a label", f"{image}: expected {expected}")
    for orphan in files.orphans:
        report.add_fault("labels without an image", str(orphan))
    if labels:
        try:
            report.label_format = tell_format(labels)
        except Exception as error:
            report.add_fault("labels of no known format", _describe(labels[0].parent, error))
    if limit:
        pairs = _spread(pairs, limit)
    scales = dataset.LABEL_SCALES.get(split, (1,))
    _read(FileFindings(pairs, report.label_format, scales), report, f"{name} {split}", workers)
    if report.published not in (None, report.images):
        line = f"{report.images:,}, but the owners publish {report.published:,}"
        report.add_remark("not all images, or too many", line)
    return report


def tell_format(labels: list[Path]) -> LabelFormat:
    """Tell what labels hold, also where some are broken: then most of a hundred have the say.

    Raises:
        Exception: not one of them is of a known format; the first error.
    """
    try:
        return detect_format(labels)
    except Exception as error:  # as above: whatever a decoder raises
        first_error = error
    votes: Counter[LabelFormat] = Counter()
    for label in _spread(labels, FORMAT_VOTERS):
        with contextlib.suppress(Exception):
            votes[detect_format([label])] += 1
    if not votes:
        raise first_error
    return votes.most_common(1)[0][0]


def _spread(items: list[T], number: int) -> list[T]:
    """``number`` of the items, or all if there are no more, evenly spread."""
    if number >= len(items):
        return items
    return [items[i * len(items) // number] for i in range(number)]


def _absent(dataset: type[PublishedDataset], root: str, splits: list[str]) -> dict[str, str]:
    """Which of the splits are not there, with what was expected."""
    absent = {}
    for split in splits:
        try:
            dataset.list_files(root, split)
        except InputError as error:
            absent[split] = str(error)
    return absent


def _read(findings: Dataset[Finding], report: SplitReport, title: str, workers: int) -> None:
    """Gather the findings, which several processes make, in a report."""
    loader = DataLoader(findings, batch_size=None, num_workers=workers, worker_init_fn=leave_interrupts)
    for finding in tqdm(loader, title, unit="image", leave=False):
        report.statistics += finding.statistics
        for kind, line in finding.faults:
            report.add_fault(kind, line)
        for kind, line in finding.remarks:
            report.add_remark(kind, line)


def _describe(file: Path, error: Exception) -> str:
    return str(error) if isinstance(error, InputError) else f"{file}: {error!r}"


def _title(name: str, root: str, splits: list[str]) -> str:
    return " ".join([name, root, *splits])


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg check-data``; 1 if something is broken."""
    parser = argparse.ArgumentParser(
        "night-seg check-data",
        description="Look at every file of a data set: what is broken, and what the images and labels hold. "
        "The exit status is 1 if something is broken.",
    )
    parser.add_argument("dataset", help=f"{', '.join(DATASETS)} or {SYNTHETIC}")
    parser.add_argument(
        "root", help="folder of the data set as its owners ship it; day or night for synthetic"
    )
    parser.add_argument(
        "--split", nargs="+", default=[], help="splits to look at (default: all that are there)"
    )
    parser.add_argument(
        "--against",
        nargs="+",
        metavar=("DATASET ROOT", "SPLIT"),
        help="look at a second data set too, and draw the two side by side",
    )
    parser.add_argument("--plots", metavar="DIR", help="draw pixels per class and per exposure bin into DIR")
    parser.add_argument("--json", metavar="OUT", help="also write the whole report here")
    parser.add_argument("--limit", type=_from(1), metavar="N", help="read only N images of each split")
    parser.add_argument(
        "--workers",
        type=_from(0),
        default=os.cpu_count() or 1,
        help="processes that read (default: one per core)",
    )
    arguments = parser.parse_args(argv)
    chosen = [(arguments.dataset, arguments.root, arguments.split)]
    if arguments.against:
        if len(arguments.against) < 2:
            parser.error("--against takes a data set and its root")
        name, root, *splits = arguments.against
        chosen.append((name, root, splits))
    reports = []
    for one in chosen:
        reports.append(check_dataset(*one, arguments.limit, arguments.workers))
        print(format_report(reports[-1]), end="\n\n", flush=True)
    broken = any(report.broken for report in reports)
    if arguments.json:
        write_json(arguments.json, {"broken": broken, "data_sets": [as_json(report) for report in reports]})
    if arguments.plots:
        series = {report.title: report.statistics for report in reports}
        if len(reports) == 1:
            series = {name: split.statistics for name, split in reports[0].splits.items()}
        for chart in draw_charts(arguments.plots, series):
            print(f"chart: {chart}")
    return int(broken)


def _from(least: int) -> Callable[[str], int]:
    """A parser of whole numbers from ``least`` up."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} up, not {text!r}")
        return int(text)

    return parse
