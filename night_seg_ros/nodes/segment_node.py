# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The ROS 2 node that segments camera images.

Topics, private names under the node unless they start with a slash:

- in: ``image`` (sensor_msgs/Image) or ``image/compressed`` (CompressedImage), by parameter
  ``image_transport``;
- out: ``~/labels`` (mono8, train ids), ``~/exposure`` and ``~/confidence`` (mono8, 0..255 = 0..1),
  ``~/overlay`` and ``~/relit`` (bgr8), ``~/overlay/compressed`` (JPEG), ``/diagnostics``.

With parameter ``image_topics`` it serves several cameras with one model: the camera of ``/front/image_raw``
has the outputs ``~/front/labels`` ... and an entry of its own in ``/diagnostics``. Each is a ``Camera``
(``nodes/camera.py``); the node holds the model, the lifecycle and the thread that runs the network.

Outputs have the camera's size and the header of their frame. Parameters: ``nodes/segment_parameters.py``.
"""

from __future__ import annotations

import ctypes
import difflib
import gc
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

# Read when torch loads OpenMP: threads that wait actively for the next layer keep frames from being received.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import rclpy
import torch
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from rclpy.utilities import ok, try_shutdown

from night_seg_ros.inference.segmenter import Segmenter
from night_seg_ros.models.checkpoint import demonstration_weights
from night_seg_ros.nodes.camera import Arrival, Camera, CameraFrame, Result, make_status
from night_seg_ros.nodes.declaration import check_parameters, declare_parameters, read_parameter
from night_seg_ros.nodes.newest_worker import NewestWorker
from night_seg_ros.nodes.parameters import check_value
from night_seg_ros.nodes.segment_parameters import PARAMETERS, name_cameras

BATCH_LOG_PERIOD = 5.0  # seconds


class SegmentNode(LifecycleNodeMixin, Node):
    """Lifecycle node that segments the newest frames of one camera, or several.

    It configures and activates itself unless ``autostart`` is false.

    - configure loads the model and makes the publishers. Where that fails, the log names the cause and the
      node stays unconfigured, ready to be configured again.
    - activate subscribes to the cameras.
    - deactivate undoes activate, cleanup undoes configure and frees the model's memory.
    """

    def __init__(self, **node_arguments: Any) -> None:
        Node.__init__(self, "segment_node", **node_arguments)
        # This is rclpy's LifecycleNode, but for the callback group: while one thread loads the model in a
        # transition, the others go on answering.
        LifecycleNodeMixin.__init__(self, callback_group=ReentrantCallbackGroup())
        declare_parameters(self, PARAMETERS)
        self._warn_of_unknown_parameters()
        self.add_on_set_parameters_callback(self._check_parameters)

        self._segmenter: Segmenter | None = None
        self._warm: list[Camera] = []  # that have had a frame since configure
        self._sizes: set[tuple[int, int]] = set()  # of their frames
        self._weights = ""
        self._failure = ""  # why configure failed
        self._active = False
        self._cameras: list[Camera] = []  # while configured
        # One thread for the node's life: memory that torch keeps for each thread does not pile up.
        self._worker: NewestWorker[Camera, Arrival] = NewestWorker(self._segment, "segment", kind=self._kind)
        # Not the node's clock: with use_sim_time that one stands still when nobody plays.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self.create_timer(self._value("diagnostics_period"), self._publish_diagnostics, clock=clock)
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
        """Subscribe to the cameras."""
        result = super().on_activate(state)  # opens the publishers: a frame may come at once
        try:
            topics = [camera.subscribe(self._value("frame_timeout")) for camera in self._cameras]
        except Exception as error:  # rclpy raises many types for a QoS override that makes no sense
            self.get_logger().error(f"can't activate: {type(error).__name__}: {error}")
            self._stop()
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        self._active = True
        self.get_logger().info(f"active: segmenting {', '.join(topics)}")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, and finish the frames under way."""
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
        values = check_parameters(self, PARAMETERS)
        self._cameras = [
            Camera(self, name, topic, values["image_transport"], self._worker.offer)
            for name, topic in name_cameras(values["image_topics"]).items()
        ]
        self._worker.deadline = values["batch_deadline"]
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
        segmenter.warm_up((64, 64))  # the first run sets up the device: not at the first frame
        self._warm, self._sizes = [], set()
        for camera in self._cameras:
            camera.open(values["reliability"])
        self._weights = weights
        self._segmenter = segmenter
        self.get_logger().info(
            f"configured: {segmenter.model_name} from {weights} ({segmenter.weights_hash}) "
            f"on {segmenter.network_device} in {segmenter.precision}"
        )

    def _release(self) -> None:
        """Undo configure, or as much of it as was done."""
        cameras, self._cameras = self._cameras, []
        for camera in cameras:
            camera.close()
        self._segmenter = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        # glibc keeps what is freed, for each of the executor's threads apart: several models in the end.
        with suppress(OSError, AttributeError):  # another libc
            ctypes.CDLL("libc.so.6").malloc_trim(0)

    def _stop(self) -> None:
        """Undo activate, or as much of it as was done."""
        self._active = False
        for camera in self._cameras:
            camera.unsubscribe()
        for camera in self._worker.clear():
            camera.drop()
        for camera in self._cameras:
            camera.settle()

    # Frames

    def _kind(self, camera: Camera) -> object:
        """Cameras of one kind share batches: those whose frames had one size.

        On the CPU only if a deadline asks for it: there a batch takes as long as its frames one by one, and
        all have to wait for the last.
        """
        on_cuda = self._segmenter is not None and self._segmenter.device.type == "cuda"
        return camera.size if on_cuda or self._worker.deadline else camera

    def _segment(self, arrivals: list[Arrival]) -> None:
        """Runs on the worker: the newest frames of some cameras, from their messages to their publishers."""
        frames = [frame for arrival in arrivals if (frame := arrival.camera.read(arrival)) is not None]
        if frames:
            self._warm_up(frames)
            self._segment_frames(frames)

    def _warm_up(self, frames: list[CameraFrame]) -> None:
        """Before the first frame of a camera: be ready for batches with the others of its size.

        Not for a size that it takes later: the other cameras would have to wait for that.
        """
        segmenter = self._segmenter
        assert segmenter is not None
        for camera in [frame.camera for frame in frames]:
            size = camera.size
            assert size is not None
            if size not in self._sizes and (warning := segmenter.distortion(size)):
                self.get_logger().warning(warning)
            self._sizes.add(size)
            if camera in self._warm:
                continue
            self._warm.append(camera)
            if segmenter.device.type == "cuda":  # elsewhere the first run takes no longer than this one would
                self._warm_up_batch(segmenter, size)

    def _warm_up_batch(self, segmenter: Segmenter, size: tuple[int, int]) -> None:
        """For all warm cameras of this size together."""
        batch = sum(each.size == size for each in self._warm)
        try:
            segmenter.warm_up(size, batch)
        except Exception as error:  # as where memory is short: frames may still go one by one
            self.get_logger().warning(
                f"{batch} frames of {size} can't go together: {type(error).__name__}: {error}"
            )

    def _segment_frames(self, frames: list[CameraFrame]) -> None:
        """Run the network on frames together; where that fails, on each alone."""
        segmenter = self._segmenter
        assert segmenter is not None  # no frame comes in before configure or after _stop
        fields = {field for frame in frames for field in frame.fields}
        started = time.monotonic()
        try:
            segmentations = segmenter.submit(
                [frame.bgr for frame in frames], tuple(fields), alpha=self._value("overlay_alpha")
            )
        except Exception as error:  # one bad frame must not end the node, nor cost another camera its frame
            if len(frames) == 1:
                frames[0].camera.reject(error)
                return
            self.get_logger().warning(
                f"{len(frames)} frames together failed, now each alone: {type(error).__name__}: {error}",
                throttle_duration_sec=BATCH_LOG_PERIOD,
            )
            for frame in frames:
                self._segment_frames([frame])
            return
        submitted = time.monotonic()
        for index, frame in enumerate(frames):
            frame.camera.publish(Result(frame, segmentations, index, started, submitted))

    # What the operator sees

    def _publish_diagnostics(self) -> None:
        segmenter = self._segmenter
        values = {"model": self._value("model"), "weights": self._weights if segmenter else ""}
        if segmenter:
            values["weights_hash"] = segmenter.weights_hash
            values["device"] = str(segmenter.network_device)
            values["precision"] = segmenter.precision
            if segmenter.device.type == "cuda":
                values["device_memory_mib"] = f"{torch.cuda.memory_reserved(segmenter.device) / 2**20:.0f}"
        level, text = self._judge()
        statuses = [camera.diagnose(level, text, values) for camera in self._cameras]
        if not statuses:
            statuses = [make_status(self, "segmentation", level, text, values)]
        array = DiagnosticArray(status=statuses)
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics_publisher.publish(array)

    def _judge(self) -> tuple[bytes, str]:
        """Level and text of what is wrong with the whole node, if anything is."""
        if self._failure:
            return DiagnosticStatus.ERROR, f"can't configure: {self._failure}"
        if self._segmenter is None:
            return DiagnosticStatus.WARN, "not configured"
        if not self._active:
            return DiagnosticStatus.WARN, "configured, not active"
        return DiagnosticStatus.OK, ""

    def _check_parameters(self, changes: list[RosParameter]) -> SetParametersResult:
        """Refuse what can't be, and say what does not count yet."""
        known = [change for change in changes if change.name in PARAMETERS]
        for change in known:
            try:
                check_value(PARAMETERS, change.name, change.value)
            except ValueError as error:
                return SetParametersResult(successful=False, reason=str(error))
        later = [change.name for change in known if PARAMETERS[change.name].when == "configure"]
        if later and self._segmenter is not None:
            self.get_logger().info(f"{', '.join(later)}: the change counts from the next configure on")
        return SetParametersResult(successful=True)

    def _warn_of_unknown_parameters(self) -> None:
        """A misspelt one would go unnoticed, and its default count."""
        for name in self._parameter_overrides:
            if not self.has_parameter(name) and not name.startswith("qos_overrides."):
                near = difflib.get_close_matches(name, PARAMETERS, n=1)
                advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(PARAMETERS)}"
                self.get_logger().warning(f"unknown parameter {name}: {advice}")

    def _value(self, name: str) -> Any:
        return read_parameter(self, PARAMETERS, name)


def main(args: list[str] | None = None) -> int:
    """Run the node until Ctrl-C or shutdown; the exit status."""
    # At Ctrl-C rclpy shuts ROS down, and that ends spin. A KeyboardInterrupt on top would strike anywhere:
    # where the executor is starting a thread, that thread would never end, nor would the process.
    signal.signal(signal.SIGINT, lambda *_: None)
    rclpy.init(args=args)
    try:
        node = SegmentNode()
    except ValueError as error:
        rclpy.logging.get_logger("segment_node").fatal(str(error))
        rclpy.shutdown()
        return 1
    # Threads for the frames, for a transition that loads a model, and for the services meanwhile.
    executor = MultiThreadedExecutor(num_threads=4)
    executor.add_node(node)
    while ok():
        try:
            executor.spin()
        except ExternalShutdownException:
            break
        except Exception as error:  # a client that asks for an impossible transition raises in rclpy
            node.get_logger().error(f"a callback failed: {error}")
    node.destroy_node()
    try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
