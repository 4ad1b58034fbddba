"""The synthetic street: a seeded road scene with all 19 classes, by day, by night, and as a label map.

It needs no data: streets, houses, traffic and people are drawn from geometry in metres. The camera drives along an
endless road at 10 m/s.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from night_seg_ros.models.classes import IGNORE
from night_seg_ros.training import street_objects as draw
from night_seg_ros.training.night import LAMP_COLOURS
from night_seg_ros.training.street_geometry import (
    BACKDROP,
    GROUND,
    NEAR,
    ON_GROUND,
    ON_SIDE,
    Builder,
    Camera,
    Colour,
    paint,
)
from night_seg_ros.training.street_objects import ID
from night_seg_ros.training.street_render import Weather, day_image, night_image, surface
from night_seg_ros.training.street_textures import ASPHALT, FACADES, FLAT, GRASS, LEAVES, PAVING, SHOPS

CURB = 0.12  # metres, height of the pavement over the road
SPEED = 10.0  # m/s, of the camera
SIGHT = 130.0  # metres drawn ahead
LOOP = 150.0  # other traffic starts anew at the far end after this many metres
_RARE = ("truck", "bus", "train", "motorcycle", "bicycle")
_EDGES = (
    -6.0,
    2,
    5,
    9,
    14,
    20,
    28,
    38,
    50,
    65,
    85,
    110,
    150,
    260,
)  # strips of ground follow the bend piece by piece

WALLS = np.float32(
    [
        (0.42, 0.38, 0.3), (0.3, 0.13, 0.09), (0.5, 0.48, 0.45), (0.36, 0.22, 0.14), (0.22, 0.21, 0.2),
        (0.6, 0.58, 0.52), (0.45, 0.33, 0.2), (0.3, 0.31, 0.33), (0.5, 0.4, 0.36),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class StreetFrame:
    """One view: `day` and `night` (H, W, 3) uint8 RGB, None where not asked for, and `label` (H, W) uint8 train ids
    (255 = the ego car's bonnet). All three show the same scene, pixel by pixel."""

    day: np.ndarray | None
    night: np.ndarray | None
    label: np.ndarray


@dataclass(frozen=True)
class _Vehicle:
    kind: str
    x: float
    z: float  # metres ahead of the camera at time 0
    speed: float  # m/s along the road, below 0 oncoming
    seed: int


def _weather(rng: np.random.Generator, dusk: bool) -> Weather:
    clear = rng.random() < 0.5
    elevation, azimuth = rng.uniform(0.25, 1.0), rng.uniform(0, 2 * np.pi)
    sun = (np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth))
    lamp = LAMP_COLOURS[rng.integers(len(LAMP_COLOURS))]
    level = float(np.exp(rng.uniform(np.log(0.002), np.log(0.015)))) * (3 if dusk else 1)
    glow = 0.6 * lamp + 0.4 * np.float32((0.4, 0.55, 1.0))
    night_sky = np.exp(rng.uniform(np.log(0.0005), np.log(0.012))) * glow
    if dusk:
        night_sky = rng.uniform(0.1, 0.7) * np.float32((0.8, 0.92, 1.05))
    return Weather(
        sun=np.float32(sun),
        sunlight=float(rng.uniform(1.0, 2.6)) if clear else float(rng.uniform(0, 0.25)),
        haze=float(rng.uniform(0.0004, 0.0025)),
        sky=np.float32((0.8, 0.9, 1.0)) * np.float32(rng.uniform(0.7, 1.6)),
        zenith=np.float32((0.3, 0.5, 0.85) if clear else (0.66, 0.7, 0.76))
        * np.float32(rng.uniform(0.8, 1.5)),
        cloud=float(rng.uniform(0, 0.9)),
        exposure=float(rng.uniform(0.65, 1.2)) * (1.0 if clear else 1.3),
        ambient=np.float32(level) * (0.5 * lamp + 0.5 * np.float32((0.7, 0.85, 1.1))),
        night_sky=night_sky.astype(np.float32),
        headlights=float(np.exp(rng.uniform(np.log(0.6), np.log(7)))) * (0.5 if dusk else 1),
        wet=float(rng.choice((0.04, 0.1, 0.3, 0.6))),
        brightness=float(rng.uniform(0.09, 0.27)) + 0.08 * dusk,
        bloom=float(rng.uniform(0.4, 1.3)),
        streak=float(rng.uniform(0.5, 1.3)) if rng.random() < 0.18 else None,
        noise=float(rng.uniform(0.008, 0.045)),
        vignette=float(rng.uniform(0.1, 0.5)),
        contrast=float(rng.uniform(0.1, 0.8)),
        blur=float(rng.uniform(0.45, 0.95)),
    )


