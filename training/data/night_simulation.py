# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Turns a labelled day image into dusk or night."""

from __future__ import annotations

import cv2
import numpy as np

from night_seg_ros.models.classes import CLASSES
from night_seg_ros.training.streets.optics import (
    HEADLIGHT,
    LAMP_COLOURS,
    TAIL_LIGHT,
    TO_LINEAR,
    Lights,
    bloom,
    clouds,
    develop,
    exposure,
    f32,
    headlight_beam,
    irradiance,
    vignette,
)

_ROAD, _BUILDING, _LIGHT, _SIGN, _VEGETATION, _SKY = (
    CLASSES.index(name) for name in ("road", "building", "traffic light", "traffic sign", "vegetation", "sky")
)
_VEHICLES = [CLASSES.index(name) for name in ("car", "truck", "bus")]
_GROUND_TABLE = np.zeros(256, bool)
_GROUND_TABLE[[CLASSES.index(name) for name in ("road", "sidewalk", "terrain")]] = True
_VEHICLE_TABLE = np.zeros(256, np.uint8)
_VEHICLE_TABLE[_VEHICLES] = 1


class NightSimulation:
    """Turns a labelled real day image into a dusk or night one. Labels stay as they are.

    dusk: share of calls that give dusk (a bright sky over a dark street, few lamps); the others give night.

    Call: `simulation(image, label, rng)`, image (H, W, 3) uint8 RGB, label (H, W) uint8 train ids (255 =
    unknown); returns a new (H, W, 3) uint8 RGB image. The same generator state gives the same image. Raises
    ValueError on a wrong shape or dtype.
    """

    def __init__(self, dusk: float = 0.5) -> None:
        if not 0 <= dusk <= 1:
            raise ValueError(f"dusk is the share of dusk images, 0 to 1, not {dusk}")
        self.dusk = dusk

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"image must be (H, W, 3) uint8 RGB, not {image.shape} {image.dtype}")
        if label.shape != image.shape[:2] or label.dtype != np.uint8:
            raise ValueError(
                f"label must be {image.shape[:2]} uint8 train ids, not {label.shape} {label.dtype}"
            )
        height, width = label.shape
        dusk = bool(rng.random() < self.dusk)
        darkness = float(rng.random())  # 0 early dusk or lit night, 1 the darkest of its kind

        linear = TO_LINEAR[image]
        value = image.max(axis=2)
        self._flatten(linear, value, float(rng.uniform(0, 0.5)))
        self._desaturate(linear, float(rng.uniform(0.1, 0.55)))

        tint = f32((1, 1, 1)) + np.float32(rng.uniform(0, 1)) * f32((-0.22, 0.0, 0.16))
        if dusk:
            ambient = tint * np.float32(np.exp(np.log(0.3) * (1 - darkness) + np.log(0.035) * darkness))
        else:
            ambient = tint * np.float32(np.exp(np.log(0.05) * (1 - darkness) + np.log(0.002) * darkness))
        lamp_tone = LAMP_COLOURS[rng.integers(len(LAMP_COLOURS))] * rng.uniform(0.85, 1.1, 3).astype(
            np.float32
        )
        light, lamps = self._lighting(label, ambient, lamp_tone, dusk, rng)
        linear *= cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)

        self._windows(linear, label, value, dusk, rng)
        self._sky(linear, label, value, dusk, lamp_tone, rng)
        self._vehicle_lamps(linear, label, dusk, rng)
        self._signals(linear, label, image)
        for x, y, radius in lamps:
            glow = lamp_tone * rng.uniform(15, 60) + 4
            cv2.circle(linear, (x, y), radius, tuple(map(float, glow)), -1)

        bloom(linear, float(rng.uniform(0.4, 1.6)) * (0.5 if dusk else 1.0), self._streak(rng))
        brightest = float(exposure(linear, float(rng.uniform(0.25, 0.4)) + 0.1 * dusk))
        gain = min(float(rng.uniform(0.75, 1.35)), brightest)
        linear *= np.float32(gain) * vignette(height, width, float(rng.uniform(0, 0.45)))
        sigma = rng.uniform(0.0, 1.1) * width / 480
        if sigma > 0.35:
            linear = cv2.GaussianBlur(linear, (0, 0), sigma)
        noise = float(rng.uniform(0.0, 0.025 if dusk else 0.05))
        return develop(linear, rng, noise, float(rng.uniform(0, 0.5)))

    @staticmethod
    def _streak(rng: np.random.Generator) -> float | None:
        return float(rng.uniform(0.5, 1.3)) if rng.random() < 0.2 else None

    @staticmethod
    def _flatten(linear: np.ndarray, value: np.ndarray, strength: float) -> None:
        """Weaken the sun's large shadows, which have no place after sunset."""
        height, width = value.shape
        small = cv2.resize(value, (max(width // 8, 1), max(height // 8, 1)), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), 2.5).astype(np.float32) / 255
        gain = np.clip((small * small + 0.02) / 0.17, 0.2, 5) ** np.float32(-strength)
        linear *= cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]

    @staticmethod
    def _desaturate(linear: np.ndarray, amount: float) -> None:
        grey = cv2.transform(linear, f32([[0.3, 0.55, 0.15]]))
        linear *= np.float32(1 - amount)
        linear += (grey * np.float32(amount))[..., None]

    @staticmethod
    def _lighting(
        label: np.ndarray, ambient: np.ndarray, lamp_tone: np.ndarray, dusk: bool, rng: np.random.Generator
    ) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
        """Light on every surface at a quarter of the size, and the visible street lamps as (x, y, radius)
        pixels.

        The depth comes from the label map: ground lies on a plane under an assumed camera; whatever stands
        on it has the depth of the ground just below it.
        """
        height, width = label.shape
        rows, columns = max(height // 4, 1), max(width // 4, 1)
        small = cv2.resize(label, (columns, rows), interpolation=cv2.INTER_NEAREST)
        ground = _GROUND_TABLE[small]
        with_ground = np.flatnonzero(ground.mean(axis=1) > 0.05)
        top = float(with_ground[0]) if len(with_ground) else 0.5 * rows
        horizon = float(np.clip(top - 0.02 * rows, 0.25 * rows, 0.65 * rows))
        focal, camera_height = columns * rng.uniform(0.9, 1.4), 1.4

        v = np.arange(rows, dtype=np.float32)[:, None]
        u = np.arange(columns, dtype=np.float32)[None, :]
        plane = np.clip(camera_height * focal / np.maximum(v - horizon, 0.3), 2, 90)
        depth = np.where(ground, plane, 0).astype(np.float32)
        depth = np.maximum.accumulate(depth[::-1], axis=0)[::-1]  # things stand on the ground below them
        depth = np.where(depth > 0, depth, 3.0).astype(np.float32)
        points = np.stack([(u - columns / 2) / focal * depth, (horizon - v) / focal * depth, depth])
        normals = np.zeros_like(points)
        normals[1] = np.where(ground, 1, 0.35)
        normals[2] = np.where(ground, 0, -0.6)
        normals[0] = np.where(ground, 0, -0.6 * np.sign(points[0]))

        lamps: list[tuple] = []
        spots: list[tuple[int, int, int]] = []
        lit = rng.random() < (0.4 if dusk else 0.9)
        if lit:
            side, spacing, mast = rng.choice((-1, 1)), rng.uniform(18, 40), rng.uniform(5.5, 9)
            power = np.exp(rng.uniform(np.log(10), np.log(110))) * (0.35 if dusk else 1)
            offset, both = rng.uniform(3.5, 8), rng.random() < 0.4
            z = rng.uniform(-4, spacing)
            while z < 90:
                for s in (side, -side) if both else (side,):
                    lamps.append(((s * offset, mast - camera_height, z), lamp_tone * power, (0, -1, 0), 1.0))
                    x, y = columns / 2 + focal * s * (offset - 1) / max(z, 1), 0.0
                    y = horizon - focal * (mast - camera_height) / max(z, 1)
                    # a lamp is only seen before sky, trees or far houses
                    if z > 6 and 0 <= x < columns and 0 <= y < rows and small[int(y), int(x)] in (2, 8, 10):
                        spots.append((int(x * 4), int(y * 4), max(1, int(round(focal * 4 * 0.16 / z)))))
                z += spacing
        for _ in range(int(rng.integers(0, 4)) if not dusk else 0):  # shops and yards beside the road
            tone = LAMP_COLOURS[rng.integers(1, 4)]
            place = (rng.choice((-1, 1)) * rng.uniform(5, 11), rng.uniform(0, 1.5), rng.uniform(6, 40))
            lamps.append((place, tone * np.float32(rng.uniform(1, 8)), (0, -1, 0), 0.0))
        light = irradiance(points, normals, Lights.of(lamps)) + ambient
        if rng.random() < (0.3 if dusk else 0.85):
            beam = headlight_beam(points, float(np.exp(rng.uniform(np.log(0.5), np.log(5)))))
            beam = beam * (1 + 6 * (small == _SIGN))  # signs throw the light straight back
            light += beam[..., None] * f32(HEADLIGHT)
        return cv2.GaussianBlur(light, (0, 0), 0.8), spots

    @staticmethod
    def _windows(
        linear: np.ndarray, label: np.ndarray, value: np.ndarray, dusk: bool, rng: np.random.Generator
    ) -> None:
        """Light some windows: the dark patches of a building inside randomly lit cells of a grid."""
        if rng.random() < (0.4 if dusk else 0.1):
            return
        height, width = label.shape
        unit = width / 480
        cell = (max(int(rng.uniform(8, 20) * unit), 2), max(int(rng.uniform(10, 26) * unit), 2))
        grid = (max(width // cell[0], 1), max(height // cell[1], 1))
        lit = rng.random((grid[1], grid[0])) < rng.choice((0.02, 0.06, 0.15)) * (0.5 if dusk else 1)
        glow = (
            rng.uniform(0.05, 0.9, (grid[1], grid[0], 1))
            * LAMP_COLOURS[rng.integers(1, 4, (grid[1], grid[0]))]
        )
        glow = f32(glow * lit[..., None])
        full = cv2.resize(glow, (width, height), interpolation=cv2.INTER_NEAREST)
        around = cv2.blur(value, (int(25 * unit) | 1, int(25 * unit) | 1))
        glass = (label == _BUILDING) & (value < 110) & (value < around)
        linear += full * glass[..., None]

    @staticmethod
    def _sky(
        linear: np.ndarray,
        label: np.ndarray,
        value: np.ndarray,
        dusk: bool,
        lamp_tone: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        """Repaint the sky, also where it shines through bare trees."""
        height, width = label.shape
        share = (label == _SKY).astype(np.float32)
        through = (label == _VEGETATION) & (value > 170)
        share[through] = (value[through].astype(np.float32) - 170) / 85
        share[height * 2 // 3 :] = 0
        share = cv2.blur(share, (3, 3))[..., None]
        pattern = clouds(rng, height, width)
        rise = np.linspace(1, 0, height, dtype=np.float32)[:, None] ** 2  # 1 at the top of the picture
        if dusk:
            level = float(rng.uniform(0.12, 0.75))
            pattern = np.clip(1 + np.float32(rng.uniform(0.1, 0.45)) * pattern, 0.15, 2.5)
            pattern *= 1 - np.float32(rng.uniform(0, 0.6)) * rise
            colour: np.ndarray = f32((1, 1, 1)) + np.float32(rng.uniform(-0.3, 1)) * f32((-0.2, 0.0, 0.15))
        else:
            level = float(np.exp(rng.uniform(np.log(0.0005), np.log(0.03))))
            pattern = np.clip(1 + np.float32(0.3) * pattern, 0.2, 2) * (1 - np.float32(0.8) * rise)
            colour = np.float32(0.5) * lamp_tone + np.float32(0.5) * f32((0.5, 0.65, 1))
        day = cv2.transform(linear, f32([[0.3, 0.5, 0.2]]))
        own = np.float32(0.0 if not dusk else rng.uniform(0, 0.5))
        sky = (np.float32(level) * pattern)[..., None] * colour + (own * day)[..., None]
        linear += share * (sky - linear)

    @staticmethod
    def _vehicle_lamps(linear: np.ndarray, label: np.ndarray, dusk: bool, rng: np.random.Generator) -> None:
        """Head or tail lamps on each blob of vehicles: two, at a height and spacing that fit its size."""
        count, _, stats, _ = cv2.connectedComponentsWithStats(_VEHICLE_TABLE[label])
        oncoming_side = rng.choice((-1, 1))
        switched_on = rng.uniform(0.0, 0.8) if dusk else rng.uniform(0.6, 1.0)
        width = label.shape[1]
        for x, y, w, h, area in stats[1:count][:12]:
            if area < 12 or rng.random() > switched_on or w > 2.6 * h:
                continue  # a long blob is a side view or a row of cars
            side = 1 if x + w / 2 > width / 2 else -1
            front = rng.random() < (0.75 if side == oncoming_side else 0.2)
            strength = rng.uniform(0.1, 0.7) if dusk else 1.0
            power = rng.uniform(8, 60) if front else rng.uniform(1.5, 9)
            colour = f32(HEADLIGHT if front else TAIL_LIGHT) * np.float32(power * strength)
            radius = max(1, int(round(w * rng.uniform(0.02, 0.05))))
            low = rng.uniform(0.5, 0.68)
            for place in (rng.uniform(0.12, 0.2), rng.uniform(0.8, 0.88)):
                centre = (int(x + place * w), int(y + low * h))
                if label[centre[1], centre[0]] in _VEHICLES:
                    cv2.circle(linear, centre, radius, tuple(map(float, colour)), -1)

    @staticmethod
    def _signals(linear: np.ndarray, label: np.ndarray, image: np.ndarray) -> None:
        """The burning lamp of a traffic light is as bright at night as by day."""
        mask = label == _LIGHT
        if mask.any():
            pixels = image[mask].astype(np.float32)
            vivid = (pixels.max(axis=1) - pixels.min(axis=1)) > 90
            linear[mask] += vivid[:, None] * TO_LINEAR[image[mask]] * 6
