"""Runs a model on camera frames. Knows nothing of ROS."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from night_seg_ros.models.checkpoint import check_classes
from night_seg_ros.models.classes import IMAGENET_MEAN, IMAGENET_STD, NUM_CLASSES, PALETTE
from night_seg_ros.models.exported import ExportedNetwork, load_network
from night_seg_ros.models.inference import (
    InputSize,
    choose_device,
    computes_in_bf16,
    preprocess,
)
from night_seg_ros.models.inference_graph import inference_graph
from night_seg_ros.models.labels import predict_labels

OUTPUTS = ("labels", "exposure", "confidence", "relit")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_COLOURS = np.zeros((256, 3), np.uint8)  # BGR by train id; ignored pixels are black
_COLOURS[:NUM_CLASSES] = PALETTE[:, ::-1]


def colourise(labels: np.ndarray) -> np.ndarray:
    """Colours of a label image: (H, W) uint8 train ids -> (H, W, 3) uint8 BGR, 255 black."""
    return _COLOURS[labels]


@dataclass(frozen=True)
class Segmentation:
    """What the Segmenter says of one frame, at one size; None = not asked for or not to be had.

    Attributes:
        labels: (H, W) uint8 train ids 0..18.
        exposure: (H, W) uint8, 0..255 = 0..1: the network's exposure map; V of HSV of the frame for a network
            without one.
        has_own_exposure: whether ``exposure`` is the network's.
        confidence: (H, W) uint8, 0..255 = 0..1: softmax probability of the label.
        relit: (H, W, 3) uint8 BGR: the frame after the network's relighting.
    """

    labels: np.ndarray | None = None
    exposure: np.ndarray | None = None
    has_own_exposure: bool = False
    confidence: np.ndarray | None = None
    relit: np.ndarray | None = None

    def overlay(self, bgr: np.ndarray, alpha: float = 0.5) -> np.ndarray:
        """Lay the class colours over a frame.

        Args:
            bgr: (H, W, 3) uint8, the frame.
            alpha: weight of the colours, 0..1.

        Returns:
            (H, W, 3) uint8 BGR.

        Raises:
            ValueError: the labels were not asked for, or the sizes differ.
        """
        if self.labels is None:
            raise ValueError("an overlay needs labels: ask the segmenter for 'labels'")
        if bgr.shape[:2] != self.labels.shape:
            raise ValueError(f"frame {bgr.shape[:2]} and labels {self.labels.shape} differ in size")
        return cv2.addWeighted(bgr, 1 - alpha, colourise(self.labels), alpha, 0)


class Segmenter:
    """A model ready to segment frames of any size.

    Args:
        model_or_weights: a module of ``build_model``; or the path of a checkpoint, or of an exported program
            (``.onnx``, ``.pt2``).
        device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda``, ``cuda:1`` ...
        precision: ``fp32``, ``bf16``, ``fp16`` or ``auto`` (bf16 where the device computes in it, else
            fp16 on CUDA and fp32 on the CPU). An exported program has fp32 only.
        input_size: size at which the network sees a frame, see ``models.inference.InputSize``; the
            file's where None. A program that was exported for one size sees every frame at that one.
        trust_pt2: a ``.pt2`` file may be loaded, though a foreign one could run code.

    Attributes:
        device, precision: what was chosen.
        model_name: such as ``egnet``.
        metadata: of the file; empty for a module.
        weights_hash: first 12 hex digits of the file's SHA-256; empty for a module.

    Raises:
        FileNotFoundError, CheckpointError: the weights can't be used.
        ValueError: unknown device or precision, or an exported program has not this precision or input size.
    """

    def __init__(
        self,
        model_or_weights: nn.Module | str | Path,
        *,
        device: str = "auto",
        precision: str = "auto",
        input_size: InputSize = None,
        trust_pt2: bool = False,
    ) -> None:
        self.device = choose_device(device)
        self.metadata: dict[str, Any] = {}
        self.weights_hash = ""
        if isinstance(model_or_weights, nn.Module):
            model = copy.deepcopy(model_or_weights).eval()  # the caller's stays as it is
        else:
            model, self.metadata = load_network(model_or_weights, self.device, trust_pt2=trust_pt2)
            self.weights_hash = hashlib.sha256(Path(model_or_weights).read_bytes()).hexdigest()[:12]
            check_classes(model_or_weights, self.metadata)
        self.model_name = str(getattr(model, "build_arguments", {}).get("name", type(model).__name__))
        if input_size is None:
            input_size = self.metadata.get("input_size")
        self.input_size: InputSize = tuple(input_size) if isinstance(input_size, list) else input_size
        if isinstance(model, ExportedNetwork):
            model.check_use(precision, self.input_size)
            precision = "fp32"
        self.precision = _choose_precision(precision, self.device)
        self._dtype = PRECISIONS[self.precision]
        if not isinstance(model, ExportedNetwork):
            model = inference_graph(model).to(self.device, self._dtype).to(memory_format=torch.channels_last)
        self._model = model
        self._mean = torch.tensor(IMAGENET_MEAN, device=self.device).view(3, 1, 1)
        self._std = torch.tensor(IMAGENET_STD, device=self.device).view(3, 1, 1)
        self._pinned: torch.Tensor | None = None  # upload buffer, kept between frames of one size

    @torch.inference_mode()
    def __call__(
        self, bgr: np.ndarray, outputs: tuple[str, ...] = OUTPUTS, *, size: tuple[int, int] | None = None
    ) -> Segmentation:
        """Segment one frame.

        Args:
            bgr: (H, W, 3) uint8, any size.
            outputs: which of ``labels``, ``exposure``, ``confidence``, ``relit`` to compute.
            size: (height, width) of these; the frame's where None.

        Raises:
            ValueError: not such a frame, or an unknown output.
        """
        _check_frame(bgr)
        unknown = set(outputs) - set(OUTPUTS)
        if unknown:
            raise ValueError(f"unknown outputs {sorted(unknown)}; known: {', '.join(OUTPUTS)}")
        size = size or (bgr.shape[0], bgr.shape[1])
        frame = self._upload(bgr).permute(2, 0, 1).unsqueeze(0).flip(1)  # RGB, 1 x 3 x H x W
        answer = self._model(preprocess(frame, self.input_size, self._dtype))
        labels = exposure = confidence = relit = None
        if "labels" in outputs or "confidence" in outputs:
            labels, confidence = predict_labels(
                answer.logits,
                size,
                align_corners=answer.align_corners,
                confidence="confidence" in outputs,
            )
        if "exposure" in outputs:
            value = frame.amax(dim=1, keepdim=True) / 255 if answer.exposure is None else answer.exposure
            exposure = _to_uint8(_resize(value, size))[0, 0]
        if "relit" in outputs and answer.relit is not None:
            rgb = _resize(answer.relit, size)[0] * self._std + self._mean
            relit = _to_uint8(rgb).flip(0).permute(1, 2, 0)
        return Segmentation(
            labels=_download(labels[0]) if labels is not None and "labels" in outputs else None,
            exposure=_download(exposure),
            has_own_exposure=exposure is not None and answer.exposure is not None,
            confidence=_download(confidence[0]) if confidence is not None else None,
            relit=_download(relit),
        )

    def _upload(self, bgr: np.ndarray) -> torch.Tensor:
        """The frame on the device, (H, W, 3) uint8."""
        frame = torch.from_numpy(np.ascontiguousarray(bgr))
        if self.device.type == "cpu":
            return frame
        if self._pinned is None or self._pinned.shape != frame.shape:
            self._pinned = torch.empty(frame.shape, dtype=torch.uint8, pin_memory=True)
        self._pinned.copy_(frame)
        return self._pinned.to(self.device)


def _choose_precision(precision: str, device: torch.device) -> str:
    if precision == "auto":
        if computes_in_bf16(device):
            return "bf16"
        return "fp16" if device.type == "cuda" else "fp32"
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; give auto, {', '.join(PRECISIONS)}")
    return precision


def _check_frame(bgr: np.ndarray) -> None:
    if not isinstance(bgr, np.ndarray) or bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3:
        what = f"{bgr.dtype} {bgr.shape}" if isinstance(bgr, np.ndarray) else type(bgr).__name__
        raise ValueError(f"a frame must be (H, W, 3) uint8 BGR, not {what}")
    if 0 in bgr.shape:
        raise ValueError(f"a frame must have pixels, not shape {bgr.shape}")


def _resize(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(image.float(), size=size, mode="bilinear", align_corners=False)


def _to_uint8(image: torch.Tensor) -> torch.Tensor:
    return image.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def _download(image: torch.Tensor | None) -> np.ndarray | None:
    return None if image is None else np.ascontiguousarray(image.cpu().numpy())
