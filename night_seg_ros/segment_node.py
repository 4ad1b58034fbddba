"""The ROS 2 node that segments camera images.

Topics, private names under the node unless they start with a slash:

- in: ``image`` (sensor_msgs/Image) or ``image/compressed`` (CompressedImage), by parameter
  ``image_transport``;
- out: ``~/labels`` (mono8, train ids), ``~/exposure`` and ``~/confidence`` (mono8, 0..255 = 0..1),
  ``~/overlay`` and ``~/relit`` (bgr8), ``~/overlay/compressed`` (JPEG), ``/diagnostics``.

Outputs have the camera's size and the header of their frame. Parameters: ``night_seg_ros/parameters.py``.
"""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import rclpy
import torch
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNodeMixin, LifecyclePublisher, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from rclpy.qos import QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.utilities import ok, try_shutdown
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from night_seg_ros.conversion import (
    ConversionError,
    array_to_image,
    array_to_jpeg,
    compressed_to_bgr,
    image_to_bgr,
)
from night_seg_ros.frame_statistics import FrameStatistics
from night_seg_ros.models.checkpoint import demonstration_weights
from night_seg_ros.newest import NewestWorker
from night_seg_ros.parameters import PARAMETERS, Parameter
from night_seg_ros.segmenter import Segmenter

IMAGES = ("labels", "exposure", "confidence", "relit")  # outputs that the Segmenter gives as they are
OVERLAYS = ("overlay", "overlay/compressed")
TRANSPORTS: dict[str, tuple[str, Any, Any]] = {  # image_transport: topic, message type, conversion
    "raw": ("image", Image, image_to_bgr),
    "compressed": ("image/compressed", CompressedImage, compressed_to_bgr),
}
RELIABILITIES = {
    "reliable": ReliabilityPolicy.RELIABLE,
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
}
PUBLISHER_DEPTH = 5
REJECT_LOG_PERIOD = 5.0  # seconds


@dataclass(frozen=True)
class Arrival:
    """A camera message and the time.monotonic() at which it came."""

    message: Any
    time: float


