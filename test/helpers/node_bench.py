# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""A segment_node on a workbench: a camera, listeners and services around it, over real rclpy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is missing: source ROS 2 or install .[ros]")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.context import Context
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from night_seg_ros.inference.segmenter import Segmenter
from night_seg_ros.nodes.segment_node import SegmentNode

TIMEOUT = 20.0  # seconds to wait for what must happen


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something to be true, and return it."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail(f"not within {TIMEOUT} s: {what}")


class Bench:
    """A segment_node, and a node that plays camera and listener; both spin, each in a context of its own.

    Two contexts are two DDS participants, as two processes are.
    """

    def __init__(
        self, capture: pytest.CaptureFixture[str], ros_arguments: Sequence[str] = (), **parameters: Any
    ) -> None:
        self._capture = capture
        self._log = ""
        self.contexts = Context(), Context()
        for context in self.contexts:
            rclpy.init(context=context)
        self.peer = Node("peer", context=self.contexts[0])
        self.diagnostics: list[DiagnosticArray] = []
        self.peer.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, 10)
        parameters = {"device": "cpu", "precision": "fp32", "diagnostics_period": 0.2, **parameters}
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = SegmentNode(
            parameter_overrides=overrides,
            context=self.contexts[1],
            cli_args=["--ros-args", *ros_arguments],
        )
        self.executors = (
            SingleThreadedExecutor(context=self.contexts[0]),
            MultiThreadedExecutor(num_threads=4, context=self.contexts[1]),
        )
        self.threads = []
        for executor, node in zip(self.executors, (self.peer, self.node), strict=True):
            executor.add_node(node)
            self.threads.append(threading.Thread(target=executor.spin, daemon=True))
            self.threads[-1].start()
        self.received: dict[str, list[Any]] = {}
        self.cameras: dict[str, Any] = {}  # publishers by topic
        self._clients = {
            name: self.peer.create_client(kind, f"/segment_node/{name}")
            for name, kind in [
                ("change_state", ChangeState),
                ("get_state", GetState),
                ("get_parameters", GetParameters),
                ("set_parameters", SetParameters),
            ]
        }
        for name, client in self._clients.items():
            assert client.wait_for_service(TIMEOUT)
            until(lambda name=name: self.node.count_clients(f"/segment_node/{name}"), f"a client of {name}")
        time.sleep(0.2)  # discovery of services is not symmetric: an answer may miss a young client

    def close(self) -> None:
        for executor, thread in zip(self.executors, self.threads, strict=True):
            executor.shutdown()
            thread.join(TIMEOUT)
        self.node.destroy_node()
        self.peer.destroy_node()
        for context in self.contexts:
            context.try_shutdown()  # unless the test did

    def logged(self, text: str, camera: str = "") -> list[str]:
        """The lines of the node's log with a text in them, or of one of its cameras."""
        self._log += self._capture.readouterr().err
        logger = f"[segment_node.{camera}]" if camera else "[segment_node]"
        return [line for line in self._log.splitlines() if logger in line and text in line]

    def ask(self, service: str, request: Any) -> Any:
        """A future of the service's answer."""
        return self._clients[service].call_async(request)

    def call(self, service: str, request: Any) -> Any:
        future = self.ask(service, request)
        until(future.done, f"an answer of {service}")
        return future.result()

    def change(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call("change_state", request).success

    def state(self) -> int:
        return self.call("get_state", GetState.Request()).current_state.id

    def until_active(self) -> None:
        until(lambda: self.state() == State.PRIMARY_STATE_ACTIVE, "the node is active")

    def set(self, **values: Any) -> list[Any]:
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        request = SetParameters.Request(parameters=parameters)
        return self.call("set_parameters", request).results

    def listen(self, *outputs: str) -> None:
        """Subscribe to outputs of the node, and wait until it knows."""
        for output in outputs:
            kind = CompressedImage if output.endswith("compressed") else Image
            topic = f"/segment_node/{output}"
            self.received[output] = []
            subscription = self.peer.create_subscription(kind, topic, self.received[output].append, 10)
            until(self.publisher(output).get_subscription_count, f"a subscriber of {output}")
            until(subscription.get_publisher_count, f"the publisher of {output}")

    def publisher(self, output: str) -> Any:
        """The node's publisher of an output."""
        publishers = [each for camera in self.node._cameras for each in camera.publishers.values()]
        return next(each for each in publishers if each.topic_name == f"/segment_node/{output}")

    def camera(self, kind: Any = Image, topic: str = "image") -> Any:
        """A publisher that the node has subscribed to."""
        if topic not in self.cameras:
            camera = self.cameras[topic] = self.peer.create_publisher(kind, topic, 10)
            until(camera.get_subscription_count, f"the node subscribes to {topic}")
            subscriptions = (each._subscription for each in self.node._cameras)
            subscription = next(each for each in subscriptions if each.topic_name == camera.topic_name)
            until(subscription.get_publisher_count, "the node sees the camera")
        return self.cameras[topic]

    def answer(self, output: str, header: Header) -> Any:
        """The message on an output with the stamp of a header."""

        def find() -> Any:
            return next((m for m in self.received[output] if m.header.stamp == header.stamp), None)

        return until(find, f"{output} of the frame")

    def figures(self, camera: str = "") -> dict[str, str]:
        """The newest diagnostics, from now on, of a camera by its name."""
        self.diagnostics.clear()
        statuses = until(lambda: self.diagnostics, "diagnostics")[-1].status
        name = f"/segment_node: segmentation of {camera}" if camera else "/segment_node: segmentation"
        status = next(each for each in statuses if each.name == name)
        values = {value.key: value.value for value in status.values}
        return {"level": status.level[0], "message": status.message, **values}


@pytest.fixture
def bench(ros_domain: int, capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Bench]]:
    """Makes a Bench and closes it after the test."""
    made: list[Bench] = []

    def make(**parameters: Any) -> Bench:
        made.append(Bench(capfd, **parameters))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Recorder:
    """Stands before the Segmenter, notes what it is asked for, and waits until it may go."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self.asked: list[set[str]] = []
        self.frames: list[list[np.ndarray]] = []
        self.go = threading.Event()
        self.go.set()

    def submit(self, frames: list[np.ndarray], outputs: tuple[str, ...], alpha: float) -> Any:
        self.asked.append(set(outputs))
        self.frames.append(frames)
        assert self.go.wait(TIMEOUT)
        return self.segmenter.submit(frames, outputs, alpha=alpha)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.segmenter, name)


_stamps = iter(range(1, 10**6))


def new_header() -> Header:
    header = Header(frame_id="front/left")
    header.stamp.sec, header.stamp.nanosec = 1700000000, next(_stamps)
    return header


def scene(height: int, width: int) -> np.ndarray:
    """Some frame with structure, (height, width, 3) uint8."""
    coarse = np.random.default_rng(height).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
