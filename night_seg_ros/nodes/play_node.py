# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Plays a rosbag2, a video or a folder of images as camera topics.

A bag's images and camera_info are published as they were recorded, byte for byte, on the recorded
topics and in the recorded rhythm. Videos and images go out as bgr8.

Two ways of waiting, for two ends:

- ``wait_for_subscribers`` holds the first frame until someone listens. From then on the player keeps the
  recorded rate, as a camera would, and a slower segment_node drops frames, as it would in the vehicle.
- ``answer_topic`` makes it lossless: after each frame the player waits until a message with that frame's
  header stamp comes back on this topic (say ``/segment_node/labels``), and only then sends the next one,
  no faster than the recorded rate. Every frame gets its result, however slow the network is. A frame may
  get lost on its way to a best-effort subscription, segment_node's default: so it is sent again, up to
  three times within ``answer_timeout``.

On the command line: ``night-seg play drive.mcap --rate 2``. As a node:
``ros2 run night_seg_ros play_node --ros-args -p input:=drive.mcap -p rate:=2.0``.
"""

from __future__ import annotations

import argparse
import math
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rclpy.utilities import remove_ros_args, try_shutdown
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tqdm import tqdm

from night_seg_ros.media.conversion import array_to_image
from night_seg_ros.media.sources import (
    IMAGE,
    Bag,
    BagMessage,
    SourceError,
    open_source,
    read_stamp,
    replace_stamp,
)
from night_seg_ros.nodes.declaration import check_parameters, declare_parameters
from night_seg_ros.nodes.play_parameters import DEFAULT_TOPIC, PARAMETERS

# Discovery is not symmetric: the others may know of us a little later than we know of them.
_SETTLE_S = 0.5
_SENDINGS = 4  # of a frame that gets no answer


class PlayError(ValueError):
    """Nobody listens; the message says who is missing."""


class PlayNode(Node):
    """Publishes the frames of a source.

    An executor must spin the node in another thread while ``play()`` runs.

    Args:
        overrides: parameter values that go before those of the ROS command line.

    Raises:
        ValueError: a parameter can't have its value; as SourceError: the input is no good.
    """

    def __init__(self, overrides: dict[str, Any] | None = None) -> None:
        given = [Parameter(name, value=value) for name, value in (overrides or {}).items()]
        super().__init__("play_node", parameter_overrides=given)
        declare_parameters(self, PARAMETERS)
        values = check_parameters(self, PARAMETERS)
        self.source = open_source(values["input"], topic=values["topic"], fps=values["fps"])
        self.sent = 0
        self.unanswered = 0
        self.skipped = 0
        self._rate: float = values["rate"]
        self._duration: float = values["duration"] or math.inf
        self._loop: bool = values["loop"]
        self._restamp: bool = values["stamp"] == "now"
        self._frame_id: str = values["frame_id"]
        self._subscribers: int = values["wait_for_subscribers"]
        self._start_timeout: float = values["start_timeout"] or math.inf
        self._answer_timeout: float = values["answer_timeout"]
        self._progress: bool = values["progress"]

        # Reliable matches every subscription; the depth covers a subscriber that lags by some frames.
        qos = QoSProfile(depth=5)
        if isinstance(self.source, Bag):
            self.topic = self.source.topic
            kind: Any = Image if self.source.message_type == IMAGE else CompressedImage
        else:
            self.topic = values["topic"] or DEFAULT_TOPIC
            kind = Image
        self._image_publisher = self.create_publisher(kind, self.topic, qos)
        self._info_publisher = None
        if isinstance(self.source, Bag) and self.source.info_topic:
            self._info_publisher = self.create_publisher(CameraInfo, self.source.info_topic, qos)

        self._answer_topic = self.resolve_topic_name(values["answer_topic"]) if values["answer_topic"] else ""
        self._awaited = -1  # stamp in ns
        self._answered = threading.Event()

    def play(self) -> None:
        """Wait for the listeners, then publish everything; returns at the end or when ROS shuts down.

        Raises:
            PlayError: nobody listened within ``start_timeout``.
            SourceError: the input turned out to be damaged, or none of its images can be read.
        """
        self._wait_for_listeners()
        start = time.monotonic()
        bar = tqdm(
            total=None if self._loop else len(self.source) or None,
            desc="playing",
            unit="frame",
            disable=None if self._progress else True,
        )
        with bar:
            self._play_once(bar)
            if self.skipped and not self.sent and self.context.ok():
                raise SourceError(f"{self.source.path}: none of its images can be read: nothing was played")
            while self._loop and self.context.ok():
                self._play_once(bar)
        took = time.monotonic() - start
        if self.context.ok():
            # The last frame is on its way; a publisher that vanishes takes it along.
            self._image_publisher.wait_for_all_acked(Duration(seconds=1))
            self._sleep_until(time.monotonic() + _SETTLE_S)
        print(self._summary(took), flush=True)

    def _summary(self, seconds: float) -> str:
        frames = f"{self.sent} {'frame' if self.sent == 1 else 'frames'}"
        without = f", {self.unanswered} of them without an answer" if self._answer_topic else ""
        skipped = f", {self.skipped} skipped that can't be read" if self.skipped else ""
        return f"played {frames} in {seconds:.1f} s{without}{skipped}"

    def _play_once(self, bar: tqdm) -> None:
        """Publish the source from its first message to its last."""
        start = time.monotonic()
        first_ns: int | None = None
        new_stamps: dict[int, int] = {}
        for message in self._messages():
            if first_ns is None:
                first_ns = message.time_ns
            position = (message.time_ns - first_ns) / 1e9
            if position >= self._duration:
                return
            due = start + position / self._rate
            self._sleep_until(due)
            if not self.context.ok():
                return
            if self._answer_topic:
                # The recording stands still while an answer is awaited, so that no rush follows.
                start += max(0.0, time.monotonic() - due)
            self._send(message, new_stamps)
            if message.topic == self.topic:
                bar.update()

    def _send(self, message: BagMessage, new_stamps: dict[int, int]) -> None:
        """Publish one message, if so wanted under a new stamp; ``new_stamps``: those so far, by the old."""
        stamp, data = read_stamp(message.data), message.data
        if self._restamp:
            # An image and its camera_info belong together by their stamp.
            stamp = new_stamps.setdefault(stamp, time.time_ns())
            data = replace_stamp(data, stamp)
        if message.topic == self.topic:
            self.sent += 1
            if self._answer_topic:
                self._send_until_answered(data, stamp)
            else:
                self._image_publisher.publish(data)
        elif self._info_publisher is not None:
            self._info_publisher.publish(data)

    def _messages(self) -> Iterator[BagMessage]:
        """The source as messages; frames of videos and images become some."""
        if isinstance(self.source, Bag):
            yield from self.source.messages()
            return
        start_ns = time.time_ns()
        for frame in self.source.frames(self._skip):
            header = Header(frame_id=self._frame_id)
            header.stamp.sec, header.stamp.nanosec = divmod(start_ns + frame.stamp_ns, 10**9)
            data = serialize_message(array_to_image(frame.image, "bgr8", header))
            yield BagMessage(self.topic, IMAGE, frame.stamp_ns, data)

    def _skip(self, problem: str) -> None:
        """Told of an image that can't be read."""
        self.skipped += 1
        self.get_logger().error(problem)

    def _wait_for_listeners(self) -> None:
        """Return when the subscribers, and the publisher of the answers, are there."""
        wanted = max(self._subscribers, 1) if self._answer_topic else self._subscribers
        give_up = time.monotonic() + self._start_timeout
        speak = time.monotonic() + 2
        while wanted > 0 and self.context.ok():
            found = self._image_publisher.get_subscription_count()
            answers = self.get_publishers_info_by_topic(self._answer_topic) if self._answer_topic else []
            if found >= wanted and (answers or not self._answer_topic):
                if answers:
                    self._subscribe_to_answers(answers[0].qos_profile.reliability)
                self._sleep_until(time.monotonic() + _SETTLE_S)
                return
            missing = f"{found} of {wanted} subscribers of {self._image_publisher.topic_name}"
            if self._answer_topic:
                missing += f", {len(answers)} publishers of {self._answer_topic}"
            if time.monotonic() > give_up:
                raise PlayError(f"after {self._start_timeout:g} s there are {missing}: nothing was played")
            if time.monotonic() > speak:
                self.get_logger().info(f"waiting: {missing}")
                speak += 10
            time.sleep(0.05)

    def _subscribe_to_answers(self, reliability: ReliabilityPolicy) -> None:
        """Reliable only if the publisher is: the other way round they do not match."""
        qos = QoSProfile(depth=5, reliability=reliability)
        self.create_subscription(Image, self._answer_topic, self._on_answer, qos, raw=True)

    def _on_answer(self, data: bytes) -> None:
        if read_stamp(data) == self._awaited:
            self._answered.set()

    def _send_until_answered(self, data: bytes, stamp: int) -> None:
        """Publish, and return when the answer with this stamp is there, or after ``answer_timeout``."""
        self._awaited = stamp
        self._answered.clear()
        for _ in range(_SENDINGS):
            self._image_publisher.publish(data)
            give_up = time.monotonic() + self._answer_timeout / _SENDINGS
            while self.context.ok() and (left := give_up - time.monotonic()) > 0:
                if self._answered.wait(min(left, 0.1)):
                    return
            if not self.context.ok():
                return
        self.unanswered += 1
        self.get_logger().warning(
            f"frame {self.sent}: nothing on {self._answer_topic} in {self._answer_timeout:g} s; going on"
        )

    def _sleep_until(self, due: float) -> None:
        """Sleep until a time of the monotonic clock, but not through a shutdown."""
        while self.context.ok() and (left := due - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))


