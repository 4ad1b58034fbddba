"""The ground of the synthetic street: carriageway, pavements, verges and what is painted on the road."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from night_seg_ros.training.streets.geometry import GROUND, ON_GROUND, ON_SIDE, Builder, Camera, Colour
from night_seg_ros.training.streets.objects import ID
from night_seg_ros.training.streets.textures import ASPHALT, FLAT, GRASS, PAVING

if TYPE_CHECKING:
    from night_seg_ros.training.streets.scene import StreetScene

CURB = 0.12  # metres, height of the pavement over the road
SPEED = 10.0  # m/s, of the camera
SIGHT = 130.0  # metres drawn ahead
# Strips of ground follow the bend piece by piece.
_EDGES = (-6.0, 2, 5, 9, 14, 20, 28, 38, 50, 65, 85, 110, 150)


class Ground:
    """Draws the ground around the camera into its `builder`."""

    def __init__(self, scene: StreetScene, camera: Camera) -> None:
        self.scene, self.camera = scene, camera
        self.builder = Builder()
        self.start = camera.z - 6

    def _indices(self, spacing: float, reach: float = SIGHT) -> range:
        """Running numbers of the things in view that stand every `spacing` metres."""
        return range(int(self.start // spacing), int((self.camera.z + reach) // spacing) + 1)

    def _rng(self, *key: int) -> np.random.Generator:
        """The random generator of one such thing, the same whenever it comes into view."""
        return np.random.default_rng((self.scene.seed, 2, *(k + 100000 for k in key)))

    def ribbon(
        self, x0: float, x1: float, label: int, colour: Colour, texture: int = FLAT, size: float = 4.0,
        z0: float | None = None, z1: float | None = None, y: float = 0.0,
    ) -> None:  # fmt: skip
        """A strip of ground along the road; z0, z1 in the world, all of it if not given."""
        edges = [self.camera.z + e for e in _EDGES]
        x0, x1 = min(x0, x1), max(x0, x1)
        low, high = edges[0] if z0 is None else z0, edges[-1] if z1 is None else z1
        cuts = [low, *(e for e in edges if low < e < high), high]
        for a, e in zip(cuts[:-1], cuts[1:], strict=True):
            corners = [(x0, y, a), (x0, y, e), (x1, y, e), (x1, y, a)]
            self.builder.face(
                corners, label, colour, texture=texture, size=(size, size), on=ON_GROUND, one_sided=True
            )

    def ground(self) -> None:
        scene, b = self.scene, self.builder
        b.place(layer=GROUND, follow=True)
        for side in (-1, 1):
            edge = scene.edge[side]
            walk = edge + scene.verge[side]
            lots = walk + scene.walk[side]
            if scene.district == "town":
                self.ribbon(side * lots, side * 90, ID["sidewalk"], scene.pavement * 0.9, PAVING, 3.0, y=CURB)
            else:
                self.ribbon(side * lots, side * 90, ID["terrain"], scene.grass, GRASS, 3.0, y=CURB)
            self.ribbon(side * edge, side * walk, ID["terrain"], scene.grass, GRASS, 3.0, y=CURB)
        self.ribbon(-scene.edge[-1], scene.edge[1], ID["road"], scene.asphalt, ASPHALT, 5.0)
        for side in (-1, 1):
            edge = scene.edge[side]
            walk, kerb = edge + scene.verge[side], ID["sidewalk"]
            self.ribbon(
                side * walk, side * (walk + scene.walk[side]), kerb, scene.pavement, PAVING, 2.4, y=CURB
            )
            stone = scene.pavement * 1.35
            self.ribbon(side * edge, side * (edge + 0.16), kerb, stone, FLAT, y=CURB)
            edges = [self.camera.z + e for e in _EDGES]
            for a, e in zip(edges[:-1], edges[1:], strict=True):
                x = side * edge
                points = [(x, 0, a), (x, CURB, a), (x, CURB, e), (x, 0, e)]
                b.face(points, kerb, stone * 0.8, on=ON_SIDE)

    def markings(self) -> None:
        scene, road = self.scene, ID["road"]
        white = scene.marking
        self.builder.place(layer=GROUND, follow=True)
        for index in self._indices(14):  # patches, manholes, cracks
            rng = self._rng(1, index)
            z = index * 14 + rng.uniform(0, 10)
            x = rng.uniform(-scene.edge[-1], scene.edge[1] - 1)
            if rng.random() < 0.5:
                tone = scene.asphalt * rng.choice((0.7, 0.8, 1.2))
                self.ribbon(x, x + rng.uniform(0.6, 2.5), road, tone, ASPHALT, 5.0, z, z + rng.uniform(1, 9))
            if rng.random() < 0.35:
                x = rng.uniform(-scene.edge[-1] + 1, scene.edge[1] - 1)
                points = [(x + 0.35 * np.cos(a), 0.0, z + 0.35 * np.sin(a)) for a in np.linspace(0, 5.8, 10)]
                self.builder.face(points, road, scene.asphalt * 0.5, on=ON_GROUND)
        if scene.rails:
            for track in (-0.5, 0.5):
                for x in (-0.72, 0.72):
                    self.ribbon(
                        track * scene.lane + x - 0.035,
                        track * scene.lane + x + 0.035,
                        road,
                        (0.25, 0.24, 0.23),
                    )
        length, period = scene.dash
        lines = [
            k * scene.lane
            for k in range(-9, 10)
            if -scene.edge[-1] + 1.5 < k * scene.lane < scene.edge[1] - 1.5
        ]
        for index in self._indices(period, 75):
            z = index * period
            for x in lines:
                self.ribbon(x - 0.07, x + 0.07, road, white, FLAT, 1, z, z + length)
        for side in (-1, 1):
            x = side * (scene.edge[side] - 2.2 * scene.parking[side] - 0.3)
            if scene.edge_line:
                self.ribbon(x - 0.06, x + 0.06, road, white)
        for index in self._indices(scene.crossing, 70):
            rng = self._rng(2, index)
            z = (index + 0.7) * scene.crossing
            if rng.random() < 0.6:
                for x in np.arange(-scene.edge[-1] + 0.3, scene.edge[1] - 0.4, 1.0):
                    self.ribbon(x, x + 0.5, road, white, FLAT, 1, z, z + 3)
            side = scene.drive_side
            inner, outer = sorted((0.1 * side, side * scene.edge[side]))
            self.ribbon(inner, outer, road, white, FLAT, 1, z - 1.6, z - 1.25)
            x = self.camera.x + rng.uniform(-0.3, 0.3)
            arrow = [
                (-0.07, -14),
                (-0.07, -11),
                (-0.35, -11),
                (0, -9.4),
                (0.35, -11),
                (0.07, -11),
                (0.07, -14),
            ]
            self.builder.face([(x + dx, 0, z + dz) for dx, dz in arrow], road, white, on=ON_GROUND)
