# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Writes small rosbag2 recordings for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"
START = 1_700_000_000 * 10**9
TYPES = get_typestore(Stores.ROS2_JAZZY)


def header(stamp_ns: int, frame_id: str = "camera") -> Any:
    """A std_msgs/Header."""
    stamp = TYPES.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
    return TYPES.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def raw_image(bgr: np.ndarray, stamp_ns: int, little_endian: bool = True) -> bytes:
    """A serialised bgr8 Image."""
    height, width = bgr.shape[:2]
    message = TYPES.types[IMAGE](header(stamp_ns), height, width, "bgr8", 0, width * 3, bgr.reshape(-1))
    return bytes(TYPES.serialize_cdr(message, IMAGE, little_endian=little_endian))


def compressed_image(data: bytes, stamp_ns: int) -> bytes:
    """A serialised CompressedImage."""
    message = TYPES.types[COMPRESSED](header(stamp_ns), "png", np.frombuffer(data, np.uint8))
    return bytes(TYPES.serialize_cdr(message, COMPRESSED))


def png_image(bgr: np.ndarray, stamp_ns: int) -> bytes:
    """A serialised CompressedImage that holds a PNG, so that its pixels are exact."""
    return compressed_image(cv2.imencode(".png", bgr)[1].tobytes(), stamp_ns)


def camera_info(stamp_ns: int, width: int = 64, height: int = 48) -> bytes:
    """A serialised CameraInfo."""
    region = TYPES.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    matrix = [np.arange(n, dtype=np.float64) for n in (5, 9, 9, 12)]
    message = TYPES.types[INFO](header(stamp_ns), height, width, "plumb_bob", *matrix, 0, 0, region)
    return bytes(TYPES.serialize_cdr(message, INFO))


def write_bag(path: Path, messages: list[tuple[str, str, int, bytes]], storage: str = "mcap") -> Path:
    """Write (topic, type, time in ns, data) messages as a rosbag2 folder."""
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        connections: dict[str, Any] = {}
        for topic, kind, time_ns, data in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
            if data:
                writer.write(connections[topic], time_ns, data)
    return path


def pictures(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Random frames, (H, W, 3) uint8 BGR."""
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def drive(path: Path, frames: list[np.ndarray], storage: str = "mcap", step_ns: int = 10**8) -> Path:
    """A bag of one raw camera, 10 Hz, recorded 3 ms after the header stamps."""
    stamps = [START + index * step_ns for index in range(len(frames))]
    messages = [
        ("/camera/image_raw", IMAGE, stamp + 3_000_000, raw_image(bgr, stamp))
        for bgr, stamp in zip(frames, stamps, strict=True)
    ]
    return write_bag(path, messages, storage)