def main(argv: list[str] | None = None) -> int:
    """``night-seg play`` and the node: options of the command line, then ROS arguments, in any mixture."""
    argv = sys.argv[1:] if argv is None else argv
    overrides = vars(_parser().parse_args(remove_ros_args(argv)))
    if "input" in overrides:
        overrides["progress"] = True
    rclpy.init(args=argv)
    executor = SingleThreadedExecutor()
    spinning = None
    try:
        node = PlayNode(overrides)
        executor.add_node(node)
        spinning = threading.Thread(target=_spin, args=(executor,), daemon=True)
        spinning.start()
        node.play()
    except ValueError as error:
        print(f"play_node: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        try_shutdown()
        if spinning is not None:
            spinning.join(timeout=5)
    return 0


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="night-seg play", description="Play a bag, a video or a folder of images as camera topics."
    )
    for name, parameter in PARAMETERS.items():
        text, default = parameter.description, parameter.default
        if name == "input":
            parser.add_argument("input", nargs="?", default=argparse.SUPPRESS, help=text)
            continue
        if name == "progress":  # always on here
            continue
        option: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text}
        if isinstance(default, bool):
            option["action"] = "store_true"
        else:
            option["type"] = type(default)
            option["help"] += f" (default: {default})" if default != "" else ""
        parser.add_argument("--" + name.replace("_", "-"), **option)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
