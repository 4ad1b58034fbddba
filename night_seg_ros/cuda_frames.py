"""Frames through a network on a CUDA device, so that neither waits for the other without need.

Three streams: the upload of a batch, from pinned memory, and the download of the one before, into pinned
memory, run beside the network. A shape that comes for the second time is captured as a CUDA graph: launching
the some hundred kernels of a network one by one takes the CPU longer than the GPU needs to run them.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict, deque
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from night_seg_ros.frame_network import FrameNetwork, FrameOutputs, overlay

GRAPHS = 8  # each holds its frames and outputs on the device; what the network needs in between, all share
IN_FLIGHT = 2  # batches: one that computes while another is uploaded or downloaded

Shape = tuple[torch.Size, frozenset[str], tuple[int, int]]


@dataclass(frozen=True)
class CapturedFrames:
    """A captured run: put frames into ``bgr``, replay, and take ``outputs`` before the next replay."""

    graph: torch.cuda.CUDAGraph
    bgr: Tensor
    outputs: FrameOutputs


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
        self._capturing = capture
        with torch.cuda.device(device):
            self._uploading = torch.cuda.Stream()
            self._downloading = torch.cuda.Stream()
            self._pool = torch.cuda.graph_pool_handle()
        self._captured: OrderedDict[Shape, CapturedFrames | None] = OrderedDict()  # None: came once
        self._in_flight: deque[torch.cuda.Event] = deque()
        self._lock = threading.Lock()

    @torch.inference_mode()
    def submit(
        self,
        frames: list[np.ndarray],
        fields: frozenset[str],
        size: tuple[int, int],
        alpha: float | None,
    ) -> tuple[dict[str, np.ndarray], bool, torch.cuda.Event]:
        """Start a batch; waits for the last but one before, so that no queue grows on the device.

        Args:
            frames: (H, W, 3) uint8 BGR, of one size.
            fields, size: see ``FrameNetwork``.
            alpha: weight of the colours in an overlay, which takes the field ``labels``; None: draw none.

        Returns:
            The images by name, in pinned memory, which hold pixels once the event has happened; whether the
            network has an exposure map; and the event.
        """
        with self._lock, torch.cuda.device(self._device):
            while len(self._in_flight) >= IN_FLIGHT:
                self._in_flight.popleft().synchronize()
            bgr = self._upload(frames)
            outputs = self._run(bgr, fields, size)
            images = dict(outputs.images)
            if alpha is not None:
                images["overlay"] = overlay(bgr, images["labels"], alpha)
            downloaded, done = self._download(images)
            self._in_flight.append(done)
        return downloaded, outputs.own_exposure, done

    def _upload(self, frames: list[np.ndarray]) -> Tensor:
        pinned = torch.empty((len(frames), *frames[0].shape), dtype=torch.uint8, pin_memory=True)
        np.stack(frames, out=pinned.numpy())
        computing = torch.cuda.current_stream()
        with torch.cuda.stream(self._uploading):
            bgr = pinned.to(self._device, non_blocking=True)
        computing.wait_stream(self._uploading)
        bgr.record_stream(computing)
        return bgr

    def _run(self, bgr: Tensor, fields: frozenset[str], size: tuple[int, int]) -> FrameOutputs:
        shape = (bgr.shape, fields, size)
        comes_again = shape in self._captured
        captured = self._captured.pop(shape, None)
        if captured is None and comes_again and self._capturing:
            captured = self._capture(bgr, fields, size)
        self._captured[shape] = captured  # the newest
        if len(self._captured) > GRAPHS:
            _, oldest = self._captured.popitem(last=False)
            if oldest is not None:
                torch.cuda.current_stream().synchronize()  # it may run still
        if captured is None:
            with kernels(choose_fastest=False):
                return self._network(bgr, fields, size)
        captured.bgr.copy_(bgr)
        captured.graph.replay()
        images = {name: image.clone() for name, image in captured.outputs.images.items()}
        return FrameOutputs(images, captured.outputs.own_exposure)

    def _capture(self, bgr: Tensor, fields: frozenset[str], size: tuple[int, int]) -> CapturedFrames | None:
        """The run of this shape as a graph; None, from then on for any shape, if it can't be captured."""
        try:
            with kernels(choose_fastest=True):
                self._network(bgr, fields, size)  # chooses the kernels, which can't be done in a capture
                static = bgr.clone()
                graph = torch.cuda.CUDAGraph()
                # Other threads may go on using the device meanwhile, as publishers do.
                with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                    outputs = self._network(static, fields, size)
        except Exception as error:
            warnings.warn(f"frames are computed more slowly, without CUDA graphs: {error!r}", stacklevel=2)
            self._capturing = False
            return None
        return CapturedFrames(graph, static, outputs)

    def _download(self, images: dict[str, Tensor]) -> tuple[dict[str, np.ndarray], torch.cuda.Event]:
        self._downloading.wait_stream(torch.cuda.current_stream())
        done = torch.cuda.Event(blocking=True)  # who waits for it leaves the CPU to others
        downloaded = {}
        with torch.cuda.stream(self._downloading):
            for name, image in images.items():
                image.record_stream(self._downloading)
                pinned = torch.empty(image.shape, dtype=image.dtype, pin_memory=True)
                downloaded[name] = pinned.copy_(image, non_blocking=True).numpy()
            done.record()
        return downloaded, done


def kernels(*, choose_fastest: bool) -> AbstractContextManager[None]:
    """A context: full float32 where the precision is fp32 (no TF32), kernels by trial or by rule."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=choose_fastest, allow_tf32=False)
