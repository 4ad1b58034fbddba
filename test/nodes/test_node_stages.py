# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What segment_node tells of where a frame's time goes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is missing: source ROS 2 or install .[ros]")

from helpers.node_bench import bench, new_header, scene, until  # noqa: F401

from night_seg_ros.inference.segmenter import Segmenter
from night_seg_ros.media.conversion import array_to_image, image_to_bgr
from night_seg_ros.nodes import camera
from night_seg_ros.nodes.frame_statistics import STAGES

SIZE = (40, 60)
SECONDS = {"convert": 0.3, "segment": 0.5, "publish": 1.2}


class Slow:
    """A network that takes its time."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter

    def submit(self, frames: list[np.ndarray], outputs: tuple[str, ...], alpha: float) -> Any:
        time.sleep(SECONDS["segment"])
        return self.segmenter.submit(frames, outputs, alpha=alpha)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.segmenter, name)


@pytest.fixture
def slow(bench, weights: Path, monkeypatch) -> Any:  # noqa: F811
    """A node whose stages take the SECONDS."""

    def convert(message: Any) -> np.ndarray:
        time.sleep(SECONDS["convert"])
        return image_to_bgr(message)

    def publish(*arguments: Any) -> Any:
        time.sleep(SECONDS["publish"])
        return array_to_image(*arguments)

    monkeypatch.setitem(camera.TRANSPORTS, "raw", (*camera.TRANSPORTS["raw"][:2], convert))
    monkeypatch.setattr(camera, "array_to_image", publish)
    b = bench(weights=str(weights))
    b.until_active()
    b.node._segmenter = Slow(b.node._segmenter)
    b.listen("labels")
    return b


def medians(b: Any, processed: int) -> dict[str, float]:
    """Of the stages, in seconds, once so many frames are done."""
    figures = until(lambda: (f := b.figures())["frames_processed"] == str(processed) and f, "they are done")
    return {name: float(figures[f"{name}_median_ms"]) / 1000 for name in STAGES}


def send(b: Any) -> Any:
    header = new_header()
    b.camera().publish(array_to_image(scene(*SIZE), "bgr8", header))
    return header


def test_each_stage_is_its_own(slow) -> None:
    slow.answer("labels", send(slow))
    found = medians(slow, 1)
    assert all(seconds <= found[name] for name, seconds in SECONDS.items())


def test_waiting_for_the_publishing_is_no_work_of_the_network(slow) -> None:
    """The second frame waits 0.7 s for the first one's segmentation and 0.4 s for its publishing."""
    first = send(slow)
    time.sleep(0.1)
    second = send(slow)
    slow.answer("labels", first)
    slow.answer("labels", second)
    found = medians(slow, 2)
    assert all(seconds <= found[name] for name, seconds in SECONDS.items())
    assert found["wait"] > 0.5  # the median of two values is their mean
