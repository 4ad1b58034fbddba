# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The input of segment_node over real rclpy: what it says when no frame comes, and the QoS it asks for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is missing: source ROS 2 or install .[ros]")

from helpers.node_bench import Bench, bench, new_header, scene, until
from lifecycle_msgs.msg import Transition
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

from night_seg_ros.media.conversion import array_to_image

__all__ = ["bench"]
SENSOR_DATA = qos_profile_sensor_data


def silence(b: Bench, text: str) -> None:
    entry = until(lambda: b.logged(text), f"a warning with {text!r}")[-1]
    assert "[WARN]" in entry
    assert "no frame on /image for 0.5 s" in entry
    until(lambda: text in b.figures()["message"], "the same in the diagnostics")


def test_a_warning_says_why_no_frame_comes(bench, weights: Path) -> None:
    b = bench(weights=str(weights), frame_timeout=0.5)
    b.until_active()
    silence(b, "nobody publishes on it. There is no image topic at all")
    other = b.peer.create_publisher(Image, "/front/image_raw", 1)
    silence(b, "there are: /front/image_raw (raw)")
    b.peer.destroy_publisher(other)
    camera = b.peer.create_publisher(Image, "image", SENSOR_DATA)
    silence(b, "its publisher /peer sends nothing")
    until(camera.get_subscription_count, "the node subscribes")
    for _ in range(2):  # best effort may lose the first
        camera.publish(array_to_image(scene(40, 60), "bgr8", new_header()))
        time.sleep(0.2)
    until(lambda: b.figures()["level"] == 0, "all is well again")


def test_a_warning_names_a_wrong_type(bench, weights: Path) -> None:
    b = bench(weights=str(weights), frame_timeout=0.5)
    b.until_active()
    b.peer.create_publisher(CompressedImage, "image", 1)
    silence(b, "its publishers send another type: /peer (sensor_msgs/msg/CompressedImage)")


def test_a_warning_names_a_qos_that_cannot_match(bench, weights: Path) -> None:
    """An override makes the input reliable; a best-effort camera can't serve that."""
    b = bench(
        weights=str(weights),
        frame_timeout=0.5,
        **{"qos_overrides./image.subscription.reliability": "reliable"},
    )
    b.until_active()
    b.peer.create_publisher(Image, "image", SENSOR_DATA)
    silence(b, "the QoS of its publisher /peer does not match: ERROR: Best effort publisher and reliable")


def test_the_input_is_reliable_where_all_cameras_are(bench, weights: Path) -> None:
    b = bench(weights=str(weights), ros_arguments=["-r", "image:=/front/image"])
    b.until_active()
    b.listen("labels")

    def until_subscribed(reliability: str) -> None:
        def is_so() -> bool:
            found = b.peer.get_subscriptions_info_by_topic("/front/image")
            return [each.qos_profile.reliability.name for each in found] == [reliability]

        until(is_so, f"the input is {reliability}")
        for camera in cameras:
            until(camera.get_subscription_count, "the camera has a subscriber")

    def frames_come(camera: Any) -> bool:
        before = int(b.figures()["frames_in"])
        camera.publish(array_to_image(scene(40, 60), "bgr8", new_header()))
        time.sleep(0.2)
        return int(b.figures()["frames_in"]) > before

    cameras: list[Any] = []
    until(lambda: "frames_in" in b.figures(), "diagnostics that are newer than the activation")
    until_subscribed("RELIABLE")
    # Of best effort, the first may be lost.
    for qos, reliability in [(1, "RELIABLE"), (SENSOR_DATA, "BEST_EFFORT"), (1, "BEST_EFFORT")]:
        cameras.append(b.peer.create_publisher(Image, "/front/image", qos))
        until_subscribed(reliability)
        for camera in cameras:
            until(lambda camera=camera: frames_come(camera), "a frame comes in")
    b.peer.destroy_publisher(cameras.pop(1))
    until_subscribed("RELIABLE")
    last = new_header()
    cameras[-1].publish(array_to_image(scene(40, 60), "bgr8", last))
    assert b.answer("labels", last).header == last
    assert b.change(Transition.TRANSITION_DEACTIVATE)
    until(lambda: not b.peer.get_subscriptions_info_by_topic("/front/image"), "the input is closed")


def test_an_override_fixes_the_reliability_of_the_input(bench, weights: Path) -> None:
    b = bench(weights=str(weights), **{"qos_overrides./image.subscription.reliability": "best_effort"})
    b.until_active()
    b.camera()  # a reliable one
    (found,) = b.peer.get_subscriptions_info_by_topic("/image")
    assert found.qos_profile.reliability.name == "BEST_EFFORT"
