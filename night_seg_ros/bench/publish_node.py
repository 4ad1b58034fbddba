# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The cameras of ``night-seg bench node``: publishes frames, stamped with the time of publishing.

python -m night_seg_ros.bench.publish_node FRAMES.npy SENT.json --rate 10 --seconds 20 --camera IMAGE ...
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tqdm import tqdm

from night_seg_ros.bench.shared_node import run_process
from night_seg_ros.common.files import write_json
from night_seg_ros.media.conversion import array_to_image
from night_seg_ros.media.sources import replace_stamp

ALL_HEARD = "/bench/all_heard"
"""A topic that the listener publishes once it has got labels of every camera."""

_SETTLE_S = 0.5


class PublishNode(Node):
    """Publishes on several topics at once.

    Args:
        topics: of the images.
        frames: (N, H, W, 3) uint8 BGR; at one time, the cameras show different ones.
    """

    def __init__(self, topics: list[str], frames: np.ndarray) -> None:
        super().__init__("publish_node")
        self._messages = [
            serialize_message(array_to_image(bgr, "bgr8", Header(frame_id="camera"))) for bgr in frames
        ]
        # Reliable matches every subscription.
        qos = QoSProfile(depth=5)
        self._cameras: dict[str, Any] = {topic: self.create_publisher(Image, topic, qos) for topic in topics}

    def warm_up(self, rate: float, timeout: float) -> int:
        """Publish until the listener has labels of every camera: now all know one another, and are awake.

        Args:
            rate: as for ``publish``.
            timeout: seconds.

        Returns:
            How many frames of each camera that took.

        Raises:
            TimeoutError: the labels of a camera did not come.
        """
        give_up = time.monotonic() + timeout
        count = 0
        while not self.count_publishers(ALL_HEARD):
            if time.monotonic() > give_up:
                raise TimeoutError(f"after {timeout:g} s not every camera has got labels")
            self._sleep(1 / rate)
            self._publish(count)
            count += 1
        return count

    def publish(self, rate: float, seconds: float) -> dict[str, list[int]]:
        """Publish the frames again and again.

        Args:
            rate: frames per second of each camera; where this machine can't, they are fewer.
            seconds: how long.

        Returns:
            The stamps sent, in ns, by topic.
        """
        sent: dict[str, list[int]] = {topic: [] for topic in self._cameras}
        start = time.monotonic()
        for tick in tqdm(range(max(1, round(seconds * rate))), "publishing", unit="frame"):
            elapsed = time.monotonic() - start
            if elapsed > seconds:
                break
            self._sleep(max(0.0, tick / rate - elapsed))
            for topic, stamp in self._publish(tick).items():
                sent[topic].append(stamp)
        time.sleep(_SETTLE_S)  # a publisher that vanishes takes its last frame along
        return sent

    def _publish(self, tick: int) -> dict[str, int]:
        """A frame of each camera; their stamps, in ns, by topic."""
        stamps = {}
        for number, (topic, publisher) in enumerate(self._cameras.items()):
            stamps[topic] = time.time_ns()
            message = self._messages[(tick + number) % len(self._messages)]
            publisher.publish(replace_stamp(message, stamps[topic]))
        return stamps

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)
        if not self.context.ok():
            raise ExternalShutdownException


def main(argv: list[str] | None = None) -> int:
    """Publish, and write the stamps."""
    parser = argparse.ArgumentParser(prog="publish_node", description=__doc__.splitlines()[0])
    parser.add_argument("frames", type=Path, help=".npy file of (N, H, W, 3) uint8 BGR frames")
    parser.add_argument(
        "sent", type=Path, help="JSON file for the stamps, in ns, by topic, and the number of frames before"
    )
    parser.add_argument("--rate", type=float, required=True, help="frames per second")
    parser.add_argument("--seconds", type=float, required=True, help="how long")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds to wait for labels")
    parser.add_argument("--camera", action="append", required=True, metavar="IMAGE", help="topic")
    options = parser.parse_args(sys.argv[1:] if argv is None else argv)

    def work() -> None:
        node = PublishNode(options.camera, np.load(options.frames, mmap_mode="r"))
        warm_up = node.warm_up(options.rate, options.timeout)
        stamps = node.publish(options.rate, options.seconds)
        write_json(options.sent, {"warm_up": warm_up, "stamps": stamps})

    return run_process(work)


if __name__ == "__main__":
    raise SystemExit(main())
