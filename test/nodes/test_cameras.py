# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""segment_node with several cameras, over real rclpy, with a small real network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("rclpy", reason="rclpy is missing: source ROS 2 or install .[ros]")

from helpers.node_bench import Bench, Recorder, bench, new_header, scene, until
from lifecycle_msgs.msg import State, Transition
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from night_seg_ros.inference.segmenter import Segmenter
from night_seg_ros.media.conversion import array_to_image, array_to_jpeg

__all__ = ["bench"]
TOPICS = ["/front/image_raw", "/rear/image_raw"]
SMALL, LARGE = (40, 60), (61, 83)


def send(b: Bench, camera: str, size: tuple[int, int], frame: np.ndarray | None = None) -> Header:
    """Send one frame of a camera; its header."""
    header = new_header()
    header.frame_id = camera
    pixels = scene(*size) if frame is None else frame
    b.camera(Image, f"/{camera}/image_raw").publish(array_to_image(pixels, "bgr8", header))
    return header


class Driver:
    """A camera driver: sends frames of a camera at a rate, from a thread of its own, until it is stopped."""

    def __init__(self, b: Bench, camera: str, size: tuple[int, int], rate: float) -> None:
        self.sent = 0
        self._stopping = threading.Event()
        b.camera(Image, f"/{camera}/image_raw")

        def drive() -> None:
            while not self._stopping.wait(1 / rate):
                send(b, camera, size)
                self.sent += 1

        self._thread = threading.Thread(target=drive)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


@pytest.fixture
def drive() -> Iterator[Callable[..., Driver]]:
    """Starts a Driver, and stops it after the test at the latest."""
    started: list[Driver] = []

    def start(*arguments: Any) -> Driver:
        started.append(Driver(*arguments))
        return started[-1]

    yield start
    for driver in started:
        driver.stop()


@pytest.fixture
def pair(bench, weights: Path) -> Bench:
    """A node with two cameras, active, and a listener to the labels of both."""
    b = bench(weights=str(weights), image_topics=TOPICS, frame_timeout=3.0)
    b.until_active()
    b.listen("front/labels", "rear/labels")
    return b


def counts(b: Bench, camera: str) -> dict[str, int]:
    figures = b.figures(camera)
    return {name: int(figures[f"frames_{name}"]) for name in ("in", "processed", "dropped", "rejected")}


def settled(b: Bench, camera: str) -> dict[str, int]:
    """The counts of a camera that has stopped, as soon as they add up."""

    def add_up() -> dict[str, int] | None:
        now = counts(b, camera)
        return now if now["in"] == now["processed"] + now["dropped"] + now["rejected"] else None

    return until(add_up, f"the counts of {camera} add up")


def stamps(b: Bench, output: str) -> list[int]:
    return [message.header.stamp.nanosec for message in b.received[output]]


def test_each_camera_has_outputs_and_diagnostics_of_its_own(bench, weights: Path) -> None:
    b = bench(weights=str(weights), image_topics=[*TOPICS, "/car/top/image"])
    b.until_active()
    b.listen("front/labels", "front/overlay/compressed", "rear/labels", "rear/exposure", "car/top/confidence")
    front, rear = send(b, "front", SMALL), send(b, "rear", LARGE)
    reference = Segmenter(weights, device="cpu", precision="fp32")
    for name, header, size in [("front", front, SMALL), ("rear", rear, LARGE)]:
        answer, expected = b.answer(f"{name}/labels", header), reference(scene(*size)).labels
        assert answer == array_to_image(expected, "mono8", header)
    assert b.answer("front/overlay/compressed", front).header == front
    assert b.answer("rear/exposure", rear).header == rear
    assert b.received["car/top/confidence"] == []
    assert b.logged("active: segmenting /front/image_raw, /rear/image_raw, /car/top/image")
    statuses = {status.name: status for status in b.diagnostics[-1].status}
    assert {name: status.hardware_id for name, status in statuses.items()} == {
        "/segment_node: segmentation of front": "/front/image_raw",
        "/segment_node: segmentation of rear": "/rear/image_raw",
        "/segment_node: segmentation of car/top": "/car/top/image",
    }
    topics = dict(b.peer.get_topic_names_and_types())
    assert "/segment_node/rear/relit" in topics and "/segment_node/labels" not in topics
    assert settled(b, "front")["in"] == settled(b, "rear")["in"] == 1
    assert settled(b, "car/top")["in"] == 0


