# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""play_node over real rclpy: what subscribers get of bags, videos and folders."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.bag_files import (
    COMPRESSED,
    IMAGE,
    INFO,
    START,
    camera_info,
    drive,
    pictures,
    png_image,
    raw_image,
    write_bag,
)

rclpy = pytest.importorskip("rclpy")
from helpers.listener import TIMEOUT, Listener  # noqa: E402
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # noqa: E402
from rclpy.qos import ReliabilityPolicy  # noqa: E402
from rclpy.serialization import deserialize_message  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from night_seg_ros.media.sources import SourceError, read_stamp, replace_stamp  # noqa: E402
from night_seg_ros.media.writers import VideoFile  # noqa: E402
from night_seg_ros.nodes.play_node import PlayError, PlayNode  # noqa: E402

STEP = 10**8


@pytest.fixture
def listen(ros_domain: int) -> Iterator[Callable[..., Listener]]:
    """Makes Listeners and closes them after the test."""
    made: list[Listener] = []

    def make(*arguments: Any, **more: Any) -> Listener:
        made.append(Listener(*arguments, **more))
        return made[-1]

    yield make
    for listener in made:
        listener.close()


@pytest.fixture
def ros(ros_domain: int) -> Iterator[None]:
    """The default ROS context, in which the player lives."""
    rclpy.init()
    yield
    rclpy.try_shutdown()


def play(source: Path, **parameters: Any) -> PlayNode:
    """Play to the end; returns the node."""
    node = PlayNode({"input": str(source), "rate": 10.0, "start_timeout": TIMEOUT, **parameters})
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    done = threading.Event()

    def spin() -> None:
        with suppress(ExternalShutdownException):
            while not done.is_set():
                executor.spin_once(timeout_sec=0.05)

    spinning = threading.Thread(target=spin)
    spinning.start()
    try:
        node.play()
    finally:
        done.set()
        spinning.join()
        node.destroy_node()
    return node


def two_topics(folder: Path, count: int = 4) -> tuple[Path, list[tuple[str, bytes]]]:
    """A bag of compressed images with camera_info, and its messages."""
    messages = []
    for index, image in enumerate(pictures(count)):
        stamp = START + index * STEP
        messages.append(("/front/camera_info", INFO, stamp, camera_info(stamp)))
        messages.append(("/front/image_raw/compressed", COMPRESSED, stamp + 1, png_image(image, stamp)))
    return write_bag(folder / "drive", messages), [(topic, data) for topic, _, _, data in messages]


FRONT = {"/front/camera_info": INFO, "/front/image_raw/compressed": COMPRESSED}


def test_bag_comes_byte_for_byte(tmp_path: Path, ros: None, listen: Callable[..., Listener]) -> None:
    bag, recorded = two_topics(tmp_path)
    listener = listen(FRONT)
    assert play(bag).sent == 4
    # The two topics are two streams: only within each of them is the order certain.
    got = listener.wait_for(len(recorded))
    for topic in FRONT:
        assert [data for name, data in got if name == topic] == [d for name, d in recorded if name == topic]


def test_best_effort_subscription_matches(tmp_path: Path, ros: None, listen: Callable[..., Listener]) -> None:
    images = pictures(3)
    listener = listen({"/camera/image_raw": IMAGE}, ReliabilityPolicy.BEST_EFFORT)
    play(drive(tmp_path / "drive", images, "sqlite3"))
    expected = [raw_image(image, START + index * STEP) for index, image in enumerate(images)]
    assert [data for _, data in listener.wait_for(3)] == expected


def test_recorded_rate_is_kept(tmp_path: Path, ros: None, listen: Callable[..., Listener]) -> None:
    listener = listen({"/camera/image_raw": IMAGE})
    bag = drive(tmp_path / "drive", pictures(5))
    for rate, shortest in ((1.0, 0.4), (2.0, 0.2)):
        listener.got.clear()
        begin = time.monotonic()
        play(bag, rate=rate)
        assert time.monotonic() - begin >= shortest
        listener.wait_for(5)


def test_stamp_now_keeps_pairs_and_the_rest(
    tmp_path: Path, ros: None, listen: Callable[..., Listener]
) -> None:
    bag, recorded = two_topics(tmp_path)
    listener = listen(FRONT)
    before = time.time_ns()
    play(bag, stamp="now")
    got = listener.wait_for(len(recorded))
    stamps = {topic: [read_stamp(data) for name, data in got if name == topic] for topic in FRONT}
    infos, images = stamps.values()
    assert infos == images
    assert sorted(set(images)) == images
    assert before < images[0]
    assert images[-1] < time.time_ns()
    for topic in FRONT:
        old = [data for name, data in recorded if name == topic]
        new = [data for name, data in got if name == topic]
        assert [replace_stamp(data, 0) for data in new] == [replace_stamp(data, 0) for data in old]


