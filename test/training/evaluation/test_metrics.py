# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Scores against slow counts, pixel by pixel."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from night_seg_ros.models.classes import CLASSES
from night_seg_ros.training.evaluation.metrics import SegmentationMetrics, WorstImages, exposure_bins


def scores_of(prediction: np.ndarray, truth: np.ndarray, exposure: np.ndarray) -> dict[str, Any]:
    """Scores of images (N, H, W), added one by one; as strict JSON gives them back."""
    metrics = SegmentationMetrics()
    for one in zip(prediction, truth, exposure, strict=True):
        metrics.update(*(torch.from_numpy(a.astype(np.uint8))[None] for a in one))
    scores: dict[str, Any] = json.loads(json.dumps(metrics.compute(), allow_nan=False))
    return scores


def slow_ef1(
    prediction: np.ndarray, truth: np.ndarray, exposure: np.ndarray
) -> tuple[list[Fraction | None], list[Fraction | None]]:
    """EF1 by exposure bin, micro and macro, by the letter of Eq. 2 and 3 in fractions."""
    micro: list[Fraction | None] = []
    macro: list[Fraction | None] = []
    for k in range(10):
        pixels = [
            (int(p), int(t))
            for p, t, e in zip(prediction.flat, truth.flat, exposure.flat, strict=True)
            if t != 255
            and (Fraction(k, 10) <= Fraction(int(e), 255) < Fraction(k + 1, 10) or (k, e) == (9, 255))
        ]
        if not pixels:
            micro.append(None)
            macro.append(None)
            continue
        counts = {}
        for c in {c for pair in pixels for c in pair}:
            tp = sum(p == c and t == c for p, t in pixels)
            fp = sum(p == c and t != c for p, t in pixels)
            fn = sum(p != c and t == c for p, t in pixels)
            counts[c] = (tp, fp, fn)
        tp, fp, fn = (sum(column) for column in zip(*counts.values(), strict=True))
        micro.append(f1(ratio(tp, tp + fp), ratio(tp, tp + fn)))
        precisions = [ratio(tp, tp + fp) for tp, fp, _ in counts.values()]
        recalls = [ratio(tp, tp + fn) for tp, _, fn in counts.values()]
        macro.append(f1(sum(precisions, Fraction()) / len(counts), sum(recalls, Fraction()) / len(counts)))
    return micro, macro


def ratio(part: int, whole: int) -> Fraction:
    return Fraction(part, whole) if whole else Fraction()


def f1(precision: Fraction, recall: Fraction) -> Fraction:
    return 2 * precision * recall / (precision + recall) if precision + recall else Fraction()


def assert_same(found: list[float | None], expected: list[Fraction | None]) -> None:
    assert found == [None if e is None else pytest.approx(float(e)) for e in expected]