def test_compressed_and_remapped_topics(bench, weights: Path) -> None:
    b = bench(
        weights=str(weights),
        image_topics=["front/image", "rear/image"],
        image_transport="compressed",
        ros_arguments=["-r", "front/image/compressed:=/cameras/front", "-r", "__ns:=/"],
    )
    b.until_active()
    b.listen("front/labels", "rear/labels")
    for camera, topic in [("front", "/cameras/front"), ("rear", "/rear/image/compressed")]:
        header = new_header()
        b.camera(CompressedImage, topic).publish(array_to_jpeg(scene(*SMALL), header))
        assert b.answer(f"{camera}/labels", header).header == header


def test_a_camera_that_falls_silent_and_comes_back_larger_leaves_the_other_alone(pair, drive) -> None:
    front = drive(pair, "front", SMALL, 10.0)
    rear = drive(pair, "rear", SMALL, 4.0)
    until(lambda: len(stamps(pair, "rear/labels")) >= 2, "the rear camera is answered")
    until(lambda: pair.figures("front")["level"] == 0, "all is well in front")
    rear.stop()
    pair.peer.destroy_publisher(pair.cameras.pop("/rear/image_raw"))
    levels = []

    def watch(text: str) -> bool:
        levels.append(pair.figures("front")["level"])
        return text in pair.figures("rear")["message"]

    until(lambda: watch("no frame on /rear/image_raw for 3 s: its publisher is gone"), "a warning")
    assert pair.logged("no frame on /rear/image_raw", "rear")
    answered = len(stamps(pair, "front/labels"))
    rear = drive(pair, "rear", LARGE, 4.0)
    until(lambda: watch("frames/s"), "all is well at the rear")
    until(lambda: pair.received["rear/labels"][-1].height == LARGE[0], "frames of another size are answered")
    until(lambda: len(stamps(pair, "front/labels")) > answered + 5, "the front goes on")
    front.stop()
    rear.stop()
    assert set(levels) == {0}
    assert not pair.logged("", "front")  # not one warning
    assert {message.height for message in pair.received["front/labels"]} == {SMALL[0]}
    for camera in ("front", "rear"):
        assert settled(pair, camera)["rejected"] == 0
        assert stamps(pair, f"{camera}/labels") == sorted(stamps(pair, f"{camera}/labels"))


class Slow:
    """A network that takes its time."""

    def __init__(self, segmenter: Segmenter, seconds: float) -> None:
        self.segmenter, self.seconds = segmenter, seconds

    def submit(self, frames: list[np.ndarray], outputs: tuple[str, ...], alpha: float) -> Any:
        time.sleep(self.seconds)
        return self.segmenter.submit(frames, outputs, alpha=alpha)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.segmenter, name)


def test_counts_add_up_when_the_model_is_slow(pair, drive) -> None:
    pair.node._segmenter = Slow(pair.node._segmenter, 0.2)
    drivers = drive(pair, "front", SMALL, 30.0), drive(pair, "rear", LARGE, 12.0)
    until(lambda: len(stamps(pair, "rear/labels")) >= 5, "the rear camera is answered")
    for driver in drivers:
        driver.stop()
    last = {camera: send(pair, camera, SMALL) for camera in ("front", "rear")}
    for camera, driver in zip(("front", "rear"), drivers, strict=True):
        pair.answer(f"{camera}/labels", last[camera])  # the node is current
        now = settled(pair, camera)
        assert now["dropped"] > 0 and now["rejected"] == 0
        assert now["in"] <= driver.sent + 1
        assert now["processed"] >= len(stamps(pair, f"{camera}/labels")) > 0
        assert stamps(pair, f"{camera}/labels") == sorted(stamps(pair, f"{camera}/labels"))


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_fast_camera_does_not_starve_a_slow_one(pair, drive, size: tuple[int, int]) -> None:
    pair.node._segmenter = Slow(pair.node._segmenter, 0.1)  # the fast one alone is too much for it
    drive(pair, "front", SMALL, 30.0)
    until(lambda: stamps(pair, "front/labels"), "the fast one is answered")
    for _ in range(4):
        pair.answer("rear/labels", send(pair, "rear", size))
        time.sleep(0.3)
    assert settled(pair, "rear") == {"in": 4, "processed": 4, "dropped": 0, "rejected": 0}
    assert counts(pair, "front")["dropped"] > 0


