# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Charts of scores: EF1 by exposure, and images beside their truth and prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from night_seg_ros.models.classes import CLASSES, COLOUR_TABLE, IGNORE, NUM_CLASSES, PALETTE
from night_seg_ros.training.evaluation.figures import save_figure
from night_seg_ros.training.evaluation.metrics import EXPOSURE_BIN_NAMES, EXPOSURE_BINS

_PANEL_WIDTH = 6.4  # inches
_DPI = 100


def draw_ef1(path: Path, title: str, scores: dict[str, Any]) -> None:
    """Draw EF1 of each exposure bin, micro and macro, over the number of pixels in the bin.

    Args:
        path: PNG to write.
        scores: of ``SegmentationMetrics.compute``.
    """
    figure = Figure(figsize=(10, 6.5), dpi=_DPI, layout="constrained")
    f1, counts = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    bins = np.arange(len(EXPOSURE_BIN_NAMES))
    pixels = np.array(scores["exposure_pixels"])
    for averaging, offset in (("micro", -0.2), ("macro", 0.2)):
        values = np.array(scores[f"ef1_{averaging}"], float)  # None becomes NaN
        label = f"{averaging}: mEF1 {scores[f'mef1_{averaging}']:.3f}"
        bars = f1.bar(bins + offset, np.nan_to_num(values), 0.38, label=label)
        f1.bar_label(bars, ["" if np.isnan(v) else f"{v:.2f}" for v in values], fontsize=8, padding=2)
    f1.set_ylim(0, 1.18)
    f1.set_yticks(np.linspace(0, 1, 6))
    f1.set_ylabel("EF1")
    f1.set_title(title)
    f1.legend(loc="upper right", ncols=2)
    bars = counts.bar(bins, pixels, 0.78, color="0.6")
    counts.bar_label(bars, [_short(n) for n in pixels], fontsize=8, padding=2)
    counts.set_yscale("log")
    counts.set_ylim(0.5, 30 * max(1, pixels.max()))
    counts.set_ylabel("pixels (log)")
    counts.set_xlabel("exposure: V = max(R, G, B)")
    counts.set_xticks(bins, EXPOSURE_BIN_NAMES, fontsize=9)
    for axes in (f1, counts):
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
    save_figure(figure, path)


def draw_study(path: Path, scores: dict[str, dict[str, list[dict[str, Any]]]]) -> None:
    """Draw EF1 by exposure: a column per test, a row per averaging, a line per variant (mean of its runs).

    Args:
        path: PNG to write.
        scores: of ``SegmentationMetrics.compute``, by variant and test, one per run.
    """
    tests = list(next(iter(scores.values())))
    figure = Figure(figsize=(5 * len(tests), 8), dpi=_DPI, layout="constrained")
    axes = figure.subplots(2, len(tests), sharex=True, squeeze=False)
    centres = (np.arange(EXPOSURE_BINS) + 0.5) / EXPOSURE_BINS
    for column, test in enumerate(tests):
        for row, averaging in enumerate(("micro", "macro")):
            axis = axes[row][column]
            for name, by_test in scores.items():
                runs = np.array([run[f"ef1_{averaging}"] for run in by_test[test]], float)  # None becomes NaN
                axis.plot(centres, runs.mean(axis=0), marker="o", markersize=3, label=name)
            axis.set_title(f"{test}, {averaging}")
            axis.set_ylabel("EF1")
            axis.grid(alpha=0.3)
        axes[1][column].set_xlabel("exposure: V = max(R, G, B)")
    axes[0][0].legend(fontsize="small")
    save_figure(figure, path)


