# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Which image each sample is, class balance, and the strength of the augmentation."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from night_seg_ros.models.classes import IMAGENET_MEAN, IMAGENET_STD
from night_seg_ros.training.data.class_counts import class_counts
from night_seg_ros.training.data.datasets import DataError, open_dataset
from night_seg_ros.training.data.enhancement import enhance
from night_seg_ros.training.data.sampling import ClassLane, Draw, EpochLane, Schedule
from night_seg_ros.training.data.stream import AugmentationConfig, DataConfig, SourceConfig, TrainingStream

RIDER = 12


def test_one_source_goes_by_epochs() -> None:
    schedule = Schedule(5, [EpochLane(0, 70)], [0.2])
    # From the last to the first: no sample needs those before it.
    images = [schedule.draw(i).image for i in reversed(range(7000))][::-1]
    epochs = [tuple(images[i : i + 70]) for i in range(0, 7000, 70)]
    assert all(sorted(epoch) == list(range(70)) for epoch in epochs)
    assert len(set(epochs)) == 100
    assert images != [Schedule(6, [EpochLane(0, 70)], [0.2]).draw(i).image for i in range(7000)]


def test_every_source_has_its_share_and_its_own_epochs() -> None:
    lengths, weights = [30, 1, 700], [1.0, 0.001, 3.3]
    schedule = Schedule(1, [EpochLane(i, n) for i, n in enumerate(lengths)], weights)
    draws = [schedule.draw(i) for i in range(5000)]
    for start in range(0, 5000, 1000):
        counts = Counter(draw.source for draw in draws[start : start + 1000])
        assert counts == {0: 232, 1: 1, 2: 767}  # 1000 / 4.301 = 232.5, 0.2 and 767.3
    for source, length in enumerate(lengths):
        images = [draw.image for draw in draws if draw.source == source]
        epochs = [images[i : i + length] for i in range(0, len(images) - length + 1, length)]
        assert len(epochs) > 1 and all(sorted(epoch) == list(range(length)) for epoch in epochs)
    orders = [[draw.source for draw in draws[start : start + 1000]] for start in (0, 1000)]
    assert orders[0] != orders[1]


def test_classes_take_turns() -> None:
    images = {3: np.array([0, 4, 5, 9]), 7: np.array([2]), 12: np.array([4, 8])}
    lane = ClassLane(1, images)
    draws = [lane.draw(i, (0,)) for i in range(24)]
    for start in range(0, 24, 3):
        assert {draw.wanted for draw in draws[start : start + 3]} == set(images)
    for wanted, shown in images.items():
        drawn = [draw.image for draw in draws if draw.wanted == wanted]
        for start in range(0, 8, len(shown)):
            assert sorted(drawn[start : start + len(shown)]) == shown.tolist()
    assert isinstance(draws[0], Draw) and draws[0].source == 1