class OnCuda(Recorder):
    """Computes on the CPU, and says otherwise: there, waiting frames share batches."""

    device = torch.device("cuda")


@pytest.mark.parametrize(("recorder_type", "batches"), [(OnCuda, [1, 2]), (Recorder, [1, 1, 1])])
def test_waiting_frames_of_one_size_share_a_batch_on_a_gpu(
    pair, weights: Path, recorder_type: type[Recorder], batches: list[int]
) -> None:
    for camera in ("front", "rear"):  # the first ones show their size
        pair.answer(f"{camera}/labels", send(pair, camera, SMALL))
    recorder = pair.node._segmenter = recorder_type(pair.node._segmenter)
    recorder.go.clear()
    send(pair, "front", SMALL)
    until(lambda: recorder.frames, "the network is busy")
    last = {}
    for number, camera in enumerate(("rear", "front", "front"), start=4):
        last[camera] = send(pair, camera, SMALL, scene(*SMALL)[:, ::-1] if camera == "rear" else None)
        until(lambda n=number: counts(pair, "front")["in"] + counts(pair, "rear")["in"] == n, "it came in")
    recorder.go.set()
    reference = Segmenter(weights, device="cpu", precision="fp32")
    for camera, frame in [("rear", scene(*SMALL)[:, ::-1]), ("front", scene(*SMALL))]:
        answer = pair.answer(f"{camera}/labels", last[camera])
        labels = np.frombuffer(answer.data, np.uint8).reshape(SMALL)
        assert (labels == reference(frame).labels).mean() > 0.999
    assert [len(frames) for frames in recorder.frames] == batches
    assert settled(pair, "front") == {"in": 4, "processed": 3, "dropped": 1, "rejected": 0}


def test_waiting_frames_of_other_sizes_take_turns(pair) -> None:
    """None is taken before its turn: until then a newer one can take its place."""
    for camera, size in [("front", SMALL), ("rear", LARGE)]:
        pair.answer(f"{camera}/labels", send(pair, camera, size))
    recorder = pair.node._segmenter = Recorder(pair.node._segmenter)
    recorder.go.clear()
    send(pair, "front", SMALL)
    until(lambda: recorder.frames, "the network is busy")
    rear = send(pair, "rear", LARGE)
    until(lambda: counts(pair, "rear")["in"] == 2, "it came in")
    front = send(pair, "front", SMALL)
    until(lambda: counts(pair, "front")["in"] == 3, "it came in")
    recorder.go.set()
    pair.answer("front/labels", front)
    pair.answer("rear/labels", rear)
    assert [[f.shape[:2] for f in frames] for frames in recorder.frames] == [[SMALL], [LARGE], [SMALL]]


@pytest.mark.parametrize("fails", [False, True])
def test_a_gpu_is_warmed_up_for_cameras_as_they_come(pair, fails: bool) -> None:
    batches: list[tuple[tuple[int, int], int]] = []

    class Warmed(OnCuda):
        def warm_up(self, size: tuple[int, int], batch: int) -> None:
            batches.append((size, batch))
            if fails:
                raise RuntimeError("no memory")

    pair.node._segmenter = Warmed(pair.node._segmenter)
    for camera, size in [("front", SMALL), ("rear", SMALL), ("front", SMALL), ("rear", LARGE)]:
        pair.answer(f"{camera}/labels", send(pair, camera, size))
    assert batches == [(SMALL, 1), (SMALL, 2)]
    assert bool(pair.logged("2 frames of (40, 60) can't go together: RuntimeError: no memory")) == fails
    assert settled(pair, "front")["rejected"] == settled(pair, "rear")["rejected"] == 0
    assert pair.figures("front")["device_memory_mib"] == "0"


def test_a_new_size_of_one_camera_takes_no_more_than_its_own_frames(pair) -> None:
    """Else the other camera would wait longer."""
    recorder = pair.node._segmenter = Recorder(pair.node._segmenter)
    recorder.warm_up = lambda *_: pytest.fail("a pass that no frame needs")
    sent = [("front", SMALL), ("rear", SMALL), ("rear", LARGE), ("front", SMALL), ("rear", SMALL)]
    for camera, size in sent:
        pair.answer(f"{camera}/labels", send(pair, camera, size))
    passes = [[frame.shape[:2] for frame in frames] for frames in recorder.frames]
    assert passes == [[size] for _, size in sent]
    assert settled(pair, "front")["dropped"] == settled(pair, "rear")["dropped"] == 0