class StreetScene:
    """An endless street, fixed by `seed` (an int from 0 up; else ValueError).

    The same seed, time, size and flags give the same frame.
    """

    def __init__(self, seed: int) -> None:
        if int(seed) != seed or seed < 0:
            raise ValueError(f"seed must be an integer from 0 up, not {seed!r}")
        self.seed = int(seed)
        rng = np.random.default_rng((self.seed, 1))
        dusk = bool(rng.random() < 0.35)  # the night picture keeps some light in the sky
        self.weather = _weather(rng, dusk)
        self.lamps_lit = not dusk or bool(rng.random() < 0.5)
        self.lights_on = float(rng.uniform(0.3, 1)) if dusk else 0.95
        # camera
        self.height = float(rng.uniform(1.2, 1.65))
        self.pitch = float(rng.uniform(-0.03, 0.09))
        self.focal = float(rng.uniform(0.8, 1.35))  # of the picture's width
        self.bend = float(rng.choice((0, 1)) * rng.normal(0, 0.0035))
        self.slope = float(np.clip(rng.normal(0.0001, 0.0004), -0.0001, 0.0008))
        self.bonnet = bool(rng.random() < 0.3)
        # road
        self.drive_side = int(rng.choice((-1, 1)))
        self.lane = float(rng.uniform(2.9, 3.6))
        self.own_lanes = int(rng.choice((1, 2), p=(0.7, 0.3)))
        self.other_lanes = int(rng.choice((1, 2), p=(0.75, 0.25)))
        self.rails = bool(rng.random() < 0.35)
        self.district = str(rng.choice(("town", "suburb", "green"), p=(0.6, 0.25, 0.15)))
        self.asphalt = np.float32((0.075, 0.076, 0.08)) * rng.uniform(0.5, 1.9) + rng.uniform(0, 0.02, 3)
        self.pavement = np.float32((0.2, 0.19, 0.18)) * rng.uniform(0.6, 1.6) + rng.uniform(0, 0.03, 3)
        self.grass = np.float32((0.07, 0.11, 0.03)) * rng.uniform(0.6, 1.6) + rng.uniform(0, 0.03, 3)
        self.marking = np.float32((0.62, 0.62, 0.6) if rng.random() < 0.8 else (0.6, 0.42, 0.08))
        self.dash = (float(rng.uniform(1.5, 4)), float(rng.uniform(5, 11)))
        self.edge_line = bool(rng.random() < 0.6)
        self.lamp_colour = LAMP_COLOURS[rng.integers(len(LAMP_COLOURS))]
        self.lamp_power = float(np.exp(rng.uniform(np.log(15), np.log(100))))
        self.lamp_spacing = float(rng.uniform(20, 38))
        self.lamp_height = float(rng.uniform(5.5, 9))
        self.lamp_sides = (-1, 1) if rng.random() < 0.5 else (int(rng.choice((-1, 1))),)
        self.bare_trees = float(rng.choice((0.1, 0.5, 0.95)))
        self.people = float(rng.uniform(0.3, 3.0))
        right, left = (self.own_lanes, self.other_lanes)[:: self.drive_side]
        self.parking = {side: bool(rng.random() < 0.35) for side in (-1, 1)}
        self.edge = {1: right * self.lane, -1: left * self.lane}  # kerbs, metres from the centre line
        for side in (-1, 1):
            self.edge[side] += 2.2 * self.parking[side]
        self.verge = {side: float(rng.uniform(1, 3.5)) * (rng.random() < 0.4) for side in (-1, 1)}
        self.walk = {side: float(rng.uniform(2, 5.5)) for side in (-1, 1)}
        self.lot = {side: float(rng.uniform(11, 20)) for side in (-1, 1)}
        self.crossing = float(rng.uniform(25, 70))  # metres between pedestrian crossings
        ego_lane = int(rng.integers(self.own_lanes))
        self.camera_x = self.drive_side * self.lane * (ego_lane + 0.5) + float(rng.uniform(-0.3, 0.3))
        self.vehicles = self._traffic(rng, ego_lane)

    def render(
        self, height: int, width: int, time: float = 0.0, *, day: bool = True, night: bool = True
    ) -> StreetFrame:
        """The view after `time` seconds, height and width in pixels from 32 up (else ValueError).

        day, night: whether to render that image; one alone costs much less than both.
        """
        if height < 32 or width < 32:
            raise ValueError(
                f"a street needs at least 32 x 32 pixels, not {height} x {width} (height x width)"
            )
        camera = Camera(
            x=self.camera_x,
            height=self.height,
            z=SPEED * time,
            pitch=self.pitch + 0.003 * float(np.sin(2.1 * time)),
            focal=self.focal * width,
            width=width,
            rows=height,
            bend=self.bend,
            slope=self.slope,
        )
        frame = _Frame(self, camera, time)
        faces = paint(frame.builder, camera, ID["sky"])
        seen = surface(faces, camera)
        moment = int(round(time * 1000))
        by_day, by_night = (np.random.default_rng((self.seed, k, moment)) for k in (3, 4))
        shadows, contact = frame.shadow_masks()
        return StreetFrame(
            day=day_image(seen, camera, self.weather, shadows, contact, by_day) if day else None,
            night=night_image(seen, camera, self.weather, contact, by_night) if night else None,
            label=seen.label,
        )

    def _traffic(self, rng: np.random.Generator, ego_lane: int) -> list[_Vehicle]:
        out: list[_Vehicle] = []
        rare = [str(kind) for kind in rng.choice(_RARE, 3, replace=False, p=(0.22, 0.22, 0.12, 0.22, 0.22))]
        if self.rails and "train" not in rare and rng.random() < 0.25:
            rare.append("train")

        def kind() -> str:
            return str(rng.choice(("car", "truck", "bus", "motorcycle"), p=(0.8, 0.07, 0.05, 0.08)))

        def seed() -> int:
            return int(rng.integers(1 << 30))

        for lane in range(self.own_lanes):
            x = self.drive_side * self.lane * (lane + 0.5)
            ego = lane == ego_lane
            speed = SPEED if ego else float(rng.uniform(8.5, 11.5))
            z = float(rng.uniform(9, 28)) if ego else float(rng.uniform(0, 20))
            while z < LOOP - 25:
                what = rare.pop() if rare and rng.random() < 0.35 else kind()
                if what == "bicycle":
                    rare.append(what)
                    what = "car"
                out.append(_Vehicle(what, x, z + 4 * (what != "car"), speed, seed()))
                z += float(rng.uniform(10, 40)) + 12 * (what in ("bus", "truck")) + 26 * (what == "train")
        for lane in range(self.other_lanes):
            x = -self.drive_side * self.lane * (lane + 0.5)
            speed, z = -float(rng.uniform(6, 12)), float(rng.uniform(4, 20))
            while z < LOOP - 25:
                what = rare.pop() if rare and rng.random() < 0.5 else kind()
                if what == "bicycle":
                    rare.append(what)
                    what = "car"
                out.append(_Vehicle(what, x, z + 6 * (what != "car"), speed, seed()))
                z += float(rng.uniform(9, 35)) + 12 * (what in ("bus", "truck")) + 26 * (what == "train")
        for side in (-1, 1):  # cyclists along the kerb
            speed = side * self.drive_side * float(rng.uniform(4, 6))
            for _ in range(int(rng.integers(0, 3)) + ("bicycle" in rare)):
                x = side * (self.edge[side] - 2.2 * self.parking[side] - 0.5)
                out.append(_Vehicle("bicycle", x, float(rng.uniform(5, 60)), speed, seed()))
        return out