@pytest.fixture(scope="module")
def rare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images of road; the corner of one shows a rider. Another has a single pixel of a bus."""
    root = tmp_path_factory.mktemp("rare")
    for kind in ("images", "labels"):
        (root / kind / "train").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(12):
        label = np.zeros((128, 128), np.uint8)
        if i == 3:
            label[:24, :24] = RIDER
        if i == 5:
            label[64, 64] = 15
        label[127] = 255
        cv2.imwrite(str(root / "images" / "train" / f"{i:02}.png"), rng.integers(0, 256, (128, 128, 3)))
        cv2.imwrite(str(root / "labels" / "train" / f"{i:02}.png"), label)
    return root


def stream(root: Path, cache: Path, **changes: object) -> TrainingStream:
    source = {"dataset": "folder", "root": str(root), "split": "train"}
    config: dict[str, object] = {"crop": (96, 96), "scale": (1.0, 1.0), "canvas": (128, 128)}
    config |= {"augmentation": AugmentationConfig(0.0, 0.0)}
    for key, value in changes.items():
        (source if key in SourceConfig.__dataclass_fields__ else config)[key] = value
    data = DataConfig(
        root="", train=[SourceConfig(**source)], validation=[], batch_size=2, workers=0, **config
    )
    return TrainingStream(data, 1, cache)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_rare_classes_get_their_share(rare: Path, tmp_path: Path, share: float) -> None:
    """Road and rider are the classes: the bus is too small. So half of the balanced samples want a rider."""
    samples = stream(rare, tmp_path, class_balanced=share)
    drawn = [samples.schedule.draw(i) for i in range(1000)]
    assert sum(draw.wanted == RIDER for draw in drawn) == 500 * share
    assert {draw.wanted for draw in drawn} == ({None} if share < 1 else set()) | (
        {0, RIDER} if share else set()
    )
    rides = [i for i, draw in enumerate(drawn) if draw.wanted == RIDER][:60]
    # A crop holds some of the corner with a probability of (24 / 33)^2; ten crops miss it one time in 1,800.
    held = [bool((samples[i]["label"] == RIDER).any()) for i in rides]
    assert sum(held) >= len(rides) - 1


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One dark image of 64x128, whose label is road to the left and sky to the right."""
    root = tmp_path_factory.mktemp("wide")
    for kind in ("images", "labels"):
        (root / kind / "train").mkdir(parents=True)
    image = np.random.default_rng(0).integers(0, 90, (64, 128, 3), np.uint8)
    label = np.repeat(np.where(np.arange(128) < 64, 0, 10), 64).reshape(128, 64).T.astype(np.uint8)
    cv2.imwrite(str(root / "images" / "train" / "a.png"), cv2.GaussianBlur(image, (9, 9), 0))
    cv2.imwrite(str(root / "labels" / "train" / "a.png"), label)
    return root


@pytest.mark.parametrize(("resize", "width"), [("exact", 25), ("fit", 25), ("exact", 50), ("fit", 50)])
def test_an_image_fits_the_canvas_or_is_stretched_to_it(
    wide: Path, tmp_path: Path, resize: str, width: int
) -> None:
    """Of a canvas of 50 x W, an image twice as wide as high fills W / 2 rows, or all of it."""
    sizes = {"canvas": (50, width), "crop": (50, width)}
    samples = stream(wide, tmp_path, resize=resize, **sizes)
    for number in range(8):
        label = samples[number]["label"]
        rows = (label != 255).any(dim=1)
        # RandomCrop pads what is too low by the difference on either side, and cuts at random.
        assert rows.all() if resize == "exact" else 0 < rows.sum() <= round(width / 2)
        inside = label[rows]
        assert abs(int((inside == 0).sum(dim=1).max()) - width / 2) <= 1 and (inside != 255).all()


def test_stretched_sides_get_the_same_random_factor(wide: Path, tmp_path: Path) -> None:
    samples = stream(wide, tmp_path, resize="exact", canvas=(20, 30), scale=(0.5, 2.0), crop=(64, 64))
    sizes = set()
    for number in range(20):
        torch.manual_seed(number)
        sample = samples.datasets[0][0][0]
        image, label = samples._scale(sample["image"], sample["label"])
        assert image.shape[1:] == label.shape
        height, width = label.shape
        assert abs(height / 20 - width / 30) <= 0.5 / 20 + 0.5 / 30 and 10 <= height <= 40
        sizes.add(height)
    assert len(sizes) > 10


def test_an_enhanced_source(wide: Path, tmp_path: Path) -> None:
    dataset = open_dataset("folder", wide, "train")
    expected = enhance(dataset[0]["image"].as_subclass(torch.Tensor), "clahe")
    whole = {"canvas": (64, 128), "crop": (64, 128)}
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    plain, samples = stream(wide, tmp_path, **whole), stream(wide, tmp_path, enhancement="clahe", **whole)
    for number in range(4):
        image = (samples[number]["image"] * std + mean) * 255
        mirrored = bool(samples[number]["label"][0, 0] == 10)
        torch.testing.assert_close(
            image, (expected.flip(-1) if mirrored else expected).float(), atol=1e-3, rtol=0
        )
        assert samples[number]["image"].mean() > plain[number]["image"].mean() + 0.1
        assert torch.equal(samples[number]["label"], plain[number]["label"])


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_weights_are_finite_and_not_negative(rare: Path, tmp_path: Path, weight: float) -> None:
    with pytest.raises(
        DataError, match=f"the weight of folder is {re.escape(str(weight))}: give a finite number"
    ):
        stream(rare, tmp_path, weight=weight)