def test_frames_wait_for_each_other_until_the_deadline(bench, weights: Path) -> None:
    b = bench(weights=str(weights), image_topics=TOPICS, batch_deadline=1.0, diagnostics_period=0.1)
    b.until_active()
    b.listen("front/labels", "rear/labels")
    for camera in ("front", "rear"):
        b.answer(f"{camera}/labels", send(b, camera, SMALL))
    recorder = b.node._segmenter = Recorder(b.node._segmenter)
    start = time.monotonic()
    b.answer("front/labels", send(b, "front", SMALL))  # the rear camera sends nothing: it goes alone
    assert time.monotonic() - start >= 1.0
    rear = send(b, "rear", SMALL)
    until(lambda: counts(b, "rear")["in"] == 2, "it came in")
    b.answer("front/labels", send(b, "front", SMALL))
    b.answer("rear/labels", rear)
    assert [len(frames) for frames in recorder.frames] == [1, 2]


def test_bad_frames_of_one_camera_are_its_own_affair(pair) -> None:
    for number in range(1, 4):
        broken = array_to_image(scene(*SMALL), "bgr8", new_header())
        broken.step = 7
        pair.camera(Image, TOPICS[0]).publish(broken)
        pair.answer("rear/labels", send(pair, "rear", SMALL))
        until(lambda n=number: counts(pair, "front")["rejected"] == n, "the bad frame is counted")
    assert pair.logged("frame rejected (1 so far): step 7 is too small", "front")
    assert "step 7" in pair.figures("front")["last_reject_reason"]
    assert settled(pair, "front") == {"in": 3, "processed": 0, "dropped": 0, "rejected": 3}
    assert settled(pair, "rear") == {"in": 3, "processed": 3, "dropped": 0, "rejected": 0}
    pair.answer("front/labels", send(pair, "front", SMALL))


def test_a_frame_that_fails_in_a_batch_fails_alone(pair) -> None:
    class Picky(OnCuda):
        def submit(self, frames: list[np.ndarray], outputs: tuple[str, ...], alpha: float) -> Any:
            results = super().submit(frames, outputs, alpha)
            if any(frame.max() == 0 for frame in frames):
                raise RuntimeError("a black frame")
            return results

    for camera in ("front", "rear"):
        pair.answer(f"{camera}/labels", send(pair, camera, SMALL))
    picky = pair.node._segmenter = Picky(pair.node._segmenter)
    picky.go.clear()
    first = send(pair, "rear", SMALL)
    until(lambda: picky.frames, "the network is busy")
    send(pair, "front", SMALL, np.zeros((*SMALL, 3), np.uint8))
    good = send(pair, "rear", SMALL)
    until(lambda: counts(pair, "front")["in"] + counts(pair, "rear")["in"] == 5, "both came in")
    picky.go.set()
    pair.answer("rear/labels", first)
    pair.answer("rear/labels", good)
    assert [len(frames) for frames in picky.frames] == [1, 2, 1, 1]
    assert until(lambda: pair.logged("2 frames together failed"), "a warning")
    assert pair.logged("frame rejected (1 so far): RuntimeError: a black frame", "front")
    assert settled(pair, "front")["rejected"] == 1
    assert settled(pair, "rear") == {"in": 3, "processed": 3, "dropped": 0, "rejected": 0}


