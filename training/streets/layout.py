"""What stands and moves in the synthetic street at one moment, as faces in metres.

The street is endless: what stands beside it depends on the seed and on a running number along the road only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from night_seg_ros.models.classes import IGNORE
from night_seg_ros.training.streets import objects as draw
from night_seg_ros.training.streets import traffic
from night_seg_ros.training.streets.geometry import (
    BACKDROP,
    NEAR,
    Camera,
)
from night_seg_ros.training.streets.ground import CURB, SIGHT, SPEED, Ground
from night_seg_ros.training.streets.objects import ID
from night_seg_ros.training.streets.optics import f32
from night_seg_ros.training.streets.textures import FACADES, LEAVES, SHOPS

if TYPE_CHECKING:
    from night_seg_ros.training.streets.scene import StreetScene

LOOP = 150.0  # other traffic starts anew at the far end after this many metres

WALLS = f32(
    [
        (0.42, 0.38, 0.3), (0.3, 0.13, 0.09), (0.5, 0.48, 0.45), (0.36, 0.22, 0.14), (0.22, 0.21, 0.2),
        (0.6, 0.58, 0.52), (0.45, 0.33, 0.2), (0.3, 0.31, 0.33), (0.5, 0.4, 0.36),
    ]
)  # fmt: skip

_EXTENT = {  # half width, half length, height
    "car": (0.85, 2.1, 1.4),
    "truck": (1.2, 4.5, 3.0),
    "bus": (1.25, 5.5, 3.1),
    "train": (1.2, 13.0, 3.3),
    "motorcycle": (0.25, 0.8, 1.5),
    "bicycle": (0.25, 0.8, 1.5),
}


@dataclass(frozen=True)
class Vehicle:
    """Something that drives, where it was at time 0."""

    kind: str
    x: float
    z: float  # metres ahead of the camera at time 0
    speed: float  # m/s along the road, below 0 oncoming
    seed: int


class Layout(Ground):
    """Everything that stands in the street at one moment."""

    def __init__(self, scene: StreetScene, camera: Camera, time: float) -> None:
        super().__init__(scene, camera)
        self.time = time
        self.sun_shadows: list[list[tuple[float, float]]] = []  # polygons on the ground, (x, z)
        self.contacts: list[list[tuple[float, float]]] = []
        sun = scene.weather.sun
        self.cast = (-sun[0] / sun[1], -sun[2] / sun[1]) if scene.weather.sunlight > 0.5 else None
        self.ground()
        self.markings()
        for side in (-1, 1):
            self.lots(side)
            self.furniture(side)
        self.backdrop()
        self.traffic()
        if scene.bonnet:
            self.ego()

    def _cast_box(self, x0: float, x1: float, z0: float, z1: float, height: float) -> None:
        """The sun's shadow of something that stands on a rectangle."""
        if self.cast is None:
            return
        dx, dz = self.cast[0] * height, self.cast[1] * height
        corners = [(x0, z0), (x0, z1), (x1, z1), (x1, z0)]
        corners += [(x + dx, z + dz) for x, z in corners]
        hull = cv2.convexHull(f32(corners))[:, 0]
        self.sun_shadows.append([(float(x), float(z)) for x, z in hull])

    # beside the road

    def lots(self, side: int) -> None:
        scene, b = self.scene, self.builder
        length = scene.lot[side]
        front = scene.edge[side] + scene.verge[side] + scene.walk[side]
        chances = {
            "town": (0.72, 0.1, 0.08, 0.1),
            "suburb": (0.12, 0.55, 0.18, 0.15),
            "green": (0.05, 0.2, 0.5, 0.25),
        }
        for index in self._indices(length):
            rng = self._rng(3, side, index)
            z0 = index * length
            z1 = z0 + length
            kind = str(rng.choice(("flush", "house", "park", "yard"), p=chances[scene.district]))
            boundary = str(rng.choice(("wall", "fence", "hedge", "none"), p=(0.38, 0.34, 0.2, 0.08)))
            if kind == "flush":
                self.house(
                    rng, side, side * (front + 0.02), z0, z1 - rng.choice((0, 0, 0, 2)), rng.random() < 0.55
                )
                continue
            if kind == "house":
                self.house(
                    rng, side, side * (front + rng.uniform(3, 9)), z0 + 1, z1 - rng.uniform(1, 4), False
                )
            elif kind == "yard":
                self.house(rng, side, side * (front + rng.uniform(9, 18)), z0, z1, False)
            else:
                for _ in range(4):
                    z, x = rng.uniform(z0, z1), side * (front + rng.uniform(3, 16))
                    b.place(x, z, layer=BACKDROP, key=z - self.camera.z)
                    draw.tree(b, rng, rng.random() < scene.bare_trees)
            if kind != "park" and rng.random() < 0.6:
                z, x = rng.uniform(z0, z1), side * (front + rng.uniform(1.2, 3))
                b.place(x, z, layer=BACKDROP, key=z - self.camera.z - 3)
                draw.tree(b, rng, rng.random() < scene.bare_trees)
            x, tall = side * (front + 0.3), rng.uniform(0.8, 2.3)
            if boundary == "none":
                continue
            pieces = 3
            style = int(rng.integers(1 << 30))
            for k in range(pieces):
                a, e = z0 + k * length / pieces, z0 + (k + 1) * length / pieces
                b.place(layer=BACKDROP, key=a - self.camera.z - 4, follow=True)
                same = np.random.default_rng(style)
                if boundary == "wall":
                    draw.wall(b, same, x - 0.15, x + 0.15, tall, a, e)
                elif boundary == "fence":
                    draw.fence(b, same, x, min(tall, 1.8), a, e)
                else:
                    draw.hedge(b, same, x - 0.4, x + 0.4, tall, a, e)

    def house(self, rng: np.random.Generator, side: int, x: float, z0: float, z1: float, shop: bool) -> None:
        scene, b = self.scene, self.builder
        storeys = rng.integers(3, 7) if scene.district == "town" else rng.integers(2, 4)
        height = 3.2 * float(storeys) + rng.uniform(0, 1)
        b.place(layer=BACKDROP, key=z0 - self.camera.z, follow=True)
        facade = int(rng.choice(FACADES))
        glow = float(rng.uniform(0.3, 1.6))
        front = int(rng.choice(SHOPS)) if shop else None
        depth = float(rng.uniform(8, 14))
        draw.building(b, rng, side, x, depth, height, z0, z1, facade, draw.pick(rng, WALLS), front, glow)
        self._cast_box(min(x, x + side * 10), max(x, x + side * 10), z0, z1, height)
        if front is not None and front != SHOPS[-1]:
            b.lamp((x - side * 0.8, 2.0, (z0 + z1) / 2), (1, 0.88, 0.7), float(rng.uniform(2, 9)))

    def furniture(self, side: int) -> None:
        scene, b, camera = self.scene, self.builder, self.camera
        kerb = side * (scene.edge[side] + 0.5)
        inner = scene.edge[side] + scene.verge[side]
        for index in self._indices(scene.lamp_spacing):
            rng = self._rng(4, side, index)
            z = index * scene.lamp_spacing + 7 * (side > 0)
            if side in scene.lamp_sides:
                b.place(kerb, z, y=CURB, key=z - camera.z)
                draw.street_lamp(
                    b,
                    rng,
                    scene.lamp_height,
                    side,
                    scene.lamp_colour,
                    scene.lamp_power,
                    on=scene.lamps_lit and rng.random() < 0.93,
                )
                self._cast_box(kerb - 0.06, kerb + 0.06, z - 0.06, z + 0.06, scene.lamp_height)
        for index in self._indices(9):
            rng = self._rng(5, side, index)
            z = index * 9 + rng.uniform(0, 9)
            chance = rng.random()
            b.place(kerb + side * rng.uniform(-0.1, 0.3), z, y=CURB, key=z - camera.z)
            if chance < (0.28 if scene.district == "town" else 0.4):
                draw.tree(b, rng, rng.random() < scene.bare_trees)
                self._cast_box(kerb - 1.2, kerb + 1.2, z - 1, z + 1, 5)
            elif chance < 0.55:
                draw.traffic_sign(b, rng)
            elif chance < 0.61:
                for k in range(3):
                    b.place(kerb, z + 1.5 * k, y=CURB, key=z + 1.5 * k - camera.z)
                    draw.mast(b, 0, 0, 1.0, 0.12, ID["pole"], draw.pick(rng, traffic.CLOTHES))
            elif chance < 0.77:
                for k in range(4):
                    z_k = z + 0.8 * (3 - k)
                    b.place(kerb + side * 0.5, z_k, y=CURB, key=z_k - camera.z)
                    heavy = rng.random() < 0.4
                    traffic.two_wheeler(
                        b,
                        rng,
                        0,
                        heavy=heavy,
                        ridden=False,
                        across=rng.random() < 0.7,
                        ahead=False,
                        lights=False,
                    )
            elif chance < 0.88 and scene.verge[side] == 0:
                a = rng.uniform(3, 8)
                for k in range(3):  # a guard rail along the kerb
                    b.place(y=CURB, key=z + k * a / 3 - camera.z, follow=True)
                    draw.fence(b, self._rng(12, side, index), kerb, 1.0, z + k * a / 3, z + (k + 1) * a / 3)
        for index in self._indices(6, 70):
            rng = self._rng(6, side, index)
            for _ in range(rng.poisson(scene.people * 0.5)):
                z = index * 6 + rng.uniform(0, 6) + 10 * float(np.sin(self.time * rng.uniform(-0.13, 0.13)))
                x = side * (inner + rng.uniform(0.3, max(scene.walk[side] - 0.3, 0.5)))
                if rng.random() < 0.06:
                    x = rng.uniform(-scene.edge[-1], scene.edge[1])
                    z = max(z, camera.z + 12)
                b.place(x, z, y=CURB if abs(x) > scene.edge[side] else 0, key=z - camera.z)
                traffic.person(b, rng, self.time)
                self.contacts.append(
                    [(x - 0.2, z - 0.15), (x - 0.2, z + 0.15), (x + 0.2, z + 0.15), (x + 0.2, z - 0.15)]
                )
                self._cast_box(x - 0.2, x + 0.2, z - 0.1, z + 0.1, 1.6)
        for index in self._indices(scene.crossing, 100):
            rng = self._rng(7, index)
            z = (index + 0.7) * scene.crossing - 0.5
            if rng.random() < 0.85:
                b.place(side * (scene.edge[side] + 0.35), z, y=CURB, key=z - camera.z)
                state = (index + int(self.time / 6)) % 3
                state = 0 if state == 1 else state
                draw.traffic_light(
                    b, rng, state, on=True, facing=side == scene.drive_side or rng.random() < 0.6
                )
        if scene.parking[side]:
            for index in self._indices(6.2):
                rng = self._rng(8, side, index)
                if rng.random() < 0.65:
                    x = side * (scene.edge[side] - 1.1) + rng.uniform(-0.15, 0.15)
                    ahead = rng.random() < (0.85 if side == scene.drive_side else 0.2)
                    z = index * 6.2 + rng.uniform(0, 0.8)
                    self.vehicle("car", rng, x, z, 0.0 if ahead else np.pi, lights=False)

    def backdrop(self) -> None:
        """Distant houses and trees that close the street."""
        b, scene = self.builder, self.scene
        rng = self._rng(9)
        z = self.camera.z + 145
        b.place(0, z, layer=BACKDROP, key=1000)
        for k in range(26):
            x = (k - 13) * 13.0 + rng.uniform(-4, 4)
            if rng.random() < (0.65 if scene.district == "town" else 0.25):
                h, w = rng.uniform(6, 20), rng.uniform(6, 16)
                draw.front_rect(
                    b, x, x + w, -3, h, 0, ID["building"], draw.pick(rng, WALLS) * 0.8,
                    texture=int(rng.choice(FACADES)), size=(12, 9.6), light=(0.5, 0.5, 0.5),
                )  # fmt: skip
            else:
                h, w = rng.uniform(4, 11), rng.uniform(5, 12)
                ring = [
                    (
                        x + w * np.cos(a) * rng.uniform(0.8, 1.1),
                        max(h * np.sin(a) * rng.uniform(0.8, 1.1), -3.0),
                        0.0,
                    )
                    for a in np.linspace(-0.3, np.pi + 0.3, 14)
                ]
                green = f32((0.05, 0.07, 0.03)) * rng.uniform(0.6, 1.4)
                b.face(ring, ID["vegetation"], green, texture=LEAVES, size=(9, 9), porous=True)

    # traffic

    def traffic(self) -> None:
        for vehicle in self.scene.vehicles:
            ahead = (vehicle.z + (vehicle.speed - SPEED) * self.time + 20) % LOOP - 20
            rng = np.random.default_rng(vehicle.seed)
            if vehicle.speed == SPEED:
                ahead += 0.6 * np.sin(0.5 * self.time + vehicle.seed % 7)
            yaw = 0.0 if vehicle.speed > 0 else np.pi
            self.vehicle(
                vehicle.kind,
                rng,
                vehicle.x,
                ahead + self.camera.z,
                yaw,
                lights=rng.random() < self.scene.lights_on,
            )
        for index in self._indices(55, 70):  # someone crosses or waits at a side road
            rng = self._rng(10, index)
            z = index * 55 + rng.uniform(10, 50)
            if z - self.camera.z > 12 and rng.random() < 0.5:
                side = int(rng.choice((-1, 1)))
                reach = self.scene.edge[side] - 1.0
                x = side * (reach - (self.time * 2.5 + rng.uniform(0, 8)) % (2 * reach))
                kind = str(rng.choice(("bicycle", "motorcycle", "car"), p=(0.55, 0.2, 0.25)))
                if kind == "car":
                    self.vehicle(
                        "car",
                        rng,
                        side * (reach + 2.5),
                        z,
                        -side * np.pi / 2 + rng.uniform(-0.3, 0.3),
                        lights=True,
                    )
                else:
                    self.builder.place(x, z, key=z - self.camera.z)
                    traffic.two_wheeler(
                        self.builder, rng, self.time, heavy=kind == "motorcycle", ridden=True, across=True,
                        ahead=False, lights=True,
                    )  # fmt: skip

    def vehicle(
        self, kind: str, rng: np.random.Generator, x: float, z: float, yaw: float, *, lights: bool
    ) -> None:
        b = self.builder
        half, reach, tall = _EXTENT[kind]
        ahead = z - self.camera.z
        if not -20 < ahead < SIGHT:
            return
        b.place(x, z, yaw, key=ahead - reach * abs(np.cos(yaw)))
        if kind == "car":
            traffic.car(b, rng, lights=lights)
        elif kind == "truck":
            traffic.truck(b, rng, lights=lights)
        elif kind == "bus":
            traffic.bus(b, rng, lights=lights)
        elif kind == "train":
            traffic.tram(b, rng, lights=lights)
        else:
            heavy, ahead_of_us = kind == "motorcycle", bool(np.cos(yaw) < 0)
            traffic.two_wheeler(
                b, rng, self.time, heavy=heavy, ridden=True, across=False, ahead=ahead_of_us, lights=lights
            )
        c, s = abs(np.cos(yaw)), abs(np.sin(yaw))
        w, d = half * c + reach * s, reach * c + half * s
        w, d = w + 0.12, d + 0.15
        self.contacts.append([(x - w, z - d), (x - w, z + d), (x + w, z + d), (x + w, z - d)])
        self._cast_box(x - w, x + w, z - d, z + d, tall)

    def ego(self) -> None:
        """The bonnet of our own car at the lower edge; its label is IGNORE."""
        camera = self.camera
        rise = camera.rows / 2 / camera.focal  # half the picture's height, one metre ahead
        self.builder.place(camera.x, camera.z, y=camera.height, key=-1000)
        rng = self._rng(11)
        low, high = -1.4 * rise - camera.pitch, -rise * rng.uniform(0.86, 0.97) - camera.pitch
        wide = camera.width / camera.focal
        arch = [(t * wide, high - 0.25 * rise * abs(t) ** 2.5, 1.0) for t in np.linspace(-1, 1, 15)]
        colour = draw.pick(rng, draw.PAINTS)
        self.builder.face([(-wide, low, 1.0), *arch, (wide, low, 1.0)], IGNORE, colour)

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

    def shadow_masks(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the ground lies in the sun's shadow, and where right under a thing: (H, W) uint8 each."""
        return self._mask(self.sun_shadows), self._mask(self.contacts)