def random_maps(seed: int, classes: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, truth and exposure of three images: a third of the pixels wrong, some ignored."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (3, 20, 20))
    prediction = np.where(rng.random(truth.shape) < 0.3, rng.integers(0, classes, truth.shape), truth)
    truth[:, :3] = 255
    return prediction, truth, rng.integers(0, 256, truth.shape)


def test_iou_against_a_count() -> None:
    prediction, truth, exposure = random_maps(0)
    prediction[prediction == 5] = 7  # 5 is in the truth only, 7 in the prediction only
    scores = scores_of(prediction, truth, exposure)
    valid = truth != 255
    expected = {}
    for c in range(19):
        either = ((truth == c) | (prediction == c)) & valid
        if either.any():
            expected[CLASSES[c]] = ((truth == c) & (prediction == c) & valid).sum() / either.sum()
    assert scores["iou"] == pytest.approx(expected)
    assert set(scores["iou"]) == {CLASSES[c] for c in (0, 1, 2, 3, 4, 5, 7)}
    assert scores["miou"] == pytest.approx(sum(expected.values()) / 7)
    assert scores["miou_truth"] == pytest.approx(sum(expected[CLASSES[c]] for c in range(6)) / 6)
    assert scores["pixel_accuracy"] == pytest.approx((truth == prediction)[valid].mean())
    assert scores["images"] == 3


@pytest.mark.parametrize("seed", range(3))
def test_ef1_against_a_slow_loop(seed: int) -> None:
    prediction, truth, exposure = random_maps(seed)
    if seed == 0:
        prediction[prediction == 5] = 7  # never predicted, and predicted but never true
    exposure[(exposure >= 102) & (exposure < 128)] = 255  # nothing in [0.4, 0.5): an empty bin
    truth[2] = 255  # an image that does not count at all
    scores = scores_of(prediction, truth, exposure)
    micro, macro = slow_ef1(prediction, truth, exposure)
    assert [k for k, value in enumerate(micro) if value is None] == [4]
    assert_same(scores["ef1_micro"], micro)
    assert_same(scores["ef1_macro"], macro)
    for name, values in (("mef1_micro", micro), ("mef1_macro", macro)):
        filled = [value for value in values if value is not None]
        assert scores[name] == pytest.approx(float(sum(filled) / len(filled)))
    assert sum(scores["exposure_pixels"]) == (truth != 255).sum()
    assert scores["exposure_pixels"][4] == 0


def test_a_perfect_prediction() -> None:
    _, truth, exposure = random_maps(1)
    scores = scores_of(np.where(truth == 255, 0, truth), truth, exposure)
    for key in ("ef1_micro", "ef1_macro"):
        assert scores[key] == [1.0] * 10
        assert scores["m" + key] == 1
    assert scores["miou"] == scores["pixel_accuracy"] == 1


def test_an_inverted_prediction() -> None:
    _, truth, exposure = random_maps(1, classes=2)
    scores = scores_of(np.where(truth == 255, 0, 1 - truth), truth, exposure)
    for key in ("ef1_micro", "ef1_macro"):
        assert scores[key] == [0.0] * 10
        assert scores["m" + key] == 0
    assert scores["miou"] == scores["pixel_accuracy"] == 0


def test_nothing_but_ignored_pixels() -> None:
    zeros = np.zeros((1, 4, 4), int)
    scores = scores_of(zeros, zeros + 255, zeros)
    for key in ("miou", "miou_truth", "pixel_accuracy", "mef1_micro", "mef1_macro"):
        assert scores[key] is None
    assert scores["ef1_micro"] == scores["ef1_macro"] == [None] * 10
    assert scores["iou"] == {} and scores["images"] == 1


def test_every_exposure_falls_into_its_bin() -> None:
    expected = [min(9, (Fraction(v, 255) * 10).__floor__()) for v in range(256)]
    assert exposure_bins(torch.arange(256, dtype=torch.uint8)).tolist() == expected


def test_counts_of_a_pixel() -> None:
    metrics = SegmentationMetrics()
    prediction, label, exposure = (torch.full((1, 1, 1), v, dtype=torch.uint8) for v in (18, 3, 255))
    metrics.update(prediction, label, exposure)
    assert metrics.confusion.dtype == torch.int64
    assert metrics.confusion.nonzero().tolist() == [[9, 3, 18]]


def test_processes_add_up_to_one() -> None:
    """Two processes with half of the images each get exactly the scores of one with all."""
    maps = [torch.from_numpy(a.astype(np.uint8)) for a in random_maps(2)]
    whole, first, second = SegmentationMetrics(), SegmentationMetrics(), SegmentationMetrics()
    whole.update(*maps)
    first.update(*(a[:2] for a in maps))
    second.update(*(a[2:] for a in maps))
    others = iter([second.confusion, torch.tensor(second.images)])
    first.reduce(lambda mine: mine + next(others))
    assert first.compute() == whole.compute()


def test_worst_images() -> None:
    prediction = torch.zeros(1, 10, 10, dtype=torch.uint8)
    wrong = [30, 80, 30, 10, 90, 0, 50]  # of 100 pixels, by image
    worst = WorstImages(4)
    for number, count in enumerate(wrong):
        label = torch.zeros(100, dtype=torch.uint8)
        label[:count] = 1
        worst.update(number, prediction, label.view(1, 10, 10))
    worst.update(7, prediction, torch.full((1, 10, 10), 255))  # no pixel counts: neither good nor bad
    assert worst.compute() == [(n, pytest.approx(a)) for n, a in [(4, 0.1), (1, 0.2), (6, 0.5), (0, 0.7)]]
    none = WorstImages(3)
    none.update(0, prediction, torch.full((1, 10, 10), 255))
    assert none.compute() == []
