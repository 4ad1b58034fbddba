# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The data sets against tiny trees in their owners' layouts, and each kind of broken tree."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.label_files import HEIGHT, WIDTH, colours, image, label_ids, plant, save, train_ids

from night_seg_ros.common.files import InputError
from night_seg_ros.training.data.datasets import DATASETS, FolderDataset, open_dataset
from night_seg_ros.training.data.label_files import DataError
from night_seg_ros.training.data.pairs import DarkZurichPairs
from night_seg_ros.training.data.stream import SourceConfig, build_validation
from night_seg_ros.training.streets.scene import StreetScene

CITY = "leftImg8bit/{0}/ulm/ulm_000001_000019_leftImg8bit.png=gtFine/{0}/ulm/ulm_000001_000019_gtFine_"
TRACKS = {"fog": "GOPR0475", "night": "GOPR0351", "rain": "GOPR0400", "snow": "GOPR0122"}


def acdc(split: str = "val", parts: tuple[str, ...] = tuple(TRACKS), unpacked: bool = False) -> list[str]:
    images = "rgb_anon_trainvaltest/rgb_anon" if unpacked else "rgb_anon"
    labels = "gt_trainval/gt" if unpacked else "gt"
    return [
        f"{images}/{part}/{split}/{TRACKS[part]}/{TRACKS[part]}_frame_000001_rgb_anon.png="
        f"{labels}/{part}/{split}/{TRACKS[part]}/{TRACKS[part]}_frame_000001_gt_labelTrainIds.png"
        for part in parts
    ]


