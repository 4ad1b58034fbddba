# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Labels and confidence from small logits, against upsampling them whole."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from night_seg_ros.inference.label_map import predict_labels
from night_seg_ros.inference.preprocess import preprocess
from night_seg_ros.models.checkpoint import demonstration_weights, load_model

CHECKOUT = Path(__file__).resolve().parents[2]
SIZES = [  # of the logits, of the labels
    ((13, 21), (135, 241)),
    ((13, 21), (7, 9)),
    ((13, 21), (3, 1000)),
    ((17, 30), (272, 480)),
    ((1, 9), (5, 31)),
    ((5, 1), (9, 4)),
    ((1, 1), (3, 2)),
    ((2, 2), (1, 1)),
    ((7, 9), (7, 9)),
]


def smooth_logits(count: int, channels: int, size: tuple[int, int]) -> Tensor:
    """Areas of classes, as a network gives them, and a noisy corner."""
    generator = torch.Generator().manual_seed(size[0] * 100 + size[1])
    coarse = torch.randn(count, channels, 4, 5, generator=generator) * 6
    logits = F.interpolate(coarse, size, mode="bilinear", align_corners=True)
    logits[..., : size[0] // 3, : size[1] // 3] += torch.randn(
        count, channels, size[0] // 3, size[1] // 3, generator=generator
    )
    return logits


def check(logits: Tensor, size: tuple[int, int], align_corners: bool) -> None:
    """The label's score is the highest, but for rounding; the confidence is its probability."""
    full = F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=align_corners)
    probability = full.softmax(dim=1).amax(dim=1)
    for wanted in (False, True):
        labels, confidence = predict_labels(logits, size, align_corners=align_corners, confidence=wanted)
        assert labels.dtype == torch.uint8 and labels.shape == (len(logits), *size)
        gap = full.amax(dim=1) - full.gather(1, labels.long().unsqueeze(1)).squeeze(1)
        assert gap.max() < 1e-4
        assert (labels == full.argmax(dim=1)).float().mean() > 0.999
        assert (confidence is not None) == wanted
        if confidence is not None:
            assert (confidence.float() / 255 - probability).abs().max() < 1 / 255


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("small", "size"), SIZES)
def test_labels_are_those_of_full_size_logits(
    small: tuple[int, int], size: tuple[int, int], align_corners: bool
) -> None:
    for channels in (19, 2):
        check(smooth_logits(2, channels, small), size, align_corners)


def test_of_equal_scores_the_first_class_leads() -> None:
    assert predict_labels(torch.zeros(1, 19, 4, 4), (9, 9))[0].max() == 0


def test_any_type_and_memory_format() -> None:
    logits = smooth_logits(2, 19, (12, 20))
    expected = predict_labels(logits.bfloat16().float(), (96, 160), confidence=True)
    for given in (logits.bfloat16(), logits.bfloat16().to(memory_format=torch.channels_last)):
        found = predict_labels(given, (96, 160), confidence=True)
        assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


def test_a_class_that_leads_at_no_corner() -> None:
    """Second everywhere, and first in between."""
    logits = torch.full((1, 19, 2, 2), -9.0)
    logits[0, 3, :, 0], logits[0, 4, :, 1], logits[0, 15] = 1.0, 1.0, 0.9
    logits[0, 3, :, 1], logits[0, 4, :, 0] = 0.0, 0.0
    labels = predict_labels(logits, (1, 41), align_corners=True)[0]
    assert set(labels.unique().tolist()) == {3, 4, 15}
    check(logits, (33, 41), True)


def test_demonstration_weights_on_a_picture() -> None:
    frame = cv2.imread(str(CHECKOUT / "docs" / "images" / "demo.png"))[:480, :640]
    model, _ = load_model(demonstration_weights("egnet"))
    rgb = torch.from_numpy(np.ascontiguousarray(frame[..., ::-1])).permute(2, 0, 1)[None]
    with torch.inference_mode():
        check(model(preprocess(rgb, 256)).logits, (480, 640), False)


@pytest.mark.skipif(not importlib.util.find_spec("triton"), reason="triton is missing")
def test_triton_kernel() -> None:
    """On CUDA, or else in Triton's interpreter, which has to be chosen before Triton is loaded."""
    on_cuda = torch.cuda.is_available()
    code = """
import torch, test_label_map as tests
from night_seg_ros.inference import label_map_triton
on_cuda = torch.cuda.is_available()
def launch(logits, size, *, align_corners=False, confidence=False):
    return label_map_triton.labels_on_cuda(logits, size, align_corners, confidence)
tests.predict_labels = launch
sizes = tests.SIZES if on_cuda else [((3, 5), (7, 300)), ((5, 1), (9, 4)), ((9, 7), (3, 2))]
for small, size in sizes:
    for align_corners in (False, True):
        logits = tests.smooth_logits(2, 19 if on_cuda else 3, small).to("cuda" if on_cuda else "cpu")
        tests.check(logits, size, align_corners)
        tests.check(logits.to(memory_format=torch.channels_last).bfloat16(), size, align_corners)
"""
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{Path(__file__).parent}"}
    if not on_cuda:
        environment["TRITON_INTERPRET"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=CHECKOUT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