class _Frame:
    """Everything that stands in the street at one moment."""

    def __init__(self, scene: StreetScene, camera: Camera, time: float) -> None:
        self.scene, self.camera, self.time = scene, camera, time
        self.builder = Builder()
        self.sun_shadows: list[list[tuple[float, float]]] = []  # polygons on the ground, (x, z)
        self.contacts: list[list[tuple[float, float]]] = []
        sun = scene.weather.sun
        self.cast = (-sun[0] / sun[1], -sun[2] / sun[1]) if scene.weather.sunlight > 0.5 else None
        self.start = camera.z - 6
        self.ground()
        self.markings()
        for side in (-1, 1):
            self.lots(side)
            self.furniture(side)
        self.backdrop()
        self.traffic()
        if scene.bonnet:
            self.ego()

    def _indices(self, spacing: float, reach: float = SIGHT) -> range:
        return range(int(self.start // spacing), int((self.camera.z + reach) // spacing) + 1)

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng((self.scene.seed, 2, *(k + 100000 for k in key)))

    def _cast_box(self, x0: float, x1: float, z0: float, z1: float, height: float) -> None:
        """The sun's shadow of something that stands on a rectangle."""
        if self.cast is None:
            return
        dx, dz = self.cast[0] * height, self.cast[1] * height
        corners = [(x0, z0), (x0, z1), (x1, z1), (x1, z0)]
        corners += [(x + dx, z + dz) for x, z in corners]
        hull = cv2.convexHull(np.float32(corners))[:, 0]
        self.sun_shadows.append([(float(x), float(z)) for x, z in hull])

    # ground

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
            self.builder.face(  # an arrow
                [(x - 0.07, 0, z - 14), (x - 0.07, 0, z - 11), (x - 0.35, 0, z - 11), (x, 0, z - 9.4), (x + 0.35, 0, z - 11), (x + 0.07, 0, z - 11), (x + 0.07, 0, z - 14)],
                road, white, on=ON_GROUND,
            )  # fmt: skip

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
                    draw.mast(b, 0, 0, 1.0, 0.12, ID["pole"], draw.pick(rng, draw.CLOTHES))
            elif chance < 0.77:
                for k in range(4):
                    z_k = z + 0.8 * (3 - k)
                    b.place(kerb + side * 0.5, z_k, y=CURB, key=z_k - camera.z)
                    heavy = rng.random() < 0.4
                    draw.two_wheeler(
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
                z = index * 6 + rng.uniform(0, 6) + (self.time * rng.uniform(-1.3, 1.3))
                x = side * (inner + rng.uniform(0.3, max(scene.walk[side] - 0.3, 0.5)))
                if rng.random() < 0.06:
                    x = rng.uniform(-scene.edge[-1], scene.edge[1])
                    z = max(z, camera.z + 12)
                b.place(x, z, y=CURB if abs(x) > scene.edge[side] else 0, key=z - camera.z)
                draw.person(b, rng, self.time)
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
                green = np.float32((0.05, 0.07, 0.03)) * rng.uniform(0.6, 1.4)
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
                    draw.two_wheeler(
                        self.builder, rng, self.time, heavy=kind == "motorcycle", ridden=True, across=True,
                        ahead=False, lights=True,
                    )  # fmt: skip

    def vehicle(
        self, kind: str, rng: np.random.Generator, x: float, z: float, yaw: float, *, lights: bool
    ) -> None:
        b = self.builder
        half, reach, tall = {
            "car": (0.85, 2.1, 1.4), "truck": (1.2, 4.5, 3.0), "bus": (1.25, 5.5, 3.1), "train": (1.2, 12, 3.3),
        }.get(kind, (0.25, 0.8, 1.5))  # fmt: skip
        ahead = z - self.camera.z
        if not -20 < ahead < SIGHT:
            return
        if kind == "train" and ahead < 16:
            z = self.camera.z + 16 + (ahead if x * self.scene.drive_side > 0 else 0) * 0.2
            ahead = z - self.camera.z
        b.place(x, z, yaw, key=ahead - reach * abs(np.cos(yaw)))
        if kind == "car":
            draw.car(b, rng, lights=lights)
        elif kind == "truck":
            draw.truck(b, rng, lights=lights)
        elif kind == "bus":
            draw.bus(b, rng, lights=lights)
        elif kind == "train":
            draw.tram(b, rng, lights=lights)
        else:
            draw.two_wheeler(
                b, rng, self.time, heavy=kind == "motorcycle", ridden=True, across=False, ahead=bool(np.cos(yaw) < 0),
                lights=lights,
            )  # fmt: skip
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
            flat = np.float32([(x, 0, max(z, camera.z + 1.2)) for x, z in polygon])
            if flat[:, 2].max() <= camera.z + 1.2 or flat[:, 2].min() > camera.z + 90:
                continue
            seen = (camera.bent(flat) - np.float32((camera.x, camera.height, camera.z))) @ rotation.T
            depth = np.maximum(seen[:, 2], NEAR)
            u = camera.width / 2 + seen[:, 0] / depth * camera.focal
            v = camera.rows / 2 - seen[:, 1] / depth * camera.focal
            points = np.stack([np.clip(u, -4000, 4000), np.clip(v, -4000, 4000)], axis=1)
            cv2.fillPoly(mask, [points.round().astype(np.int32)], 255)
        return mask

    def shadow_masks(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the ground lies in the sun's shadow, and where right under a thing: (H, W) uint8 each."""
        return self._mask(self.sun_shadows), self._mask(self.contacts)
