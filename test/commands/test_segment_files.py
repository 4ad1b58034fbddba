# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg segment`` and the files it writes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.bag_files import drive, pictures
from helpers.frame_commands import check_that_nothing_is_overwritten

from night_seg_ros import cli
from night_seg_ros.inference.segmenter import OUTPUTS, Segmenter
from night_seg_ros.media.sources import open_source
from night_seg_ros.media.writers import VideoFile, write_image
from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import save_checkpoint


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder of two images of different, odd sizes."""
    folder = tmp_path / "frames"
    for index, size in enumerate(((45, 67), (50, 81))):
        write_image(folder / f"frame{index}.png", pictures(1, *size)[0])
    return folder


def segment(weights: Path, out: Path, *arguments: object) -> int:
    fixed = ["--weights", weights, "--out", out, "--device", "cpu", "--precision", "fp32"]
    return cli.main(["segment", *(str(argument) for argument in [*arguments, *fixed])])


def test_images_give_what_the_segmenter_says(weights: Path, frames: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert segment(weights, out, frames, "--alpha", "0.25") == 0
    segmenter = Segmenter(weights, device="cpu", precision="fp32")
    for name in ("frame0", "frame1"):
        bgr = cv2.imread(str(frames / f"{name}.png"))
        expected = segmenter(bgr, OUTPUTS, alpha=0.25)
        for suffix, pixels in {
            "labels": expected.labels,
            "exposure": expected.exposure,
            "overlay": expected.overlay,
        }.items():
            written = cv2.imread(str(out / f"{name}_{suffix}.png"), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(written, pixels, f"{name}_{suffix}")
    assert len(list(out.iterdir())) == 6


def test_video_and_bag_give_an_overlay_video(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("sensor_msgs")
    images = [cv2.resize(image, (96, 64)) for image in pictures(3, 4, 6)]
    with VideoFile(tmp_path / "drive.mp4", 5.0, "mp4v") as video:
        for image in images:
            video.write(image)
    bag = drive(tmp_path / "recording", images)
    out = tmp_path / "out"
    assert segment(weights, out, tmp_path / "drive.mp4", bag) == 0
    assert sorted(path.name for path in out.iterdir()) == ["drive_overlay.mp4", "recording_overlay.mp4"]
    segmenter = Segmenter(weights, device="cpu", precision="fp32")
    for name, rate in (("drive", 5), ("recording", 10)):
        source = open_source(out / f"{name}_overlay.mp4")
        assert source.rate == pytest.approx(rate)
        written = [frame.image for frame in source.frames()]
        assert len(written) == 3
    for image, overlay in zip(images, written, strict=True):
        expected = segmenter(image, ("overlay",)).overlay
        assert np.abs(overlay.astype(int) - expected).mean() < 12  # what the codec leaves


def test_unreadable_image_is_skipped_and_told(
    weights: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (frames / "frame0b.jpg").write_bytes(b"no image")
    out = tmp_path / "out"
    assert segment(weights, out, frames) == 1
    assert len(list(out.iterdir())) == 6
    captured = capsys.readouterr()
    assert f"skipped image {frames / 'frame0b.jpg'} can't be decoded: it is no image" in captured.err
    assert "1 of the inputs could not be read" in captured.out


def test_nothing_to_read(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert segment(weights, tmp_path / "out", tmp_path / "bad.png") == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == (
        "night-seg segment: no frame could be read: there is nothing to segment"
    )
    assert "done" not in said.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("size", "count"), [([40, 64], 1), ([40, 60], 0), (40, 0)])
def test_distorted_frames_are_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], size: object, count: int
) -> None:
    for index in range(3):
        write_image(tmp_path / "frames" / f"{index}.png", pictures(1, 90, 134 + index % 2)[0])
    weights = tmp_path / "weights.safetensors"
    save_checkpoint(weights, build_model("egnet", backbone="resnet10"), {"input_size": size})
    assert segment(weights, tmp_path / "out", tmp_path / "frames") == 0
    said = capsys.readouterr().err
    assert said.count("lose their shape") == said.count("the network sees them at 64x40") == count
    assert said.count("warning: frames of 134x90") == count


def test_results_never_overwrite_one_another(
    weights: Path, frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_that_nothing_is_overwritten(partial(segment, weights), "overlay", frames, capsys)


def test_bad_arguments_are_told_in_one_line(
    weights: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"bad")
    for arguments, problem in (
        ((frames, "--weights", tmp_path / "bad.safetensors"), "bad.safetensors"),
        ((frames, "--weights", tmp_path / "none.safetensors"), "none.safetensors"),
        ((tmp_path / "missing",), "missing: no such file or folder"),
    ):
        assert cli.main(["segment", *map(str, arguments), "--out", str(tmp_path / "out")]) == 1
        error = capsys.readouterr().err
        assert error.startswith("night-seg segment: ")
        assert problem in error
        assert error.count("\n") == 1
    with pytest.raises(SystemExit):
        segment(weights, tmp_path / "out", frames, "--alpha", "2")
    assert "--alpha is 2.0: give 0 to 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_broken_video_leaves_nothing(tmp_path: Path) -> None:
    def write_half() -> None:
        with VideoFile(tmp_path / "half.mp4", 10.0) as video:
            video.write(pictures(1)[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("codec", ["vp09", "mp4v"])
def test_video_of_odd_and_changing_sizes(tmp_path: Path, codec: str) -> None:
    with VideoFile(tmp_path / "drive.mp4", 10.0, codec) as video:
        for size in ((101, 203), (60, 40), (300, 300)):
            video.write(np.full((*size, 3), 200, np.uint8))
    written = [frame.image for frame in open_source(tmp_path / "drive.mp4").frames()]
    assert [image.shape for image in written] == [(100, 202, 3)] * 3
    assert written[1][:, 0].mean() < 30  # black beside the narrow one
    assert written[1][50, 101].mean() > 170
