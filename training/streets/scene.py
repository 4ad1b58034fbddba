"""The synthetic street: a seeded road scene with all 19 classes, by day, by night, and as a label map.

It needs no data: streets, houses, traffic and people are drawn from geometry in metres. The camera drives
along an endless road at 10 m/s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from night_seg_ros.training.streets.geometry import (
    Camera,
    paint,
)
from night_seg_ros.training.streets.ground import SPEED
from night_seg_ros.training.streets.layout import LOOP, Layout, Vehicle
from night_seg_ros.training.streets.objects import ID
from night_seg_ros.training.streets.optics import LAMP_COLOURS, f32
from night_seg_ros.training.streets.render import Weather, day_image, night_image, surface

_LONGER = {"truck": 4.0, "bus": 5.0, "train": 12.0}  # metres by which their middle lies farther off
_RARE = ("truck", "bus", "train", "motorcycle", "bicycle")


@dataclass(frozen=True)
class StreetFrame:
    """One view: `day` and `night` (H, W, 3) uint8 RGB, None where not asked for, and `label` (H, W) uint8
    train ids (255 = the ego car's bonnet). All three show the same scene, pixel by pixel."""

    day: np.ndarray | None
    night: np.ndarray | None
    label: np.ndarray


def _weather(rng: np.random.Generator, dusk: bool) -> Weather:
    clear = rng.random() < 0.5
    elevation, azimuth = rng.uniform(0.25, 1.0), rng.uniform(0, 2 * np.pi)
    sun = (np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth))
    lamp = LAMP_COLOURS[rng.integers(len(LAMP_COLOURS))]
    level = float(np.exp(rng.uniform(np.log(0.002), np.log(0.015))))
    glow = 0.6 * lamp + 0.4 * f32((0.4, 0.55, 1.0))
    night_sky = np.exp(rng.uniform(np.log(0.0005), np.log(0.012))) * glow
    ambient = level * (0.5 * lamp + 0.5 * f32((0.7, 0.85, 1.1)))
    if dusk:  # a grey sky over a street that has little of its light
        night_sky = rng.uniform(0.15, 0.8) * f32((0.85, 0.94, 1.0))
        ambient = rng.uniform(0.08, 0.35) * night_sky
    return Weather(
        sun=f32(sun),
        sunlight=float(rng.uniform(1.0, 2.6)) if clear else float(rng.uniform(0, 0.25)),
        haze=float(rng.uniform(0.0004, 0.0025)),
        sky=f32((0.8, 0.9, 1.0)) * np.float32(rng.uniform(0.7, 1.6)),
        zenith=f32((0.3, 0.5, 0.85) if clear else (0.66, 0.7, 0.76)) * np.float32(rng.uniform(0.8, 1.5)),
        cloud=float(rng.uniform(0, 0.9)),
        exposure=float(rng.uniform(0.65, 1.2)) * (1.0 if clear else 1.3),
        ambient=f32(ambient),
        night_sky=f32(night_sky),
        headlights=float(np.exp(rng.uniform(np.log(0.6), np.log(7)))) * (0.5 if dusk else 1),
        wet=float(rng.choice((0.04, 0.1, 0.3, 0.6))),
        brightness=float(rng.uniform(0.09, 0.26)) + 0.05 * dusk,
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
        self.asphalt = f32((0.075, 0.076, 0.08)) * rng.uniform(0.5, 1.9) + rng.uniform(0, 0.02, 3)
        self.pavement = f32((0.2, 0.19, 0.18)) * rng.uniform(0.6, 1.6) + rng.uniform(0, 0.03, 3)
        self.grass = f32((0.07, 0.11, 0.03)) * rng.uniform(0.6, 1.6) + rng.uniform(0, 0.03, 3)
        self.marking = f32((0.62, 0.62, 0.6) if rng.random() < 0.8 else (0.6, 0.42, 0.08))
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
        frame = Layout(self, camera, time)
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

    def _traffic(self, rng: np.random.Generator, ego_lane: int) -> list[Vehicle]:
        out: list[Vehicle] = []
        rare = [str(kind) for kind in rng.choice(_RARE, 3, replace=False, p=(0.22, 0.22, 0.12, 0.22, 0.22))]
        if self.rails and "train" not in rare and rng.random() < 0.25:
            rare.append("train")

        def kind() -> str:
            return str(rng.choice(("car", "truck", "bus", "motorcycle"), p=(0.8, 0.07, 0.05, 0.08)))

        def seed() -> int:
            return int(rng.integers(1 << 30))

        def fill(x: float, z: float, speed: float, rare_share: float, gap: tuple[float, float]) -> None:
            """Put vehicles on a lane, from z to the end of the loop."""
            while z < LOOP - 25:
                what = rare.pop() if rare and rng.random() < rare_share else kind()
                if what == "bicycle":
                    rare.append(what)
                    what = "car"
                out.append(Vehicle(what, x, z + _LONGER.get(what, 0.0), speed, seed()))
                z += float(rng.uniform(*gap)) + 12 * (what in ("bus", "truck")) + 26 * (what == "train")

        for lane in range(self.own_lanes):
            ego = lane == ego_lane
            speed = SPEED if ego else float(rng.uniform(8.5, 11.5))
            z = float(rng.uniform(9, 28)) if ego else float(rng.uniform(0, 20))
            fill(self.drive_side * self.lane * (lane + 0.5), z, speed, 0.35, (10, 40))
        for lane in range(self.other_lanes):
            speed, z = -float(rng.uniform(6, 12)), float(rng.uniform(4, 20))
            fill(-self.drive_side * self.lane * (lane + 0.5), z, speed, 0.5, (9, 35))
        for side in (-1, 1):  # cyclists along the kerb
            speed = side * self.drive_side * float(rng.uniform(4, 6))
            for _ in range(int(rng.integers(0, 3)) + ("bicycle" in rare)):
                x = side * (self.edge[side] - 2.2 * self.parking[side] - 0.5)
                out.append(Vehicle("bicycle", x, float(rng.uniform(5, 60)), speed, seed()))
        return out
