# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Image messages to BGR and back, against OpenCV's own conversions and formulas by hand."""

from __future__ import annotations

import array
import sys
import types

import cv2
import numpy as np
import pytest

pytest.importorskip("sensor_msgs", reason="sensor_msgs is missing: source ROS 2 or install .[ros]")

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from night_seg_ros.media import conversion
from night_seg_ros.media.conversion import (
    ConversionError,
    array_to_image,
    array_to_jpeg,
    compressed_to_bgr,
    image_to_bgr,
    sample_image,
)

HEIGHT, WIDTH = 24, 34


def message(rows: np.ndarray, encoding: str, *, height: int | None = None, padding: int = 0) -> Image:
    """An Image of the bytes of ``rows`` (rows, ...), each row followed by ``padding`` bytes."""
    flat = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)
    padded = np.pad(flat, ((0, 0), (0, padding)), constant_values=77)
    return Image(
        height=height or len(rows),
        width=rows.shape[1],
        encoding=encoding,
        step=padded.shape[1],
        data=array.array("B", padded.tobytes()),
    )


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


OPENCV = {
    "rgb8": (noise(HEIGHT, WIDTH, 3), cv2.COLOR_RGB2BGR),
    "bgra8": (noise(HEIGHT, WIDTH, 4), cv2.COLOR_BGRA2BGR),
    "rgba8": (noise(HEIGHT, WIDTH, 4), cv2.COLOR_RGBA2BGR),
    "mono8": (noise(HEIGHT, WIDTH), cv2.COLOR_GRAY2BGR),
    "yuv422": (noise(HEIGHT, WIDTH, 2), cv2.COLOR_YUV2BGR_UYVY),
    "uyvy": (noise(HEIGHT, WIDTH, 2), cv2.COLOR_YUV2BGR_UYVY),
    "yuv422_yuy2": (noise(HEIGHT, WIDTH, 2), cv2.COLOR_YUV2BGR_YUY2),
    "yuyv": (noise(HEIGHT, WIDTH, 2), cv2.COLOR_YUV2BGR_YUY2),
    "nv12": (noise(HEIGHT * 3 // 2, WIDTH), cv2.COLOR_YUV2BGR_NV12),
    "bayer_rggb8": (noise(HEIGHT, WIDTH), cv2.COLOR_BayerRGGB2BGR),
    "bayer_bggr8": (noise(HEIGHT, WIDTH), cv2.COLOR_BayerBGGR2BGR),
    "bayer_gbrg8": (noise(HEIGHT, WIDTH), cv2.COLOR_BayerGBRG2BGR),
    "bayer_grbg8": (noise(HEIGHT, WIDTH), cv2.COLOR_BayerGRBG2BGR),
}


@pytest.mark.parametrize("padding", [0, 13])
@pytest.mark.parametrize("encoding", OPENCV)
def test_as_opencv_converts(encoding: str, padding: int) -> None:
    pixels, code = OPENCV[encoding]
    bgr = image_to_bgr(message(pixels, encoding, height=HEIGHT, padding=padding))
    assert bgr.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(bgr, cv2.cvtColor(pixels, code))


@pytest.mark.parametrize("padding", [0, 13])
def test_bgr8_is_a_view_of_the_message(padding: int) -> None:
    pixels = noise(HEIGHT, WIDTH, 3)
    msg = message(pixels, "bgr8", padding=padding)
    bgr = image_to_bgr(msg)
    np.testing.assert_array_equal(bgr, pixels)
    assert np.shares_memory(bgr, np.frombuffer(msg.data, np.uint8))


@pytest.mark.parametrize("padding", [0, 13])  # 13: rows of 16-bit pixels at odd addresses
@pytest.mark.parametrize("order", ["<", ">"])
def test_mono16_uses_its_full_range_in_either_byte_order(order: str, padding: int) -> None:
    pixels = noise(HEIGHT, WIDTH, dtype=np.uint16)
    pixels[0, :3] = 0, 128, 65535  # 128 / 257 rounds to 0
    msg = message(pixels.astype(f"{order}u2"), "mono16", padding=padding)
    msg.is_bigendian = int(order == ">")
    bgr = image_to_bgr(msg)
    np.testing.assert_array_equal(bgr, np.rint(pixels / 257).astype(np.uint8)[..., None].repeat(3, -1))
    assert bgr[0, :3, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_names_the_colours_of_the_first_pixels(pattern: str) -> None:
    """A scene of one colour, seen through the mosaic that the ROS name spells out, comes back as it was."""
    colour = {"r": 200, "g": 120, "b": 30}
    tile = np.array([colour[letter] for letter in pattern], np.uint8).reshape(2, 2)
    bgr = image_to_bgr(message(np.tile(tile, (8, 8)), f"bayer_{pattern}8"))
    assert np.unique(bgr.reshape(-1, 3), axis=0).tolist() == [[30, 120, 200]]


@pytest.mark.parametrize("encoding", ["yuv422", "yuv422_yuy2", "nv12"])
def test_yuv_by_the_formula_of_bt601(encoding: str) -> None:
    y, u, v = 100, 90, 180
    if encoding == "nv12":
        rows = np.full((24, 16), y, np.uint8)
        rows[16:] = np.tile([u, v], 8)
    else:
        pair = [u, y, v, y] if encoding == "yuv422" else [y, u, y, v]
        rows = np.tile(np.array(pair, np.uint8).reshape(1, 2, 2), (16, 8, 1))
    luma, cb, cr = 1.164 * (y - 16), u - 128, v - 128
    expected = luma + 2.018 * cb, luma - 0.391 * cb - 0.813 * cr, luma + 1.596 * cr
    bgr = image_to_bgr(message(rows, encoding, height=16))
    np.testing.assert_allclose(bgr.reshape(-1, 3), np.broadcast_to(expected, (256, 3)), atol=1.5)


@pytest.mark.parametrize("encoding", ["bgr8", "rgb8", "bgra8", "mono8", "mono16", "bayer_rggb8"])
def test_odd_sizes(encoding: str) -> None:
    shape = {"bgr8": (7, 5, 3), "rgb8": (7, 5, 3), "bgra8": (7, 5, 4)}.get(encoding, (7, 5))
    pixels = noise(*shape, dtype=np.uint16 if encoding == "mono16" else np.uint8)
    assert image_to_bgr(message(pixels, encoding)).shape == (7, 5, 3)


def broken(encoding: str = "bgr8", **fields: int) -> Image:
    msg = message(noise(8, 8, 3), encoding)
    for name, value in fields.items():
        setattr(msg, name, value)
    return msg


def test_truncated_data() -> None:
    msg = broken()
    msg.data = msg.data[:-1]
    with pytest.raises(ConversionError, match=r"truncated: 191 bytes, .* are 192"):
        image_to_bgr(msg)


def test_truncated_colour_plane_of_nv12() -> None:
    msg = message(noise(12, 8), "nv12", height=8)
    msg.data = msg.data[:64]
    with pytest.raises(ConversionError, match="truncated: 64 bytes, but 12 rows of 8 bytes"):
        image_to_bgr(msg)


@pytest.mark.parametrize(
    ("msg", "text"),
    [
        (broken(step=23), "step 23 is too small: 8 pixels of bgr8 take 24 bytes a row"),
        (broken(step=0), "step 0 is too small"),
        (broken(width=0), "no pixels"),
        (broken(height=0), "no pixels"),
        (broken("no_such_8"), "unknown encoding 'no_such_8'; known: bgr8, rgb8"),
        (broken(""), "unknown encoding ''"),
        (broken("32FC1"), "unknown encoding '32FC1'"),
        (broken("yuv422", width=7), "needs an even size"),
        (broken("nv12", height=7), "needs an even size"),
    ],
)
def test_bad_messages_are_named(msg: Image, text: str) -> None:
    with pytest.raises(ConversionError, match=text):
        image_to_bgr(msg)


def test_other_encodings_go_through_rosbags_image() -> None:
    pytest.importorskip("rosbags.image", reason="rosbags-image is missing")
    conversion._other_converter.cache_clear()
    pixels = noise(HEIGHT, WIDTH, 3, dtype=np.uint16)
    bgr = image_to_bgr(message(pixels, "rgb16"))
    np.testing.assert_allclose(bgr, pixels[..., ::-1] / 257, atol=1)
    with pytest.raises(ConversionError, match="unknown encoding 'rgb16'.*rows of 217 bytes"):
        image_to_bgr(message(pixels, "rgb16", padding=13))


@pytest.fixture
def fresh_converter():
    """Forget which library was found, before and after."""
    conversion._other_converter.cache_clear()
    yield
    conversion._other_converter.cache_clear()


@pytest.mark.parametrize("error", [ImportError, AttributeError, SystemError, RuntimeError])
def test_a_broken_cv_bridge_does_no_harm(
    error: type[Exception], tmp_path, monkeypatch, fresh_converter
) -> None:
    """As the one of Jazzy under NumPy 2, which imports until its compiled part is asked for."""
    package = tmp_path / "cv_bridge" / "boost"
    package.mkdir(parents=True)
    (tmp_path / "cv_bridge" / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "cv_bridge_boost.py").write_text(f"raise {error.__name__}('_ARRAY_API not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("cv_bridge", "cv_bridge.boost"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert image_to_bgr(message(noise(8, 8, 3), "rgb8")).shape == (8, 8, 3)
    assert image_to_bgr(message(noise(8, 8, 3, dtype=np.uint16), "rgb16")).shape == (8, 8, 3)


def test_a_working_cv_bridge_is_preferred_for_other_encodings(monkeypatch, fresh_converter) -> None:
    class CvBridge:
        def imgmsg_to_cv2(self, msg: Image, desired_encoding: str) -> np.ndarray:
            assert desired_encoding == "bgr8"
            return np.full((msg.height, msg.width, 3), 5, np.uint8)

    bridge, boost = types.ModuleType("cv_bridge"), types.ModuleType("cv_bridge.boost")
    bridge.CvBridge = CvBridge
    boost.cv_bridge_boost = types.ModuleType("cv_bridge.boost.cv_bridge_boost")
    monkeypatch.setitem(sys.modules, "cv_bridge", bridge)
    monkeypatch.setitem(sys.modules, "cv_bridge.boost", boost)
    assert (image_to_bgr(message(noise(8, 8), "16UC1")) == 5).all()


def header() -> Header:
    made = Header(frame_id="front_left")
    made.stamp.sec, made.stamp.nanosec = 1700000000, 123456789
    return made


@pytest.mark.parametrize(("encoding", "shape"), [("mono8", (7, 5)), ("bgr8", (7, 5, 3))])
def test_array_to_image(encoding: str, shape: tuple[int, ...]) -> None:
    pixels = noise(*shape)[:, ::-1]  # not contiguous
    msg = array_to_image(pixels, encoding, header())
    assert msg.header == header()
    assert (msg.height, msg.width, msg.encoding) == (7, 5, encoding)
    assert msg.step == (15 if encoding == "bgr8" else 5)
    assert isinstance(msg.data, array.array)  # bytes would be checked one by one
    assert bytes(msg.data) == pixels.tobytes()
    with pytest.raises(ValueError, match="uint8"):
        array_to_image(pixels.astype(np.float32), encoding, header())


@pytest.mark.parametrize("encoding", conversion.ENCODINGS)
def test_a_sample_of_each_encoding_is_read(encoding: str) -> None:
    bgr = noise(HEIGHT, WIDTH, 3)
    msg = sample_image(bgr, encoding)
    assert (msg.height, msg.width, msg.encoding) == (HEIGHT, WIDTH, encoding)
    assert len(msg.data) == msg.step * (HEIGHT * 3 // 2 if encoding == "nv12" else HEIGHT)
    assert bytes(msg.data) == np.resize(bgr, len(msg.data)).tobytes()
    assert image_to_bgr(msg).shape == (HEIGHT, WIDTH, 3)
    msg.data = msg.data[:-1]
    with pytest.raises(ConversionError, match="data is truncated"):
        image_to_bgr(msg)


def smooth(height: int, width: int) -> np.ndarray:
    return cv2.resize(noise(4, 4, 3), (width, height), interpolation=cv2.INTER_CUBIC)


def test_jpeg_there_and_back() -> None:
    bgr = smooth(61, 83)
    msg = array_to_jpeg(bgr, header(), quality=95)
    assert msg.header == header()
    assert "jpeg" in msg.format
    decoded = compressed_to_bgr(msg)
    assert decoded.shape == bgr.shape
    assert np.abs(decoded.astype(int) - bgr).mean() < 3
    assert len(array_to_jpeg(bgr, header(), quality=10).data) < len(msg.data)


def compressed(data: bytes) -> CompressedImage:
    return CompressedImage(format="jpeg", data=array.array("B", data))


def test_png_grey_and_16_bit() -> None:
    grey = noise(9, 11)
    decoded = compressed_to_bgr(compressed(cv2.imencode(".png", grey)[1].tobytes()))
    np.testing.assert_array_equal(decoded, cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    deep = compressed_to_bgr(compressed(cv2.imencode(".png", grey.astype(np.uint16) * 257)[1].tobytes()))
    np.testing.assert_array_equal(deep, decoded)


def test_jpeg_padded_with_zeros_is_whole() -> None:
    """Some USB cameras pad their frames."""
    jpeg = cv2.imencode(".jpg", smooth(40, 40))[1].tobytes()
    assert compressed_to_bgr(compressed(jpeg + bytes(100))).shape == (40, 40, 3)


def test_exif_does_not_turn_the_image() -> None:
    jpeg = cv2.imencode(".jpg", smooth(20, 40))[1].tobytes()
    rotate = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"\xff\xe1" + (len(rotate) + 2).to_bytes(2, "big") + rotate
    turned = jpeg[:2] + exif + jpeg[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (40, 20, 3)
    assert compressed_to_bgr(compressed(turned)).shape == (20, 40, 3)


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_cut_jpeg(kept: float) -> None:
    jpeg = cv2.imencode(".jpg", smooth(200, 200))[1].tobytes()
    with pytest.raises(ConversionError, match="cut off|corrupt"):
        compressed_to_bgr(compressed(jpeg[: int(len(jpeg) * kept)]))


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"no image at all", bytes(1000)])
def test_not_an_image(data: bytes) -> None:
    with pytest.raises(ConversionError, match="cut off|can't be decoded"):
        compressed_to_bgr(compressed(data))
