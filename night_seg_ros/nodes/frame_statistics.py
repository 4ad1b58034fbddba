# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the node counts and measures of its frames."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from night_seg_ros.common.latency import percentiles

STAGES = ("wait", "convert", "segment", "publish")
"""Of a frame in the node: waiting for its turn, before the network and before the publishing; message to
pixels; pixels to outputs, in a batch perhaps; outputs to messages that are sent."""

_KEPT = 500  # latencies that median and percentile are taken of
_RATE_WINDOW = 5.0  # seconds
_LARGEST_LATENCY = 3600.0  # seconds; more is no latency


class FrameStatistics:
    """Counts of frames and their latencies; safe to use from several threads.

    Once no frame is under way, ``received = processed + dropped + rejected``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = self._processed = self._dropped = self._rejected = 0
        self._reason = ""
        self._finished: deque[float] = deque()  # monotonic seconds
        self._latencies: deque[float] = deque(maxlen=_KEPT)  # seconds
        self._stages: deque[Mapping[str, float]] = deque(maxlen=_KEPT)
        self._last_frame: np.ndarray | None = None

    @property
    def received(self) -> int:
        """Frames that came in."""
        return self._received

    def receive(self) -> None:
        """A frame came in."""
        with self._lock:
            self._received += 1

    def drop(self) -> None:
        """A frame gave way to a newer one."""
        with self._lock:
            self._dropped += 1

    def reject(self, reason: str) -> int:
        """A frame could not be processed; the number of such frames so far."""
        with self._lock:
            self._rejected += 1
            self._reason = reason
            return self._rejected

    def process(self, bgr: np.ndarray) -> None:
        """A frame is done: (H, W, 3) uint8, the camera's pixels."""
        with self._lock:
            self._processed += 1
            self._finished.append(time.monotonic())
            self._last_frame = bgr

    def measure(self, latency: float, stages: Mapping[str, float]) -> None:
        """The outputs of a frame went out.

        Args:
            latency: seconds since its stamp.
            stages: seconds since its receipt, by STAGES.
        """
        with self._lock:
            self._latencies.append(latency)
            self._stages.append(stages)

    def forget_frame(self) -> None:
        """Let go of the pixels of the last frame."""
        with self._lock:
            self._last_frame = None

    def report(self) -> dict[str, str]:
        """The figures as text, by name. Exposure is that of the last frame."""
        with self._lock:
            oldest = time.monotonic() - _RATE_WINDOW
            while self._finished and self._finished[0] < oldest:
                self._finished.popleft()
            finished, frame = list(self._finished), self._last_frame
            latencies, stages = list(self._latencies), list(self._stages)
            counts = self._received, self._processed, self._dropped, self._rejected
            reason = self._reason
        spread = finished[-1] - finished[0] if len(finished) > 1 else 0.0
        rate = (len(finished) - 1) / spread if spread > 0 else 0.0
        under, over = exposure_shares(frame) if frame is not None else (float("nan"), float("nan"))
        times = [sum(each.values()) for each in stages]
        names = ("frames_in", "frames_processed", "frames_dropped", "frames_rejected")
        return {
            **{name: str(count) for name, count in zip(names, counts, strict=True)},
            "last_reject_reason": reason,
            "rate_hz": f"{rate:.1f}",
            "latency_median_ms": _milliseconds(latencies, "median_ms"),
            "latency_p99_ms": _milliseconds(latencies, "p99_ms"),
            "processing_median_ms": _milliseconds(times, "median_ms"),
            "processing_p99_ms": _milliseconds(times, "p99_ms"),
            **{
                f"{name}_median_ms": _milliseconds([each[name] for each in stages], "median_ms")
                for name in STAGES
            },
            "underexposed_share": f"{under:.3f}",
            "overexposed_share": f"{over:.3f}",
        }


def exposure_shares(bgr: np.ndarray) -> tuple[float, float]:
    """Shares (0..1) of the pixels with V < 0.1 and V > 0.9, where V = max(R, G, B) / 255.

    Args:
        bgr: (H, W, 3) uint8.
    """
    blue, green, red = cv2.split(bgr)
    value = cv2.max(cv2.max(blue, green), red)
    return float((value < 0.1 * 255).mean()), float((value > 0.9 * 255).mean())


def _milliseconds(seconds: Sequence[float], name: str) -> str:
    """One of the figures of ``percentiles``; empty where nothing was measured."""
    if not seconds:
        return ""
    value = percentiles(seconds)[name]
    # Recordings keep their old stamps.
    return f"{value:.1f}" if abs(value) < 1000 * _LARGEST_LATENCY else "stamps of another time"
