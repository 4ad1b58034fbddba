# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The listener of ``night-seg bench node``: notes when labels come, what the node reports, and its memory.

It ends when the cameras have gone and nothing more comes.

    python -m night_seg_ros.bench.receive_node RECEIVED.json LABELS.npz --process PID --camera IMAGE LABELS
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Empty

from night_seg_ros.bench.process_memory import resident_memory
from night_seg_ros.bench.publish_node import ALL_HEARD
from night_seg_ros.bench.shared_node import add_cameras_option, run_process
from night_seg_ros.common.files import write_json
from night_seg_ros.media.conversion import image_to_bgr
from night_seg_ros.media.sources import read_stamp

_QUIET_S = 3.0  # of silence at the end: three times the period of the diagnostics
_SAMPLE_S = 0.5  # from one look at the memory to the next


class ReceiveNode(Node):
    """Collects what ``received`` holds; ``done`` becomes true at the end.

    Args:
        topics: topic of the images -> topic of their labels.
        process: id of the node's process.
        keep: how many label images of the first camera stay, the last ones.

    Attributes:
        received: JSON values. ``answers``: by the topic of the images, pairs of a label image's stamp and
            its time of receipt; ``memory``: pairs of a time and the bytes that the process held; ``reports``:
            the last diagnostics by the topic of the images, key by key. Stamps and times in ns.
        labels: serialised label images.
    """

    def __init__(self, topics: dict[str, str], process: int, keep: int) -> None:
        super().__init__("receive_node")
        self.received: dict[str, Any] = {
            "answers": {topic: [] for topic in topics},
            "memory": [],
            "reports": {},
        }
        self.labels: deque[bytes] = deque(maxlen=keep)
        self.done = False
        self._process = process
        self._images = list(topics)
        self._all_heard = False
        self._had_cameras = False
        self._last_time = time.monotonic()
        self._slowest = 0  # ns
        for topic, labels in topics.items():
            # As bytes: what a subscriber does with the pixels is its own affair. Deep: nothing is lost here.
            take = partial(self._take, topic)
            self.create_subscription(Image, labels, take, QoSProfile(depth=100), raw=True)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._take_report, 10)
        self.create_timer(_SAMPLE_S, self._look)
        self._look()

    def _take(self, topic: str, data: bytes) -> None:
        now = time.time_ns()
        stamp = read_stamp(data)
        self.received["answers"][topic].append((stamp, now))
        if topic == self._images[0]:
            self.labels.append(data)
        if not self._all_heard and all(self.received["answers"].values()):
            self._all_heard = True
            self.create_publisher(Empty, ALL_HEARD, 1)
        self._slowest = max(self._slowest, now - stamp)
        self._last_time = time.monotonic()

    def _take_report(self, message: Any) -> None:
        for status in message.status:
            self.received["reports"][status.hardware_id] = {pair.key: pair.value for pair in status.values}

    def _look(self) -> None:
        """At the memory, and whether this is the end."""
        self.received["memory"].append((time.time_ns(), resident_memory(self._process)))
        if any(self.count_publishers(topic) for topic in self._images):
            self._had_cameras = True
            self._last_time = time.monotonic()
        # A slow network may still have two frames to do: one in it, one that waits.
        quiet = max(_QUIET_S, 2e-9 * self._slowest)
        self.done = self._had_cameras and time.monotonic() - self._last_time > quiet


def main(argv: list[str] | None = None) -> int:
    """Listen until the end, and write what came."""
    parser = argparse.ArgumentParser(prog="receive_node", description=__doc__.splitlines()[0])
    parser.add_argument("received", type=Path, help="JSON file for what came")
    parser.add_argument(
        "labels", type=Path, help=".npz file for the last labels of the first camera, and their stamps"
    )
    parser.add_argument("--keep", type=int, required=True, metavar="N", help="how many of these")
    parser.add_argument("--process", type=int, required=True, metavar="PID", help="of the node")
    add_cameras_option(parser)
    options = parser.parse_args(sys.argv[1:] if argv is None else argv)

    def work() -> None:
        node = ReceiveNode(dict(options.camera), options.process, options.keep)
        while not node.done:
            rclpy.spin_once(node, timeout_sec=0.2)
        write_json(options.received, node.received)
        images = [image_to_bgr(deserialize_message(data, Image))[:, :, 0] for data in node.labels]
        np.savez(options.labels, stamps=[read_stamp(data) for data in node.labels], labels=images)

    return run_process(work)


if __name__ == "__main__":
    raise SystemExit(main())
