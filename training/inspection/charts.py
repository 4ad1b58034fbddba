# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Charts of what data sets hold: pixels per class and pixels per exposure bin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from night_seg_ros.models.classes import CLASSES, NUM_CLASSES
from night_seg_ros.training.evaluation.figures import save_figure
from night_seg_ros.training.evaluation.metrics import EXPOSURE_BIN_NAMES
from night_seg_ros.training.inspection.statistics import Statistics


def draw_charts(folder: str | Path, series: dict[str, Statistics]) -> list[Path]:
    """Draw ``pixels_per_class.png`` and ``pixels_per_exposure_bin.png`` into a folder.

    Args:
        folder: is made where it is missing; charts in it are replaced.
        series: statistics by name, drawn side by side.

    Returns:
        The charts. Without a pixel that has a class, or without an image, there is nothing to draw in one.
    """
    classes = {name: s for name, s in series.items() if s.class_pixels.any()}
    exposures = {name: s for name, s in series.items() if s.value_pixels.any()}
    charts = []
    if classes:
        charts.append(_draw_classes(Path(folder) / "pixels_per_class.png", classes))
    if exposures:
        charts.append(_draw_exposure(Path(folder) / "pixels_per_exposure_bin.png", exposures))
    return charts


def _draw_classes(path: Path, series: dict[str, Statistics]) -> Path:
    pixels = {f"{name} ({s.labels:,} labels)": s.class_pixels for name, s in series.items()}
    figure, axes = _draw_bars("Pixels per class", pixels)
    axes.set_yscale("log")
    axes.set_ylim(bottom=min(counts[counts > 0].min() for counts in pixels.values()) / 2)
    axes.set_xticks(range(NUM_CLASSES), CLASSES, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_ylabel("pixels (log)")
    save_figure(figure, path)
    return path


def _draw_exposure(path: Path, series: dict[str, Statistics]) -> Path:
    # Shares, so that data sets of different sizes can be compared.
    shares = {
        f"{name} ({s.images:,} images, mean {s.mean_exposure:.2f})": s.exposure_pixels / s.value_pixels.sum()
        for name, s in series.items()
    }
    figure, axes = _draw_bars("Pixels per exposure bin", shares)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xticks(range(len(EXPOSURE_BIN_NAMES)), EXPOSURE_BIN_NAMES)
    axes.set_xlabel("exposure: V = max(R, G, B)")
    axes.set_ylabel("share of the pixels")
    save_figure(figure, path)
    return path


def _draw_bars(title: str, series: dict[str, np.ndarray]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(11, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(series)
    for number, (name, heights) in enumerate(series.items()):
        offset = (number - (len(series) - 1) / 2) * width
        axes.bar(np.arange(len(heights)) + offset, heights, width, label=name)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_title(title)
    figure.legend(loc="outside upper center")
    return figure, axes
