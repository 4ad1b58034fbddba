# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Light, lens and sensor of a camera at night."""

from __future__ import annotations

import numpy as np

from night_seg_ros.training.streets.optics import TO_LINEAR, Lights, bloom, develop, irradiance, noise_field


def test_irradiance_against_the_formula():
    lamp_height, power = 6.0, 30.0
    lights = Lights.of([((0.0, lamp_height, 10.0), (power, 0.5 * power, 0.0), (0, -1, 0), 2.0)])
    points = np.zeros((3, 1, 2), np.float32)  # two spots on the ground: under the lamp and 8 m aside
    points[2] = 10
    points[0, 0, 1] = 8
    normals = np.zeros_like(points)
    normals[1] = 1
    light = irradiance(points, normals, lights)
    for index, aside in enumerate((0.0, 8.0)):
        square = aside**2 + lamp_height**2 + 0.6
        cosine = lamp_height / np.sqrt(square)
        expected = power / square * cosine**2 * cosine
        np.testing.assert_allclose(light[0, index], (expected, expected / 2, 0), rtol=1e-5)


def test_no_lamps_give_no_light():
    assert not irradiance(np.ones((3, 2, 2), np.float32), None, Lights.of([])).any()


def test_bloom_spreads_light_of_lamps_only():
    dim = np.full((60, 80, 3), 0.5, np.float32)
    assert np.array_equal(bloom(dim.copy(), 1.0), dim)
    lamp = dim.copy()
    lamp[28:32, 38:42] = 40
    glowing = bloom(lamp.copy(), 1.0)
    assert (glowing >= lamp - 1e-5).all()
    assert glowing[30, 50, 0] > dim[30, 50, 0] + 0.02


def test_develop_is_gamma_plus_noise():
    steps = np.array([0, 60, 120, 180, 220])
    flat = np.repeat(TO_LINEAR[steps][None, :, None], 3, axis=2)
    shown = develop(flat.copy(), np.random.default_rng(0), noise=0.0)
    assert np.abs(shown[0, :, 0].astype(int) - steps).max() < 16
    assert (np.diff(shown[0, :, 0].astype(int)) > 0).all()
    grey = np.full((64, 64, 3), 0.2, np.float32)
    quiet, noisy = (develop(grey.copy(), np.random.default_rng(0), noise=n) for n in (0.01, 0.05))
    assert 2 < noisy.std() / quiet.std() < 8


def test_noise_field_covers_images_larger_than_its_bank():
    field = noise_field(np.random.default_rng(0), 1100, 1300)
    assert field.shape == (1100, 1300, 3)
    assert abs(field.std() - 1) < 0.02
