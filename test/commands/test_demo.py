# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg demo`` from end to end, and its parts: the recorder, the processes, the contact sheet."""

from __future__ import annotations

import json
import subprocess
import sys
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
    write_bag,
)
from rosbags.rosbag2 import Reader

from night_seg_ros import cli
from night_seg_ros.media.sources import open_source, read_stamp
from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import save_checkpoint
from night_seg_ros.models.classes import CLASSES, PALETTE
from night_seg_ros.nodes.processes import NodeError, NodeProcesses
from night_seg_ros.pictures.contact_sheet import Row, contact_sheet

LABELS, EXPOSURE = "/segment_node/labels", "/segment_node/exposure"
OVERLAY = "/segment_node/overlay/compressed"
STEP = 10**8


def demo(weights: Path, out: Path, *arguments: object) -> dict[str, Any]:
    """Run the demo as a user does; the summary."""
    pytest.importorskip("rclpy")
    command = [sys.executable, "-m", "night_seg_ros.cli", "demo", "--weights", weights, "--out", out]
    done = subprocess.run(
        [*map(str, command), *map(str, arguments)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    left = sorted(path.name for path in out.iterdir())
    assert left == ["bag", "contact_sheet.png", "overlay.mp4", "summary.json", "summary.md"]
    return json.loads((out / "summary.json").read_text())


def stamps(bag: Path) -> dict[str, list[int]]:
    """Header stamps of the recorded messages, by topic."""
    found: dict[str, list[int]] = {}
    with Reader(bag) as reader:
        for connection, _, data in reader.messages():
            found.setdefault(connection.topic, []).append(read_stamp(data))
    return found


def test_synthetic_drive(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    summary = demo(weights, out, "--seconds", "0.6", "--seed", "3", "--device", "cpu")
    assert (summary["frames_in"], summary["frames_processed"], summary["frames_dropped"]) == (6, 6, 0)
    assert (summary["width"], summary["height"], summary["rate_hz"]) == (640, 360, 10)
    assert (summary["model"], summary["device"], summary["replay"]) == ("egnet", "cpu", "lossless")
    assert 0 < summary["latency_median_ms"] <= summary["latency_p99_ms"]

    # Every output has the stamps of the input, which are unique and rise.
    recorded = stamps(out / "bag")
    sent = recorded["/camera/image_raw"]
    assert len(set(sent)) == 6
    assert sent == sorted(sent)
    for topic in (LABELS, EXPOSURE, OVERLAY):
        assert recorded[topic] == sent, topic

    # The same drive again, scored by the definition of IoU.
    from night_seg_ros.training.streets.scene import StreetScene

    scene = StreetScene(3)
    views = [scene.render(360, 640, time=index / 10, day=False) for index in range(6)]
    camera = list(open_source(out / "bag", topic="/camera/image_raw").frames())
    labels = np.stack([frame.image[:, :, 0] for frame in open_source(out / "bag", topic=LABELS).frames()])
    for view, frame in zip(views, camera, strict=True):
        assert view.night is not None
        np.testing.assert_array_equal(frame.image, view.night[:, :, ::-1])
    truth = np.stack([view.label for view in views])
    counted = truth != 255
    ious = {}
    for train_id, name in enumerate(CLASSES):
        here, there = (labels == train_id) & counted, truth == train_id
        if (here | there).any():
            ious[name] = (here & there).sum() / (here | there).sum()
    assert summary["iou"] == pytest.approx(ious)
    assert summary["miou"] == pytest.approx(np.mean(list(ious.values())))
    assert summary["pixel_accuracy"] == pytest.approx((labels == truth)[counted].mean())
    value = np.stack([frame.image.max(axis=2) for frame in camera]) / 255
    bins = [((value >= k / 10) & ((value < (k + 1) / 10) | (k == 9)) & counted) for k in range(10)]
    by_bin = [(labels == truth)[pixels].mean() for pixels in bins if pixels.any()]
    assert summary["mef1_micro"] == pytest.approx(np.mean(by_bin))

    video = open_source(out / "overlay.mp4")
    assert [frame.image.shape for frame in video.frames()] == [(360, 640, 3)] * 6
    page = (out / "summary.md").read_text()
    assert "| frames in | 6 |" in page
    assert f"| mIoU against the scene's truth | {100 * summary['miou']:.1f} % |" in page


def test_compressed_bag_with_an_unreadable_frame(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_checkpoint(weights, build_model("dannet", backbone="resnet10"), {})
    messages = []
    for index, image in enumerate(pictures(4, 40, 64)):
        stamp = START + index * 10 * STEP  # one a second: slow enough that none is dropped
        data = png_image(image, stamp)
        data = data.replace(b"\x89PNG", b"????") if index == 2 else data
        messages.append(("/front/camera_info", INFO, stamp, camera_info(stamp)))
        messages.append(("/front/image_raw/compressed", COMPRESSED, stamp, data))
    out = tmp_path / "demo"
    bag = write_bag(tmp_path / "drive", messages)
    summary = demo(weights, out, bag, "--realtime", "--device", "cpu")
    assert (summary["model"], summary["frames_in"]) == ("dannet", 4)
    assert summary["frames_rejected"] == 1
    assert summary["frames_processed"] + summary["frames_dropped"] == 3
    assert "miou" not in summary
    recorded = stamps(out / "bag")
    assert len(recorded["/front/camera_info"]) == 4
    assert set(recorded[LABELS]) <= set(recorded["/front/image_raw/compressed"])


def test_what_is_wrong_is_told_before_anything_starts(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = drive(tmp_path / "drive", pictures(1))
    (tmp_path / "bad.safetensors").write_bytes(b"bad")
    save_checkpoint(tmp_path / "day.safetensors", build_model("pspnet", backbone="resnet10"), {})
    for arguments, problem in (
        (["--weights", tmp_path / "bad.safetensors"], "bad.safetensors"),
        (["--weights", tmp_path / "day.safetensors"], "'pspnet': segment_node runs egnet, dannet, bimix"),
        ([tmp_path / "missing", "--weights", weights], "missing: no such file or folder"),
        ([bag, "--weights", weights, "--topic", "/other"], "no image topic /other"),
        ([bag, "--weights", weights, "--device", "abacus"], "abacus"),
    ):
        assert cli.main(["demo", *map(str, arguments), "--out", str(tmp_path / "out")]) == 1
        error = capsys.readouterr().err
        assert error.startswith("night-seg demo: ")
        assert problem in error
        assert list((tmp_path / "out").iterdir()) == []


def test_a_node_that_fails_is_quoted_and_the_others_end(tmp_path: Path, ros_domain: int) -> None:
    pytest.importorskip("rclpy")
    processes = NodeProcesses(tmp_path)
    with (
        pytest.raises(NodeError, match="(?s)play_node ended with status 1.*/missing: no such file"),
        processes,
    ):
        processes.start(
            "nodes.record_node", [str(tmp_path / "bag"), "--topic", "/a", "sensor_msgs/msg/Image"]
        )
        recorder = processes.running["nodes.record_node"]
        processes.start("nodes.play_node", ["/missing"])
        processes.wait("nodes.play_node", 60)
    assert recorder.poll() is not None
    assert not (tmp_path / "bag").exists()


def test_a_node_that_hangs_is_ended(tmp_path: Path, ros_domain: int) -> None:
    pytest.importorskip("rclpy")
    bag = drive(tmp_path / "drive", pictures(1))
    processes = NodeProcesses(tmp_path)
    with pytest.raises(NodeError, match="play_node did not end within 1 s"), processes:
        processes.start("nodes.play_node", [str(bag)])
        player = processes.running["nodes.play_node"]
        processes.wait("nodes.play_node", 1)
    assert player.poll() is not None


def test_recorder_is_complete_or_nothing(tmp_path: Path, ros_domain: int) -> None:
    pytest.importorskip("rclpy")
    bag = drive(tmp_path / "drive", pictures(5))
    copy = tmp_path / "copy"
    with NodeProcesses(tmp_path) as processes:
        processes.start("nodes.record_node", [str(copy), "--topic", "/camera/image_raw", IMAGE])
        processes.start(
            "nodes.play_node", [str(bag), "--rate", "10", "--answer-topic", "/record_node/complete"]
        )
        processes.wait("nodes.play_node", 60)
        processes.wait("nodes.record_node", 60)
    assert [m.data for m in open_source(copy).messages()] == [m.data for m in open_source(bag).messages()]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["copy", "drive"]


def test_player_waits_for_what_the_recorder_lacks(tmp_path: Path, ros_domain: int) -> None:
    """The labels of a frame come when it is sent for the second time: all is recorded all the same."""
    pytest.importorskip("rclpy")
    from helpers.listener import Listener

    sent: list[int] = []

    def answer_the_second(listener: Listener, data: bytes) -> None:
        sent.append(read_stamp(data))
        if sent.count(sent[-1]) >= 2:
            listener.answer(sent[-1])

    bag = drive(tmp_path / "drive", pictures(2))
    with NodeProcesses(tmp_path) as processes, pytest.MonkeyPatch.context() as patch:
        topics = ["--topic", "/camera/image_raw", IMAGE, "--topic", "/answers", IMAGE]
        processes.start("nodes.record_node", [str(tmp_path / "copy"), *topics])
        waiting = ["--answer-topic", "/record_node/complete", "--answer-timeout", "4"]
        processes.start("nodes.play_node", [str(bag), "--wait-for-subscribers", "2", *waiting])
        patch.setenv("ROS_DOMAIN_ID", processes.environment["ROS_DOMAIN_ID"])
        listener = Listener({"/camera/image_raw": IMAGE}, on_message=answer_the_second)
        try:
            processes.wait("nodes.play_node", 60)
            processes.wait("nodes.record_node", 60)
        finally:
            listener.close()
    recorded = stamps(tmp_path / "copy")
    assert sorted(set(recorded["/camera/image_raw"])) == [START, START + STEP]
    assert sorted(set(recorded["/answers"])) == [START, START + STEP]


def test_contact_sheet_shows_what_it_is_given() -> None:
    plain = [np.full((90, 160, 3), value, np.uint8) for value in ((200, 30, 60), (10, 90, 220))]
    labels = np.full((90, 160), CLASSES.index("sky"), np.uint8)
    exposure = np.full((90, 160), 255, np.uint8)
    rows = [
        Row("0.0 s", plain[0], labels, exposure, plain[1]),
        Row("1.0 s", plain[1], labels, None, plain[0]),
    ]
    sheet = contact_sheet(rows, "title", "subtitle")
    assert sheet.dtype == np.uint8
    assert sheet.shape[2] == 3

    def share(colour: Any) -> float:
        return float((sheet == np.array(colour, np.uint8)).all(axis=2).sum()) / (400 * 225)

    # Two cells each of camera and overlay, two of sky labels, one bright exposure; captions cover a little.
    assert 1.9 < share((200, 30, 60)) <= 2
    assert 1.9 < share((10, 90, 220)) <= 2
    assert 2 <= share(PALETTE[CLASSES.index("sky")][::-1]) < 2.1
    assert 1 <= share(cv2.applyColorMap(exposure[:1, :1], cv2.COLORMAP_INFERNO)[0, 0]) < 1.1
    for colour in PALETTE:
        assert share(colour[::-1]) > 0.003  # its swatch in the legend
    assert contact_sheet(rows[:1] * 6, "", "").shape[0] > sheet.shape[0]
