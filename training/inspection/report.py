# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the check of a data set found, as a text for people and as JSON."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from night_seg_ros.common.tables import align_columns, percent
from night_seg_ros.models.classes import CLASSES
from night_seg_ros.training.data.label_files import LabelFormat
from night_seg_ros.training.evaluation.metrics import EXPOSURE_BIN_NAMES
from night_seg_ros.training.inspection.statistics import Statistics

NAMED = 5  # cases of a kind that the text names; JSON has all


@dataclass
class SplitReport:
    """What was found in one split.

    Attributes:
        images, labels: how many files there are; ``labels`` is None where the owners publish none.
        published: how many images the owners' split has; None where that isn't known.
        label_format: what the label files hold; None if that can't be told, or without labels.
        statistics: of the files that were read and found good.
        faults: what is broken, by its kind: a line for each case.
        remarks: what is unusual but not broken, likewise.
    """

    images: int = 0
    labels: int | None = None
    published: int | None = None
    label_format: LabelFormat | None = None
    statistics: Statistics = field(default_factory=Statistics)
    faults: dict[str, list[str]] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)

    def add_fault(self, kind: str, line: str) -> None:
        self.faults.setdefault(kind, []).append(line)

    def add_remark(self, kind: str, line: str) -> None:
        self.remarks.setdefault(kind, []).append(line)


@dataclass
class DataReport:
    """What was found in a data set.

    Attributes:
        title: which data set, and where.
        splits: by name.
        absent: splits of the data set that are not there, each with what was expected.
    """

    title: str
    splits: dict[str, SplitReport]
    absent: dict[str, str]

    @property
    def broken(self) -> bool:
        return any(split.faults for split in self.splits.values())

    @property
    def statistics(self) -> Statistics:
        """Of all splits together."""
        return sum((split.statistics for split in self.splits.values()), Statistics())


def as_json(report: DataReport) -> dict[str, Any]:
    """The whole report in what JSON can hold; numbers that don't exist are None."""
    return {
        "dataset": report.title,
        "broken": report.broken,
        "absent": report.absent,
        "splits": {name: _split_as_json(split) for name, split in report.splits.items()},
    }


def _split_as_json(split: SplitReport) -> dict[str, Any]:
    statistics = split.statistics
    return {
        "images": split.images,
        "published": split.published,
        "labels": split.labels,
        "label_format": split.label_format,
        "images_read": statistics.images,
        "labels_read": statistics.labels,
        "image_sizes": {_size(size): count for size, count in statistics.image_sizes.most_common()},
        "label_sizes": {_size(size): count for size, count in statistics.label_sizes.most_common()},
        "ignored_share": _number(statistics.ignored_share),
        "mean_exposure": _number(statistics.mean_exposure),
        "class_pixels": dict(zip(CLASSES, statistics.class_pixels.tolist(), strict=True)),
        "class_images": dict(zip(CLASSES, statistics.class_images.tolist(), strict=True)),
        "exposure_pixels": statistics.exposure_pixels.tolist(),
        "faults": split.faults,
        "remarks": split.remarks,
    }


def format_report(report: DataReport) -> str:
    """The report as tables with a column per split, then what is wrong."""
    names, splits = list(report.splits), list(report.splits.values())
    parts = [
        report.title,
        _table(["", *names], _overview(splits)),
        _table(
            ["class: share of the pixels, images with it", *names],
            [[name, *(_class_cell(s.statistics, c) for s in splits)] for c, name in enumerate(CLASSES)],
        ),
        _table(
            ["exposure (V): share of the pixels", *names],
            [
                [
                    name,
                    *(
                        _share(s.statistics.exposure_pixels[k], s.statistics.value_pixels.sum())
                        for s in splits
                    ),
                ]
                for k, name in enumerate(EXPOSURE_BIN_NAMES)
            ],
        ),
    ]
    if report.absent:
        parts.append("\n".join(["not there", *(f"  {name}: {why}" for name, why in report.absent.items())]))
    remarks = [line for name, split in report.splits.items() for line in _cases(name, split.remarks)]
    if remarks:
        parts.append("\n".join(["remarks", *remarks]))
    faults = [line for name, split in report.splits.items() for line in _cases(name, split.faults)]
    parts.append("\n".join(["FAULTS", *faults]) if faults else "no faults")
    return "\n\n".join(parts)


def _overview(splits: list[SplitReport]) -> list[list[str]]:
    statistics = [split.statistics for split in splits]
    rows = [
        ["images", *(_count(s.images) for s in splits)],
        ["  the owners publish", *(_count(s.published) for s in splits)],
        ["  read", *(_count(s.images) for s in statistics)],
        ["labels", *(_count(s.labels) for s in splits)],
        ["  read", *(_count(s.labels) for s in statistics)],
        ["  hold", *(_mapping(s) for s in splits)],
        ["image sizes", *(_sizes(s.image_sizes) for s in statistics)],
        ["label sizes", *(_sizes(s.label_sizes) for s in statistics)],
        ["ignored pixels", *(percent(s.ignored_share, 2) for s in statistics)],
        ["mean exposure", *(_fixed(s.mean_exposure) for s in statistics)],
    ]
    return [row for row in rows if set(row[1:]) != {"-"}]


def _cases(split: str, kinds: dict[str, list[str]]) -> list[str]:
    lines = []
    for kind, cases in kinds.items():
        lines.append(f"  {split}: {kind}: {len(cases):,}")
        lines += [f"    {case}" for case in cases[:NAMED]]
        if len(cases) > NAMED:
            lines.append(f"    and {len(cases) - NAMED:,} more (all of them: --json)")
    return lines


def _table(head: list[str], rows: list[list[str]]) -> str:
    first, *others = ["  ".join(cells) for cells in align_columns([head, *rows], numbers=True)]
    return "\n".join([first, "-" * len(first), *others])


def _mapping(split: SplitReport) -> str:
    if split.label_format in (None, "train ids"):
        return split.label_format or "-"
    return f"{split.label_format}, mapped"


def _sizes(sizes: Counter[tuple[int, int]]) -> str:
    """The two most frequent sizes, and how many others there are."""
    if len(sizes) < 2:
        return "".join(map(_size, sizes)) or "-"
    named = [f"{_size(size)} ({count:,})" for size, count in sizes.most_common(2)]
    return ", ".join(named) + (f", {len(sizes) - 2} more" if len(sizes) > 2 else "")


def _class_cell(statistics: Statistics, c: int) -> str:
    if not statistics.class_pixels[c]:
        return "-"
    share = _share(statistics.class_pixels[c], statistics.class_pixels.sum())
    return f"{share}{statistics.class_images[c]:8,}"


def _share(pixels: int, total: int) -> str:
    return percent(pixels / total, 2) if total else "-"


def _fixed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
