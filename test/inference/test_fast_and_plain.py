# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The Segmenter against the same network as PyTorch runs it by default, with trained weights on streets."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from night_seg_ros import Segmenter
from night_seg_ros.bench.baseline import PlainSegmenter
from night_seg_ros.bench.options import read_frames
from night_seg_ros.inference.engines.torch_cuda import kernels
from night_seg_ros.inference.preprocess import computes_in_bf16, preprocess
from night_seg_ros.models.checkpoint import load_model

CHECKOUT = Path(__file__).resolve().parents[2]
WEIGHTS = sorted((CHECKOUT / "models" / "weights").glob("*.safetensors"))
INPUT_SIZE = 180
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@lru_cache
def streets() -> list[np.ndarray]:
    """Streets by night, each (480, 640, 3) uint8 BGR."""
    return read_frames(None, (480, 640))


def crops(height: int, width: int, count: int) -> list[np.ndarray]:
    return [frame[-height:, :width] for frame in streets()[:count]]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("size", "count"), [((480, 640), 1), ((359, 501), 4), ((243, 411), 1)])
@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda path: path.stem)
@torch.inference_mode()
def test_fp32(weights: Path, size: tuple[int, int], count: int, device: str) -> None:
    frames = crops(*size, count)
    network = load_model(weights)[0].to(device)
    answers = Segmenter(weights, device=device, precision="fp32", input_size=INPUT_SIZE)(frames)
    rgb = torch.from_numpy(np.stack(frames)[..., ::-1].copy()).permute(0, 3, 1, 2).to(device)
    with kernels(choose_fastest=False):  # by default, PyTorch's convolutions on CUDA are in TF32
        labels = PlainSegmenter(network, INPUT_SIZE)(frames)
        plain = network(preprocess(rgb, INPUT_SIZE).contiguous())
    assert (np.stack([answer.labels for answer in answers]) == labels).mean() >= 0.9999
    scores = F.interpolate(plain.logits, size, mode="bilinear", align_corners=plain.align_corners)
    expected = {"confidence": scores.softmax(dim=1).amax(dim=1)}
    if plain.exposure is not None:
        expected["exposure"] = F.interpolate(plain.exposure, size, mode="bilinear")[:, 0]
    for name, values in expected.items():
        found = np.stack([getattr(answer, name) for answer in answers]).astype(int)
        assert np.abs(found - (255 * values).round().cpu().numpy()).max() <= 1, name


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("precision", "largest", "mean"), [("fp32", 1.0, 0.3), ("bf16", 12.0, 0.8)])
@torch.inference_mode()
def test_attention(precision: str, largest: float, mean: float, device: str) -> None:
    """In 1/255; on CUDA, the third call replays a graph."""
    if precision == "bf16" and not computes_in_bf16(torch.device(device)):
        pytest.skip("bf16 arithmetic is missing")
    frames, (weights,) = crops(359, 501, 2), [path for path in WEIGHTS if path.stem == "egnet"]
    segmenter = Segmenter(weights, device=device, precision=precision, input_size=INPUT_SIZE)
    rgb = torch.from_numpy(np.stack(frames)[..., ::-1].copy()).permute(0, 3, 1, 2)
    maps = load_model(weights)[0](preprocess(rgb, INPUT_SIZE).contiguous()).attention
    expected = torch.cat([F.interpolate(each, (359, 501), mode="bilinear") for each in maps], dim=1)
    for _ in range(3 if device == "cuda" else 1):
        found = np.stack([answer.attention for answer in segmenter(frames, ("attention",))])
        difference = np.abs(found - 255 * expected.numpy())
        assert difference.max() <= largest and difference.mean() <= mean


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda path: path.stem)
def test_bf16(weights: Path, device: str) -> None:
    """Less than the 99 % that are aimed at and measured on whole frames: small ones have more borders."""
    if not computes_in_bf16(torch.device(device)):
        pytest.skip("bf16 arithmetic is missing")
    frames = crops(359, 501, 4)
    answers = Segmenter(weights, device=device, precision="bf16", input_size=INPUT_SIZE)(frames)
    labels = PlainSegmenter(load_model(weights)[0].to(device), INPUT_SIZE)(frames)
    assert (np.stack([answer.labels for answer in answers]) == labels).mean() >= 0.98
