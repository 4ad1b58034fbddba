# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The stretch of a street that the camera sees at one moment: its faces, its lamps and its shadows.

The street is endless: what stands beside it depends on the seed and on a running number along the road only.
"""

from __future__ import annotations

import cv2
import numpy as np

from night_seg_ros.training.streets.geometry import NEAR, Builder, StreetCamera
from night_seg_ros.training.streets.optics import f32
from night_seg_ros.training.streets.street import Street

CURB = 0.12  # metres, height of the pavement over the road
SIGHT = 130.0  # metres drawn ahead


class StreetLayout:
    """What a street shows at one moment; empty at first, filled by ``ground``, ``roadside`` and ``driving``.

    Args:
        street: what the seed says.
        camera: where we are.
        time: seconds since the start.

    Attributes:
        builder: all faces and lamps.
    """

    def __init__(self, street: Street, camera: StreetCamera, time: float) -> None:
        self.street, self.camera, self.time = street, camera, time
        self.builder = Builder()
        self._sun_shadows: list[list[tuple[float, float]]] = []  # polygons on the ground, (x, z)
        self._contacts: list[list[tuple[float, float]]] = []
        sun = street.weather.sun
        self._cast = (-sun[0] / sun[1], -sun[2] / sun[1]) if street.weather.sunlight > 0.5 else None

    def indices(self, spacing: float, reach: float = SIGHT) -> range:
        """Running numbers of the things in view that stand every `spacing` metres."""
        start = self.camera.z - 6
        return range(int(start // spacing), int((self.camera.z + reach) // spacing) + 1)

    def rng(self, *key: int) -> np.random.Generator:
        """The random generator of one such thing, the same whenever it comes into view."""
        return np.random.default_rng((self.street.seed, 2, *(k + 100000 for k in key)))

    def cast_shadow(self, x0: float, x1: float, z0: float, z1: float, height: float) -> None:
        """Add the sun's shadow of something that stands on a rectangle."""
        if self._cast is None:
            return
        dx, dz = self._cast[0] * height, self._cast[1] * height
        corners = [(x0, z0), (x0, z1), (x1, z1), (x1, z0)]
        corners += [(x + dx, z + dz) for x, z in corners]
        hull = cv2.convexHull(f32(corners))[:, 0]
        self._sun_shadows.append([(float(x), float(z)) for x, z in hull])

    def darken_under(self, x0: float, x1: float, z0: float, z1: float) -> None:
        """Add the dark spot right under a thing that stands on a rectangle."""
        self._contacts.append([(x0, z0), (x0, z1), (x1, z1), (x1, z0)])

    def shadow_masks(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the ground lies in the sun's shadow, and where right under a thing: (H, W) uint8 each."""
        return self._mask(self._sun_shadows), self._mask(self._contacts)

    def _mask(self, polygons: list[list[tuple[float, float]]]) -> np.ndarray:
        camera = self.camera
        mask = np.zeros((camera.rows, camera.width), np.uint8)
        rotation = camera.rotation()
        # every polygon is filled on its own, so that overlapping ones add up
        for polygon in polygons:
            flat = f32([(x, 0, max(z, camera.z + 1.2)) for x, z in polygon])
            if flat[:, 2].max() <= camera.z + 1.2 or flat[:, 2].min() > camera.z + 90:
                continue
            seen = (camera.bent(flat) - f32((camera.x, camera.height, camera.z))) @ rotation.T
            depth = np.maximum(seen[:, 2], NEAR)
            u = camera.width / 2 + seen[:, 0] / depth * camera.focal
            v = camera.rows / 2 - seen[:, 1] / depth * camera.focal
            points = np.stack([np.clip(u, -4000, 4000), np.clip(v, -4000, 4000)], axis=1)
            cv2.fillPoly(mask, [points.round().astype(np.int32)], 255)
        return mask