class Stuck:
    """Holds a publisher up, as a subscriber that does not keep up may."""

    def __init__(self, publisher: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self.go = threading.Event(), threading.Event()
        publish = publisher.publish

        def wait_and_publish(message: Any) -> None:
            self.entered.set()
            self.go.wait()
            publish(message)

        monkeypatch.setattr(publisher, "publish", wait_and_publish)


def test_a_slow_subscriber_costs_only_its_own_camera_frames(pair, monkeypatch) -> None:
    stuck = Stuck(pair.publisher("front/labels"), monkeypatch)
    try:
        headers = []
        recorder = pair.node._segmenter = Recorder(pair.node._segmenter)
        for number in range(1, 5):  # the network goes on, on both cameras
            headers.append(send(pair, "front", LARGE))
            until(lambda n=number: sum(f[0].shape[:2] == LARGE for f in recorder.frames) == n, "it is run")
            pair.answer("rear/labels", send(pair, "rear", SMALL))
            assert stuck.entered.wait(20)
        assert counts(pair, "front") == {"in": 4, "processed": 0, "dropped": 2, "rejected": 0}
        assert settled(pair, "rear") == {"in": 4, "processed": 4, "dropped": 0, "rejected": 0}
    finally:
        stuck.go.set()
    pair.answer("front/labels", headers[-1])
    expected = [header.stamp.nanosec for header in (headers[0], headers[-1])]
    assert stamps(pair, "front/labels") == expected  # the newest goes first
    assert settled(pair, "front") == {"in": 4, "processed": 2, "dropped": 2, "rejected": 0}


def test_deactivate_finishes_what_is_under_way_and_nothing_comes_after_it(pair, monkeypatch) -> None:
    stuck = Stuck(pair.publisher("front/labels"), monkeypatch)
    recorder = pair.node._segmenter = Recorder(pair.node._segmenter)
    send(pair, "front", SMALL)
    assert stuck.entered.wait(20)
    recorder.go.clear()
    send(pair, "front", SMALL)
    until(lambda: len(recorder.frames) == 2, "the network is busy")
    for camera in ("front", "rear"):
        send(pair, camera, SMALL)
    until(lambda: counts(pair, "front")["in"] + counts(pair, "rear")["in"] == 4, "all came in")
    threading.Timer(0.5, recorder.go.set).start()
    threading.Timer(1.0, stuck.go.set).start()
    assert pair.change(Transition.TRANSITION_DEACTIVATE)
    until(lambda: len(stamps(pair, "front/labels")) == 2, "what was under way is published")
    for camera in ("front", "rear"):
        pair.cameras[f"/{camera}/image_raw"].publish(array_to_image(scene(*SMALL), "bgr8", new_header()))
    pair.node._cameras[0]._receive(Image())  # a callback that was on its way
    time.sleep(0.5)  # nothing should come of them
    assert len(stamps(pair, "front/labels")) == 2 and not stamps(pair, "rear/labels")
    assert counts(pair, "front") == {"in": 3, "processed": 2, "dropped": 1, "rejected": 0}
    assert counts(pair, "rear") == {"in": 1, "processed": 0, "dropped": 1, "rejected": 0}
    assert pair.figures("front")["message"] == "configured, not active"
    assert pair.change(Transition.TRANSITION_CLEANUP)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("publish")]
    assert pair.figures()["message"] == "not configured"


def test_cameras_can_be_changed_by_configuring_again(pair) -> None:
    assert pair.change(Transition.TRANSITION_DEACTIVATE)
    assert pair.change(Transition.TRANSITION_CLEANUP)
    assert pair.set(image_topics=["/left/image_raw"])[0].successful
    assert pair.change(Transition.TRANSITION_CONFIGURE)
    assert pair.change(Transition.TRANSITION_ACTIVATE)
    pair.listen("left/labels")
    pair.answer("left/labels", send(pair, "left", SMALL))

    def hardware() -> list[str]:
        return [status.hardware_id for status in pair.diagnostics[-1].status]

    until(lambda: hardware() == ["/left/image_raw"], "diagnostics that are newer than the cleanup")


@pytest.mark.parametrize(
    ("topics", "reason"),
    [
        (["/image_raw"], "'/image_raw' has no namespace to name the camera and its outputs; give it a"),
        (
            ["/c/front", "/c/rear"],
            "'/c/front' and '/c/rear' would both be the camera 'c'; give it a namespace",
        ),
        ("/front/image_raw", "'/front/image_raw' is no list of topics such as [/front/image_raw, /rear"),
    ],
)
def test_unsuitable_topics_are_refused(bench, weights: Path, topics: Any, reason: str) -> None:
    b = bench(weights=str(weights), image_topics=topics, autostart=False)
    assert not b.change(Transition.TRANSITION_CONFIGURE)
    assert reason in b.figures()["message"]
    result = b.set(image_topics=topics)[0]
    assert not result.successful and reason in result.reason
    assert b.set(image_topics=TOPICS)[0].successful
    assert b.change(Transition.TRANSITION_CONFIGURE)


def test_a_topic_that_is_no_ros_name(bench, weights: Path) -> None:
    b = bench(weights=str(weights), image_topics=["/front/image_raw", "/rear/1"], autostart=False)
    assert not b.change(Transition.TRANSITION_CONFIGURE)
    assert (
        "'/rear/1' is no topic: failed to resolve name: topic name token must not start with a number"
        in (b.figures()["message"])
    )
    assert b.state() == State.PRIMARY_STATE_UNCONFIGURED
