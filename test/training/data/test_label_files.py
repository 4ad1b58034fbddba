# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Label files of every format, and images and labels that are not whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.image_files import monstrous_png
from helpers.label_files import COLOURS, HEIGHT, LABEL_IDS, WIDTH, colours, image, label_ids, save, train_ids
from PIL import Image

from night_seg_ros.common.files import InputError
from night_seg_ros.training.data.datasets import open_dataset
from night_seg_ros.training.data.label_files import DataError, detect_format, read_label


def palette_image(indices: np.ndarray, palette: np.ndarray) -> Image.Image:
    picture = Image.fromarray(indices, mode="P")
    picture.putpalette(palette.astype(np.uint8).ravel().tolist())
    return picture


def labels_in_every_form() -> dict[str, tuple[str, Image.Image]]:
    ids = label_ids(0)
    train, rgb = train_ids(ids), colours(ids)
    alpha = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 1), np.uint8)
    city = np.array([COLOURS.get(i, (0, 0, 0)) for i in range(34)])
    foreign = np.random.default_rng(1).integers(1, 255, (256, 3))
    return {
        "grey label ids": ("label ids", Image.fromarray(ids)),
        "grey train ids": ("train ids", Image.fromarray(train)),
        "RGB": ("colours", Image.fromarray(rgb)),
        "RGBA": ("colours", Image.fromarray(np.concatenate([rgb, alpha], axis=2))),
        "Cityscapes palette": ("colours", palette_image(ids, city)),
        "quantised colours": ("colours", Image.fromarray(rgb).quantize(64)),
        "grey palette": ("train ids", palette_image(train, np.repeat(np.arange(256)[:, None], 3, axis=1))),
        "foreign palette": ("label ids", palette_image(ids, foreign)),
        "three equal channels": ("train ids", Image.fromarray(np.repeat(train[..., None], 3, axis=2))),
    }


@pytest.mark.parametrize("form", labels_in_every_form())
def test_label_formats(form: str, tmp_path: Path) -> None:
    expected_format, picture = labels_in_every_form()[form]
    path = tmp_path / "a.png"
    picture.save(path)
    label_format = detect_format([path])
    assert label_format == expected_format
    label = read_label(path, label_format)
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, train_ids(label_ids(0)))


def test_a_palette_does_not_make_colours_of_files_called_ids(tmp_path: Path) -> None:
    path = tmp_path / "a_trainIds.png"
    train = train_ids(label_ids(0))
    palette = np.zeros((256, 3))
    palette[:19] = [COLOURS[i] for i in LABEL_IDS]
    palette_image(train, palette).save(path)
    assert detect_format([path]) == "train ids"
    np.testing.assert_array_equal(read_label(path, "train ids"), train)


def test_one_foreign_colour_makes_all_palettes_ids(tmp_path: Path) -> None:
    palette = np.full((256, 3), 255)  # white where nothing is said, and so for 255 = ignored
    palette[:19] = [COLOURS[i] for i in LABEL_IDS]
    whole, partial = np.arange(19, dtype=np.uint8)[None], train_ids(label_ids(0))
    paths = [tmp_path / "whole.png", tmp_path / "partial.png"]
    for path, train in zip(paths, (whole, partial), strict=True):
        palette_image(train, palette).save(path)
    assert detect_format(paths[:1]) == "colours" and detect_format(paths) == "train ids"
    for path, train in zip(paths, (whole, partial), strict=True):
        np.testing.assert_array_equal(read_label(path, "train ids"), train)


def test_road_alone_in_a_grey_palette_is_not_black(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(256)[:, None], 3, axis=1)
    paths = [tmp_path / "road.png", tmp_path / "street.png"]
    for path, train in zip(paths, (np.zeros((4, 4), np.uint8), train_ids(label_ids(0))), strict=True):
        palette_image(train, ramp).save(path)
    assert detect_format(paths) == "train ids"
    assert not read_label(paths[0], "train ids").any()


