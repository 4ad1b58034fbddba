# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What ``night-seg bench node`` compares segment_node with: a node as one writes it first.

Its callback decodes a frame, runs the network as PyTorch does by default, and publishes the labels.

    python -m night_seg_ros.bench.plain_node WEIGHTS --device cpu --camera IMAGE LABELS ...
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from night_seg_ros.bench.baseline import PlainSegmenter
from night_seg_ros.bench.shared_node import add_cameras_option, run_process
from night_seg_ros.inference.preprocess import choose_device
from night_seg_ros.media.conversion import array_to_image, image_to_bgr
from night_seg_ros.models.checkpoint import load_model


class PlainNode(Node):
    """Segments the newest frame of each camera in its callback.

    Args:
        segment: the labels of a list of frames.
        topics: topic of the images -> topic of their labels.
    """

    def __init__(self, segment: PlainSegmenter, topics: dict[str, str]) -> None:
        super().__init__("plain_node")
        self._segment = segment
        for topic, labels in topics.items():
            publisher = self.create_publisher(Image, labels, QoSProfile(depth=5))

            def answer(message: Any, publisher: Any = publisher) -> None:
                found = self._segment([image_to_bgr(message)])[0]
                publisher.publish(array_to_image(found, "mono8", message.header))

            self.create_subscription(Image, topic, answer, QoSProfile(depth=1))


def main(argv: list[str] | None = None) -> int:
    """Run the node until it is stopped."""
    parser = argparse.ArgumentParser(prog="plain_node", description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, help="a checkpoint")
    parser.add_argument("--device", required=True)
    parser.add_argument("--input-size", type=int, help="shorter side at which the network sees a frame")
    add_cameras_option(parser)
    options = parser.parse_args(sys.argv[1:] if argv is None else argv)

    def work() -> None:
        network, metadata = load_model(options.weights)
        input_size = options.input_size or metadata.get("input_size")
        segment = PlainSegmenter(network.to(choose_device(options.device)), input_size)
        segment([np.zeros((64, 64, 3), np.uint8)])  # as segment_node does before its first frame
        rclpy.spin(PlainNode(segment, dict(options.camera)))

    return run_process(work)


if __name__ == "__main__":
    raise SystemExit(main())
