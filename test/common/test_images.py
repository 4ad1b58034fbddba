# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The one decoder: the same upright pixels wherever a file is read, and no image that is not whole."""

from __future__ import annotations

import array
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.image_files import encode, exif_orientation, monstrous_jpeg, monstrous_png
from helpers.label_files import save
from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin

from night_seg_ros.common.files import InputError
from night_seg_ros.common.images import decode_image, fit, read_image, read_size
from night_seg_ros.media.sources import open_source
from night_seg_ros.training.data.datasets import open_dataset, open_labelled
from night_seg_ros.training.data.pairs import FolderPairs
from night_seg_ros.training.inspection.check_data import check_dataset

ORIENTATIONS = range(1, 9)


def scene(height: int, width: int) -> np.ndarray:
    """A smooth picture with something in it, no two corners alike; (height, width, 3) uint8 RGB."""
    coarse = np.random.default_rng(5).integers(40, 216, (5, 7, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def decode(data: bytes) -> np.ndarray:
    return decode_image(data, "it", upright=True)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_one_file_is_one_picture_everywhere(orientation: int, tmp_path: Path) -> None:
    stored = scene(40, 64)
    jpeg = encode(stored, "jpeg", orientation, quality=95)
    path = tmp_path / "images" / "val" / "a.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(jpeg)
    shown = exif_orientation(stored, orientation)
    save(tmp_path / "labels" / "val" / "a.png", np.full(shown.shape[:2], 3, np.uint8))
    (tmp_path / "pairs.csv").write_text("images/val/a.jpg,images/val/a.jpg\n")

    (frame,) = open_source(path).frames()  # segment, play, compare, export, demo
    np.testing.assert_allclose(frame.image[..., ::-1], shown, atol=20)
    pair = FolderPairs(tmp_path, tmp_path / "pairs.csv")[0]
    for seen in (
        open_dataset("folder", tmp_path, "val")[0]["image"],  # training
        open_labelled("folder", tmp_path, "val")[0]["image"],  # evaluate, compare --dataset
        pair["night"],
        pair["day"],
    ):
        np.testing.assert_array_equal(seen.permute(1, 2, 0), frame.image[..., ::-1])
    report = check_dataset("folder", str(tmp_path), [], None, workers=0)
    assert not report.broken
    assert report.statistics.image_sizes == {(shown.shape[1], shown.shape[0]): 1}
    assert read_size(path) == shown.shape[:2]

    pytest.importorskip("sensor_msgs")
    from sensor_msgs.msg import CompressedImage

    from night_seg_ros.media.conversion import compressed_to_bgr

    message = compressed_to_bgr(CompressedImage(format="jpeg", data=array.array("B", jpeg)))
    np.testing.assert_allclose(message[..., ::-1], stored, atol=20)  # a camera's pixels stay where they are


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_other_files_with_an_orientation(suffix: str, orientation: int, tmp_path: Path) -> None:
    stored = scene(20, 32)
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(encode(stored, suffix, orientation, **({"lossless": True} if suffix == "webp" else {})))
    shown = read_image(path)[..., ::-1]
    np.testing.assert_array_equal(shown, exif_orientation(stored, orientation))
    np.testing.assert_array_equal(shown, ImageOps.exif_transpose(Image.open(path)))
    assert read_size(path) == shown.shape[:2]


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0", b"nonsense", None])
def test_broken_exif_data_turn_nothing(exif: bytes | None) -> None:
    stored = scene(20, 32)
    data = encode(stored, "jpeg", 9) if exif is None else encode(stored, "jpeg", exif=exif)
    np.testing.assert_array_equal(decode(data), decode(encode(stored)))


KINDS = [
    {"quality": 90},
    {"quality": 90, "optimize": True},
    {"quality": 90, "progressive": True},
    {"quality": 90, "restart_marker_rows": 1},
]


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_a_jpeg_is_whole_without_its_end_and_with_more_behind_it(options: dict[str, object]) -> None:
    # The preview within the EXIF data is a whole JPEG with an end of its own.
    preview = b"Exif\0\0" + bytes(8) + encode(scene(16, 24))
    whole = encode(scene(64, 96), "jpeg", exif=preview, **options)
    expected = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_COLOR)
    video = b"\0\0\0\x18ftypmp42" + b"\xff\xda\0\x0c\xff\xc4" * 3  # bytes that look like markers, no end
    assert whole.endswith(b"\xff\xd9")
    for data in (
        whole,
        whole + bytes(100),
        whole + b"camera maker's own",
        whole + video,
        whole + encode(scene(16, 24))[:200],  # of a second picture, its beginning
        whole[:-1],
        whole[:-2],
        whole[:-2] + bytes(100),
    ):
        np.testing.assert_array_equal(decode(data), expected)


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_a_jpeg_that_breaks_off_is_an_error_and_not_grey(options: dict[str, object]) -> None:
    preview = b"Exif\0\0" + bytes(8) + encode(scene(16, 24))
    whole = encode(scene(64, 96), "jpeg", exif=preview, **options)
    start = whole.rindex(b"\xff\xda") if "progressive" not in options else whole.index(b"\xff\xc2")
    for share in np.linspace(0.05, 0.97, 40):
        cut = whole[: start + 20 + int((len(whole) - start - 20) * share)]
        for data in (cut, cut + bytes(5000)):  # as it comes, and filled up by a file system
            with pytest.raises(InputError, match="^it can't be decoded: it is cut off$"):
                decode(data)


def test_a_progressive_jpeg_that_breaks_off_between_scans() -> None:
    whole = encode(scene(64, 96), "jpeg", progressive=True)
    scans = [at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 4
    for at in scans[1:]:
        before = max(whole.rfind(b"\xff\xc4", 0, at), 0)  # the tables of this scan lie before it
        with pytest.raises(InputError, match="it is cut off"):
            decode(whole[:before])


def test_pillow_sees_the_same_pixels() -> None:
    """Labels and figures that other tools draw on a JPEG lie on these pixels."""
    data = encode(scene(120, 160), "jpeg", quality=85)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(decode(data)[..., ::-1], np.asarray(image))


@pytest.mark.parametrize("data", [monstrous_png(), monstrous_jpeg()], ids=["png", "jpeg"])
def test_headers_that_promise_a_monstrous_size(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(data)
    for read in (read_image, read_size):
        with pytest.raises(InputError, match=r"a\.png can't be decoded: .* a monstrous size"):
            read(tmp_path / "a.png")


def test_a_line_that_is_too_long_for_the_decoder() -> None:
    line = np.zeros((1, (1 << 20) + 1, 3), np.uint8)
    with pytest.raises(InputError, match="its header promises a monstrous size"):
        decode(encode(line, "png"))


def test_files_that_are_no_images(tmp_path: Path) -> None:
    whole = encode(scene(64, 96), "png")
    for name, data in {
        "cut.png": whole[: len(whole) // 2],
        "text.jpg": b"text",
        "start.jpg": b"\xff\xd8",
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=rf"{name} can't be decoded: it is no image, or not a whole one"):
            read_image(tmp_path / name)
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match=r"empty\.png is empty"):
        read_image(tmp_path / "empty.png")
    for read in (read_image, read_size):
        with pytest.raises(InputError, match=r"gone\.png can't be read: No such file"):
            read(tmp_path / "gone.png")


def test_fit_keeps_proportions() -> None:
    wide = np.full((10, 40, 3), 7, np.uint8)
    fitted = fit(wide, 40, 80)
    assert fitted.shape == (40, 80, 3)
    assert (fitted[10:30] == 7).all()
    assert fitted[:10].max() == fitted[30:].max() == 0
    assert fit(wide, 10, 40) is wide


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_the_header_is_read_without_the_pixels(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), np.zeros((20, 30, 3), np.uint8))

    def load(*_: object) -> None:
        raise AssertionError("Pillow decodes the pixels")

    for plugin in (PngImagePlugin.PngImageFile, JpegImagePlugin.JpegImageFile):
        monkeypatch.setattr(plugin, "load", load)
    assert read_size(path) == (20, 30)
    assert read_image(path).shape == (20, 30, 3)