def test_folder_and_video_become_bgr8(
    tmp_path: Path, ros: None, listen: Callable[..., Listener], capsys: pytest.CaptureFixture[str]
) -> None:
    images = pictures(3, 35, 51)
    folder = tmp_path / "frames"
    folder.mkdir()
    for index, image in enumerate(images):
        cv2.imwrite(str(folder / f"{index}.png"), image)
    (folder / "1b.png").write_text("damaged")
    listener = listen({"/camera/image_raw": IMAGE, "/rear": IMAGE})
    before = time.time_ns()
    node = play(folder, frame_id="front", fps=4.0)
    assert (node.sent, node.skipped) == (3, 1)
    assert " s, 1 skipped that can't be read" in capsys.readouterr().out
    messages = [deserialize_message(data, Image) for _, data in listener.wait_for(3)]
    for message, image in zip(messages, images, strict=True):
        assert (message.encoding, message.header.frame_id) == ("bgr8", "front")
        pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        np.testing.assert_array_equal(pixels, image)
    stamps = [read_stamp(data) for _, data in listener.got]
    # The damaged one keeps its place in time.
    assert np.diff(stamps).tolist() == [250_000_000, 500_000_000]
    assert before < stamps[0] < time.time_ns()

    with VideoFile(tmp_path / "drive.mp4", 20.0, "mp4v") as video:
        for _ in range(4):
            video.write(np.full((48, 64, 3), 90, np.uint8))
    listener.got.clear()
    play(tmp_path / "drive.mp4", topic="/rear")
    assert {topic for topic, _ in listener.wait_for(4)} == {"/rear"}
    assert np.diff([read_stamp(data) for _, data in listener.got]).tolist() == [50_000_000] * 3


def test_late_subscriber_misses_nothing(tmp_path: Path, ros: None, listen: Callable[..., Listener]) -> None:
    bag = drive(tmp_path / "drive", pictures(3))
    early = listen({"/camera/image_raw": IMAGE})
    late: list[Listener] = []
    timer = threading.Timer(1.0, lambda: late.append(listen({"/camera/image_raw": IMAGE})))
    timer.start()
    play(bag, wait_for_subscribers=2)
    timer.join()
    early.wait_for(3)
    late[0].wait_for(3)


def test_nobody_listens(tmp_path: Path, ros: None) -> None:
    bag = drive(tmp_path / "drive", pictures(2))
    with pytest.raises(PlayError, match="0 of 1 subscribers of /camera/image_raw: nothing was played"):
        play(bag, start_timeout=0.2)
    assert play(bag, wait_for_subscribers=False).sent == 2


@pytest.mark.parametrize("loop", [False, True])
def test_nothing_readable_is_an_error(tmp_path: Path, ros: None, loop: bool) -> None:
    (tmp_path / "0.png").write_text("damaged")
    (tmp_path / "1.png").write_text("damaged")
    with pytest.raises(SourceError, match="none of its images can be read: nothing was played"):
        play(tmp_path, wait_for_subscribers=0, loop=loop)


def test_answer_topic_never_sends_ahead(tmp_path: Path, ros: None, listen: Callable[..., Listener]) -> None:
    """A node much slower than the recording, that keeps the newest frame only, still gets every frame."""
    outstanding: list[int] = []
    most = 0

    def answer(listener: Listener, data: bytes) -> None:
        nonlocal most
        outstanding.append(read_stamp(data))
        most = max(most, len(outstanding))
        threading.Timer(0.1, lambda: listener.answer(outstanding.pop(0))).start()

    listener = listen({"/camera/image_raw": IMAGE}, on_message=answer)
    node = play(drive(tmp_path / "drive", pictures(6)), answer_topic="/answers", rate=1000.0)
    assert (node.sent, node.unanswered, most) == (6, 0, 1)
    listener.wait_for(6)


def test_lost_frame_is_sent_again(tmp_path: Path, ros: None, listen: Callable[..., Listener]) -> None:
    seen: list[int] = []

    def answer_the_second(listener: Listener, data: bytes) -> None:
        seen.append(read_stamp(data))
        if seen.count(seen[-1]) >= 2:
            listener.answer(seen[-1])

    listen({"/camera/image_raw": IMAGE}, on_message=answer_the_second)
    node = play(drive(tmp_path / "drive", pictures(3)), answer_topic="/answers", answer_timeout=4.0)
    assert (node.sent, node.unanswered) == (3, 0)
    assert sorted(set(seen)) == [START, START + STEP, START + 2 * STEP]
    assert all(seen.count(stamp) >= 2 for stamp in seen)


