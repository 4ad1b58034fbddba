# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""A subscriber for the tests of play_node and record_node. Needs rclpy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import rclpy
from helpers.bag_files import COMPRESSED, IMAGE, INFO
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

CLASSES = {IMAGE: Image, COMPRESSED: CompressedImage, INFO: CameraInfo}
TIMEOUT = 30.0


class Listener:
    """A subscriber in a ROS context of its own, spun by its own thread; ``got`` are (topic, bytes)."""

    def __init__(
        self,
        topics: dict[str, str],
        reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
        on_message: Callable[[Listener, bytes], None] = lambda *_: None,
    ) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("listener", context=self.context)
        self._answers = self.node.create_publisher(Image, "/answers", 5)
        for topic, kind in topics.items():

            def take(data: bytes, topic: str = topic) -> None:
                self.got.append((topic, data))
                on_message(self, data)

            qos = QoSProfile(depth=50, reliability=reliability)
            self.node.create_subscription(CLASSES[kind], topic, take, qos, raw=True)
        self._stopping = False
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _spin(self) -> None:
        while not self._stopping:
            self._executor.spin_once(timeout_sec=0.05)

    def wait_for(self, count: int) -> list[tuple[str, bytes]]:
        """What came, as soon as it is ``count`` messages."""
        end = time.monotonic() + TIMEOUT
        while len(self.got) < count and time.monotonic() < end:
            time.sleep(0.01)
        assert len(self.got) == count
        return self.got

    def answer(self, stamp: int) -> None:
        """Publish an image with this stamp on /answers."""
        reply = Image()
        reply.header.stamp.sec, reply.header.stamp.nanosec = divmod(stamp, 10**9)
        self._answers.publish(reply)

    def close(self) -> None:
        """Stop and leave ROS."""
        self._stopping = True
        self._thread.join()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
