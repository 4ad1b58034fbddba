# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Light, lens and sensor of a camera at night.

All light is linear: 1.0 is what just saturates the sensor. Camera axes: x right, y up, z forward, in metres,
the camera at 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np


def f32(values: object) -> np.ndarray:
    """An array of float32."""
    return np.array(values, np.float32)


SODIUM = (1.0, 0.55, 0.16)
WARM_LED = (1.0, 0.80, 0.55)
COOL_LED = (0.86, 0.95, 1.0)
LAMP_COLOURS = np.array([SODIUM, (1.0, 0.66, 0.27), WARM_LED, COOL_LED], np.float32)
HEADLIGHT = (1.0, 0.95, 0.85)
TAIL_LIGHT = (1.0, 0.05, 0.03)

_steps = np.arange(256) / 255
TO_LINEAR = np.where(_steps <= 0.04045, _steps / 12.92, ((_steps + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""sRGB value 0..255 -> linear light 0..1, float32, shape (256,)."""


@dataclass(frozen=True)
class Lights:
    """N lamps: `position`, `colour` (its brightness included) and `direction` are (N, 3), `tightness` is
    (N,).

    A lamp shines with cos(angle to its direction) ** tightness; tightness 0 shines all round.
    """

    position: np.ndarray
    colour: np.ndarray
    direction: np.ndarray
    tightness: np.ndarray

    @staticmethod
    def of(lamps: list[tuple]) -> Lights:
        """From a list of (position, colour, direction, tightness)."""
        columns = list(zip(*lamps, strict=True)) if lamps else [(), (), (), ()]
        shapes = ((-1, 3), (-1, 3), (-1, 3), (-1,))
        return Lights(*(np.array(c, np.float32).reshape(s) for c, s in zip(columns, shapes, strict=True)))


def irradiance(points: np.ndarray, normals: np.ndarray | None, lights: Lights) -> np.ndarray:
    """The light that falls on surface points.

    points: (3, H, W) float32 metres. normals: the same shape, or None for surfaces that face every lamp half.
    Returns (H, W, 3) float32, linear.
    """
    total = np.zeros((*points.shape[1:], 3), np.float32)
    for position, colour, direction, tightness in zip(
        lights.position, lights.colour, lights.direction, lights.tightness, strict=True
    ):
        x, y, z = (points[i] - position[i] for i in range(3))
        inverse = 1 / (x * x + y * y + z * z + 0.6)
        root = np.sqrt(inverse)
        amount = inverse
        if tightness > 0:
            cosine = np.maximum((x * direction[0] + y * direction[1] + z * direction[2]) * root, 0)
            amount = amount * (cosine if tightness == 1 else np.power(cosine, tightness))
        if normals is None:
            amount = amount * 0.5
        else:
            facing = -(x * normals[0] + y * normals[1] + z * normals[2]) * root
            amount = amount * np.maximum(facing, 0.04)
        for channel in range(3):
            total[..., channel] += amount * colour[channel]
    return total


def headlight_beam(points: np.ndarray, strength: float, cutoff: float = 0.012) -> np.ndarray:
    """The ego car's low beam on points (3, H, W): (H, W) float32; below the cut-off (a slope) it is
    bright."""
    x, y, z = points
    z = np.maximum(z, 0.5)
    side, up = x / z, (y + 0.7) / z  # the lamps sit about 0.7 m under the camera
    shape = np.exp(-((side / 0.45) ** 2)) * (0.06 + 0.94 / (1 + np.exp(np.minimum((up + cutoff) * 90, 50))))
    return (strength * 40) * shape / (z * z + 25) * np.minimum(1, 0.25 + z / 12)


def bloom(linear: np.ndarray, strength: float, streak: float | None = None) -> np.ndarray:
    """Add, in place, the glow that lens and air spread around what is brighter than white; returns `linear`.

    linear: (H, W, 3) float32. streak: direction in radians of the flare that a wiped windscreen draws, or
    None.
    """
    height, width = linear.shape[:2]
    size = (max(width // 4, 1), max(height // 4, 1))
    bright = cv2.resize(linear, size, interpolation=cv2.INTER_AREA)
    bright = np.minimum(np.maximum(bright - 0.7, 0), 60)
    unit = width / 480
    glow = 0.45 * cv2.GaussianBlur(bright, (0, 0), max(0.9 * unit, 0.5))
    small = cv2.resize(bright, (max(size[0] // 3, 1), max(size[1] // 3, 1)), interpolation=cv2.INTER_AREA)
    wide = 0.22 * cv2.GaussianBlur(small, (0, 0), max(1.3 * unit, 0.5))
    wide += 0.12 * cv2.GaussianBlur(small, (0, 0), max(4.5 * unit, 0.8))
    if streak is not None:
        reach = max(int(9 * unit), 2)
        kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
        for t in np.linspace(-1, 1, 6 * reach):
            column, row = (
                int(round(reach * (1 + t * np.cos(streak)))),
                int(round(reach * (1 - t * np.sin(streak)))),
            )
            kernel[row, column] += (1 - abs(t)) ** 2
        wide += 0.3 * cv2.filter2D(np.minimum(small, 15), -1, kernel / kernel.sum())
    glow += cv2.resize(wide, size, interpolation=cv2.INTER_LINEAR)
    glow *= strength
    linear += cv2.resize(glow, (width, height), interpolation=cv2.INTER_LINEAR)
    return linear


@lru_cache(maxsize=1)
def _noise_bank() -> np.ndarray:
    return np.random.default_rng(7).standard_normal((1024, 1024, 3), np.float32)


def noise_field(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Normal noise (height, width, 3) float32 cut at random from a fixed bank (drawing it anew is slow)."""
    bank = _noise_bank()
    if height > 1024 or width > 1024:
        bank = np.tile(bank, (-(-height // 1024) + 1, -(-width // 1024) + 1, 1))
    row = int(rng.integers(0, bank.shape[0] - height + 1))
    column = int(rng.integers(0, bank.shape[1] - width + 1))
    return bank[row : row + height, column : column + width]


def clouds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Soft cloud pattern (height, width) float32, about -2..2, drawn out sideways like clouds near the
    horizon."""
    field = np.zeros((height, width), np.float32)
    for rows, columns, weight in ((3, 3, 0.8), (7, 5, 0.6), (16, 10, 0.4), (40, 24, 0.2)):
        patch = np.ascontiguousarray(noise_field(rng, rows, columns)[..., 0])
        field += weight * cv2.resize(patch, (width, height), interpolation=cv2.INTER_CUBIC)
    return field


def vignette(height: int, width: int, strength: float) -> np.ndarray:
    """Fall-off of light towards the corners, (height, width, 1) float32, 1 in the middle."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    return 1 - np.float32(strength * 0.5) * (x * x + y * y)


def exposure(linear: np.ndarray, aim: float) -> np.float32:
    """Exposure control: the gain (0.1 to 2.5) that brings the mean of sqrt(light), saturated at 1, near the
    aim (0..1)."""
    light = linear[4::8, 4::8].max(axis=2)
    gain = 1.0
    for _ in range(3):
        mean = float(np.sqrt(np.minimum(light * gain, 1)).mean())
        gain = float(np.clip(gain * (aim / max(mean, 1e-3)) ** 2, 0.1, 2.5))
    return np.float32(gain)


@lru_cache(maxsize=64)
def _curve(contrast: int) -> np.ndarray:
    """uint8 table from sqrt(linear) * 182 (room for 1.4) to the output value: gamma, knee and a toe."""
    root = np.arange(256) / 182
    knee = np.where(root < 0.8, root, 0.8 + 0.2 * (1 - np.exp(-(root - 0.8) / 0.2)))
    value = knee ** (2 / 2.2)
    toe = value + contrast / 100 * (value * value * (3 - 2 * value) - value)
    return np.clip(toe * 255 * 1.012, 0, 255).round().astype(np.uint8)


def develop(linear: np.ndarray, rng: np.random.Generator, noise: float, contrast: float = 0.0) -> np.ndarray:
    """Sensor and development: shot noise, read noise, saturation, gamma.

    linear: (H, W, 3) float32, 1.0 = saturated; it is used as scratch. noise: about 0 (day) to 0.06 (high
    gain). contrast: 0..1, how much of an S-curve. Returns (H, W, 3) uint8.
    """
    height, width = linear.shape[:2]
    np.maximum(linear, 0, out=linear)
    # The noise of photon counts is constant after a square root, which is also nearly the gamma of a camera.
    root = np.sqrt(linear, out=linear)
    if noise > 0:
        root += np.float32(0.6 * noise) * noise_field(rng, height, width)
        blotch = noise_field(rng, (height + 1) // 2, (width + 1) // 2)
        root += cv2.resize(blotch, (width, height), interpolation=cv2.INTER_LINEAR) * np.float32(0.7 * noise)
    root *= 182
    return cv2.LUT(np.clip(root, 0, 255, out=root).astype(np.uint8), _curve(int(round(contrast * 100))))