def test_missing_answers_are_counted(tmp_path: Path, ros: None, listen: Callable[..., Listener]) -> None:
    listener = listen({"/camera/image_raw": IMAGE})
    bag = drive(tmp_path / "drive", pictures(2))
    node = play(bag, answer_topic="/answers", answer_timeout=0.2)
    assert (node.sent, node.unanswered) == (2, 2)
    stamps = [read_stamp(data) for _, data in listener.wait_for(8)]
    assert stamps == [START] * 4 + [START + STEP] * 4


def test_duration_and_loop(tmp_path: Path, ros: None, listen: Callable[..., Listener]) -> None:
    listener = listen({"/camera/image_raw": IMAGE})
    bag = drive(tmp_path / "drive", pictures(5))
    assert play(bag, duration=0.2).sent == 2
    listener.wait_for(2)
    listener.got.clear()
    stop = threading.Thread(target=lambda: (wait_for_more(listener, 5), rclpy.shutdown()))
    stop.start()
    node = play(bag, loop=True)
    stop.join()
    assert node.sent > 5
    assert read_stamp(listener.got[5][1]) == START


def wait_for_more(listener: Listener, count: int) -> None:
    end = time.monotonic() + TIMEOUT
    while len(listener.got) <= count and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"input": ""}, "no input"),
        ({"input": "/missing"}, "/missing: no such file"),
        ({"rate": 0.0}, "rate is 0.0: give a number from 0.001 to 100000"),
        ({"rate": "fast"}, "rate is 'fast': give a number from"),
        ({"rate": True}, "rate is True: give a number"),
        ({"loop": 1}, "loop is 1: give true or false"),
        ({"stamp": "old"}, "stamp is 'old': give one of recorded, now"),
        ({"answer_timeout": float("inf")}, "answer_timeout is inf"),
        ({"duration": -1.0}, "duration is -1.0: give a number from 0 to 86400"),
        ({"wait_for_subscribers": 1.5}, "wait_for_subscribers is 1.5: give a whole number"),
        ({"topic": "/other"}, "no image topic /other"),
    ],
)
def test_bad_parameters(tmp_path: Path, ros: None, parameters: dict[str, Any], problem: str) -> None:
    bag = drive(tmp_path / "drive", pictures(1))
    with pytest.raises(ValueError, match=problem):
        PlayNode({"input": str(bag), **parameters})


def test_numbers_as_yaml_has_them(tmp_path: Path, ros: None) -> None:
    bag = drive(tmp_path / "2024", pictures(1))
    node = PlayNode({"input": str(bag), "rate": 2, "wait_for_subscribers": True})
    assert not node.set_parameters([rclpy.parameter.Parameter("rate", value=3.0)])[0].successful
    (limits,) = node.describe_parameter("rate").floating_point_range
    assert (limits.from_value, limits.to_value) == (0.001, 100_000.0)
    node.destroy_node()


def test_command_line(tmp_path: Path, ros_domain: int, listen: Callable[..., Listener]) -> None:
    command = [sys.executable, "-m", "night_seg_ros.nodes.play_node"]
    missing = subprocess.run(
        [*command, "--ros-args", "-p", "input:=/missing"], capture_output=True, text=True, timeout=60
    )
    assert missing.returncode == 1
    assert missing.stderr == "play_node: /missing: no such file or folder\n"
    (tmp_path / "bad.png").write_text("damaged")
    arguments = [str(tmp_path / "bad.png"), "--wait-for-subscribers", "0"]
    unreadable = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60)
    assert unreadable.returncode == 1
    assert unreadable.stderr.endswith("none of its images can be read: nothing was played\n")

    bag = drive(tmp_path / "drive", pictures(2))
    listener = listen({"/front": IMAGE})
    remap = ["--ros-args", "-r", "/camera/image_raw:=/front"]
    looping = subprocess.Popen([*command, str(bag), "--loop", "--rate", "2", *remap], stderr=subprocess.PIPE)
    wait_for_more(listener, 2)
    looping.send_signal(signal.SIGINT)
    assert looping.wait(timeout=30) == 0
    assert looping.stderr is not None
    assert b"Traceback" not in looping.stderr.read()
    assert len(listener.got) > 2
