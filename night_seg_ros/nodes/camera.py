# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""One camera of segment_node: its subscription, its outputs, and what its operator sees.

A frame goes one way. The executor hands its message to the node's worker (``Arrival``); the worker reads it
(``CameraFrame``) and runs the network; the camera's own thread turns the answer into messages and publishes
them (``Result``). Of each camera only the newest waits before the network, and only the newest before
publishing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecyclePublisher
from rclpy.qos import QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

from night_seg_ros.inference.segmenter import PendingSegmentations, Segmentation
from night_seg_ros.media.conversion import (
    ConversionError,
    array_to_image,
    array_to_jpeg,
    compressed_to_bgr,
    image_to_bgr,
)
from night_seg_ros.nodes.frame_statistics import FrameStatistics
from night_seg_ros.nodes.newest_worker import NewestWorker

IMAGES = ("labels", "exposure", "confidence", "relit")  # outputs that the Segmenter gives as they are
OVERLAYS = ("overlay", "overlay/compressed")
TRANSPORTS: dict[str, tuple[str, Any, Any]] = {  # image_transport: end of the topic, message type, conversion
    "raw": ("", Image, image_to_bgr),
    "compressed": ("/compressed", CompressedImage, compressed_to_bgr),
}
RELIABILITIES = {
    "reliable": ReliabilityPolicy.RELIABLE,
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
}
PUBLISHER_DEPTH = 5
# The newest frame only is used, but what DDS replaces before the executor gets at it is not even counted.
INPUT_DEPTH = 5
# Best effort where a camera offers no more, so that any driver matches; reliable where all offer it: best
# effort loses frames larger than the shared memory of the middleware. ROS 2 Humble can't choose.
INPUT_RELIABILITY = getattr(ReliabilityPolicy, "BEST_AVAILABLE", ReliabilityPolicy.BEST_EFFORT)
REJECT_LOG_PERIOD = 5.0  # seconds
FOLLOW_PERIOD = 0.5  # seconds between two looks at what the publishers offer


@dataclass(frozen=True)
class Arrival:
    """A camera message and the time.monotonic() at which it came."""

    camera: Camera
    message: Any
    time: float


@dataclass(frozen=True)
class CameraFrame:
    """A frame that somebody wants the outputs of.

    Attributes:
        camera: whose it is.
        header: of its message.
        wait: seconds from its receipt until the worker took it.
        convert: seconds that reading it took.
        converted: time.monotonic() after that.
        bgr: (H, W, 3) uint8.
        wanted: names of the outputs that somebody listens to.
    """

    camera: Camera
    header: Header
    wait: float
    convert: float
    converted: float
    bgr: np.ndarray
    wanted: tuple[str, ...]

    @property
    def fields(self) -> set[str]:
        """What the Segmenter must compute for these outputs."""
        return {"overlay" if name in OVERLAYS else name for name in self.wanted}


@dataclass(frozen=True)
class Result:
    """A frame and the network's answer, on the way to the publishers.

    Attributes:
        segmentations: of a batch.
        index: of the frame in it.
        started, submitted: time.monotonic() before and after the batch was handed to the Segmenter.
    """

    frame: CameraFrame
    segmentations: PendingSegmentations
    index: int
    started: float
    submitted: float


