# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""ROS image messages <-> BGR arrays.

One table covers the encodings of cameras. Its conversions are exact, need neither cv_bridge nor a
certain NumPy, and copy nothing where the pixels can be used as they lie. An encoding that is not in the
table, such as bgr16 or bayer_rggb16, is left to cv_bridge, or to rosbags-image where cv_bridge does not
import.
"""

from __future__ import annotations

import array
import functools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from night_seg_ros.common.files import InputError
from night_seg_ros.common.images import decode_image


class ConversionError(InputError):
    """A message that holds no usable image; the text says what is wrong and what to do."""


@dataclass(frozen=True)
class PixelLayout:
    """How the pixels of an encoding lie in ``data``, and the OpenCV code that turns them into BGR."""

    code: int | None  # None: they are BGR
    channels: int = 1
    bits: int = 8
    even_width: bool = False
    half_height_plane: bool = False  # 4:2:0: a plane of H/2 rows of colour follows the H rows of luma

    @property
    def pixel_bytes(self) -> int:
        """Of a pixel in its row."""
        return self.channels * self.bits // 8

    def rows(self, height: int) -> int:
        """Of ``data``, for an image of this height."""
        return height * 3 // 2 if self.half_height_plane else height


# The first two letters of a ROS Bayer name are the colours of pixels (0, 0) and (0, 1); OpenCV's old names
# give those of (1, 1) and (1, 2). So bayer_rggb8 is OpenCV's "BayerBG".
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2BGR,
    "bggr": cv2.COLOR_BayerRG2BGR,
    "gbrg": cv2.COLOR_BayerGR2BGR,
    "grbg": cv2.COLOR_BayerGB2BGR,
}
_UYVY = PixelLayout(cv2.COLOR_YUV2BGR_UYVY, channels=2, even_width=True)
_YUY2 = PixelLayout(cv2.COLOR_YUV2BGR_YUY2, channels=2, even_width=True)
_LAYOUTS = {
    "bgr8": PixelLayout(None, channels=3),
    "rgb8": PixelLayout(cv2.COLOR_RGB2BGR, channels=3),
    "bgra8": PixelLayout(cv2.COLOR_BGRA2BGR, channels=4),
    "rgba8": PixelLayout(cv2.COLOR_RGBA2BGR, channels=4),
    "mono8": PixelLayout(cv2.COLOR_GRAY2BGR),
    "mono16": PixelLayout(cv2.COLOR_GRAY2BGR, bits=16),
    "yuv422": _UYVY,
    "uyvy": _UYVY,  # the name since ROS 2 Iron
    "yuv422_yuy2": _YUY2,
    "yuyv": _YUY2,
    "nv12": PixelLayout(cv2.COLOR_YUV2BGR_NV12, even_width=True, half_height_plane=True),
    **{f"bayer_{pattern}8": PixelLayout(code) for pattern, code in _BAYER.items()},
}
ENCODINGS = tuple(_LAYOUTS)
"""Of cameras, that ``image_to_bgr`` reads itself."""


def image_to_bgr(msg: Image) -> np.ndarray:
    """The pixels of an image message.

    A bgr8 message is not copied: the result is a view of ``msg.data``, with the row stride of
    ``msg.step``. mono16 uses its full range: 0..65535 becomes 0..255, rounded, as cv_bridge does it.

    Args:
        msg: sensor_msgs/Image of any encoding of the table; ``step`` may be padded.

    Returns:
        (height, width, 3) uint8 BGR. Not to be written to.

    Raises:
        ConversionError: no pixels, ``step`` or ``data`` too short, an odd size for a YUV encoding, or
            an encoding that nobody here can read.
    """
    if msg.height == 0 or msg.width == 0:
        raise ConversionError(f"the image has no pixels ({msg.width}x{msg.height}); check the camera driver")
    layout = _LAYOUTS.get(msg.encoding)
    if layout is None:
        return _convert_elsewhere(msg)
    _check_data(msg, layout)
    pixels = _view_pixels(msg, layout)
    if layout.bits == 16:
        pixels = cv2.convertScaleAbs(pixels.astype(np.uint16), alpha=255 / 65535)
    return pixels if layout.code is None else cv2.cvtColor(pixels, layout.code)


def _check_data(msg: Image, layout: PixelLayout) -> None:
    height, width, step = msg.height, msg.width, msg.step
    if step < width * layout.pixel_bytes:
        raise ConversionError(
            f"step {step} is too small: {width} pixels of {msg.encoding} take "
            f"{width * layout.pixel_bytes} bytes a row"
        )
    if layout.even_width and width % 2 or layout.half_height_plane and height % 2:
        raise ConversionError(f"{msg.encoding} needs an even size, not {width}x{height}; crop the image")
    rows = layout.rows(height)
    if len(msg.data) < step * rows:
        raise ConversionError(
            f"data is truncated: {len(msg.data)} bytes, but {rows} rows of {step} bytes "
            f"({msg.encoding}, {width}x{height}) are {step * rows}"
        )


def _view_pixels(msg: Image, layout: PixelLayout) -> np.ndarray:
    """The pixels where they lie: (rows, width) or (rows, width, channels), uint8 or uint16."""
    dtype = np.dtype(np.uint8 if layout.bits == 8 else ">u2" if msg.is_bigendian else "<u2")
    shape: tuple[int, ...] = (layout.rows(msg.height), msg.width)
    if layout.channels > 1:
        shape = (*shape, layout.channels)
    strides = (msg.step, layout.pixel_bytes, dtype.itemsize)[: len(shape)]
    return np.ndarray(shape, dtype, buffer=msg.data, strides=strides)


def compressed_to_bgr(msg: CompressedImage) -> np.ndarray:
    """Decode a compressed image message (JPEG, PNG, ...) at its stored size and orientation.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        ConversionError: no image, not a whole one, or one of a monstrous size. Flipped bits inside a JPEG
            can't be told.
    """
    data = bytes(msg.data)
    try:
        # Turning by EXIF would part the labels from the camera's pixels.
        return decode_image(
            data, f"compressed image (format {msg.format!r}, {len(data)} bytes)", upright=False
        )
    except InputError as error:
        raise ConversionError(f"{error}; check camera driver and network") from error


def array_to_image(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    """An image message with a given header, which is used as it is.

    Args:
        pixels: (H, W) or (H, W, C) uint8, as ``encoding`` says.
        encoding: an 8-bit one, such as ``mono8`` or ``bgr8``.
        header: stamp and frame id of the camera's message.

    Raises:
        ValueError: not uint8.
    """
    if pixels.dtype != np.uint8:
        raise ValueError(f"{encoding} takes uint8 pixels, not {pixels.dtype}")
    msg = Image(header=header, height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    msg.step = pixels[0].size
    msg.data = _as_message_data(pixels)
    return msg


def sample_image(bgr: np.ndarray, encoding: str) -> Image:
    """A message to measure and to test with: its data are bytes of the frame, whatever they then show.

    Args:
        bgr: (H, W, 3) uint8, of an even height and width where the encoding wants it.
        encoding: one of ``ENCODINGS``.
    """
    layout = _LAYOUTS[encoding]
    height, width, _ = bgr.shape
    rows = np.resize(bgr, (layout.rows(height), width * layout.pixel_bytes))
    msg = array_to_image(rows, encoding, Header())
    msg.height, msg.width = height, width
    return msg


def array_to_jpeg(bgr: np.ndarray, header: Header, quality: int = 90) -> CompressedImage:
    """A JPEG message with a given header, which is used as it is.

    Args:
        bgr: (H, W, 3) uint8 BGR.
        header: stamp and frame id of the camera's message.
        quality: 1 (small) to 100.
    """
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    # What image_transport writes, so that its subscribers know the channels.
    return CompressedImage(header=header, format="bgr8; jpeg compressed bgr8", data=_as_message_data(data))


def _as_message_data(pixels: np.ndarray) -> array.array:
    """The bytes as rclpy takes them without a check of each one."""
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).data)
    return data


def _convert_elsewhere(msg: Image) -> np.ndarray:
    name, convert = _other_converter()
    try:
        bgr = convert(msg)
    except Exception as error:  # of a type that only that library knows
        raise ConversionError(
            f"unknown encoding {msg.encoding!r}; known: {', '.join(ENCODINGS)} ({name} says: {error})"
        ) from error
    if bgr.shape != (msg.height, msg.width, 3) or bgr.dtype != np.uint8:
        raise ConversionError(f"{name} turns {msg.encoding!r} into {bgr.dtype} {bgr.shape}, not 8-bit BGR")
    return bgr


@functools.cache
def _other_converter() -> tuple[str, Callable[[Image], np.ndarray]]:
    """cv_bridge where it works, else rosbags-image: its name, and its way from a message to bgr8."""
    try:
        import cv_bridge
        from cv_bridge.boost import cv_bridge_boost  # noqa: F401  what a cv_bridge for another NumPy lacks

        return "cv_bridge", lambda msg: cv_bridge.CvBridge().imgmsg_to_cv2(msg, "bgr8")
    except Exception:  # ImportError, AttributeError, SystemError: it breaks in many ways under NumPy 2
        return "rosbags-image", _convert_by_rosbags


def _convert_by_rosbags(msg: Image) -> np.ndarray:
    from rosbags.image import image

    pixels = image.message_to_cvimage(msg)
    if pixels.strides[0] != msg.step:
        raise ValueError(f"rows of {msg.step} bytes where it expects {pixels.strides[0]}")
    return image.convert_color(pixels, msg.encoding, "bgr8")
