# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg check-data`` on small trees: each fault is found and named, and the numbers are right."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from night_seg_ros.cli import main
from night_seg_ros.models.classes import CLASSES, LABEL_ID_TO_TRAIN_ID, PALETTE
from night_seg_ros.training.inspection.check_data import tell_format
from night_seg_ros.training.inspection.statistics import Statistics

SIZE = (24, 32)


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def label_of(seed: int) -> np.ndarray:
    """Train ids: four classes and ignored pixels."""
    return np.random.default_rng(seed).choice(np.array([0, 2, 10, 13, 255], np.uint8), SIZE)


def image_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder data set without faults: twelve images to train on, three to validate."""
    root = tmp_path / "tree"
    for split, seeds in (("train", range(12)), ("val", range(12, 15))):
        for seed in seeds:
            write(root / "images" / split / f"{seed}.png", image_of(seed))
            write(root / "labels" / split / f"{seed}.png", label_of(seed))
    return root


def check(out: Path, *arguments: object, workers: int = 0) -> tuple[int, list[dict[str, Any]]]:
    """Exit status and reports of a call."""
    path = out / "report.json"
    status = main(["check-data", *map(str, arguments), "--json", str(path), "--workers", str(workers)])
    content = json.loads(path.read_text())
    assert content["broken"] == bool(status)
    return status, content["data_sets"]


def test_statistics_against_a_slow_count() -> None:
    counted = Statistics()
    expected_bins, expected_classes, expected_images = [0] * 10, [0] * 19, [0] * 19
    ignored, total = 0, 0
    for seed in range(3):
        one = Statistics()
        image, label = image_of(seed), label_of(seed)
        one.add_image(image)
        one.add_label(label)
        counted += one
        for pixel in image.reshape(-1, 3):
            value = Fraction(int(max(pixel)), 255)
            expected_bins[min(int(value * 10), 9)] += 1
            total += int(max(pixel))
        for c in range(19):
            expected_classes[c] += int((label == c).sum())
            expected_images[c] += bool((label == c).any())
        ignored += int((label == 255).sum())
    pixels = 3 * SIZE[0] * SIZE[1]
    assert counted.exposure_pixels.tolist() == expected_bins
    assert counted.class_pixels.tolist() == expected_classes
    assert counted.class_images.tolist() == expected_images
    assert counted.ignored_share == pytest.approx(ignored / pixels)
    assert counted.mean_exposure == pytest.approx(total / 255 / pixels)
    assert (counted.images, counted.labels) == (3, 3)
    assert counted.image_sizes == counted.label_sizes == {(32, 24): 3}


def test_a_tree_without_faults(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, [report] = check(tmp_path, "folder", tree)
    assert status == 0 and list(report["splits"]) == ["train", "val"]
    text = capsys.readouterr().out
    assert "no faults" in text and "not there" not in text
    train = report["splits"]["train"]
    assert (train["images"], train["labels"], train["label_format"]) == (12, 12, "train ids")
    assert train["image_sizes"] == train["label_sizes"] == {"32x24": 12}
    labels = np.stack([label_of(seed) for seed in range(12)])
    assert train["class_pixels"] == {name: int((labels == c).sum()) for c, name in enumerate(CLASSES)}
    assert train["ignored_share"] == pytest.approx((labels == 255).mean())
    valid = labels[labels != 255]
    sky = next(line for line in text.splitlines() if line.startswith("sky"))
    assert sky.split()[1] == f"{100 * (valid == 10).mean():.2f}" and sky.split()[3] == "12"


def test_every_fault_is_found_and_named(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = tree / "images" / "train", tree / "labels" / "train"
    (images / "0.png").write_bytes(b"")
    write(images / "1.jpg", np.kron(image_of(1), np.ones((8, 8, 1), np.uint8)))
    (images / "1.png").unlink()
    whole = (images / "1.jpg").read_bytes()
    (images / "1.jpg").write_bytes(whole[: len(whole) // 2])  # OpenCV fills such a file up with grey
    (labels / "2.png").write_text("not an image")
    wrong = label_of(3)
    wrong[5, 7] = 77
    write(labels / "3.png", wrong)
    write(labels / "4.png", cv2.resize(label_of(4), (16, 16), interpolation=cv2.INTER_NEAREST))
    (labels / "5.png").unlink()
    (images / "6.png").unlink()
    write(labels / "7.png", PALETTE[np.full(SIZE, 3)])
    (images / "8.png").unlink()
    (images / "8.png").symlink_to("nowhere.png")

    status, [report] = check(tmp_path, "folder", tree, workers=2)

    faults = report["splits"]["train"]["faults"]
    unreadable = faults.pop("images that can't be read")
    for name, line in zip(("0.png", "1.jpg", "8.png"), unreadable, strict=True):
        assert str(images / name) in line
    unusable = faults.pop("labels that can't be used")
    for name, line in zip(("2.png", "3.png", "7.png"), unusable, strict=True):
        assert str(labels / name) in line
    assert "77" in unusable[1] and "colour" in unusable[2]
    [differing] = faults.pop("images and labels that differ in size")
    assert str(images / "4.png") in differing and "32x24" in differing and "16x16" in differing
    [unlabelled] = faults.pop("images without a label")
    assert str(images / "5.png") in unlabelled and str(labels / "5.png") in unlabelled
    assert faults.pop("labels without an image") == [str(labels / "6.png")]
    assert faults == {}
    assert status == 1
    train = report["splits"]["train"]
    assert (train["images"], train["labels"], train["images_read"], train["labels_read"]) == (11, 11, 8, 7)
    assert report["splits"]["val"]["faults"] == {}
    printed = capsys.readouterr().out
    for line in (*unreadable, *unusable, differing, unlabelled, str(labels / "6.png")):
        assert line in printed


def test_many_faults_are_counted_and_the_first_named(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tree / "images" / "train").iterdir():
        path.write_bytes(b"")
    _, [report] = check(tmp_path, "folder", tree)
    assert len(report["splits"]["train"]["faults"]["images that can't be read"]) == 12
    text = capsys.readouterr().out
    assert "images that can't be read: 12" in text and "and 7 more" in text
    assert text.count("/images/train/") == 5


@pytest.mark.parametrize("label_format", ["label ids", "colours"])
def test_labels_are_mapped(tree: Path, tmp_path: Path, label_format: str) -> None:
    expected = check(tmp_path, "folder", tree)[1][0]["splits"]["train"]["class_pixels"]
    ids = np.zeros(256, np.uint8)
    ids[:19] = [np.flatnonzero(LABEL_ID_TO_TRAIN_ID == c)[0] for c in range(19)]
    colours = np.zeros((256, 3), np.uint8)
    colours[:19] = PALETTE[:, ::-1]
    table = ids if label_format == "label ids" else colours
    for path in (tree / "labels").rglob("*.png"):
        write(path, table[cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)])
    status, [report] = check(tmp_path, "folder", tree)
    train = report["splits"]["train"]
    assert (status, train["label_format"], train["class_pixels"]) == (0, label_format, expected)


def test_the_format_is_told_in_spite_of_broken_labels(tree: Path) -> None:
    labels = sorted((tree / "labels" / "train").iterdir())
    labels[0].write_bytes(b"")
    write(labels[1], np.full(SIZE, 99, np.uint8))
    write(labels[2], PALETTE[np.full(SIZE, 3)])
    assert tell_format(labels) == "train ids"
    with pytest.raises(ValueError, match=labels[0].name):
        tell_format(labels[:2])


def test_a_split_without_any_label_does_not_hide_the_others(tree: Path, tmp_path: Path) -> None:
    shutil.rmtree(tree / "labels" / "train")
    status, [report] = check(tmp_path, "folder", tree)
    [[line]] = report["splits"]["train"]["faults"].values()
    assert status == 1 and str(tree / "labels" / "train") in line
    assert report["splits"]["val"]["labels_read"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nightcities", "."], "known are folder, nightcity"),
        (["folder", "."], "no folder images/train"),
        (["folder", "TREE", "--split", "test"], "images/test"),
        (["cityscapes", "TREE"], "leftImg8bit/train"),
        (["cityscapes", "TREE", "--split", "training"], "train, val, test"),
        (["folder", "TREE", "--against", "folder", "nowhere"], "nowhere"),
        (["synthetic", "noon"], "synthetic day, or synthetic night"),
    ],
)
def test_what_was_asked_for_is_not_there(
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tree.parent / "empty").mkdir()
    monkeypatch.chdir(tree.parent / "empty")
    status = main(["check-data", "--workers=0", *(str(tree) if a == "TREE" else a for a in arguments)])
    error = capsys.readouterr().err.splitlines()[-1]
    assert status == 1 and error.startswith("night-seg check-data: ") and message in error


def test_owners_numbers_and_splits_without_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "dark_zurich"
    for split, number in (("val", 50), ("test", 3)):
        for i in range(number):
            write(root / "rgb_anon" / split / "night" / "G1" / f"G1_{i:02d}_rgb_anon.png", image_of(i))
    for i in range(50):
        write(root / "gt" / "val" / "night" / "G1" / f"G1_{i:02d}_gt_labelTrainIds.png", label_of(i))
    status, [report] = check(tmp_path, "dark_zurich", root)
    assert status == 0
    val, test = report["splits"]["val"], report["splits"]["test"]
    assert (val["images"], val["published"], val["labels"], val["remarks"]) == (50, 50, 50, {})
    assert (test["images"], test["published"], test["labels"], test["label_format"]) == (3, 151, None, None)
    assert list(test["remarks"].values()) == [["3, but the owners publish 151"]]
    assert test["ignored_share"] is None and sum(test["exposure_pixels"]) == 3 * SIZE[0] * SIZE[1]
    assert list(report["absent"]) == ["train", "train_day", "train_twilight"]
    assert "remarks" in capsys.readouterr().out


def test_labels_that_are_mostly_ignored_are_remarked_on(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tree / "labels" / "val" / "13.png", np.full(SIZE, 255, np.uint8))
    status, [report] = check(tmp_path, "folder", tree)
    assert status == 0 and report["splits"]["train"]["remarks"] == {}
    [[line]] = report["splits"]["val"]["remarks"].values()
    assert line == f"{tree / 'labels' / 'val' / '13.png'}: 100%"
    assert line in capsys.readouterr().out


def test_limit_is_spread_over_the_split(tree: Path, tmp_path: Path) -> None:
    (tree / "images" / "train" / "0.png").write_bytes(b"")
    last = sorted((tree / "images" / "train").iterdir())[6]
    last.write_bytes(b"")
    status, [report] = check(tmp_path, "folder", tree, "--split", "train", "--limit", 2)
    train = report["splits"]["train"]
    assert status == 1 and list(report["splits"]) == ["train"]
    assert (train["images"], train["images_read"], train["labels_read"]) == (12, 0, 2)
    assert str(last) in train["faults"]["images that can't be read"][1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "0"], "--limit: expected a whole number from 1 up"),
        (["--workers", "-3"], "--workers: expected a whole number from 0 up"),
        (["--against", "folder"], "a data set and its root"),
    ],
)
def test_options_that_make_no_sense(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["check-data", "folder", ".", *arguments])
    assert message in capsys.readouterr().err


def colours_in(chart: Path) -> list[bool]:
    """Whether a chart has bars of matplotlib's first, second and third colour."""
    pixels = cv2.imread(str(chart))[..., ::-1]
    series = ((31, 119, 180), (255, 127, 14), (44, 160, 44))
    return [bool((pixels == colour).all(axis=2).sum() > 2000) for colour in series]


