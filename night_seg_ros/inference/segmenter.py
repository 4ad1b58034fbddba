# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Runs a model on camera frames. Knows nothing of ROS."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import nn

from night_seg_ros.inference.colours import overlay
from night_seg_ros.inference.engines.cpu_fusion import can_fuse
from night_seg_ros.inference.engines.exported import ExportedNetwork, load_network
from night_seg_ros.inference.engines.inference_graph import inference_graph
from night_seg_ros.inference.engines.torch_cuda import CudaFrames
from night_seg_ros.inference.frame_network import FIELDS, FrameNetwork, fields_of
from night_seg_ros.inference.preprocess import (
    InputSize,
    choose_device,
    computes_in_bf16,
    is_distorted,
    network_size,
)
from night_seg_ros.models.checkpoint import check_classes

OUTPUTS = (*FIELDS, "overlay")
_BY_DEFAULT = tuple(field for field in FIELDS if field != "attention")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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
        attention: (3, H, W) uint8, 0..255 = 0..1: the attention maps W_r of EGNet's guidance layers, in their
            order (Eq. 1, Fig. 10), interpolated bilinearly from the layers' strides; see
            ``Segmenter.has_attention``.
        overlay: (H, W, 3) uint8 BGR: the class colours over the frame.
    """

    labels: np.ndarray | None = None
    exposure: np.ndarray | None = None
    has_own_exposure: bool = False
    confidence: np.ndarray | None = None
    relit: np.ndarray | None = None
    attention: np.ndarray | None = None
    overlay: np.ndarray | None = None


class PendingSegmentations:
    """Segmentations that a CUDA device may still be working on.

    Args:
        segmentations: whose arrays hold pixels when all ``events`` have happened.
    """

    def __init__(self, segmentations: list[Segmentation], events: Sequence[torch.cuda.Event]) -> None:
        self._segmentations = segmentations
        self._events = events

    def result(self) -> list[Segmentation]:
        """Wait for them; any thread may.

        Raises:
            RuntimeError: the device failed.
        """
        for event in self._events:
            event.synchronize()
        return self._segmentations


class Segmenter:
    """A model ready to segment frames of any size.

    Args:
        model_or_weights: a module of ``build_model``; or the path of a checkpoint, or of an exported program
            (``.onnx``, ``.pt2``).
        device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda``, ``cuda:1`` ...
        precision: ``fp32``, ``bf16``, ``fp16`` or ``auto`` (bf16 where the device computes in it, else
            fp16 on CUDA and fp32 on the CPU). An exported program has fp32 only.
        input_size: size at which the network sees a frame, see ``inference.preprocess.InputSize``; the
            file's where None. A program that was exported for one size sees every frame at that one.
        trust_pt2: a ``.pt2`` file may be loaded, though a foreign one could run code.

    Attributes:
        device, precision: what was chosen.
        network_device: where the network runs: ``device``, or the CPU if onnxruntime can't run it there.
        model_name: such as ``egnet``.
        metadata: of the file; empty for a module.
        weights_hash: first 12 hex digits of the file's SHA-256; empty for a module.
        has_attention: whether the network gives attention maps; an exported program never does.
        network: the stages of a frame, on ``device``.

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
        self.network_device = self.device
        self.metadata: dict[str, Any] = {}
        self.weights_hash = ""
        if isinstance(model_or_weights, nn.Module):
            model = copy.deepcopy(model_or_weights).eval()  # the caller's stays as it is
        else:
            model, self.metadata = load_network(model_or_weights, self.device, trust_pt2=trust_pt2)
            self.weights_hash = hashlib.sha256(Path(model_or_weights).read_bytes()).hexdigest()[:12]
            check_classes(model_or_weights, self.metadata)
        self.model_name = str(getattr(model, "build_arguments", {}).get("name", type(model).__name__))
        self.has_attention = bool(getattr(model, "has_attention", False))
        if input_size is None:
            input_size = self.metadata.get("input_size")
        self.input_size: InputSize = tuple(input_size) if isinstance(input_size, list) else input_size
        if isinstance(model, ExportedNetwork):
            model.check_use(precision, self.input_size)
            precision = "fp32"
            self.network_device = model.device
        # A program that was exported for one size takes one image at a time.
        self._largest_batch = 1 if isinstance(model, ExportedNetwork) and model.size else None
        self.precision = choose_precision(precision, self.device)
        dtype = PRECISIONS[self.precision]
        exported = isinstance(model, ExportedNetwork)
        if not exported:
            fuse = self.device.type == "cpu" and self.precision != "fp16" and can_fuse()
            model = inference_graph(model, fuse).to(self.device, dtype)
            model = model.to(memory_format=torch.channels_last)
        self.network = FrameNetwork(model, dtype, self.input_size)
        self._cuda = (
            CudaFrames(self.network, self.device, capture=not exported)
            if self.device.type == "cuda"
            else None
        )

    @overload
    def __call__(
        self,
        frames: np.ndarray,
        outputs: tuple[str, ...] = ...,
        *,
        size: tuple[int, int] | None = ...,
        alpha: float = ...,
    ) -> Segmentation: ...

    @overload
    def __call__(
        self,
        frames: list[np.ndarray],
        outputs: tuple[str, ...] = ...,
        *,
        size: tuple[int, int] | None = ...,
        alpha: float = ...,
    ) -> list[Segmentation]: ...

    def __call__(
        self,
        frames: np.ndarray | list[np.ndarray],
        outputs: tuple[str, ...] = _BY_DEFAULT,
        *,
        size: tuple[int, int] | None = None,
        alpha: float = 0.5,
    ) -> Segmentation | list[Segmentation]:
        """Segment one frame, or several.

        Of a list, the frames of one size go through the network together, in one batch, if it takes batches.

        Args:
            frames: one frame, (H, W, 3) uint8 BGR of any size, or a list of such frames.
            outputs: which fields of ``Segmentation`` to compute, of ``OUTPUTS``. By default all but
                ``attention`` and ``overlay``.
            size: (height, width) of these; the frame's where None.
            alpha: weight of the colours in ``overlay``, 0..1.

        Returns:
            One Segmentation, or one for each frame of the list, in its order. Their arrays are the caller's:
            a later call does not change them, so another thread can read them meanwhile.

        Raises:
            ValueError: not such a frame, an unknown output, or an overlay at another size than the frame's.
        """
        if isinstance(frames, list):
            return self.submit(frames, outputs, size=size, alpha=alpha).result()
        return self.submit([frames], outputs, size=size, alpha=alpha).result()[0]

    def submit(
        self,
        frames: list[np.ndarray],
        outputs: tuple[str, ...] = _BY_DEFAULT,
        *,
        size: tuple[int, int] | None = None,
        alpha: float = 0.5,
    ) -> PendingSegmentations:
        """Start what a call does; on a CUDA device, return before it is done.

        Args, Raises: as in a call. The frames may be changed as soon as this returns.
        """
        unknown = set(outputs) - set(OUTPUTS)
        if unknown:
            raise ValueError(f"unknown outputs {sorted(unknown)}; known: {', '.join(OUTPUTS)}")
        batches: dict[tuple[int, ...], list[int]] = {}  # indices of the frames of each size
        for index, frame in enumerate(frames):
            _check_frame(frame)
            if "overlay" in outputs and size not in (None, frame.shape[:2]):
                raise ValueError(f"an overlay has the size of its frame, {frame.shape[:2]}, not {size}")
            batches.setdefault(frame.shape, []).append(index)
        results: dict[int, Segmentation] = {}
        events = []
        for indices in batches.values():
            most = self._largest_batch or len(indices)
            for start in range(0, len(indices), most):
                part = indices[start : start + most]
                batch = [frames[index] for index in part]
                segmentations, event = self._start(batch, frozenset(outputs), size, alpha)
                results.update(zip(part, segmentations, strict=True))
                events += [] if event is None else [event]
        return PendingSegmentations([results[index] for index in range(len(frames))], events)

    def warm_up(self, size: tuple[int, int], batch: int = 1) -> None:
        """Set up for batches of so many frames of a size, so that no frame has to wait for that later.

        On a CUDA device that chooses the fastest kernels by trial, which may take seconds.

        Args:
            size: (height, width).
            batch: how many frames.
        """
        frames = [np.zeros((*size, 3), np.uint8)] * batch
        if self._cuda is not None:
            self._cuda.prepare(frames)
        self(frames)

    def distortion(self, size: tuple[int, int]) -> str:
        """What a user should know of frames that lose their shape on the way to the network.

        Args:
            size: (height, width) of the frames.

        Returns:
            A warning; empty if they keep their shape.
        """
        if not is_distorted(*size, self.input_size):
            return ""
        height, width = network_size(*size, self.input_size)
        advice = (
            "export the program with --size for this shape, or --dynamic"
            if self._largest_batch
            else "an input_size of one number, the shorter side, would keep it"
        )
        return (
            f"frames of {size[1]}x{size[0]} lose their shape: the network sees them at {width}x{height}, and "
            f"recognises less; {advice}"
        )

    def _start(
        self, frames: list[np.ndarray], outputs: frozenset[str], size: tuple[int, int] | None, alpha: float
    ) -> tuple[list[Segmentation], torch.cuda.Event | None]:
        """Start frames of one size in one batch; the event after which their arrays hold pixels, if any."""
        size = size or (frames[0].shape[0], frames[0].shape[1])
        event = None
        if self._cuda is None:
            images, own_exposure = self._compute(frames, outputs, size, alpha)
        else:
            images, own_exposure, event = self._cuda.submit(frames, outputs, size, alpha)
        own = own_exposure and "exposure" in images
        segmentations = [
            Segmentation(has_own_exposure=own, **{name: image[index] for name, image in images.items()})
            for index in range(len(frames))
        ]
        return segmentations, event

    @torch.inference_mode()
    def _compute(
        self, frames: list[np.ndarray], outputs: frozenset[str], size: tuple[int, int], alpha: float
    ) -> tuple[dict[str, np.ndarray], bool]:
        """The images on the CPU, by name, and whether the network has an exposure map."""
        found = self.network(torch.from_numpy(np.stack(frames)), fields_of(outputs), size)
        images = {name: image.numpy() for name, image in found.images.items()}
        if "overlay" in outputs:
            pairs = zip(frames, images["labels"], strict=True)
            images["overlay"] = np.stack([overlay(frame, labels, alpha) for frame, labels in pairs])
        return {name: image for name, image in images.items() if name in outputs}, found.own_exposure


def choose_precision(precision: str, device: torch.device) -> str:
    """A key of ``PRECISIONS``, of one or ``auto``: see ``Segmenter``.

    Raises:
        ValueError: another name.
    """
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
