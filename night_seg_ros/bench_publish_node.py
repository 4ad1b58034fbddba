"""The cameras of ``night-seg bench node``: publishes frames, stamped with the time of publishing.

    python -m night_seg_ros.bench_publish_node FRAMES.npy SENT.json --rate 10 --seconds 20 \\
        --camera IMAGE LABELS ...
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tqdm import tqdm

from night_seg_ros.conversion import array_to_image
from night_seg_ros.models.files import write_json
from night_seg_ros.sources import replace_stamp

_SETTLE_S = 0.5  # the others may know of us a little later than we know of them


class Cameras(Node):
    """Publishes on several topics at once.

    Args:
        topics: topic of the images -> topic of their labels.
    """

    def __init__(self, topics: dict[str, str]) -> None:
        super().__init__("cameras")
        self._labels = list(topics.values())
        # Reliable matches every subscription.
        qos = QoSProfile(depth=5)
        self._cameras: dict[str, Any] = {topic: self.create_publisher(Image, topic, qos) for topic in topics}

    def wait_for_listeners(self, timeout: float) -> None:
        """Wait until there are subscribers of all images and labels.

        Raises:
            TimeoutError: there are not, within so many seconds.
        """
        give_up = time.monotonic() + timeout
        while missing := self._without_listener():
            if time.monotonic() > give_up:
                raise TimeoutError(f"after {timeout:g} s nobody subscribes to {', '.join(missing)}")
            self._sleep(0.05)
        time.sleep(_SETTLE_S)

    def publish(self, frames: np.ndarray, rate: float, seconds: float) -> dict[str, list[int]]:
        """Publish frames again and again.

        Args:
            frames: (N, H, W, 3) uint8 BGR; at one time, the cameras show different ones.
            rate: frames per second of each camera; where this machine can't, they are fewer.
            seconds: how long.

        Returns:
            The stamps sent, in ns, by topic.
        """
        messages = [
            serialize_message(array_to_image(bgr, "bgr8", Header(frame_id="camera"))) for bgr in frames
        ]
        sent: dict[str, list[int]] = {topic: [] for topic in self._cameras}
        start = time.monotonic()
        for tick in tqdm(range(max(1, round(seconds * rate))), "publishing", unit="frame"):
            elapsed = time.monotonic() - start
            if elapsed > seconds:
                break
            self._sleep(max(0.0, tick / rate - elapsed))
            for number, (topic, publisher) in enumerate(self._cameras.items()):
                stamp = time.time_ns()
                publisher.publish(replace_stamp(messages[(tick + number) % len(messages)], stamp))
                sent[topic].append(stamp)
        time.sleep(_SETTLE_S)  # a publisher that vanishes takes its last frame along
        return sent

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)
        if not self.context.ok():
            raise ExternalShutdownException

    def _without_listener(self) -> list[str]:
        images = [topic for topic, each in self._cameras.items() if not each.get_subscription_count()]
        return images + [topic for topic in self._labels if not self.count_subscribers(topic)]


def main(argv: list[str] | None = None) -> int:
    """Publish, and write the stamps."""
    parser = argparse.ArgumentParser(prog="bench_publish_node", description=__doc__.splitlines()[0])
    parser.add_argument("frames", type=Path, help=".npy file of (N, H, W, 3) uint8 BGR frames")
    parser.add_argument("sent", type=Path, help="JSON file for the stamps, in ns, by topic")
    parser.add_argument("--rate", type=float, required=True, help="frames per second")
    parser.add_argument("--seconds", type=float, required=True, help="how long")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds to wait for subscribers")
    parser.add_argument(
        "--camera",
        nargs=2,
        action="append",
        required=True,
        metavar=("IMAGE", "LABELS"),
        help="a topic to publish on, and the one of its labels",
    )
    options = parser.parse_args(sys.argv[1:] if argv is None else argv)
    rclpy.init(args=[])
    try:
        cameras = Cameras(dict(options.camera))
        cameras.wait_for_listeners(options.timeout)
        frames = np.load(options.frames, mmap_mode="r")
        write_json(options.sent, cameras.publish(frames, options.rate, options.seconds))
    except (KeyboardInterrupt, ExternalShutdownException):
        return 130
    finally:
        try_shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
