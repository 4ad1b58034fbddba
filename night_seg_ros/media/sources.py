# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reads frames from a rosbag2, a video, a folder of images or one image. Needs no ROS.

``open_source(path)`` finds out which of them ``path`` is. Each source has ``path``, ``name`` (what
its results are named after), ``rate`` (frames per second), ``len()`` and ``frames()``; a bag also has
``messages()``, the recorded messages as they are, for replaying them bit by bit.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from night_seg_ros.common.files import InputError
from night_seg_ros.common.images import read_image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
DEFAULT_FPS = 10.0

# The stamp (sec, nanosec) of a message that starts with a header lies right behind the 4 bytes of the CDR
# header, whose second byte tells the byte order: 0 big, 1 little.
_STAMP_OFFSET = 4
_STAMPS = (struct.Struct(">iI"), struct.Struct("<iI"))

OnError = Callable[[str], None]


class SourceError(InputError):
    """The input is missing, empty, damaged or not of a known kind; the message says which."""


@dataclass(frozen=True)
class SourceFrame:
    """One camera frame.

    ``image`` is (H, W, 3) uint8 BGR. ``stamp_ns`` is in nanoseconds: the header stamp of a bag's
    message, the time since the first frame for videos and images. ``name`` is a file name without
    suffix or a six-digit index, unique within its source.
    """

    image: np.ndarray
    stamp_ns: int
    name: str


@dataclass(frozen=True)
class BagMessage:
    """One recorded message: ``data`` is its CDR serialisation, ``time_ns`` when it was recorded."""

    topic: str
    message_type: str
    time_ns: int
    data: bytes


class Images:
    """The images of a folder in natural order (2 before 10), or one image file; see ``read_image``.

    Sub-folders are not searched. ``fps`` sets the rate they are shown at (frames per second).
    """

    def __init__(self, path: Path, fps: float = 0.0) -> None:
        self.path = path
        self.rate = fps or DEFAULT_FPS
        if path.is_dir():
            self.name = path.resolve().name
            self.paths = sorted((p for p in path.iterdir() if _is_image(p)), key=_natural_order)
        else:
            self.name = path.stem
            self.paths = [path]
        if not self.paths:
            folders = sorted(p.name for p in path.iterdir() if p.is_dir())
            inside = f"; its sub-folders ({', '.join(folders[:5])}) are not searched" if folders else ""
            raise SourceError(f"{path}: no images ({' '.join(IMAGE_SUFFIXES)}) in this folder{inside}")

    def __len__(self) -> int:
        return len(self.paths)

    def frames(self, on_error: OnError | None = None) -> Iterator[SourceFrame]:
        """Yield the images; see ``open_source`` for ``on_error``."""
        for index, path in enumerate(self.paths):
            try:
                image = read_image(path)
            except InputError as error:
                _report(SourceError(str(error)), on_error)
                continue
            yield SourceFrame(image, round(index * 1e9 / self.rate), path.stem)


class Video:
    """A video file that OpenCV can read. ``fps`` replaces the frame rate written in the file."""

    def __init__(self, path: Path, fps: float = 0.0) -> None:
        self.path = path
        self.name = path.stem
        capture = self._open()
        own_rate = capture.get(cv2.CAP_PROP_FPS)
        self._count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        capture.release()
        # Some containers have no frame rate; OpenCV then gives 0, NaN or a time base such as 90000.
        self.rate = fps or (own_rate if math.isfinite(own_rate) and 0 < own_rate <= 1000 else DEFAULT_FPS)

    def __len__(self) -> int:
        """Number of frames as the file's header has it: some files are a few frames off, or say 0."""
        return self._count

    def frames(self, on_error: OnError | None = None) -> Iterator[SourceFrame]:
        """Yield the frames; raise SourceError if there is none."""
        capture = self._open()
        index = 0
        try:
            while True:
                good, image = capture.read()
                if not good:
                    break
                yield SourceFrame(image, round(index * 1e9 / self.rate), f"{index:06d}")
                index += 1
        finally:
            capture.release()
        if index == 0:
            raise SourceError(f"{self.path}: not one frame of this video can be decoded")

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise SourceError(
                f"{self.path}: neither an image ({' '.join(IMAGE_SUFFIXES)}), nor a rosbag2 (.db3, .mcap or "
                "their folder), nor a video that OpenCV can open; is it damaged?"
            )
        return capture