class SegmentNode(LifecycleNodeMixin, Node):
    """Lifecycle node that segments the newest frame of a camera.

    It configures and activates itself unless ``autostart`` is false.

    - configure loads the model and makes the publishers. Where that fails, the log names the cause and the
      node stays unconfigured, ready to be configured again.
    - activate subscribes to the camera.
    - deactivate undoes activate, cleanup undoes configure and frees the model's memory.
    """

    def __init__(self, **node_arguments: Any) -> None:
        Node.__init__(self, "segment_node", **node_arguments)
        # This is rclpy's LifecycleNode, but for the callback group: while one thread loads the model in a
        # transition, the others go on answering.
        LifecycleNodeMixin.__init__(self, callback_group=ReentrantCallbackGroup())
        for name, parameter in PARAMETERS.items():
            never = parameter.when == "never"
            self.declare_parameter(name, parameter.default, _descriptor(parameter), ignore_override=never)
        self.add_on_set_parameters_callback(self._check_parameters)

        self._segmenter: Segmenter | None = None
        self._weights = ""
        self._failure = ""  # why configure failed
        self._silence = ""  # why no frames come
        self._statistics = FrameStatistics()
        self._received_before = 0  # at the last check of silence
        self._rejected_before = "0"  # at the last diagnostics
        self._image_publishers: dict[str, LifecyclePublisher] = {}
        # One thread for the node's life: memory that torch keeps for each thread does not pile up.
        self._worker = NewestWorker(self._process, "segment")
        self._active = False
        self._subscription: Any = None
        self._silence_timer: Any = None
        self._frame_group = MutuallyExclusiveCallbackGroup()
        # Not the node's clock: with use_sim_time that one stands still when nobody plays.
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self.create_timer(
            self._value("diagnostics_period"), self._publish_diagnostics, clock=self._steady_clock
        )
        self._starter: threading.Thread | None = None
        if self._value("autostart"):
            self._starter = threading.Thread(target=self._start, name="autostart")
            self._starter.start()

    # Transitions

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and make the publishers."""
        try:
            self._configure()
        except Exception as error:  # whatever is wrong with the weights or the device must not end the node
            self._failure = f"{type(error).__name__}: {error}"
            self._release()
            if not self.context.ok():  # Ctrl-C while the model was loading: nobody wants to know
                return TransitionCallbackReturn.FAILURE
            self.get_logger().error(
                f"can't configure: {self._failure}. The node stays unconfigured: set its parameters right, "
                f"then `ros2 lifecycle set {self.get_fully_qualified_name()} configure`"
            )
            return TransitionCallbackReturn.FAILURE
        self._failure = ""
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the camera."""
        result = super().on_activate(state)  # opens the publishers: a frame may come at once
        try:
            self._subscribe()
        except Exception as error:  # rclpy raises many types for a QoS override that makes no sense
            self.get_logger().error(f"can't activate: {type(error).__name__}: {error}")
            self._stop()
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        self.get_logger().info(f"active: segmenting {self._subscription.topic_name}")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, and finish the frame under way."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything, from whatever state."""
        self._stop()
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured after a transition that raised."""
        self._stop()
        self._release()
        return super().on_error(state)

    def destroy_node(self) -> None:
        """Stop the threads, then destroy the node."""
        if self._starter is not None:
            self._starter.join()
        self._stop()
        self._worker.stop()
        self._release()
        super().destroy_node()

    def _start(self) -> None:
        try:
            if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
                self.trigger_activate()
        except Exception:
            if self.context.ok():  # else: Ctrl-C while the model was loading
                raise

    def _configure(self) -> None:
        values = {name: self._value(name) for name in PARAMETERS}
        for name, parameter in PARAMETERS.items():
            _check_choice(name, parameter, values[name])
        weights = values["weights"]
        if not weights:
            weights = str(demonstration_weights(values["model"]))
            self.get_logger().warning(
                f"no weights given: using the demonstration weights of {values['model']} ({weights}). "
                "They are for trying the package, not for driving"
            )
        segmenter = Segmenter(
            weights,
            device=values["device"],
            precision=values["precision"],
            input_size=values["input_size"] or None,
        )
        if segmenter.model_name != values["model"]:
            raise ValueError(
                f"{weights} holds the model {segmenter.model_name!r}, parameter model is {values['model']!r}"
            )
        segmenter(np.zeros((64, 64, 3), np.uint8))  # the first run sets up the device: not at the first frame
        qos = QoSProfile(depth=PUBLISHER_DEPTH, reliability=RELIABILITIES[values["reliability"]])
        for name in (*IMAGES, *OVERLAYS):
            kind = CompressedImage if name.endswith("compressed") else Image
            self._image_publishers[name] = self.create_lifecycle_publisher(kind, f"~/{name}", qos)
        self._statistics = FrameStatistics()
        self._weights = weights
        self._segmenter = segmenter
        self.get_logger().info(
            f"configured: {segmenter.model_name} from {weights} ({segmenter.weights_hash}) "
            f"on {segmenter.device} in {segmenter.precision}"
        )

    def _release(self) -> None:
        """Undo configure, or as much of it as was done."""
        for publisher in self._image_publishers.values():
            self.destroy_lifecycle_publisher(publisher)
        self._image_publishers = {}
        self._segmenter = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        # glibc keeps what is freed, for each of the executor's threads apart: several models in the end.
        with suppress(OSError, AttributeError):  # another libc
            ctypes.CDLL("libc.so.6").malloc_trim(0)

    def _subscribe(self) -> None:
        topic, self._input_type, self._convert = TRANSPORTS[self._value("image_transport")]
        # Best effort asks the least of a camera driver, so that any driver matches.
        self._input_qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._active = True
        self._subscription = self.create_subscription(
            self._input_type,
            topic,
            self._receive,
            self._input_qos,
            callback_group=self._frame_group,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._silence = ""
        self._received_before = self._statistics.received
        self._silence_timer = self.create_timer(
            self._value("frame_timeout"), self._check_silence, clock=self._steady_clock
        )

    def _stop(self) -> None:
        """Undo activate, or as much of it as was done."""
        self._active = False
        if self._silence_timer is not None:
            self.destroy_timer(self._silence_timer)
            self._silence_timer = None
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._worker.clear():
            self._statistics.drop()
        self._statistics.forget_frame()

    # Frames

    def _receive(self, message: Any) -> None:
        """Runs on the executor: hands the frame to the worker and returns."""
        if not self._active:  # the subscription is just going
            return
        self._statistics.receive()
        if self._worker.offer(Arrival(message, time.monotonic())):
            self._statistics.drop()

    def _process(self, arrival: Arrival) -> None:
        """Runs on the worker: one frame, from its message to the outputs."""
        try:
            bgr = self._convert(arrival.message)
            published = self._publish(bgr, arrival.message.header)
        except Exception as error:  # one bad frame must not end the node
            reason = str(error) if isinstance(error, ConversionError) else f"{type(error).__name__}: {error}"
            count = self._statistics.reject(reason)
            self.get_logger().error(
                f"frame rejected ({count} so far): {reason}", throttle_duration_sec=REJECT_LOG_PERIOD
            )
            return
        self._statistics.process(bgr)
        if published:
            stamp = arrival.message.header.stamp
            latency = self.get_clock().now().nanoseconds * 1e-9 - (stamp.sec + stamp.nanosec * 1e-9)
            self._statistics.measure(latency, time.monotonic() - arrival.time)

    def _publish(self, bgr: np.ndarray, header: Header) -> bool:
        """Compute and publish what somebody listens to; False if nobody does."""
        publishers = self._image_publishers
        wanted = [name for name, publisher in publishers.items() if publisher.get_subscription_count()]
        segmenter = self._segmenter
        if not wanted or segmenter is None:
            return False
        overlays = [name for name in wanted if name in OVERLAYS]
        fields = {name for name in wanted if name in IMAGES} | ({"labels"} if overlays else set())
        segmentation = segmenter(bgr, tuple(fields))
        for name in IMAGES:
            if name not in wanted:
                continue
            pixels = getattr(segmentation, name)
            if pixels is None:
                self.get_logger().warning(f"{segmenter.model_name} has no output {name}", once=True)
                continue
            encoding = "mono8" if pixels.ndim == 2 else "bgr8"
            publishers[name].publish(array_to_image(pixels, encoding, header))
        if overlays:
            overlay = segmentation.overlay(bgr, self._value("overlay_alpha"))
            if "overlay" in overlays:
                publishers["overlay"].publish(array_to_image(overlay, "bgr8", header))
            if "overlay/compressed" in overlays:
                jpeg = array_to_jpeg(overlay, header, self._value("jpeg_quality"))
                publishers["overlay/compressed"].publish(jpeg)
        return True

    # What the operator sees

    def _check_silence(self) -> None:
        """Say why, if no frame came since the last time."""
        subscription, received = self._subscription, self._statistics.received
        if subscription is None:  # just deactivated
            return
        silent = received == self._received_before
        self._received_before = received
        self._silence = ""
        if silent:
            topic, timeout = subscription.topic_name, self._value("frame_timeout")
            self._silence = f"no frame on {topic} for {timeout:g} s: {self._explain_silence(topic)}"
            self.get_logger().warning(self._silence)

    def _explain_silence(self, topic: str) -> str:
        wanted = _type_name(self._input_type)
        publishers = self.get_publishers_info_by_topic(topic)
        if not publishers:
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
        own = f"{self.get_fully_qualified_name()}/"
        for transport, (_, kind, _) in TRANSPORTS.items():
            for name, types in self.get_topic_names_and_types():
                if _type_name(kind) in types and not name.startswith(own) and self.count_publishers(name):
                    found.append(f"{name} ({transport})")
        if not found:
            return "There is no image topic at all: does the camera driver run, in the same ROS_DOMAIN_ID?"
        return f"Remap the topic `image`, or set image_transport; there are: {', '.join(found)}"

    def _publish_diagnostics(self) -> None:
        segmenter = self._segmenter
        values = {"model": self._value("model"), "weights": self._weights if segmenter else ""}
        if segmenter:
            values["weights_hash"] = segmenter.weights_hash
            values["device"] = str(segmenter.device)
            values["precision"] = segmenter.precision
        figures = self._statistics.report()
        level, text = self._judge(figures)
        status = DiagnosticStatus(
            level=level,
            name=f"{self.get_fully_qualified_name()}: segmentation",
            message=text,
            hardware_id=self.resolve_topic_name("image"),
            values=[KeyValue(key=key, value=value) for key, value in {**values, **figures}.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics_publisher.publish(array)

    def _judge(self, figures: dict[str, str]) -> tuple[bytes, str]:
        """Level and text of the diagnostics."""
        rejected_before, self._rejected_before = self._rejected_before, figures["frames_rejected"]
        if self._failure:
            return DiagnosticStatus.ERROR, f"can't configure: {self._failure}"
        if self._segmenter is None:
            return DiagnosticStatus.WARN, "not configured"
        if not self._active:
            return DiagnosticStatus.WARN, "configured, not active"
        if self._silence:
            return DiagnosticStatus.WARN, self._silence
        if figures["frames_rejected"] != rejected_before:
            return DiagnosticStatus.WARN, f"frames are rejected: {figures['last_reject_reason']}"
        return DiagnosticStatus.OK, f"{figures['rate_hz']} frames/s"

    def _check_parameters(self, changes: list[RosParameter]) -> SetParametersResult:
        """Refuse what can't be, and say what does not count yet."""
        known = [change for change in changes if change.name in PARAMETERS]
        for change in known:
            try:
                _check_choice(change.name, PARAMETERS[change.name], change.value)
            except ValueError as error:
                return SetParametersResult(successful=False, reason=str(error))
        later = [change.name for change in known if PARAMETERS[change.name].when == "configure"]
        if later and self._segmenter is not None:
            self.get_logger().info(f"{', '.join(later)}: the change counts from the next configure on")
        return SetParametersResult(successful=True)

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=parameter.description, read_only=parameter.when in ("start", "never")
    )
    if parameter.choices:
        descriptor.additional_constraints = f"one of {', '.join(parameter.choices)}"
    if parameter.limits:
        low, high = parameter.limits
        if isinstance(parameter.default, int):
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor


def _check_choice(name: str, parameter: Parameter, value: Any) -> None:
    if parameter.choices and value not in parameter.choices:
        raise ValueError(f"{name} {value!r} is unknown; known: {', '.join(parameter.choices)}")


def _type_name(kind: Any) -> str:
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def _full_name(endpoint: Any) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"


def main(args: list[str] | None = None) -> int:
    """Run the node until Ctrl-C or shutdown; the exit status."""
    rclpy.init(args=args)
    try:
        node = SegmentNode()
    except ParameterException as error:
        rclpy.logging.get_logger("segment_node").fatal(str(error))
        rclpy.shutdown()
        return 1
    # Threads for the frames, for a transition that loads a model, and for the services meanwhile.
    executor = MultiThreadedExecutor(num_threads=4)
    executor.add_node(node)
    while ok():
        try:
            executor.spin()
        except (KeyboardInterrupt, ExternalShutdownException):
            break
        except Exception as error:  # a client that asks for an impossible transition raises in rclpy
            node.get_logger().error(f"a callback failed: {error}")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C under ros2 launch interrupts twice
    node.destroy_node()
    try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
