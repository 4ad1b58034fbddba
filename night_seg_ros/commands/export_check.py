# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Checks an exported program against the checkpoint that it was made from, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from night_seg_ros.common.tables import percent
from night_seg_ros.inference.preprocess import is_distorted
from night_seg_ros.inference.segmenter import Segmentation, Segmenter
from night_seg_ros.training.evaluation.metrics import SegmentationMetrics

MIN_AGREEMENT = 0.999  # share of the pixels that must have the same label
MAX_DIFFERENCE = 2  # in exposure and relit image, of 255


class CheckError(ValueError):
    """An exported program that does not say what its checkpoint says; the message tells where."""


class CheckFrame(NamedTuple):
    """A frame to check with: ``bgr`` (H, W, 3) uint8; ``label`` train ids, uint8, 255 = ignored, or None.

    A label may be larger than its frame.
    """

    name: str
    bgr: np.ndarray
    label: np.ndarray | None = None


def compare(
    checkpoint: Segmenter,
    program: Segmenter,
    frames: Iterable[CheckFrame],
    metrics: tuple[SegmentationMetrics, SegmentationMetrics] | None,
) -> dict[str, Any]:
    """Segment frames with both and compare what they say.

    Args:
        checkpoint, program: both in fp32, and of one input size.
        frames: with labels, if there are metrics.
        metrics: one for each, to score both.

    Returns:
        JSON values: ``frames``, how many; ``agreement``, share of the pixels of all frames that have the same
        label; ``lowest_agreement`` and ``lowest_frame``, of the worst frame; ``distorted_frames``, how many
        the one size that a program takes has squeezed or stretched; ``exposure_difference`` and
        ``relit_difference``, the largest of a pixel, of 255, None if there are no such images. With metrics:
        ``miou_checkpoint``, ``miou_program``, ``miou_change``, 0..1.

    Raises:
        CheckError: no frames, or labels without a pixel that counts.
    """
    names, agreements, pixels = [], [], []
    distorted = 0
    differences: dict[str, list[int]] = {"exposure": [], "relit": []}
    for frame in frames:
        answers = [segmenter(frame.bgr, ("labels", *differences)) for segmenter in (checkpoint, program)]
        names.append(frame.name)
        agreements.append(float(np.mean(answers[0].labels == answers[1].labels)))
        height, width = frame.bgr.shape[:2]
        pixels.append(height * width)
        distorted += is_distorted(height, width, program.input_size)
        for name, found in differences.items():
            found += _largest_difference(*(getattr(answer, name) for answer in answers))
        if metrics is not None:
            for metric, answer in zip(metrics, answers, strict=True):
                _score(metric, answer, frame)
    if not names:
        raise CheckError("no frame to check the program with")
    worst = int(np.argmin(agreements))
    return {
        "frames": len(names),
        "agreement": float(np.average(agreements, weights=pixels)),
        "lowest_agreement": agreements[worst],
        "lowest_frame": names[worst],
        "distorted_frames": distorted,
        **{f"{name}_difference": max(found, default=None) for name, found in differences.items()},
        **(_miou(*metrics) if metrics is not None else {}),
    }


def judge(report: dict[str, Any]) -> None:
    """Refuse a program by the report of ``compare``.

    Raises:
        CheckError: too many labels differ, or exposure or relit image differ too much.
    """
    if report["agreement"] < MIN_AGREEMENT:
        raise CheckError(
            f"only {percent(report['agreement'], 4)} of the labels agree with the checkpoint's, less than "
            f"{percent(MIN_AGREEMENT)}; the program is not kept"
        )
    for name in ("exposure", "relit"):
        difference = report[f"{name}_difference"]
        if difference is not None and difference > MAX_DIFFERENCE:
            raise CheckError(
                f"{name} differs from the checkpoint's by up to {difference} of 255, more than "
                f"{MAX_DIFFERENCE}; the program is not kept"
            )


def format_report(report: dict[str, Any]) -> str:
    """The report of ``compare``, and the devices of both, as a short table for people."""
    rows = {
        "devices": f"checkpoint on {report['device']}, program on {report['program_device']}",
        "frames": str(report["frames"]),
        "equal labels": percent(report["agreement"], 4),
        "in the worst frame": f"{percent(report['lowest_agreement'], 4)} ({report['lowest_frame']})",
    }
    for name in ("exposure", "relit"):
        if report[f"{name}_difference"] is not None:
            rows[name] = f"differs by {report[f'{name}_difference']} of 255 at most"
    if report["distorted_frames"]:
        rows["distorted"] = f"{report['distorted_frames']} frames, which have not the shape of the input"
    if "miou_change" in report:
        rows["mIoU, checkpoint"] = percent(report["miou_checkpoint"], 4)
        rows["mIoU, program"] = percent(report["miou_program"], 4)
        rows["change"] = f"{100 * report['miou_change']:+.3f} points"
    return "\n".join(f"{name:<20}{value}" for name, value in rows.items())


def _largest_difference(first: np.ndarray | None, second: np.ndarray | None) -> list[int]:
    """Nothing, if neither has such an image."""
    if first is None and second is None:
        return []
    if first is None or second is None:
        return [255]
    return [int(cv2.absdiff(first, second).max())]


def _score(metric: SegmentationMetrics, answer: Segmentation, frame: CheckFrame) -> None:
    assert frame.label is not None and answer.labels is not None
    size = frame.label.shape[::-1]
    labels, value = (
        cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
        for image in (answer.labels, frame.bgr.max(axis=2))
    )
    metric.update(*(torch.from_numpy(image)[None] for image in (labels, frame.label, value)))


def _miou(checkpoint: SegmentationMetrics, program: SegmentationMetrics) -> dict[str, float]:
    before, after = checkpoint.compute()["miou"], program.compute()["miou"]
    if before is None or after is None:
        raise CheckError("every pixel of these labels is ignored (255)")
    return {"miou_checkpoint": before, "miou_program": after, "miou_change": after - before}
