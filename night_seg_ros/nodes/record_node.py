# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Records topics of the demo into a rosbag2 (mcap): every message, byte for byte, with its time of receipt.

It ends when the player has gone and nothing more comes, or on Ctrl-C. The bag appears at its place only
when it is complete. On ``--answers`` it tells which frames it has, with all that belongs to them: a player
that waits for these answers loses none, however late a process gets its share of the processor.

    python -m night_seg_ros.nodes.record_node BAG --topic /camera/image_raw sensor_msgs/msg/Image --topic ...
"""

from __future__ import annotations

import argparse
import importlib
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.utilities import remove_ros_args, try_shutdown
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import Image

from night_seg_ros.media.sources import read_stamp


class RecordNode(Node):
    """Writes messages to an open bag. ``done`` becomes true ``quiet`` seconds after the end.

    The end: the first topic, the player's, has lost its last publisher, and no message came on a topic of
    ``topics`` since.

    Args:
        writer: an open rosbags Writer.
        topics: message type (such as ``sensor_msgs/msg/Image``) by topic name; of messages with a header.
        others: the same; these (diagnostics, say, that go on for ever) are recorded but not waited for.
        quiet: seconds of silence that make the end.
        answers: topic for an empty image with the stamp of each frame that has come on all of ``topics``.
    """

    def __init__(
        self, writer: Writer, topics: dict[str, str], others: dict[str, str], quiet: float, answers: str
    ) -> None:
        super().__init__("record_node")
        self.counts = dict.fromkeys([*topics, *others], 0)
        self.done = False
        self._error: Exception | None = None
        # Written in another thread, so that compression and disk do not delay the next time of receipt.
        self._to_write: queue.SimpleQueue[tuple[Any, int, bytes] | None] = queue.SimpleQueue()
        self._waited_for = set(topics)
        self._first = next(iter(topics))
        self._quiet = quiet
        self._had_player = False
        self._missing: dict[int, set[str]] = {}  # topics on which a frame has yet to come, by its stamp
        self._answers = self.create_publisher(Image, answers, 5)
        self._last_time = time.monotonic()
        typestore = get_typestore(Stores.ROS2_JAZZY)
        # Reliable and deep: the recording shall not lose what the node has sent.
        qos = QoSProfile(depth=100)
        for topic, kind in {**topics, **others}.items():
            connection = writer.add_connection(topic, kind, typestore=typestore)
            on_message = partial(self._on_message, topic, connection)
            self.create_subscription(_message_class(kind), topic, on_message, qos, raw=True)
        self.create_timer(0.1, self._look_for_the_end)
        self._writing = threading.Thread(target=self._write, args=(writer,))
        self._writing.start()

    def _on_message(self, topic: str, connection: Any, data: bytes) -> None:
        self._to_write.put((connection, time.time_ns(), data))
        self.counts[topic] += 1
        if topic not in self._waited_for:
            return
        self._last_time = time.monotonic()
        stamp = read_stamp(data)
        missing = self._missing.setdefault(stamp, set(self._waited_for))
        missing.discard(topic)
        if not missing:
            # Said again when a frame comes again: the first answer was not heard, then.
            answer = Image()
            answer.header.stamp.sec, answer.header.stamp.nanosec = divmod(stamp, 10**9)
            self._answers.publish(answer)

    def finish(self) -> None:
        """Write what is left; raises what went wrong in writing. To be called before the bag is closed."""
        self._to_write.put(None)
        self._writing.join()
        if self._error is not None:
            raise self._error

    def _write(self, writer: Writer) -> None:
        try:
            while (message := self._to_write.get()) is not None:
                writer.write(*message)
        except Exception as error:  # a full disk, say: told by finish()
            self._error = error
            self.done = True

    def _look_for_the_end(self) -> None:
        if self.count_publishers(self._first):
            self._had_player = True
            self._last_time = time.monotonic()
        self.done |= self._had_player and time.monotonic() - self._last_time > self._quiet


def _message_class(kind: str) -> Any:
    """The class of a message type: ``sensor_msgs/msg/Image`` -> sensor_msgs.msg.Image."""
    package, _, name = kind.partition("/msg/")
    return getattr(importlib.import_module(package + ".msg"), name)


def main(argv: list[str] | None = None) -> int:
    """Record until the end; exit status 1 if nothing came."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="record_node", description=__doc__.splitlines()[0])
    parser.add_argument("bag", type=Path, help="folder of the new bag")
    pair: dict[str, Any] = {"nargs": 2, "action": "append", "metavar": ("NAME", "TYPE")}
    parser.add_argument(
        "--topic", required=True, help="topic to record; the first one is the player's", **pair
    )
    parser.add_argument("--other", default=[], help="topic to record but not to wait for", **pair)
    parser.add_argument(
        "--quiet", type=float, default=2.0, help="seconds of silence that end it (default: 2)"
    )
    parser.add_argument(
        "--answers",
        default="~/complete",
        help="topic for the stamps of the frames that have come on all topics (default: ~/complete)",
    )
    options = parser.parse_args(remove_ros_args(argv))
    if options.bag.exists():
        parser.error(f"{options.bag} exists already")

    options.bag.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".recording-", dir=options.bag.parent))
    rclpy.init(args=argv)
    try:
        # Inside, the bag has its final name already: rosbags names the storage file after the folder.
        writer = Writer(work / options.bag.name, version=9, storage_plugin=StoragePlugin.MCAP)
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        with writer:
            node = RecordNode(
                writer, dict(options.topic), dict(options.other), options.quiet, options.answers
            )
            try:
                while not node.done:
                    rclpy.spin_once(node, timeout_sec=0.2)
            except (KeyboardInterrupt, ExternalShutdownException):
                pass
            finally:
                node.finish()
        if not any(node.counts[topic] for topic, _ in options.topic):
            print("record_node: not one message came", file=sys.stderr)
            return 1
        os.replace(work / options.bag.name, options.bag)
        print("recorded " + ", ".join(f"{count} of {topic}" for topic, count in node.counts.items()))
        return 0
    finally:
        shutil.rmtree(work, ignore_errors=True)
        try_shutdown()


if __name__ == "__main__":
    raise SystemExit(main())
