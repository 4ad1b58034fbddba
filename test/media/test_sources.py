# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Bags, videos, folders and images as sources of frames, and what is said of bad ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.bag_files import (
    COMPRESSED,
    IMAGE,
    INFO,
    START,
    camera_info,
    compressed_image,
    drive,
    pictures,
    png_image,
    raw_image,
    write_bag,
)

from night_seg_ros.media.sources import (
    Bag,
    Images,
    SourceError,
    Video,
    open_source,
    read_stamp,
    replace_stamp,
)
from night_seg_ros.media.writers import VideoFile, write_image

STEP = 10**8


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_bag_gives_its_frames_exactly(tmp_path: Path, storage: str) -> None:
    pytest.importorskip("sensor_msgs")
    images = pictures(4)
    folder = drive(tmp_path / "drive", images, storage)
    file = next(folder.glob("drive.*"))
    for path in (folder, file):
        source = open_source(path)
        assert isinstance(source, Bag)
        assert (source.name, source.topic, source.message_type) == ("drive", "/camera/image_raw", IMAGE)
        assert (len(source), source.rate, source.info_topic) == (4, pytest.approx(10), "")
        frames = list(source.frames())
        assert [frame.stamp_ns for frame in frames] == [START + index * STEP for index in range(4)]
        assert [frame.name for frame in frames] == ["000000", "000001", "000002", "000003"]
        for frame, image in zip(frames, images, strict=True):
            np.testing.assert_array_equal(frame.image, image)


def test_bag_without_metadata_opens(tmp_path: Path) -> None:
    folder = drive(tmp_path / "drive", pictures(2))
    (folder / "metadata.yaml").unlink()
    assert len(open_source(folder)) == 2
    shutil.copy(folder / "drive.mcap", folder / "drive_1.mcap")
    with pytest.raises(SourceError, match="2 storage files, no metadata.yaml"):
        open_source(folder)


def test_bag_messages_are_those_recorded(tmp_path: Path) -> None:
    images = pictures(3)
    messages = []
    for index, image in enumerate(images):
        stamp = START + index * STEP
        messages += [
            ("/front/camera_info", INFO, stamp, camera_info(stamp)),
            ("/front/image_raw/compressed", COMPRESSED, stamp + 1, png_image(image, stamp)),
            ("/rear/camera_info", INFO, stamp + 2, camera_info(stamp)),
        ]
    source = open_source(write_bag(tmp_path / "drive", messages))
    assert isinstance(source, Bag)
    assert source.info_topic == "/front/camera_info"
    got = [(m.topic, m.message_type, m.time_ns, m.data) for m in source.messages()]
    assert got == [message for message in messages if message[0].startswith("/front")]


def test_bag_of_compressed_images_skips_a_corrupt_one(tmp_path: Path) -> None:
    pytest.importorskip("sensor_msgs")
    images = pictures(3)
    messages = [("/c/compressed", COMPRESSED, START + i, png_image(images[i], START + i)) for i in range(3)]
    messages[1] = (*messages[1][:3], compressed_image(b"not an image", START + 1))
    source = open_source(write_bag(tmp_path / "drive", messages))
    problems: list[str] = []
    frames = list(source.frames(problems.append))
    assert [frame.name for frame in frames] == ["000000", "000002"]
    np.testing.assert_array_equal(frames[1].image, images[2])
    assert len(problems) == 1
    assert "image 000001" in problems[0]
    with pytest.raises(SourceError, match="image 000001"):
        list(source.frames())


