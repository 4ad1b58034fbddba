"""Runs a model on camera frames. Knows nothing of ROS."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

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
        # A program that was exported for one size takes one image at a time.
        self._largest_batch = 1 if isinstance(model, ExportedNetwork) and model.size else None
        self.precision = _choose_precision(precision, self.device)
        self._dtype = PRECISIONS[self.precision]
        if not isinstance(model, ExportedNetwork):
            model = inference_graph(model).to(self.device, self._dtype).to(memory_format=torch.channels_last)
        self._model = model
        self._mean = torch.tensor(IMAGENET_MEAN, device=self.device).view(3, 1, 1)
        self._std = torch.tensor(IMAGENET_STD, device=self.device).view(3, 1, 1)
        self._pinned: torch.Tensor | None = None  # upload buffer, kept between batches of one shape

    @overload
    def __call__(
        self, frames: np.ndarray, outputs: tuple[str, ...] = OUTPUTS, *, size: tuple[int, int] | None = None
    ) -> Segmentation: ...

    @overload
    def __call__(
        self,
        frames: list[np.ndarray],
        outputs: tuple[str, ...] = OUTPUTS,
        *,
        size: tuple[int, int] | None = None,
    ) -> list[Segmentation]: ...

    def __call__(
        self,
        frames: np.ndarray | list[np.ndarray],
        outputs: tuple[str, ...] = OUTPUTS,
        *,
        size: tuple[int, int] | None = None,
    ) -> Segmentation | list[Segmentation]:
        """Segment one frame, or several.

        Of a list, the frames of one size go through the network together, in one batch, if it takes batches.

        Args:
            frames: one frame, (H, W, 3) uint8 BGR of any size, or a list of such frames.
            outputs: which of ``labels``, ``exposure``, ``confidence``, ``relit`` to compute.
            size: (height, width) of these; the frame's where None.

        Returns:
            One Segmentation, or one for each frame of the list, in its order. Their arrays are the caller's:
            a later call does not change them, so another thread can read them meanwhile.

        Raises:
            ValueError: not such a frame, or an unknown output.
        """
        if not isinstance(frames, list):
            return self([frames], outputs, size=size)[0]
        batches: dict[tuple[int, ...], list[int]] = {}  # indices of the frames of each size
        for index, frame in enumerate(frames):
            _check_frame(frame)
            batches.setdefault(frame.shape, []).append(index)
        unknown = set(outputs) - set(OUTPUTS)
        if unknown:
            raise ValueError(f"unknown outputs {sorted(unknown)}; known: {', '.join(OUTPUTS)}")
        results: dict[int, Segmentation] = {}
        for indices in batches.values():
            most = self._largest_batch or len(indices)
            for start in range(0, len(indices), most):
                part = indices[start : start + most]
                batch = self._segment([frames[index] for index in part], outputs, size)
                results.update(zip(part, batch, strict=True))
        return [results[index] for index in range(len(frames))]

    @torch.inference_mode()
    def _segment(
        self, frames: list[np.ndarray], outputs: tuple[str, ...], size: tuple[int, int] | None
    ) -> list[Segmentation]:
        """Segment frames of one size in one batch."""
        size = size or (frames[0].shape[0], frames[0].shape[1])
        rgb = self._upload(frames).permute(0, 3, 1, 2).flip(1)  # N x 3 x H x W
        answer = self._model(preprocess(rgb, self.input_size, self._dtype))
        labels = exposure = confidence = relit = None
        if "labels" in outputs or "confidence" in outputs:
            labels, confidence = predict_labels(
                answer.logits,
                size,
                align_corners=answer.align_corners,
                confidence="confidence" in outputs,
            )
        if "exposure" in outputs:
            value = rgb.amax(dim=1, keepdim=True) / 255 if answer.exposure is None else answer.exposure
            exposure = _to_uint8(_resize(value, size))[:, 0]
        if "relit" in outputs and answer.relit is not None:
            relit_rgb = _resize(answer.relit, size) * self._std + self._mean
            relit = _to_uint8(relit_rgb).flip(1).permute(0, 2, 3, 1)
        images = {
            "labels": _download(labels) if "labels" in outputs else None,
            "exposure": _download(exposure),
            "confidence": _download(confidence),
            "relit": _download(relit),
        }
        given = {name: image for name, image in images.items() if image is not None}
        own = "exposure" in given and answer.exposure is not None
        return [
            Segmentation(has_own_exposure=own, **{name: image[index] for name, image in given.items()})
            for index in range(len(frames))
        ]

    def _upload(self, frames: list[np.ndarray]) -> torch.Tensor:
        """Frames of one size on the device, (N, H, W, 3) uint8."""
        if self.device.type == "cpu":
            return torch.from_numpy(np.stack(frames))
        shape = len(frames), *frames[0].shape
        if self._pinned is None or self._pinned.shape != shape:
            self._pinned = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        np.stack(frames, out=self._pinned.numpy())
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
