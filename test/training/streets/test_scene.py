# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The synthetic street: a day image, a night image and a label map of one scene."""

from __future__ import annotations

import numpy as np
import pytest

from night_seg_ros.models.classes import CLASSES, IGNORE, NUM_CLASSES
from night_seg_ros.training.streets.geometry import GROUND, ON_GROUND, Builder, StreetCamera, paint
from night_seg_ros.training.streets.scene import StreetScene
from night_seg_ros.training.streets.textures import BLURS, PITCH, TILES, atlas

SIZE = (90, 120)


@pytest.fixture(scope="module")
def frames():
    return [StreetScene(seed).render(*SIZE) for seed in range(24)]


def test_shapes_and_types(frames):
    for frame in frames:
        assert frame.day.shape == frame.night.shape == (*SIZE, 3)
        assert frame.label.shape == SIZE
        assert frame.day.dtype == frame.night.dtype == frame.label.dtype == np.uint8
        assert set(np.unique(frame.label)) <= {*range(NUM_CLASSES), IGNORE}


def test_every_class_turns_up(frames):
    share = np.zeros(256)
    for frame in frames:
        share[np.unique(frame.label)] += 1
    missing = [name for index, name in enumerate(CLASSES) if share[index] < 3]
    assert not missing, f"in fewer than 3 of {len(frames)} scenes: {missing}"


def test_night_is_darker_than_day_with_black_and_white_pixels(frames):
    for frame in frames:
        assert frame.night.mean() < frame.day.mean()
    assert np.median([frame.night.mean() / frame.day.mean() for frame in frames]) < 0.7
    value = np.stack([frame.night.max(axis=2) for frame in frames]) / 255
    assert (value < 0.1).mean() > 0.1
    assert (value > 0.9).mean() > 0.003
    lit = [(v > 0.9).any() and (v < 0.1).any() for v in value]
    assert np.mean(lit) > 0.7


def test_label_fits_both_images(frames):
    """The edges of the label map are edges of the day image more often than other pixels are."""
    sharper = []
    for frame in frames:
        edge = np.abs(np.diff(frame.label.astype(int), axis=1)) > 0
        step = np.abs(np.diff(frame.day.astype(int), axis=1)).max(axis=2)
        sharper.append(step[edge].mean() / step[~edge].mean())
    assert np.median(sharper) > 2


def test_the_same_seed_gives_the_same_frame():
    first, again = (StreetScene(3).render(*SIZE, time=1.5) for _ in range(2))
    other = StreetScene(4).render(*SIZE, time=1.5)
    for name in ("day", "night", "label"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))


def test_one_image_alone_shows_the_same_scene():
    both = StreetScene(5).render(*SIZE)
    day = StreetScene(5).render(*SIZE, night=False)
    night = StreetScene(5).render(*SIZE, day=False)
    assert day.night is None and night.day is None
    assert np.array_equal(day.day, both.day)
    assert np.array_equal(night.night, both.night)
    assert np.array_equal(day.label, both.label) and np.array_equal(night.label, both.label)


def test_a_drive_moves_smoothly():
    scene = StreetScene(8)
    start, soon, later = (scene.render(*SIZE, time=t) for t in (0.0, 0.1, 3.0))
    assert not np.array_equal(start.day, soon.day)
    near, far = ((start.label != frame.label).mean() for frame in (soon, later))
    assert 0 < near < far
    assert near < 0.2


def test_a_long_drive_does_not_end():
    frame = StreetScene(2).render(*SIZE, time=3600.0)
    assert len(np.unique(frame.label)) > 6


@pytest.mark.parametrize("size", [(32, 32), (37, 51), (33, 160), (121, 45)])
def test_odd_sizes(size):
    for seed in (0, 7):
        frame = StreetScene(seed).render(*size)
        assert frame.day.shape == frame.night.shape == (*size, 3)
        assert frame.label.shape == size


def test_the_same_view_at_two_sizes():
    small, large = (StreetScene(1).render(*size).label for size in ((60, 80), (240, 320)))
    assert (large[2::4, 2::4] == small).mean() > 0.85


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="32 x 32"):
        StreetScene(0).render(20, 200)
    with pytest.raises(ValueError, match="seed"):
        StreetScene(-1)


def test_projection_of_a_square_on_the_road():
    """Corners of a painted square lie where the pinhole formula puts them."""
    camera = StreetCamera(x=0, height=1.4, z=0, pitch=0, focal=100, width=200, rows=120, bend=0, slope=0)
    builder = Builder()
    builder.place(layer=GROUND)
    builder.face([(-1, 0, 7), (-1, 0, 14), (1, 0, 14), (1, 0, 7)], 0, (1, 1, 1), on=ON_GROUND)
    ids = paint(builder, camera, sky_label=10).ids
    rows, columns = np.nonzero(ids)
    assert abs(rows.max() - (59.5 + 100 * 1.4 / 7)) <= 1
    assert abs(rows.min() - (59.5 + 100 * 1.4 / 14)) <= 1
    bottom = columns[rows == rows.max()]
    assert abs(bottom.min() - (99.5 - 100 / 7)) <= 1.5 and abs(bottom.max() - (99.5 + 100 / 7)) <= 1.5


def test_nearer_things_cover_farther_ones_and_holes_show_what_is_behind():
    camera = StreetCamera(x=0, height=1.0, z=0, pitch=0, focal=100, width=100, rows=100, bend=0, slope=0)
    builder = Builder()
    for key, label, porous in ((5, 7, True), (9, 2, False)):  # the nearer one comes first
        builder.place(0, key, key=key)
        builder.face([(-1, 0, 0), (-1, 2, 0), (1, 2, 0), (1, 0, 0)], label, (1, 1, 1), porous=porous)
    faces = paint(builder, camera, sky_label=10)
    assert faces.label[faces.ids[50, 50]] == 7
    assert faces.label[faces.behind[50, 50]] == 2


def test_tiles_are_seamless():
    picture = atlas()
    assert picture.surface.shape == (len(BLURS) * PITCH, TILES * PITCH, 4)
    for index in range(TILES):
        tile = picture.surface[:PITCH, index * PITCH : (index + 1) * PITCH]
        assert np.array_equal(tile[:, 0], tile[:, -2]) and np.array_equal(tile[0], tile[-2])