class Bag:
    """The camera images of a rosbag2: raw or compressed, sqlite3 or mcap, folder or storage file.

    ``topic`` is needed only if the bag has several image topics. Then ``topic`` and ``message_type``
    say what is read, ``info_topic`` is the camera's recorded camera_info topic or "", and ``rate`` the
    recorded frames per second. ``fps`` replaces that rate.
    """

    def __init__(self, path: Path, topic: str = "", fps: float = 0.0) -> None:
        self.path = path
        self.name = path.resolve().name if path.is_dir() else path.stem
        with _open_bag(path) as reader:
            types = {c.topic: c.msgtype for c in reader.connections}
            self.topic = _choose_topic(path, topic, types)
            self._count = sum(c.msgcount for c in reader.connections if c.topic == self.topic)
        if self._count == 0:
            raise SourceError(f"{path}: topic {self.topic} has no messages")
        self.message_type = types[self.topic]
        info = self.topic.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"
        self.info_topic = info if types.get(info) == CAMERA_INFO else ""
        self.rate = fps or self._recorded_rate()

    def __len__(self) -> int:
        return self._count

    def messages(self) -> Iterator[BagMessage]:
        """Yield the image and camera_info messages, unchanged, in the order they were recorded."""
        wanted = {self.topic, self.info_topic}
        with _open_bag(self.path) as reader:
            connections = [c for c in reader.connections if c.topic in wanted]
            try:
                for connection, time_ns, data in reader.messages(connections):
                    yield BagMessage(connection.topic, connection.msgtype, time_ns, bytes(data))
            except Exception as error:  # rosbags lets the errors of its storages through
                raise SourceError(f"{self.path}: the bag is damaged: {_one_line(error)}") from error

    def frames(self, on_error: OnError | None = None) -> Iterator[SourceFrame]:
        """Yield the decoded images; see ``open_source`` for ``on_error``."""
        try:
            from night_seg_ros.media.conversion import compressed_to_bgr, image_to_bgr
        except ImportError as error:
            raise SourceError(
                f"{self.path}: decoding a bag needs the ROS messages ({error}); source a ROS distribution or "
                "pip install '.[ros]' in the package's checkout"
            ) from error

        decode = image_to_bgr if self.message_type == IMAGE else compressed_to_bgr
        typestore = _typestore()
        index = 0
        for message in self.messages():
            if message.topic != self.topic:
                continue
            name = f"{index:06d}"
            index += 1
            try:
                parsed: Any = typestore.deserialize_cdr(message.data, message.message_type)
                image = np.array(decode(parsed))  # a copy: it may be a read-only view of the message
            except Exception as error:  # rosbags lets struct, index and Unicode errors through
                _report(SourceError(f"{self.path}: {self.topic}, image {name}: {_one_line(error)}"), on_error)
                continue
            yield SourceFrame(image, parsed.header.stamp.sec * 10**9 + parsed.header.stamp.nanosec, name)

    def _recorded_rate(self) -> float:
        """Median rate of the first messages: a pause in the recording does not count."""
        times: list[int] = []
        for message in self.messages():
            if message.topic == self.topic:
                times.append(message.time_ns)
            if len(times) == 30:
                break
        steps = [after - before for before, after in zip(times, times[1:], strict=False) if after > before]
        return 1e9 / median(steps) if steps else DEFAULT_FPS


Source = Bag | Video | Images


