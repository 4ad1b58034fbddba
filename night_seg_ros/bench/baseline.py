# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Inference as it is written without this package: what the benchmarks compare it with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from night_seg_ros.bench.measuring import Stages
from night_seg_ros.inference.preprocess import InputSize, preprocess
from night_seg_ros.models.output import SegmentationOutput


class PlainSegmenter:
    """A network as PyTorch runs it by default: float32, eager, channels first, nothing folded.

    On CUDA, PyTorch's default lets convolutions round their float32 inputs to TF32.

    Args:
        network: of ``build_model``, in evaluation mode, on the device where it shall compute.
        input_size: at which it sees a frame, see ``inference.preprocess.InputSize``.
        numpy_argmax: download the upsampled logits and let NumPy find the labels, as the methods' authors
            do, in place of labels found on the device.
    """

    def __init__(self, network: nn.Module, input_size: InputSize, *, numpy_argmax: bool = False) -> None:
        self._network = network
        self._device = next(network.parameters()).device
        self._input_size = input_size
        self._numpy_argmax = numpy_argmax

    @torch.inference_mode()
    def __call__(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Labels of frames of one size: N of (H, W, 3) uint8 BGR -> (N, H, W) uint8 train ids."""
        value: Any = frames
        for _, stage in self.stages((frames[0].shape[0], frames[0].shape[1])):
            value = stage(value)
        return value

    def stages(self, size: tuple[int, int]) -> Stages:
        """The way of a list of frames of this height and width."""
        stages: list[tuple[str, Callable[[Any], Any]]] = [
            ("upload", self._upload),
            ("prepare", self._prepare),
            ("network", self._network),
        ]
        if self._numpy_argmax:
            stages += [("upsample", partial(_upsample, size)), ("download", _download)]
            return [*stages, ("labels", _numpy_labels)]
        return [*stages, ("labels", partial(plain_labels, size)), ("download", _download)]

    def _upload(self, frames: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(frames)).to(self._device)

    def _prepare(self, bgr: Tensor) -> Tensor:
        return preprocess(bgr.permute(0, 3, 1, 2).flip(1), self._input_size).contiguous()


def plain_labels(size: tuple[int, int], answer: SegmentationOutput) -> Tensor:
    """Argmax of logits that are upsampled to this height and width: (N, H, W) uint8."""
    return _upsample(size, answer).argmax(dim=1).to(torch.uint8)


def plain_confidence(size: tuple[int, int], answer: SegmentationOutput) -> tuple[Tensor, Tensor]:
    """Labels and their softmax probability, from upsampled logits: both (N, H, W) uint8, 255 = 1."""
    probability, labels = _upsample(size, answer).softmax(dim=1).max(dim=1)
    return labels.to(torch.uint8), probability.mul(255).round().to(torch.uint8)


def _upsample(size: tuple[int, int], answer: SegmentationOutput) -> Tensor:
    return F.interpolate(answer.logits, size, mode="bilinear", align_corners=answer.align_corners)


def _download(values: Tensor) -> np.ndarray:
    return values.cpu().numpy()


def _numpy_labels(scores: np.ndarray) -> np.ndarray:
    return scores.argmax(axis=1).astype(np.uint8)