def test_topic_of_a_bag(tmp_path: Path) -> None:
    image = pictures(1)[0]
    raw, png = raw_image(image, START), png_image(image, START)
    both = [("/a/image", IMAGE, START, raw), ("/a/image/compressed", COMPRESSED, START, png)]
    one_camera = open_source(write_bag(tmp_path / "both", both))
    assert isinstance(one_camera, Bag)
    assert one_camera.topic == "/a/image"
    two_cameras = write_bag(tmp_path / "two", [*both, ("/b/compressed", COMPRESSED, START, png)])
    with pytest.raises(SourceError, match="several image topics.*: /a/image, /b/compressed$"):
        open_source(two_cameras)
    chosen = open_source(two_cameras, topic="/b/compressed")
    assert isinstance(chosen, Bag)
    assert chosen.message_type == COMPRESSED
    with pytest.raises(SourceError, match="no image topic /c in this bag. It has: /a/image, /a/image/"):
        open_source(two_cameras, topic="/c")
    blind = write_bag(tmp_path / "blind", [("/a/camera_info", INFO, START, camera_info(START))])
    with pytest.raises(SourceError, match=r"no image topic in this bag.*/a/camera_info \(sensor_msgs/msg/C"):
        open_source(blind)
    silent = write_bag(tmp_path / "silent", [("/a/image", IMAGE, START, b"")])
    with pytest.raises(SourceError, match="/a/image has no messages"):
        open_source(silent)


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_damaged_bag_is_reported(tmp_path: Path, storage: str) -> None:
    folder = drive(tmp_path / "drive", pictures(20), storage)
    file = next(folder.glob("drive.*"))
    data = file.read_bytes()
    for length in (0, 5, len(data) // 2):
        file.write_bytes(data[:length])
        for path in (folder, file):
            with pytest.raises(SourceError, match="drive.*cannot open this rosbag2"):
                list(open_source(path).frames())
    (folder / "metadata.yaml").write_text("a: [")
    with pytest.raises(SourceError, match="YAML"):
        open_source(folder)


def test_bytes_overwritten_inside_a_bag_are_reported(tmp_path: Path) -> None:
    folder = drive(tmp_path / "drive", pictures(20), "sqlite3")
    file = folder / "drive.db3"
    data = bytearray(file.read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    file.write_bytes(data)
    with pytest.raises(SourceError, match="drive"):
        list(open_source(folder).frames())


def test_stamps_in_serialised_messages() -> None:
    image = pictures(1)[0]
    stamp, later = START + 123_456_789, START + 2 * 10**9 + 5
    for little_endian in (True, False):
        data = raw_image(image, stamp, little_endian)
        assert read_stamp(data) == stamp
        assert replace_stamp(data, later) == raw_image(image, later, little_endian)


def test_folder_in_natural_order(tmp_path: Path) -> None:
    names = ["img10.png", "img2.PNG", "img1.png", "img2b.png"]
    for name, image in zip(names, pictures(4), strict=True):
        cv2.imwrite(str(tmp_path / name), image)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".img0.png").write_bytes(b"hidden")
    (tmp_path / "folder.png").mkdir()
    source = open_source(tmp_path, fps=4)
    assert isinstance(source, Images)
    assert (len(source), source.rate, source.name) == (4, 4, tmp_path.name)
    frames = list(source.frames())
    assert [frame.name for frame in frames] == ["img1", "img2", "img2b", "img10"]
    assert [frame.stamp_ns for frame in frames] == [0, 250_000_000, 500_000_000, 750_000_000]
    np.testing.assert_array_equal(frames[3].image, pictures(4)[0])


def test_images_of_other_kinds_become_bgr(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "deep.png"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "alpha.png"), cv2.merge([grey, grey, grey, 255 - grey]))
    for frame in open_source(tmp_path).frames():
        np.testing.assert_array_equal(frame.image, cv2.merge([grey, grey, grey]), frame.name)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_damaged_image_is_reported(tmp_path: Path, suffix: str) -> None:
    good = cv2.imencode(suffix, pictures(1, 200, 300)[0])[1].tobytes()
    (tmp_path / f"1{suffix}").write_bytes(good)
    (tmp_path / f"2{suffix}").write_bytes(good[: len(good) // 2])
    (tmp_path / f"3{suffix}").write_bytes(b"")
    (tmp_path / f"4{suffix}").write_bytes(b"text")
    problems: list[str] = []
    assert [frame.name for frame in open_source(tmp_path).frames(problems.append)] == ["1"]
    cut, empty, text = problems
    reason = "it is cut off" if suffix == ".jpg" else "it is no image, or not a whole one"
    assert cut == f"image {tmp_path / f'2{suffix}'} can't be decoded: {reason}"
    assert empty == f"{tmp_path / f'3{suffix}'} is empty"
    assert text == f"image {tmp_path / f'4{suffix}'} can't be decoded: it is no image, or not a whole one"
    with pytest.raises(SourceError, match=f"2{suffix} can't be decoded"):
        list(open_source(tmp_path).frames())


def test_video(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    with VideoFile(path, 5.0, "mp4v") as video:
        for level in range(0, 250, 50):
            video.write(np.full((48, 64, 3), level, np.uint8))
    source = open_source(path)
    assert isinstance(source, Video)
    assert (len(source), source.rate, source.name) == (5, pytest.approx(5), "drive")
    frames = list(source.frames())
    assert [frame.stamp_ns for frame in frames] == [0, 200_000_000, 400_000_000, 600_000_000, 800_000_000]
    for frame, level in zip(frames, range(0, 250, 50), strict=True):
        assert abs(frame.image.mean() - level) < 4
    assert [frame.stamp_ns for frame in open_source(path, fps=10).frames()][:2] == [0, 100_000_000]


def test_what_is_no_source_is_reported(tmp_path: Path) -> None:
    empty, parent = tmp_path / "empty", tmp_path / "parent"
    empty.mkdir()
    (parent / "day").mkdir(parents=True)
    write_image(parent / "day" / "1.png", pictures(1)[0])
    (tmp_path / "text.txt").write_text("text")
    (tmp_path / "old.bag").write_text("#ROSBAG V2.0")
    for name, problem in {
        "missing": "missing: no such file or folder",
        "empty": "empty: no images .* in this folder$",
        "parent": r"no images .*sub-folders \(day\) are not searched",
        "text.txt": "text.txt: neither an image .* nor a rosbag2 .* nor a video",
        "old.bag": "a ROS 1 bag; convert it: rosbags-convert",
    }.items():
        with pytest.raises(SourceError, match=problem):
            open_source(tmp_path / name)
    for fps in (-1.0, float("nan"), float("inf")):
        with pytest.raises(SourceError, match="fps"):
            open_source(parent / "day", fps=fps)


def test_real_bags(shared_data: Path) -> None:
    pytest.importorskip("sensor_msgs")
    for name, count in {"dusk_drive_raw": 20, "dusk_drive_compressed": 62}.items():
        source = open_source(shared_data / "bags" / name)
        assert (len(source), source.rate) == (count, pytest.approx(10))
        frames = list(source.frames())
        assert len(frames) == count
        assert all(frame.image.shape == (360, 480, 3) for frame in frames)
        assert np.diff([frame.stamp_ns for frame in frames]).tolist() == [STEP] * (count - 1)