def draw_miou(path: Path, scores: dict[str, dict[str, list[dict[str, Any]]]]) -> None:
    """Draw mIoU: a column per test, a row per variant, with a dot per run and a line at their mean.

    Args:
        path: PNG to write.
        scores: see ``draw_study``.
    """
    tests = list(next(iter(scores.values())))
    figure = Figure(figsize=(2.5 + 4 * len(tests), 1.2 + 0.36 * len(scores)), dpi=_DPI, layout="constrained")
    rows = np.arange(len(scores))
    for axis, test in zip(figure.subplots(1, len(tests), sharey=True, squeeze=False)[0], tests, strict=True):
        runs = [np.array([run["miou"] for run in by_test[test]], float) * 100 for by_test in scores.values()]
        for row, values in zip(rows, runs, strict=True):
            axis.scatter(values, [row] * len(values), s=16, color="tab:blue", alpha=0.6)
        axis.scatter([values.mean() for values in runs], rows, s=240, marker="|", color="black")
        axis.set_title(test)
        axis.set_xlabel("mIoU, %")
        axis.grid(alpha=0.3)
    axis.set_yticks(rows, list(scores))
    axis.invert_yaxis()
    save_figure(figure, path)


def draw_sweeps(
    path: Path, scores: dict[str, dict[str, list[dict[str, Any]]]], sweeps: dict[str, dict[float, str]]
) -> None:
    """Draw mIoU over the values of parameters: a column per test, a line per parameter with the deviation.

    Args:
        path: PNG to write.
        scores: see ``draw_study``.
        sweeps: by the name of the parameter, the variant of each of its values.
    """
    tests = list(next(iter(scores.values())))
    figure = Figure(figsize=(5 * len(tests), 4), dpi=_DPI, layout="constrained")
    for axis, test in zip(figure.subplots(1, len(tests), squeeze=False)[0], tests, strict=True):
        for name, variants in sweeps.items():
            runs = (
                np.array([[run["miou"] for run in scores[v][test]] for v in variants.values()], float) * 100
            )
            means, deviations = runs.mean(axis=1), runs.std(axis=1, ddof=int(runs.shape[1] > 1))
            axis.errorbar(list(variants), means, deviations, marker="o", capsize=3, label=name)
        smallest = min((v for values in sweeps.values() for v in values if v > 0), default=1.0)
        axis.set_xscale("symlog", linthresh=smallest)
        axis.set_title(test)
        axis.set_xlabel("value")
        axis.set_ylabel("mIoU, %")
        axis.grid(alpha=0.3)
    axis.legend()
    save_figure(figure, path)


def _short(count: int) -> str:
    """1234567 -> 1.2M."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= factor:
            return f"{count / factor:.3g}{unit}"
    return str(count)


def draw_comparison(
    path: Path, title: str, image: np.ndarray, label: np.ndarray, prediction: np.ndarray
) -> None:
    """Draw image, truth, prediction and the wrong pixels in red, with the colours of the classes.

    Args:
        path: PNG to write.
        image: (h, w, 3) uint8 RGB.
        label, prediction: (H, W) uint8 train ids, 255 = ignored, black.
    """
    counted = label != IGNORE
    wrong = np.where(counted[..., None], 225, 0).repeat(3, axis=2).astype(np.uint8)
    wrong[counted & (prediction != label)] = (200, 20, 30)
    height = _PANEL_WIDTH * label.shape[0] / label.shape[1]
    figure = Figure(figsize=(2 * _PANEL_WIDTH, 2 * height + 1.4), dpi=_DPI, layout="constrained")
    panels = {
        "image": image,
        "truth (black: does not count)": COLOUR_TABLE[label],
        "prediction": COLOUR_TABLE[prediction],
        "wrong pixels": wrong,
    }
    for axes, (name, picture) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        axes.imshow(picture)
        axes.set_title(name, fontsize=11)
        axes.set_axis_off()
    figure.suptitle(title)
    seen = [c for c in range(NUM_CLASSES) if (label == c).any() or (prediction == c).any()]
    figure.legend(
        handles=[Patch(color=PALETTE[c] / 255, label=CLASSES[c]) for c in seen],
        loc="outside lower center",
        ncols=10,
        fontsize=9,
    )
    save_figure(figure, path)