def open_source(path: str | Path, *, topic: str = "", fps: float = 0.0) -> Source:
    """Open a rosbag2, a video, a folder of images or an image file.

    ``topic`` chooses among several image topics of a bag and is ignored otherwise. ``fps`` (frames per
    second) replaces the rate of the recording; 0 keeps it, and gives images 10.

    The ``frames(on_error=None)`` of the result raises SourceError at the first frame that cannot be
    read, or, if ``on_error`` is given, calls it with the message and goes on with the next frame.

    Raises SourceError if there is nothing to read at ``path``.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    if not (math.isfinite(fps) and fps >= 0):
        raise SourceError(f"fps is {fps}: give frames per second above 0, or 0 for the recording's own")
    if path.is_dir():
        is_bag = (path / "metadata.yaml").is_file() or bool(_storage_files(path))
        return Bag(path, topic, fps) if is_bag else Images(path, fps)
    suffix = path.suffix.lower()
    if suffix in (".db3", ".mcap"):
        return Bag(path, topic, fps)
    if suffix == ".bag":
        raise SourceError(f"{path}: a ROS 1 bag; convert it: rosbags-convert --src {path} --dst NEW_FOLDER")
    return Images(path, fps) if suffix in IMAGE_SUFFIXES else Video(path, fps)


def read_stamp(data: bytes) -> int:
    """Header stamp in nanoseconds of a serialised message that starts with a std_msgs/Header."""
    sec, nanosec = _STAMPS[data[1] & 1].unpack_from(data, _STAMP_OFFSET)
    return sec * 10**9 + nanosec


def replace_stamp(data: bytes, stamp_ns: int) -> bytes:
    """The same serialised message with another header stamp."""
    stamp = _STAMPS[data[1] & 1].pack(*divmod(stamp_ns, 10**9))
    return data[:_STAMP_OFFSET] + stamp + data[_STAMP_OFFSET + len(stamp) :]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not path.name.startswith(".")


def _natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key in which the numbers of a name count as numbers."""
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name


def _storage_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix in (".db3", ".mcap"))


@contextmanager
def _open_bag(path: Path) -> Iterator[Any]:
    """A rosbags reader whose errors name the bag."""
    from rosbags.rosbag2 import Reader

    try:
        reader = Reader(_bag_storage(path))
        reader.open()
    except SourceError:
        raise
    except Exception as error:  # rosbags lets the errors of its storages through
        hint = "if it was cut off: `mcap recover` repairs a .mcap, `sqlite3 FILE .recover` a .db3"
        raise SourceError(f"{path}: cannot open this rosbag2: {_one_line(error)} ({hint})") from error
    try:
        yield reader
    finally:
        reader.close()


def _bag_storage(path: Path) -> Path:
    """What rosbags shall open: the folder, or the only storage file of a folder without metadata."""
    if not path.is_dir() or (path / "metadata.yaml").is_file():
        return path
    files = _storage_files(path)
    if len(files) > 1:
        raise SourceError(
            f"{path}: {len(files)} storage files, no metadata.yaml; run `ros2 bag reindex {path}`"
        )
    return files[0]


def _choose_topic(path: Path, topic: str, types: dict[str, str]) -> str:
    """The image topic to read, of the bag's topics and their types."""
    images = sorted(name for name, kind in types.items() if kind in (IMAGE, COMPRESSED_IMAGE))
    if not images:
        found = ", ".join(f"{name} ({kind})" for name, kind in sorted(types.items())) or "none at all"
        raise SourceError(f"{path}: no image topic in this bag. Its topics: {found}")
    if topic:
        if topic not in images:
            raise SourceError(f"{path}: no image topic {topic} in this bag. It has: {', '.join(images)}")
        return topic
    # One camera recorded both raw and compressed is no question: the raw images are the better ones.
    raw = {name for name in images if types[name] == IMAGE}
    cameras = [name for name in images if name in raw or name.removesuffix("/compressed") not in raw]
    if len(cameras) > 1:
        raise SourceError(f"{path}: several image topics, choose one of them as topic: {', '.join(cameras)}")
    return cameras[0]


def _typestore() -> Any:
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY)


def _report(error: SourceError, on_error: OnError | None) -> None:
    if on_error is None:
        raise error
    on_error(str(error))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