def test_names_and_values_decide_the_format(tmp_path: Path) -> None:
    low, high = np.full((4, 4), 7, np.uint8), np.full((4, 4), 26, np.uint8)
    ignored = np.full((4, 4), 255, np.uint8)

    def detected(name: str, *pictures: np.ndarray) -> str:
        return detect_format([save(tmp_path / f"{i}{name}.png", p) for i, p in enumerate(pictures)])

    # One file among many settles it for all, and labels without any evidence are train ids.
    assert detected("", *[low] * 20, high) == "label ids"
    assert detected("", low, low) == "train ids"
    assert detected("_gtFine_labelIds", low, low) == "label ids"
    assert detected("_labelTrainIds", low) == detected("_train_id", low, ignored) == "train ids"
    assert detected("", ignored, high) == "label ids"
    for name, pictures, message in [
        ("_trainIds", [low, high], r"1_trainIds\.png holds the label id 26, but its name says train ids"),
        ("_labelIds", [low, ignored], r"1_labelIds\.png holds train ids .*, but its name says label ids"),
        ("_color", [low], r"0_color\.png holds train ids .*, but its name says colours"),
        ("_labelIds", [colours(label_ids(0))], r"0_labelIds\.png holds colours, but its name says label ids"),
        ("", [low, colours(label_ids(0))], r"1\.png holds colours, but label .*0\.png holds ids"),
        ("", [low, np.full((4, 4), 40, np.uint8)], r"1\.png holds 40: neither a label id .* nor a train id"),
    ]:
        with pytest.raises(DataError, match=message):
            detected(name, *pictures)


def test_a_label_of_another_kind_than_the_rest(tmp_path: Path) -> None:
    ids = label_ids(0)
    odd = colours(ids)
    odd[3, 5] = (1, 2, 3)
    grey, rgb = save(tmp_path / "ids.png", ids), save(tmp_path / "rgb.png", colours(ids))
    unknown = save(tmp_path / "odd.png", odd)
    row, column = np.argwhere(ids > 18)[0]
    for path, label_format, message in [
        (
            grey,
            "train ids",
            rf"ids\.png holds {ids[row, column]} at row {row}, column {column}: the train ids",
        ),
        (grey, "colours", r"ids\.png holds ids, but the other labels"),
        (rgb, "label ids", r"rgb\.png holds colours, but the other labels"),
        (
            unknown,
            "colours",
            r"odd\.png holds the colour \(1, 2, 3\) at row 3, column 5: not one of Cityscapes",
        ),
    ]:
        with pytest.raises(DataError, match=message):
            read_label(path, label_format)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"odd\.png holds the colour \(1, 2, 3\) at row 3, column 5"):
        detect_format([unknown])


def test_labels_that_are_no_labels(tmp_path: Path) -> None:
    whole = save(
        tmp_path / "whole.png", np.random.default_rng(0).integers(0, 19, (64, 64), np.uint8)
    ).read_bytes()
    for name, data in [("cut.png", whole[: len(whole) // 2]), ("text.png", b"text")]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=rf"{name} can't be decoded"):
            read_label(tmp_path / name, "train ids")
    deep = save(tmp_path / "deep.png", np.zeros((4, 4), np.uint16))
    with pytest.raises(DataError, match=r"deep\.png is of the mode I;16: expected 8-bit"):
        read_label(deep, "train ids")
    with pytest.raises(InputError, match=r"gone\.png can't be read: No such file"):
        read_label(tmp_path / "gone.png", "train ids")
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match=r"empty\.png is empty"):
        read_label(tmp_path / "empty.png", "train ids")
    (tmp_path / "huge.png").write_bytes(monstrous_png())
    with pytest.raises(InputError, match=r"huge\.png can't be decoded: its header promises a monstrous size"):
        read_label(tmp_path / "huge.png", "train ids")


def test_labels_lie_on_images_as_exif_turns_them(tmp_path: Path) -> None:
    turn = Image.Exif()
    turn[0x0112] = 6  # "turn me a quarter"
    save(tmp_path / "images/train/a.jpg", image(0), exif=turn)
    save(tmp_path / "labels/train/a.png", train_ids(label_ids(0)).T.copy())
    sample = open_dataset("folder", tmp_path, "train")[0]
    assert sample["image"].shape == (3, WIDTH, HEIGHT)
    np.testing.assert_array_equal(sample["label"], train_ids(label_ids(0)).T)
    save(tmp_path / "labels/train/a.png", train_ids(label_ids(0)))
    with pytest.raises(DataError, match=r"of 8x10 and label .* of 10x8 differ in size: .*EXIF orientation"):
        open_dataset("folder", tmp_path, "train")[0]
