# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Writes images and videos that appear at their place only when they are complete."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from night_seg_ros.common.files import write_bytes
from night_seg_ros.common.images import fit
from night_seg_ros.media.options import CODECS


def write_image(path: Path, image: np.ndarray) -> None:
    """Write (H, W) or (H, W, 3) BGR uint8 in the format of the suffix, atomically."""
    good, data = cv2.imencode(path.suffix, image)
    if not good:
        raise ValueError(f"{path}: OpenCV cannot encode this image")
    write_bytes(path, data.tobytes())


class VideoFile:
    """An mp4 to write frames to; a context manager that leaves nothing behind if it fails.

    Args:
        path: the mp4 to make.
        fps: frames per second.
        codec: one of ``CODECS``; the last of them is the fallback where OpenCV lacks another.
        size: (height, width); that of the first frame where None. Other frames are fitted into it.
    """

    def __init__(
        self, path: Path, fps: float, codec: str = CODECS[0], size: tuple[int, int] | None = None
    ) -> None:
        self.path = path
        self._fps = fps
        self._codec = codec
        self._size = size
        self._temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
        self._writer: cv2.VideoWriter | None = None

    def write(self, bgr: np.ndarray) -> None:
        """Append a frame, (H, W, 3) uint8 BGR.

        Raises:
            OSError: no video can be written here.
        """
        if self._writer is None:
            self._size = self._size or (bgr.shape[0], bgr.shape[1])
            self._writer = self._open(self._size)
        assert self._size is not None
        self._writer.write(fit(bgr, *self._size))

    def _open(self, size: tuple[int, int]) -> cv2.VideoWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for codec in (self._codec, CODECS[-1]):
            # Encoders want even sizes; OpenCV cuts an odd last row or column by itself.
            writer = cv2.VideoWriter(
                str(self._temporary), cv2.VideoWriter.fourcc(*codec), self._fps, (size[1], size[0])
            )
            if writer.isOpened():
                return writer
        raise OSError(f"{self.path}: OpenCV cannot write an mp4 here (codecs {self._codec}, {CODECS[-1]})")

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is not None:
            self._writer.release()
        if kind is None and self._temporary.exists():
            os.replace(self._temporary, self.path)
        self._temporary.unlink(missing_ok=True)
