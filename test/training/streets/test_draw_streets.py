# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg draw-streets``: its files are the streets, and the data sets read them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from night_seg_ros.cli import main
from night_seg_ros.training.data.datasets import open_dataset
from night_seg_ros.training.data.pairs import FolderPairs
from night_seg_ros.training.streets.scene import StreetScene


def test_files_are_the_streets(tmp_path: Path) -> None:
    out = tmp_path / "streets"
    command = ["draw-streets", "--out", str(out), "--count", "3", "--first", "7", "--size", "48", "64"]
    assert main([*command, "--workers", "2"]) == 0
    frame = StreetScene(8).render(48, 64)
    for time, expected in (("day", frame.day), ("night", frame.night)):
        dataset = open_dataset("folder", out, time)
        assert len(dataset) == 3 and dataset.label_format == "train ids"
        assert dataset[1]["name"].endswith("street_000008")
        np.testing.assert_array_equal(dataset[1]["image"].permute(1, 2, 0), expected)
        np.testing.assert_array_equal(dataset[1]["label"], frame.label)
    pairs = FolderPairs(out, out / "pairs.csv")
    assert len(pairs) == 3
    np.testing.assert_array_equal(pairs[1]["night"].permute(1, 2, 0), frame.night)
    np.testing.assert_array_equal(pairs[1]["day"].permute(1, 2, 0), frame.day)

    # It goes on where it was: what is there stays, what is missing is drawn.
    kept, lost = out / "images/day/street_000007.png", out / "labels/night/street_000008.png"
    before = kept.stat().st_mtime_ns
    lost.unlink()
    assert main([*command, "--workers", "0"]) == 0
    assert kept.stat().st_mtime_ns == before
    np.testing.assert_array_equal(cv2.imread(str(lost), cv2.IMREAD_UNCHANGED), frame.label)


def test_sets_grow_and_do_not_mix(tmp_path: Path, capsys) -> None:
    out = tmp_path / "streets"
    command = ["draw-streets", "--out", str(out), "--count", "2", "--workers", "0"]
    assert main([*command, "--size", "48", "64"]) == 0
    assert main([*command, "--size", "48", "64", "--first", "5"]) == 0
    assert len(FolderPairs(out, out / "pairs.csv")) == 4
    for workers in ("0", "2"):
        capsys.readouterr()
        assert main([*command, "--size", "64", "64", "--workers", workers]) == 1
        told = capsys.readouterr().err
        assert "street_000000.png is 64x48, not 64x64" in told and told.count("\n") == 1
    assert main([*command, "--first", "99999"]) == 1
    assert "streets for tests" in capsys.readouterr().err


@pytest.mark.parametrize("change", [["--count", "0"], ["--size", "16", "64"], ["--first", "-1"]])
def test_values_that_make_no_sense(change: list[str], tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["draw-streets", "--out", str(tmp_path / "out"), *change])
    assert "must be" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