class Camera:
    """One camera of a segment_node, from configure to cleanup.

    ``open`` and ``close`` make and destroy the publishers and their thread, ``subscribe`` and ``unsubscribe``
    what comes in. Each undo also undoes what was half done.

    Args:
        node: the lifecycle node.
        name: such as ``front``; its outputs are ``~/front/labels`` ...; empty: ``~/labels`` ...
        topic: of its raw images.
        transport: key of TRANSPORTS.
        offer: where each Arrival goes; True if it took the place of one that nobody will see now.

    Attributes:
        publishers: by output.
        size: height and width of the frame read last; None before the first.

    Raises:
        ValueError: the topic is no ROS name.
    """

    def __init__(
        self, node: Any, name: str, topic: str, transport: str, offer: Callable[[Camera, Arrival], bool]
    ) -> None:
        self.name = name
        self.publishers: dict[str, LifecyclePublisher] = {}
        self.size: tuple[int, int] | None = None
        self._node = node
        # A logger of its own: the error of one camera does not throttle that of another.
        self._logger = node.get_logger().get_child(name.replace("/", ".")) if name else node.get_logger()
        self._offer = offer
        ending, self._input_type, self._convert = TRANSPORTS[transport]
        try:
            self._image_topic = node.resolve_topic_name(topic)
        except Exception as error:  # of a type that rclpy does not show
            raise ValueError(f"{topic!r} is no topic: {error}") from error
        self._topic = topic + ending
        self._statistics = FrameStatistics()
        self._publishing: NewestWorker[Camera, Result] | None = None
        self._input_qos = QoSProfile(depth=INPUT_DEPTH, reliability=INPUT_RELIABILITY)  # until overridden
        self._all_reliable = True  # the publishers, when this camera subscribed
        self._frame_group = MutuallyExclusiveCallbackGroup()
        self._receiving = threading.Lock()
        self._active = False
        self._subscription: Any = None
        self._timers: list[Any] = []  # while subscribed
        self._silence = ""  # why no frames come
        self._received_before = 0  # at the last check of silence
        self._rejected_before = "0"  # at the last diagnostics

    def open(self, reliability: str) -> None:
        """Make the publishers: reliability is a key of RELIABILITIES."""
        qos = QoSProfile(depth=PUBLISHER_DEPTH, reliability=RELIABILITIES[reliability])
        prefix = f"~/{self.name}/" if self.name else "~/"
        for output in (*IMAGES, *OVERLAYS):
            kind = CompressedImage if output.endswith("compressed") else Image
            self.publishers[output] = self._node.create_lifecycle_publisher(kind, prefix + output, qos)
        # A thread of each camera's own, so that a slow subscriber of one camera holds up no other.
        self._publishing = NewestWorker(self._publish_results, f"publish {self.name}".rstrip())

    def close(self) -> None:
        """Undo open."""
        if self._publishing is not None:
            self._publishing.stop()
            self._publishing = None
        for publisher in self.publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self.publishers = {}

    def subscribe(self, timeout: float) -> str:
        """Let frames in, warn if none comes for so many seconds; the topic."""
        with self._receiving:
            self._active = True
            self._create_subscription()
        self._silence = ""
        self._received_before = self._statistics.received
        # Not the node's clock: with use_sim_time that one stands still when nobody plays.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers = [
            self._node.create_timer(FOLLOW_PERIOD, self._follow_publishers, clock=clock),
            self._node.create_timer(timeout, self._check_silence, clock=clock),
        ]
        return self._subscription.topic_name

    def unsubscribe(self) -> None:
        """Let no more frames in."""
        with self._receiving:
            self._active = False
        while self._timers:
            self._node.destroy_timer(self._timers.pop())
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _create_subscription(self) -> None:
        self._all_reliable = self._are_all_reliable()
        self._subscription = self._node.create_subscription(
            self._input_type,
            self._topic,
            self._receive,
            self._input_qos,
            callback_group=self._frame_group,
            # No warning of a camera that can't match: _follow_publishers and _check_silence see to that. No
            # other callback: rclpy's executor may fail where a subscription goes that has events waiting.
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def _are_all_reliable(self) -> bool:
        publishers = self._node.get_publishers_info_by_topic(self._topic)
        return all(each.qos_profile.reliability == ReliabilityPolicy.RELIABLE for each in publishers)

    def _follow_publishers(self) -> None:
        """Subscribe anew where publishers came or went and another reliability is the best now."""
        with self._receiving:
            if not self._active or self._input_qos.reliability in RELIABILITIES.values():
                return
            if self._are_all_reliable() != self._all_reliable:
                self._node.destroy_subscription(self._subscription)
                self._create_subscription()

    def settle(self) -> None:
        """Publish what waits for it; no frame may come from the worker meanwhile."""
        if self._publishing is not None:
            self._publishing.finish()
        self._statistics.forget_frame()

    # Frames

    def _receive(self, message: Any) -> None:
        """Runs on the executor: hands the frame on and returns."""
        with self._receiving:  # not after unsubscribe
            if not self._active:
                return
            self._statistics.receive()
            self._silence = ""
            if self._offer(self, Arrival(self, message, time.monotonic())):
                self.drop()

    def read(self, arrival: Arrival) -> CameraFrame | None:
        """Runs on the node's worker: the frame of a message; None if it is unreadable or unwanted."""
        start = time.monotonic()
        try:
            bgr = self._convert(arrival.message)
            wanted = tuple(name for name, topic in self.publishers.items() if topic.get_subscription_count())
        except Exception as error:  # one bad frame must not end the node
            self.reject(error)
            return None
        self.size = bgr.shape[0], bgr.shape[1]
        if not wanted:
            self._statistics.process(bgr)
            return None
        now = time.monotonic()
        return CameraFrame(self, arrival.message.header, start - arrival.time, now - start, now, bgr, wanted)

    def publish(self, result: Result) -> None:
        """Runs on the node's worker: hands the outputs of a frame on and returns."""
        assert self._publishing is not None
        if self._publishing.offer(self, result):
            self.drop()

    def drop(self) -> None:
        """Count a frame that gave way to a newer one."""
        self._statistics.drop()

    def reject(self, error: Exception) -> None:
        """Count a frame that could not be processed, and say why."""
        reason = str(error) if isinstance(error, ConversionError) else f"{type(error).__name__}: {error}"
        count = self._statistics.reject(reason)
        if self._node.context.ok():  # else: Ctrl-C, and nothing can be published any more
            self._logger.error(
                f"frame rejected ({count} so far): {reason}", throttle_duration_sec=REJECT_LOG_PERIOD
            )

    def _publish_results(self, results: list[Result]) -> None:
        """Runs on the camera's own thread."""
        for result in results:
            frame = result.frame
            taken = time.monotonic()
            try:
                segmentation = result.segmentations.result()[result.index]
                segmented = time.monotonic()
                self._publish_outputs(frame, segmentation)
                now = self._node.get_clock().now().nanoseconds * 1e-9
            except Exception as error:  # of this frame only
                self.reject(error)
                continue
            self._statistics.process(frame.bgr)
            latency = now - (frame.header.stamp.sec + frame.header.stamp.nanosec * 1e-9)
            stages = {
                "wait": frame.wait + result.started - frame.converted + taken - result.submitted,
                "convert": frame.convert,
                "segment": result.submitted - result.started + segmented - taken,
                "publish": time.monotonic() - segmented,
            }
            self._statistics.measure(latency, stages)

    def _publish_outputs(self, frame: CameraFrame, segmentation: Segmentation) -> None:
        for name in frame.wanted:
            if name in OVERLAYS:
                continue
            pixels = getattr(segmentation, name)
            if pixels is None:
                self._logger.warning(f"the model has no output {name}", once=True)
                continue
            encoding = "mono8" if pixels.ndim == 2 else "bgr8"
            self.publishers[name].publish(array_to_image(pixels, encoding, frame.header))
        if segmentation.overlay is None:
            return
        if "overlay" in frame.wanted:
            self.publishers["overlay"].publish(array_to_image(segmentation.overlay, "bgr8", frame.header))
        if "overlay/compressed" in frame.wanted:
            jpeg = array_to_jpeg(segmentation.overlay, frame.header, self._value("jpeg_quality"))
            self.publishers["overlay/compressed"].publish(jpeg)

    # What the operator sees

    def diagnose(self, level: bytes, text: str, figures: dict[str, str]) -> DiagnosticStatus:
        """The camera's part of the diagnostics: level, text and figures are those of the whole node."""
        own = self._statistics.report()
        if level == DiagnosticStatus.OK:
            level, text = self._judge(own)
        task = f"segmentation of {self.name}" if self.name else "segmentation"
        return make_status(self._node, task, level, text, {**figures, **own}, self._image_topic)

    def _judge(self, figures: dict[str, str]) -> tuple[bytes, str]:
        rejected_before, self._rejected_before = self._rejected_before, figures["frames_rejected"]
        if self._silence:
            return DiagnosticStatus.WARN, self._silence
        if figures["frames_rejected"] != rejected_before:
            return DiagnosticStatus.WARN, f"frames are rejected: {figures['last_reject_reason']}"
        return DiagnosticStatus.OK, f"{figures['rate_hz']} frames/s"

    def _check_silence(self) -> None:
        """Say why, if no frame came since the last time."""
        with self._receiving:
            if not self._active:  # just deactivated
                return
            topic, received = self._subscription.topic_name, self._statistics.received
        silent = received == self._received_before
        self._received_before = received
        if silent:
            timeout = self._value("frame_timeout")
            self._silence = f"no frame on {topic} for {timeout:g} s: {self._explain_silence(topic)}"
            self._logger.warning(self._silence)

    def _explain_silence(self, topic: str) -> str:
        wanted = _type_name(self._input_type)
        publishers = self._node.get_publishers_info_by_topic(topic)
        if not publishers:
            if self._statistics.received:
                return "its publisher is gone"
            return f"nobody publishes on it. {self._name_cameras()}"
        others = {f"{_full_name(p)} ({p.topic_type})" for p in publishers if p.topic_type != wanted}
        publishers = [p for p in publishers if p.topic_type == wanted]
        if not publishers:
            return f"it needs {wanted}, but its publishers send another type: {', '.join(sorted(others))}"
        for publisher in publishers:
            compatibility, reason = qos_check_compatible(publisher.qos_profile, self._input_qos)
            if compatibility == QoSCompatibility.ERROR:
                return f"the QoS of its publisher {_full_name(publisher)} does not match: {reason}"
        names = ", ".join(sorted({_full_name(p) for p in publishers}))
        return f"its publisher {names} sends nothing"

    def _name_cameras(self) -> str:
        """The image topics that are there, for someone who took a wrong name."""
        found = []
        own = f"{self._node.get_fully_qualified_name()}/"
        for transport, (_, kind, _) in TRANSPORTS.items():
            for name, types in self._node.get_topic_names_and_types():
                if (
                    _type_name(kind) in types
                    and not name.startswith(own)
                    and self._node.count_publishers(name)
                ):
                    found.append(f"{name} ({transport})")
        if not found:
            return "There is no image topic at all: does the camera driver run, in the same ROS_DOMAIN_ID?"
        change = "Change image_topics" if self.name else "Remap the topic `image`"
        return f"{change}, or set image_transport; there are: {', '.join(found)}"

    def _value(self, parameter: str) -> Any:
        return self._node.get_parameter(parameter).value


def make_status(
    node: Any, task: str, level: bytes, text: str, figures: dict[str, str], hardware_id: str = ""
) -> DiagnosticStatus:
    """An entry of the diagnostics."""
    return DiagnosticStatus(
        level=level,
        name=f"{node.get_fully_qualified_name()}: {task}",
        message=text,
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in figures.items()],
    )


def _type_name(kind: Any) -> str:
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def _full_name(endpoint: Any) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"