def test_charts_of_two_data_sets(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, reports = check(
        tmp_path,
        "folder",
        tree,
        "--against",
        "synthetic",
        "night",
        "--limit",
        1,
        "--plots",
        tmp_path / "charts",
    )
    assert status == 0
    assert [list(report["splits"]) for report in reports] == [["train", "val"], ["held out"]]
    assert reports[1]["splits"]["held out"]["mean_exposure"] < 0.4
    charts = sorted((tmp_path / "charts").iterdir())
    assert [chart.name for chart in charts] == ["pixels_per_class.png", "pixels_per_exposure_bin.png"]
    printed = capsys.readouterr().out
    for chart in charts:
        assert str(chart) in printed
        assert colours_in(chart) == [True, True, False]


def test_charts_of_one_data_set_have_a_series_per_split(tree: Path, tmp_path: Path) -> None:
    for splits, expected in ((["train", "val"], [True, True, False]), (["val"], [True, False, False])):
        check(tmp_path, "folder", tree, "--split", *splits, "--plots", tmp_path)
        assert colours_in(tmp_path / "pixels_per_class.png") == expected
        assert colours_in(tmp_path / "pixels_per_exposure_bin.png") == expected


def test_charts_without_a_label(tmp_path: Path) -> None:
    write(tmp_path / "rgb_anon" / "test" / "night" / "G" / "G_rgb_anon.png", image_of(0))
    check(tmp_path, "dark_zurich", tmp_path, "--plots", tmp_path / "charts")
    [chart] = (tmp_path / "charts").iterdir()
    assert chart.name == "pixels_per_exposure_bin.png" and colours_in(chart) == [True, False, False]


def test_real_cityscapes(shared_data: Path, tmp_path: Path) -> None:
    status, [report] = check(tmp_path, "cityscapes", shared_data / "cityscapes_mini", workers=2)
    assert status == 0
    train, val = report["splits"]["train"], report["splits"]["val"]
    assert (train["images_read"], val["labels_read"]) == (14, 12)
    assert train["published"] == 2975 and train["label_format"] == "label ids"
    assert train["class_images"]["road"] == 14