# data set, split, what the labels hold, files
LAYOUTS = {
    "folder": (
        "folder", "odd", "train ids",
        ["images/odd/a/1.jpg=labels/odd/a/1.png", "images/odd/2.png=labels/odd/2.png"],
    ),
    "nightcity": (
        "nightcity", "train", "label ids",
        [f"NightCity-images/images/train/{n}.png=NightCity-label/label/train/{n}_labelIds.png" for n in "ab"],
    ),
    "nightcity, train ids": (
        "nightcity", "val", "train ids", [f"images/val/{n}.png=label/val/{n}_trainIds.png" for n in "ab"]
    ),
    "nightcity, colours": (
        "nightcity", "val", "colours", [f"images/val/{n}.jpg=label/val/{n}_color.png" for n in "ab"]
    ),
    "nightcity, plain names": (
        "nightcity", "test", "train ids", [f"images/test/{n}.jpg=label/test/{n}.png" for n in "ab"]
    ),
    "nightcity-fine": (
        "nightcity", "val", "train ids", [f"val/img/{n}.png=val/lbl/{n}_trainIds.png" for n in "ab"]
    ),
    "cityscapes": ("cityscapes", "val", "label ids", [CITY.format("val") + "labelIds.png"]),
    "cityscapes, train ids": (
        "cityscapes", "train", "train ids", [CITY.format("train") + "labelTrainIds.png"]
    ),
    "bdd100k": (
        "bdd100k", "train", "train ids",
        [f"images/10k/train/0a-{n}.jpg=labels/sem_seg/masks/train/0a-{n}.png" for n in "ab"],
    ),
    "bdd100k, older": (
        "bdd100k", "val", "train ids",
        [f"seg/images/val/0a-{n}.jpg=seg/labels/val/0a-{n}_train_id.png" for n in "ab"],
    ),
    "dark zurich": (
        "dark_zurich", "val", "train ids",
        [
            f"rgb_anon/val/night/GOPR0356/GOPR0356_frame_{n:06d}_rgb_anon.png="
            f"gt/val/night/GOPR0356/GOPR0356_frame_{n:06d}_gt_labelTrainIds.png"
            for n in (321, 324)
        ],
    ),
    "nighttime driving": (
        "nighttime_driving", "test", "train ids",
        [
            "leftImg8bit/test/night/01_frame_0555_leftImg8bit.png="
            "gtCoarse_daytime_trainvaltest/test/night/01_frame_0555_gtCoarse_labelTrainIds.png"
        ],
    ),
    "acdc": ("acdc", "val", "train ids", acdc()),
    "acdc, as unpacked": ("acdc", "val", "train ids", acdc(unpacked=True)),
    "acdc, night": ("acdc_night", "train", "train ids", acdc(split="train", parts=("night",))),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_the_owners(layout: str, tmp_path: Path) -> None:
    name, split, content, files = LAYOUTS[layout]
    plant(tmp_path, *files, content=content)
    dataset = open_dataset(name, tmp_path, split)
    assert dataset.labelled and dataset.label_format == content
    expected = sorted((*file.split("="), seed) for seed, file in enumerate(files))
    assert dataset.pairs == [(tmp_path / picture, tmp_path / label) for picture, label, _ in expected]
    for i, (picture, _, seed) in enumerate(expected):
        sample = dataset[i]
        assert sample["name"] == Path(picture).stem
        np.testing.assert_array_equal(sample["label"], train_ids(label_ids(seed)))
        if picture.endswith(".png"):
            np.testing.assert_array_equal(sample["image"].permute(1, 2, 0), image(seed))
    assert DATASETS[name].splits_in(tmp_path) == [split]
    assert not DATASETS[name].list_files(tmp_path, split).orphans


@pytest.mark.parametrize(
    ("name", "split", "files"),
    [
        ("dark_zurich", "train", ["rgb_anon/train/night/GOPR0351/GOPR0351_frame_000001_rgb_anon.png"]),
        ("dark_zurich", "train_day", ["rgb_anon/train/day/GOPR0345/GOPR0345_frame_000081_rgb_anon.png"]),
        ("dark_zurich", "test", ["rgb_anon/test/night/GOPR0364/GOPR0364_frame_000001_rgb_anon.png"]),
        ("bdd100k", "test", ["images/10k/test/0a-b.jpg"]),
        ("cityscapes", "test", [CITY.format("test") + "labelIds.png"]),  # files without one valid pixel
        ("acdc", "test", [file.split("=")[0] for file in acdc(split="test")]),
    ],
)
def test_splits_without_labels(name: str, split: str, files: list[str], tmp_path: Path) -> None:
    plant(tmp_path, *files)
    dataset = open_dataset(name, tmp_path, split)
    assert len(dataset) == len(files) and not dataset.labelled and dataset.label_format is None
    assert set(dataset[0]) == {"image", "name"} and dataset[0]["image"].shape == (3, HEIGHT, WIDTH)


def test_real_cityscapes(shared_data: Path) -> None:
    root = shared_data / "cityscapes_mini"
    assert DATASETS["cityscapes"].splits_in(root) == ["train", "val"]
    assert [len(open_dataset("cityscapes", root, split)) for split in ("train", "val")] == [14, 12]
    dataset = open_dataset("cityscapes", root, "val")
    assert dataset.label_format == "label ids"
    sample, (_, path) = dataset[0], dataset.pairs[0]
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert sample["image"].shape == (3, 512, 1024)
    np.testing.assert_array_equal(sample["label"], train_ids(stored))


def test_real_folders(shared_data: Path) -> None:
    camvid = shared_data / "camvid"
    assert DATASETS["folder"].splits_in(camvid) == ["day_test", "day_train", "day_val", "dusk"]
    dataset = open_dataset("folder", camvid, "day_val")
    assert len(dataset) == 101 and dataset.label_format == "train ids"
    assert dataset[0]["image"].shape == (3, 360, 480) and dataset[0]["label"].shape == (360, 480)
    pairs = FolderDataset(camvid / "images" / "day_val", camvid / "labels" / "day_val").pairs
    assert pairs == dataset.pairs


def test_nightcity_val_and_test_are_one_split_unless_both_are_there(tmp_path: Path) -> None:
    plant(tmp_path, "images/test/a.png=label/test/a_trainIds.png", content="train ids")
    assert (
        open_dataset("nightcity", tmp_path, "val").pairs == open_dataset("nightcity", tmp_path, "test").pairs
    )
    assert DATASETS["nightcity"].splits_in(tmp_path) == ["test"]
    plant(tmp_path, "images/val/b.png=label/val/b_trainIds.png", content="train ids")
    assert open_dataset("nightcity", tmp_path, "val")[0]["name"] == "b"
    assert open_dataset("nightcity", tmp_path, "test")[0]["name"] == "a"


def test_reannotated_nightcity_labels_are_twice_as_large(tmp_path: Path) -> None:
    plant(tmp_path, *(f"images/{s}/{s}.png=label/{s}/{s}_trainIds.png" for s in ("train", "val")))
    large = np.kron(train_ids(label_ids(1)), np.ones((2, 2), np.uint8))
    for split in ("train", "val"):
        save(tmp_path / f"label/{split}/{split}_trainIds.png", large)
    sample = open_dataset("nightcity", tmp_path, "val")[0]
    assert sample["image"].shape == (3, HEIGHT, WIDTH)
    np.testing.assert_array_equal(sample["label"], large)
    with pytest.raises(DataError, match=r"train\.png of 10x8 and label .* of 20x16 differ in size"):
        open_dataset("nightcity", tmp_path, "train")[0]


def bdd(root: Path) -> None:
    names = ("0a-day", "0b-night", "0c-night", "0d-unknown")
    plant(
        root,
        *(f"images/10k/val/{n}.jpg=labels/sem_seg/masks/val/{n}.png" for n in names),
        content="train ids",
    )


def test_bdd_night_by_the_owners_attributes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bdd(tmp_path)
    frames = [
        {"name": f"{n}.jpg", "attributes": {"timeofday": n.split("-")[1]}} for n in ("0a-day", "0b-night")
    ]
    folder = tmp_path / "labels" / "det_20"
    folder.mkdir()
    (folder / "det_val.json").write_text(json.dumps(frames))
    # The detection images have their own splits.
    frames = [{"name": f"{n}.jpg", "attributes": {"timeofday": "night"}} for n in ("0c-night", "elsewhere")]
    (folder / "det_train.json").write_text(json.dumps(frames))
    dataset = open_dataset("bdd100k_night", tmp_path, "val")
    assert [dataset[i]["name"] for i in range(len(dataset))] == ["0b-night", "0c-night"]
    np.testing.assert_array_equal(dataset[0]["label"], train_ids(label_ids(1)))
    assert "a list night_SPLIT.txt there saves it" in capsys.readouterr().err
    # As the class advises.
    with (tmp_path / "night_val.txt").open("w") as names:
        for picture, _ in dataset.pairs:
            print(picture.name, file=names)
    (folder / "det_train.json").unlink()
    assert open_dataset("bdd100k_night", tmp_path, "val").pairs == dataset.pairs


def test_bdd_night_by_a_list(tmp_path: Path) -> None:
    bdd(tmp_path)
    with pytest.raises(DataError, match=r"expected night_val\.txt .* or labels/det_20/\*\.json .*timeofday"):
        open_dataset("bdd100k_night", tmp_path, "val")
    listed = tmp_path / "night_val.txt"
    listed.write_text("seg/images/val/0c-night.jpg\n\n0b-night\n")
    assert len(open_dataset("bdd100k_night", tmp_path, "val")) == 2
    listed.write_text("0c-night.jpg\n0z-gone.jpg\n")
    with pytest.raises(DataError, match=r"night_val\.txt, line 2: the split has no image 0z-gone"):
        open_dataset("bdd100k_night", tmp_path, "val")


def test_lists_with_a_byte_order_mark_or_of_another_encoding(tmp_path: Path) -> None:
    bdd(tmp_path)
    listed = tmp_path / "night_val.txt"
    listed.write_text("0b-night\n", "utf-8-sig")
    assert len(open_dataset("bdd100k_night", tmp_path, "val")) == 1
    listed.write_text("0b-night\n", "utf-16")
    with pytest.raises(DataError, match=r"night_val\.txt is not UTF-8 text: save it as UTF-8"):
        open_dataset("bdd100k_night", tmp_path, "val")
    with pytest.raises(DataError, match=r"night_val\.txt is not UTF-8 text: save it as UTF-8"):
        DarkZurichPairs(tmp_path, listed)


def test_bdd_attributes_of_another_form(tmp_path: Path) -> None:
    bdd(tmp_path)
    (tmp_path / "labels" / "bdd100k_labels_images_val.json").write_text('{"frames": []}')
    with pytest.raises(DataError, match=r"images_val\.json: expected a list of frames"):
        open_dataset("bdd100k_night", tmp_path, "val")


def test_dark_zurich_pairs(tmp_path: Path) -> None:
    night, day = "train/night/GOPR0351/GOPR0351_frame_000001", "train/day/GOPR0345/GOPR0345_frame_000081"
    plant(tmp_path, f"rgb_anon/{night}_rgb_anon.png", f"rgb_anon/{day}_rgb_anon.png")
    listed = tmp_path / "pairs.csv"
    listed.write_text(f"{night},{day}\nrgb_anon/{night}_rgb_anon.png, rgb_anon/{day}_rgb_anon.png\n")
    pairs = DarkZurichPairs(tmp_path, listed)
    assert len(pairs) == 2
    np.testing.assert_array_equal(pairs[1]["night"].permute(1, 2, 0), image(0))
    np.testing.assert_array_equal(pairs[1]["day"].permute(1, 2, 0), image(1))
    assert pairs[0]["name"] == "GOPR0351_frame_000001_rgb_anon"
    plant(tmp_path, "rgb_anon/train/day/a.png")
    listed.write_text(f"/{night},/rgb_anon/train/day/a.png\n")
    [(first, second)] = DarkZurichPairs(tmp_path, listed).pairs
    assert first == tmp_path / "rgb_anon" / f"{night}_rgb_anon.png"
    assert second == tmp_path / "rgb_anon/train/day/a.png"
    for text, message in [
        (
            f"{night},{day}\n{night},train/day/none\n",
            r"pairs\.csv, line 2: no image .*day/none_rgb_anon\.png",
        ),
        (f"{night}\n", r"pairs\.csv, line 1: expected night,day, but it is 'train/night"),
        ("\n", "names no pairs"),
    ]:
        listed.write_text(text)
        with pytest.raises(DataError, match=message):
            DarkZurichPairs(tmp_path, listed)
    with pytest.raises(InputError, match=r"none\.csv can't be read: No such file"):
        DarkZurichPairs(tmp_path, tmp_path / "none.csv")


def test_acdc_is_all_conditions_or_the_night(tmp_path: Path) -> None:
    plant(tmp_path, *acdc(parts=("night",)), content="train ids")
    # The reference images of the day are no part of it.
    save(tmp_path / "rgb_anon/night/val_ref/GOPR0351/GOPR0351_frame_000001_rgb_ref_anon.png", image(9))
    assert len(open_dataset("acdc_night", tmp_path, "val")) == 1
    assert DATASETS["acdc"].splits_in(tmp_path) == []
    with pytest.raises(DataError, match=r"no folder rgb_anon/fog/val or .*: .*rgb_anon holds night"):
        open_dataset("acdc", tmp_path, "val")


def error(name: str, root: Path, split: str) -> str:
    with pytest.raises(DataError) as caught:
        open_dataset(name, root, split)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_unknown_names() -> None:
    with pytest.raises(DataError, match="no data set 'camvid': known are folder, nightcity, cityscapes, "):
        open_dataset("camvid", "/nowhere", "train")
    with pytest.raises(DataError, match="no split 'valid': the splits of this data set are train, val, test"):
        open_dataset("cityscapes", "/nowhere", "valid")


def test_wrong_roots(tmp_path: Path) -> None:
    root = tmp_path / "city"
    plant(root, CITY.format("val") + "labelIds.png")
    assert error("cityscapes", tmp_path / "none", "val") == f"no folder {tmp_path / 'none'}"
    for wrong in (tmp_path, root / "leftImg8bit", root / "leftImg8bit" / "val"):
        message = error("cityscapes", wrong, "val")
        assert message == f"no folder leftImg8bit/val in {wrong}: {root} looks like the folder to give"
    message = error("cityscapes", root, "train")
    assert message == f"no folder leftImg8bit/train in {root}: {root / 'leftImg8bit'} holds val"
    message = error("nighttime_driving", root, "test")
    assert message.endswith(f"{root / 'leftImg8bit'} holds val")
    message = error("nightcity", root, "train")
    assert "images/train or NightCity-images/images/train" in message and " or train/img in" in message
    assert message.endswith(f"{root} holds gtFine, leftImg8bit")
    (tmp_path / "empty").mkdir()
    assert error("acdc_night", tmp_path / "empty", "val").endswith("empty holds nothing")


def test_missing_files(tmp_path: Path) -> None:
    names = "abc"
    plant(
        tmp_path, *(f"images/train/{n}.png=label/train/{n}_trainIds.png" for n in names), content="train ids"
    )
    for n in "bc":
        (tmp_path / f"label/train/{n}_trainIds.png").unlink()
    expected = (
        rf"image .*b\.png has no label: expected {tmp_path}/label/train/b_trainIds\.png \(one of 2 such"
    )
    with pytest.raises(DataError, match=expected):
        open_dataset("nightcity", tmp_path, "train")
    save(tmp_path / "label/train/z_trainIds.png", train_ids(label_ids(0)))
    save(tmp_path / "label/train/a_color.png", colours(label_ids(0)))
    files = DATASETS["nightcity"].list_files(tmp_path, "train")
    assert [path.name for path in files.orphans] == ["z_trainIds.png"]
    assert [(a.name, b.name) for a, b in files.missing] == [
        ("b.png", "b_trainIds.png"),
        ("c.png", "c_trainIds.png"),
    ]
    assert [pair[0].name for pair in files.pairs] == ["a.png"]
    for label in (tmp_path / "label/train").iterdir():
        label.unlink()
    assert "expected" in (message := error("nightcity", tmp_path, "train")) and "*_labelIds.png" in message
    (tmp_path / "label/train").rmdir()
    assert (
        f"nor is there *_labelIds.png, *.png, *_color.png, {tmp_path}/NightCity-label/label/train"
        in error("nightcity", tmp_path, "train")
    )
    for picture in (tmp_path / "images/train").iterdir():
        picture.rename(picture.with_suffix(".txt"))
    assert "train holds no images (.bmp, .jpeg" in error("nightcity", tmp_path, "train")


def test_hidden_files_are_left_aside(tmp_path: Path) -> None:
    plant(tmp_path, "images/train/a.png=label/train/a_trainIds.png", content="train ids")
    (tmp_path / "images/train/._a.png").write_bytes(b"macOS")
    (tmp_path / "label/train/._a_trainIds.png").write_bytes(b"macOS")
    assert len(open_dataset("nightcity", tmp_path, "train")) == 1
    plant(tmp_path, "images/train/.ipynb_checkpoints/a.png")
    assert len(open_dataset("nightcity", tmp_path, "train")) == 1
    assert not DATASETS["nightcity"].list_files(tmp_path, "train").orphans
    (tmp_path / "images/.ipynb_checkpoints").mkdir()
    assert DATASETS["folder"].splits_in(tmp_path) == ["train"]


def test_links_to_folders_are_followed_but_not_round(tmp_path: Path) -> None:
    root = tmp_path / ".hidden" / "tree"  # what lies above the root may be hidden
    plant(root, "images/train/a/1.png=labels/train/a/1.png", content="train ids")
    plant(root, "elsewhere/2.png=elsewhere_labels/2.png", content="train ids")
    (root / "images/train/b").symlink_to(root / "elsewhere")
    (root / "labels/train/b").symlink_to(root / "elsewhere_labels")
    (root / "elsewhere/back").symlink_to(root / "images" / "train")
    (root / "images/train/a/self").symlink_to(root / "images" / "train" / "a")
    files = DATASETS["folder"].list_files(root, "train")
    found = [image.relative_to(root / "images" / "train") for image, _ in files.pairs]
    assert found == [Path("a/1.png"), Path("b/2.png")]
    assert not files.missing and not files.orphans


def test_nights_to_score_on_stay_the_same(tmp_path: Path) -> None:
    frame = StreetScene(3).render(48, 64)
    for kind, pixels in (("images", frame.day), ("labels", frame.label)):
        save(tmp_path / kind / "val" / "a.png", pixels)
    day = build_validation(SourceConfig("folder", "", "val"), str(tmp_path))[0]
    dark = SourceConfig("folder", "", "val", night=1.0)
    night, again = (build_validation(dark, str(tmp_path))[0] for _ in range(2))
    assert torch.equal(night["image"], again["image"]) and torch.equal(night["label"], day["label"])
    sky = day["label"] == 10
    assert night["image"][:, sky].float().mean() < 0.5 * day["image"][:, sky].float().mean()
