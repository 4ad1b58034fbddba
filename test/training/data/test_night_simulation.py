# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The simulation of night on labelled day images."""

from __future__ import annotations

import numpy as np
import pytest

from night_seg_ros.models.classes import CLASSES
from night_seg_ros.training.data.night_simulation import NightSimulation

SKY, ROAD, BUILDING, CAR = (CLASSES.index(name) for name in ("sky", "road", "building", "car"))


def day_scene(height: int = 96, width: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """A bright sky, two rows of houses, a grey road and two cars."""
    label = np.full((height, width), BUILDING, np.uint8)
    label[: height // 3, width // 4 : -width // 4] = SKY
    label[height // 2 :] = ROAD
    label[height // 2 : height * 2 // 3, width // 8 : width // 3] = CAR
    label[height // 2 : height * 2 // 3, width * 5 // 8 : width * 7 // 8] = CAR
    label[:4] = 255
    tones = np.zeros((256, 3), np.uint8)
    tones[[SKY, ROAD, BUILDING, CAR, 255]] = (
        (225, 235, 245),
        (120, 120, 122),
        (150, 120, 100),
        (160, 30, 30),
        (9, 9, 9),
    )
    grain = np.random.default_rng(0).integers(0, 20, (height, width, 1))
    return np.clip(tones[label].astype(int) + grain, 0, 255).astype(np.uint8), label


@pytest.mark.parametrize("dusk", [0.0, 1.0])
@pytest.mark.parametrize("size", [(96, 128), (33, 47), (75, 200)])
def test_the_street_gets_dark_and_nothing_else_changes(dusk, size):
    image, label = day_scene(*size)
    image_before, label_before = image.copy(), label.copy()
    simulation = NightSimulation(dusk=dusk)
    for seed in range(6):
        dark = simulation(image, label, np.random.default_rng(seed))
        assert dark.shape == image.shape and dark.dtype == np.uint8
        assert dark[label == BUILDING].mean() < 0.7 * image[label == BUILDING].mean()
    assert np.array_equal(image, image_before) and np.array_equal(label, label_before)


def test_the_same_generator_state_gives_the_same_image():
    image, label = day_scene()
    first, again, other = (NightSimulation()(image, label, np.random.default_rng(s)) for s in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_dusk_keeps_a_bright_sky_over_a_dark_street_and_night_does_not():
    image, label = day_scene()
    skies = {}
    for dusk in (0.0, 1.0):
        pictures = [NightSimulation(dusk=dusk)(image, label, np.random.default_rng(s)) for s in range(12)]
        skies[dusk] = np.median([p[10:28, 40:88].mean() for p in pictures])
        street = np.median([p[label == ROAD].mean() for p in pictures])
        assert street < 90
    assert skies[1.0] > 90
    assert skies[0.0] < 60


def test_night_has_black_and_saturated_pixels():
    image, label = day_scene()
    value = np.stack(
        [NightSimulation(dusk=0.0)(image, label, np.random.default_rng(s)) for s in range(10)]
    ).max(axis=3)
    assert (value < 26).mean() > 0.1
    assert (value > 229).mean() > 0.002


def test_labels_without_ground_sky_or_cars_work():
    image, _ = day_scene()
    for value in (255, BUILDING, SKY, ROAD, CAR):
        label = np.full(image.shape[:2], value, np.uint8)
        for seed in range(4):
            assert NightSimulation()(image, label, np.random.default_rng(seed)).shape == image.shape


@pytest.mark.parametrize(
    ("image", "label", "words"),
    [
        (np.zeros((40, 50), np.uint8), np.zeros((40, 50), np.uint8), r"image must be \(H, W, 3\)"),
        (np.zeros((40, 50, 3), np.float32), np.zeros((40, 50), np.uint8), "float32"),
        (np.zeros((40, 50, 3), np.uint8), np.zeros((50, 40), np.uint8), r"label must be \(40, 50\)"),
        (np.zeros((40, 50, 3), np.uint8), np.zeros((40, 50), np.int64), "int64"),
    ],
)
def test_bad_input_is_named(image, label, words):
    with pytest.raises(ValueError, match=words):
        NightSimulation()(image, label, np.random.default_rng(0))


def test_a_share_of_dusk_outside_0_to_1_is_refused():
    with pytest.raises(ValueError, match="0 to 1"):
        NightSimulation(dusk=1.5)
