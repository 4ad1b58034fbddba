# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frames on a CUDA device, against the same network on the CPU."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from night_seg_ros import Segmenter
from night_seg_ros.inference.engines import torch_cuda as cuda_frames
from night_seg_ros.inference.preprocess import network_size
from night_seg_ros.inference.segmenter import OUTPUTS
from night_seg_ros.models import build_model

if not torch.cuda.is_available():
    pytest.skip("no CUDA device", allow_module_level=True)

SIZES = [(135, 240), (97, 65), (33, 201)]
ARGUMENTS: dict[str, dict[str, Any]] = {
    "egnet": {"backbone": "resnet10", "output_stride": 16},
    "dannet": {"backbone": "resnet10", "relighting_width": 8},
    "bimix": {"backbone": "resnet10", "relighting_width": 8, "width": 16},
}


def new_model(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model(name, **ARGUMENTS[name]).eval()


def new_frames(size: tuple[int, int], count: int, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, *size, 3)).astype(np.uint8))


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_call_says_what_the_cpu_says(name: str, count: int) -> None:
    """The first call of a shape runs as it is, the second is captured, the third only replayed; one shape has
    been prepared."""
    model = new_model(name)
    on_cpu, on_cuda = (Segmenter(model, device=device, precision="fp32") for device in ("cpu", "cuda"))
    on_cuda.warm_up(SIZES[0], count)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as that of a capture that failed
        for turn in range(3):
            for size in SIZES:
                frames = new_frames(size, count, turn)
                for cpu, cuda in zip(on_cpu(frames, OUTPUTS), on_cuda(frames, OUTPUTS), strict=True):
                    assert (cpu.labels == cuda.labels).mean() > 0.999
                    for field in ("exposure", "confidence", "relit", "attention"):
                        expected, found = getattr(cpu, field), getattr(cuda, field)
                        assert (expected is None) == (found is None)
                        if expected is not None:
                            assert np.abs(expected.astype(int) - found).max() <= 1
                    same = cpu.labels == cuda.labels
                    assert np.abs(cpu.overlay.astype(int) - cuda.overlay)[same].max() <= 1


def test_results_stay_while_others_are_computed() -> None:
    segmenter = Segmenter(new_model("egnet"), device="cuda", precision="fp32")
    batches = [new_frames((120, 160), 1, seed) for seed in range(6)]
    alone = [segmenter(frames, ("labels",))[0].labels.copy() for frames in batches]
    pending = [segmenter.submit(frames, ("labels",)) for frames in batches]
    for expected, waiting in zip(alone, pending, strict=True):
        assert (waiting.result()[0].labels == expected).mean() > 0.999


def test_two_threads() -> None:
    segmenter = Segmenter(new_model("egnet"), device="cuda", precision="fp32")
    batches = {size: new_frames(size, 1) for size in SIZES[:2]}
    expected = {size: segmenter(frames, ("labels",))[0].labels for size, frames in batches.items()}
    wrong: list[tuple[int, int]] = []

    def run(size: tuple[int, int]) -> None:
        for _ in range(20):
            labels = segmenter(batches[size], ("labels",))[0].labels
            if (labels != expected[size]).mean() > 0.001:
                wrong.append(size)

    threads = [threading.Thread(target=run, args=(size,)) for size in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_more_shapes_than_graphs() -> None:
    segmenter = Segmenter(new_model("egnet"), device="cuda")
    for _ in range(2):
        for width in range(64, 64 + 4 * cuda_frames.GRAPHS, 2):
            for _ in range(2):
                assert segmenter(new_frames((64, width), 1)[0]).labels.shape == (64, width)
    assert len(segmenter._cuda._captured) == cuda_frames.GRAPHS


def test_half_precision_agrees() -> None:
    model = new_model("dannet")
    frames = new_frames((270, 480), 2)
    full = Segmenter(model, device="cuda", precision="fp32", input_size=network_size(270, 480, 135))
    for precision in ("bf16", "fp16"):
        half = Segmenter(model, device="cuda", precision=precision, input_size=(135, 240))
        for _ in range(3):
            for expected, found in zip(full(frames), half(frames), strict=True):
                assert np.abs(expected.relit.astype(int) - found.relit).mean() < 4