def test_a_balanced_source_without_any_class(tmp_path: Path) -> None:
    for kind, grey in (("images", 0), ("labels", 255)):
        (tmp_path / kind / "train").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / kind / "train" / "a.png"), np.full((8, 8), grey, np.uint8))
    with pytest.raises(DataError, match=rf"every pixel of folder, split 'train', in '{tmp_path}' is ignored"):
        stream(tmp_path, tmp_path, class_balanced=0.5)


def test_class_counts_are_kept_for_the_same_files(rare: Path, tmp_path: Path) -> None:
    dataset = open_dataset("folder", rare, "train")
    cache = tmp_path / "counts.json"
    expected = np.zeros((12, 19), np.int64)
    expected[:, 0] = 127 * 128
    expected[3, [0, RIDER]] = 127 * 128 - 576, 576
    expected[5, [0, 15]] = 127 * 128 - 1, 1
    np.testing.assert_array_equal(class_counts(dataset, cache, workers=1), expected)

    label = rare / "labels" / "train" / "00.png"
    before, times = label.read_bytes(), label.stat()
    try:
        label.write_bytes(b"\0" * len(before))
        os.utime(label, ns=(times.st_atime_ns, times.st_mtime_ns))
        np.testing.assert_array_equal(class_counts(dataset, cache, workers=0), expected)  # nothing was read
        cv2.imwrite(str(label), np.ones((128, 128), np.uint8))
        expected[0] = np.eye(19)[1] * 128 * 128
        np.testing.assert_array_equal(class_counts(dataset, cache, workers=0), expected)
    finally:
        label.write_bytes(before)


@pytest.mark.parametrize("damaged", ["", "{}", "[]", '{"files": FILES, "counts": [[1, 2], [3]]}', "\xff"])
def test_damaged_class_counts_are_counted_anew(rare: Path, tmp_path: Path, damaged: str) -> None:
    dataset = open_dataset("folder", rare, "train")
    cache = tmp_path / "counts.json"
    counts = class_counts(dataset, cache, workers=0)
    good = cache.read_bytes()
    cache.write_text(damaged.replace("FILES", json.dumps(json.loads(good)["files"])), "latin-1")
    np.testing.assert_array_equal(class_counts(dataset, cache, workers=0), counts)
    assert cache.read_bytes() == good


def test_without_augmentation_images_stay_as_they_are(rare: Path, tmp_path: Path) -> None:
    plain = stream(rare, tmp_path, crop=(128, 128))
    changed = stream(rare, tmp_path, crop=(128, 128), augmentation=AugmentationConfig(0.4, 0.2))
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    dataset = open_dataset("folder", rare, "train")
    differ = 0
    for i in range(12):
        original = dataset[plain.schedule.draw(i).image]["image"].as_subclass(torch.Tensor)
        found = ((plain[i]["image"] * std + mean) * 255).round()
        assert torch.equal(found, original) or torch.equal(found, original.flip(-1))
        differ += not torch.allclose(plain[i]["image"], changed[i]["image"], atol=1e-3)
    assert 6 <= differ <= 12


@pytest.mark.parametrize(
    "canvas, scale, expected",
    [((64, 256), 1.0, (64, 64)), ((256, 64), 1.0, (64, 64)), ((128, 256), 0.75, (96, 96))],
)
def test_images_are_scaled_to_fit_the_canvas(
    rare: Path, tmp_path: Path, canvas: tuple[int, int], scale: float, expected: tuple[int, int]
) -> None:
    samples = stream(rare, tmp_path, canvas=canvas, scale=(scale, scale), crop=(128, 128))
    label = samples[0]["label"]
    rows, columns = (label != 255).nonzero(as_tuple=True)
    # The last line of these labels is ignored; scaling may keep it or drop it.
    found = (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1)
    assert found[1] == expected[1] and expected[0] - 1 <= found[0] <= expected[0]


def test_synthetic_scenes_have_the_size_of_the_canvas(tmp_path: Path) -> None:
    samples = stream(Path(), tmp_path, dataset="synthetic", canvas=(64, 96), crop=(64, 96), night=1.0)
    assert [dataset[3]["image"].shape for dataset in samples.datasets[0]] == [(3, 64, 96)] * 2
