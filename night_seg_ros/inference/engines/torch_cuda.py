# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frames through a network on a CUDA device, so that neither waits for the other without need.

Three streams: the upload of a batch, from pinned memory, and the download of the one before, into pinned
memory, run beside the network. The network on a shape that comes for the second time is captured as a CUDA
graph: launching its some hundred kernels one by one takes the CPU longer than the GPU needs to run them.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from night_seg_ros.inference.colours import overlay_tensors
from night_seg_ros.inference.frame_network import FrameNetwork, fields_of
from night_seg_ros.models.output import SegmentationOutput

GRAPHS = 8  # each holds its frames and outputs on the device; what the network needs in between, all share
IN_FLIGHT = 2  # batches: one that computes while another is uploaded or downloaded


@dataclass(frozen=True)
class CapturedNetwork:
    """A captured run: put frames into ``bgr``, replay, and use ``answer`` before the next replay."""

    graph: torch.cuda.CUDAGraph
    bgr: Tensor
    answer: SegmentationOutput


class CudaFrames:
    """Runs a FrameNetwork on batches of frames.

    Any thread may call it.

    Args:
        network: on the device.
        device: a CUDA device.
        capture: whether to use CUDA graphs; a network that does not run on the device itself can't.
    """

    def __init__(self, network: FrameNetwork, device: torch.device, capture: bool) -> None:
        self._network = network
        self._device = device
        self._capture_graphs = capture
        with torch.cuda.device(device):
            self._uploading = torch.cuda.Stream()
            self._computing = torch.cuda.Stream()
            self._computing.wait_stream(
                torch.cuda.current_stream()
            )  # on which the network came to the device
            self._downloading = torch.cuda.Stream()
            self._pool = torch.cuda.graph_pool_handle()
        # The first so many shapes that came twice; None: runs as it is. None gives way to another: with more
        # shapes than graphs, capturing again and again would take longer than it saves.
        self._captured: dict[torch.Size, CapturedNetwork | None] = {}
        self._seen: set[torch.Size] = set()
        self._in_flight: deque[torch.cuda.Event] = deque()
        self._lock = threading.Lock()

    @torch.inference_mode()
    def submit(
        self,
        frames: list[np.ndarray],
        outputs: frozenset[str],
        size: tuple[int, int],
        alpha: float,
    ) -> tuple[dict[str, np.ndarray], bool, torch.cuda.Event]:
        """Start a batch; waits for the last but one before, so that no queue grows on the device.

        Args:
            frames: (H, W, 3) uint8 BGR, of one size.
            outputs: some of ``FIELDS``, and ``overlay``.
            size: see ``FrameNetwork``.
            alpha: weight of the colours in ``overlay``, 0..1.

        Returns:
            The images by name, in pinned memory, which hold pixels once the event has happened; whether the
            network has an exposure map; and the event.
        """
        with self._lock, torch.cuda.device(self._device), torch.cuda.stream(self._computing):
            while len(self._in_flight) >= IN_FLIGHT:
                self._in_flight.popleft().synchronize()
            bgr = self._upload(frames)
            found = self._network.finish(self._run(bgr), bgr, fields_of(outputs), size)
            images = {name: image for name, image in found.images.items() if name in outputs}
            if "overlay" in outputs:
                images["overlay"] = overlay_tensors(bgr, found.images["labels"], alpha)
            downloaded, done = self._download(images)
            self._in_flight.append(done)
        return downloaded, found.own_exposure, done

    @torch.inference_mode()
    def prepare(self, frames: list[np.ndarray]) -> None:
        """Capture a graph for batches such as this one, of the kernels that are the fastest here.

        That takes its time; a batch that comes again unprepared gets a graph of kernels chosen by rule.
        """
        with self._lock, torch.cuda.device(self._device), torch.cuda.stream(self._computing):
            bgr = self._upload(frames)
            if self._capture_graphs and len(self._captured) < GRAPHS:
                self._captured[bgr.shape] = self._capture(bgr, choose_fastest=True)

    def _upload(self, frames: list[np.ndarray]) -> Tensor:
        pinned = torch.empty((len(frames), *frames[0].shape), dtype=torch.uint8, pin_memory=True)
        np.stack(frames, out=pinned.numpy())
        with torch.cuda.stream(self._uploading):
            bgr = pinned.to(self._device, non_blocking=True)
        self._computing.wait_stream(self._uploading)
        bgr.record_stream(self._computing)
        return bgr

    def _run(self, bgr: Tensor) -> SegmentationOutput:
        """The network's answer; it may be overwritten by the next call."""
        shape = bgr.shape
        wanted = self._capture_graphs and shape in self._seen and len(self._captured) < GRAPHS
        if wanted and shape not in self._captured:
            self._captured[shape] = self._capture(bgr, choose_fastest=False)  # trials would hold up others
        captured = self._captured.get(shape)
        if captured is None:
            self._seen.add(shape)
            with kernels(choose_fastest=False):
                return self._network.network(self._network.prepare(bgr))
        captured.bgr.copy_(bgr)
        captured.graph.replay()
        return captured.answer

    def _capture(self, bgr: Tensor, *, choose_fastest: bool) -> CapturedNetwork | None:
        """The network on this shape as a graph; None if it can't be captured."""
        try:
            with kernels(choose_fastest=choose_fastest):
                static = bgr.clone()
                self._network.network(self._network.prepare(static))  # chooses the kernels: not in a capture
                graph = torch.cuda.CUDAGraph()
                # Other threads may go on using the device meanwhile, as publishers do.
                with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                    answer = self._network.network(self._network.prepare(static))
        except Exception as error:
            warnings.warn(f"no CUDA graph for {tuple(bgr.shape)}, so that is slower: {error!r}", stacklevel=2)
            return None
        return CapturedNetwork(graph, static, answer)

    def _download(self, images: dict[str, Tensor]) -> tuple[dict[str, np.ndarray], torch.cuda.Event]:
        self._downloading.wait_stream(self._computing)
        done = torch.cuda.Event(blocking=True)  # who waits for it leaves the CPU to others
        downloaded = {}
        with torch.cuda.stream(self._downloading):
            for name, image in images.items():
                image.record_stream(self._downloading)
                pinned = torch.empty(image.shape, dtype=image.dtype, pin_memory=True)
                downloaded[name] = pinned.copy_(image, non_blocking=True).numpy()
            done.record()
        return downloaded, done


_kernels_lock = threading.RLock()  # what ``kernels`` sets holds for the whole process


@contextmanager
def kernels(*, choose_fastest: bool) -> Iterator[None]:
    """Convolutions in full float32 where the precision is fp32 (no TF32), by kernels by trial or by rule."""
    cudnn: Any = torch.backends.cudnn
    # Older torch knows no precision of convolutions alone, newer torch refuses a mixture of both names.
    owner, name, value = (
        (cudnn.conv, "fp32_precision", "ieee")
        if hasattr(getattr(cudnn, "conv", None), "fp32_precision")
        else (cudnn, "allow_tf32", False)
    )
    with _kernels_lock:
        before = getattr(owner, name), cudnn.benchmark
        setattr(owner, name, value)
        cudnn.benchmark = choose_fastest
        try:
            yield
        finally:
            setattr(owner, name, before[0])
            cudnn.benchmark = before[1]
