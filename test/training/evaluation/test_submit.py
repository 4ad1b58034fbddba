# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg submit``: the archive, and what a server would refuse of it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from night_seg_ros import Segmenter
from night_seg_ros.cli import main
from night_seg_ros.training.evaluation.submit import SubmissionError, check_submission


@pytest.fixture
def dark_zurich(tmp_path: Path) -> Path:
    """Two test images in the owner's layout."""
    folder = tmp_path / "dark_zurich" / "rgb_anon" / "test" / "night" / "GOPR0001"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(2):
        image = rng.integers(0, 256, (36 + i, 64, 3), np.uint8)
        cv2.imwrite(str(folder / f"GOPR0001_frame_00000{i}_rgb_anon.png"), image)
    return tmp_path / "dark_zurich"


def test_archive_of_dark_zurich(dark_zurich: Path, weights: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "archive.zip"
    options = ["--weights", str(weights), "--device", "cpu", "--out", str(out)]
    assert main(["submit", "--root", str(dark_zurich), *options]) == 0
    assert "2 label images, checked" in capsys.readouterr().out
    segmenter = Segmenter(weights, device="cpu")
    with zipfile.ZipFile(out) as archive:
        assert sorted(archive.namelist()) == [f"GOPR0001_frame_00000{i}_rgb_anon.png" for i in range(2)]
        for name in archive.namelist():
            label = np.asarray(Image.open(io.BytesIO(archive.read(name))))
            frame = cv2.imread(str(next(dark_zurich.rglob(name))))
            expected = segmenter(frame).labels
            assert label.shape == expected.shape
            assert (label == expected).mean() > 0.97  # of a folded network in bf16, borders differ


def archive(path: Path, images: list[tuple[str, np.ndarray]]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, image in images:
            file.writestr(name, cv2.imencode(".png", image)[1].tobytes())
    return path


GOOD = np.full((4, 6), 18, np.uint8)
SIZES = {"a.png": (4, 6), "b.png": (4, 6)}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "images, message",
    [
        ([("a.png", GOOD)], "b.png is missing"),
        ([("a.png", GOOD), ("b.png", GOOD), ("c.png", GOOD)], "c.png is not expected"),
        ([("a.png", GOOD), ("b.png", GOOD), ("b.png", GOOD)], "a name is there twice"),
        ([("a.png", GOOD), ("b.png", GOOD[:3])], "b.png is 6x3, not 6x4"),
        ([("a.png", GOOD), ("b.png", GOOD + 1)], "b.png holds the id 19"),
        ([("a.png", GOOD), ("b.png", np.dstack([GOOD] * 3))], "b.png has mode RGB"),
    ],
)
def test_what_a_server_would_refuse(tmp_path: Path, images: list, message: str) -> None:
    path = archive(tmp_path / "archive.zip", images)
    with pytest.raises(SubmissionError, match=message):
        check_submission(path, SIZES)


def test_what_is_no_archive_or_image(tmp_path: Path) -> None:
    path = archive(tmp_path / "archive.zip", [("a.png", GOOD), ("b.png", GOOD)])
    check_submission(path, SIZES)
    path.write_bytes(b"nothing")
    with pytest.raises(SubmissionError, match="archive.zip is no zip file"):
        check_submission(path, SIZES)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.png", b"nothing")
        file.writestr("b.png", b"nothing")
    with pytest.raises(SubmissionError, match="a.png can't be read as an image"):
        check_submission(path, SIZES)
