# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a seed says about its street: all that scene, ground, roadside and traffic have to agree on.

Positions are in metres: x right of the centre line, z along the road. What differs by side of the road has
the keys -1 (left) and 1 (right).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from night_seg_ros.training.streets.optics import LAMP_COLOURS, f32

TRAINING_SEEDS = range(100_000)  # streets to learn from
HELD_OUT_SEEDS = range(100_000, 100_100)  # streets for tests, which no training may see

SPEED = 10.0  # m/s, of the camera
LOOP = 150.0  # other traffic starts anew at the far end after this many metres
PARKING = 2.2  # metres, width of the row of parked cars

_LONGER = {"truck": 4.0, "bus": 5.0, "train": 12.0}  # metres by which their middle lies farther off
_RARE = ("truck", "bus", "train", "motorcycle", "bicycle")


@dataclass(frozen=True)
class Weather:
    """What lights and hides the scene. Colours are linear RGB."""

    sun: np.ndarray  # (3,) direction to the sun, world axes
    sunlight: float  # 0 overcast .. 3 hard sun
    haze: float  # 1/m
    sky: np.ndarray  # (3,) day sky near the horizon
    zenith: np.ndarray  # (3,) day sky above
    cloud: float  # 0 clear .. 1
    exposure: float  # of the day image
    ambient: np.ndarray  # (3,) the night's light from everywhere
    night_sky: np.ndarray  # (3,)
    headlights: float  # strength of the ego car's low beam
    wet: float  # 0 dry .. 1 mirror
    brightness: float  # 0..1, what the camera's exposure control aims at by night
    bloom: float
    streak: float | None
    noise: float
    vignette: float
    contrast: float
    blur: float  # pixels at a width of 480


@dataclass(frozen=True)
class Vehicle:
    """Something that drives, where it was at time 0."""

    kind: str
    x: float
    z: float  # metres ahead of the camera at time 0
    speed: float  # m/s along the road, below 0 oncoming
    seed: int


class Street:
    """An endless street, fixed by its seed, an int from 0 up (else ValueError)."""

    def __init__(self, seed: int) -> None:
        if int(seed) != seed or seed < 0:
            raise ValueError(f"seed must be an integer from 0 up, not {seed!r}")
        self.seed = int(seed)
        rng = np.random.default_rng((self.seed, 1))  # the order of the draws is part of the street
        dusk = bool(rng.random() < 0.35)  # the night picture keeps some light in the sky
        self.weather = _random_weather(rng, dusk)
        self.lamps_lit = not dusk or bool(rng.random() < 0.5)
        self.lights_on = float(rng.uniform(0.3, 1)) if dusk else 0.95  # share of the vehicles
        # camera
        self.camera_height = float(rng.uniform(1.2, 1.65))
        self.camera_pitch = float(rng.uniform(-0.03, 0.09))  # radians, positive looks down
        self.focal = float(rng.uniform(0.8, 1.35))  # of the picture's width
        self.bend = float(rng.choice((0, 1)) * rng.normal(0, 0.0035))  # 1/m, see StreetCamera
        self.slope = float(np.clip(rng.normal(0.0001, 0.0004), -0.0001, 0.0008))
        self.bonnet = bool(rng.random() < 0.3)  # our own car's is in the picture
        # road
        self.drive_side = int(rng.choice((-1, 1)))
        self.lane = float(rng.uniform(2.9, 3.6))  # width
        self.own_lanes = int(rng.choice((1, 2), p=(0.7, 0.3)))
        self.other_lanes = int(rng.choice((1, 2), p=(0.75, 0.25)))
        self.rails = bool(rng.random() < 0.35)
        self.district = str(rng.choice(("town", "suburb", "green"), p=(0.6, 0.25, 0.15)))
        self.asphalt = f32((0.075, 0.076, 0.08)) * rng.uniform(0.5, 1.9) + rng.uniform(0, 0.02, 3)
        self.pavement = f32((0.2, 0.19, 0.18)) * rng.uniform(0.6, 1.6) + rng.uniform(0, 0.03, 3)
        self.grass = f32((0.07, 0.11, 0.03)) * rng.uniform(0.6, 1.6) + rng.uniform(0, 0.03, 3)
        self.marking = f32((0.62, 0.62, 0.6) if rng.random() < 0.8 else (0.6, 0.42, 0.08))
        self.dash = (float(rng.uniform(1.5, 4)), float(rng.uniform(5, 11)))  # length, from start to start
        self.edge_line = bool(rng.random() < 0.6)
        self.lamp_colour = LAMP_COLOURS[rng.integers(len(LAMP_COLOURS))]
        self.lamp_power = float(np.exp(rng.uniform(np.log(15), np.log(100))))
        self.lamp_spacing = float(rng.uniform(20, 38))
        self.lamp_height = float(rng.uniform(5.5, 9))
        self.lamp_sides = (-1, 1) if rng.random() < 0.5 else (int(rng.choice((-1, 1))),)
        self.bare_trees = float(rng.choice((0.1, 0.5, 0.95)))  # share
        self.people = float(rng.uniform(0.3, 3.0))  # per 12 m of pavement
        right, left = (self.own_lanes, self.other_lanes)[:: self.drive_side]
        self.parking = {side: bool(rng.random() < 0.35) for side in (-1, 1)}
        self.edge = {1: right * self.lane, -1: left * self.lane}  # kerbs, metres from the centre line
        for side in (-1, 1):
            self.edge[side] += PARKING * self.parking[side]
        # from the kerb outwards: verge, pavement, lots; widths, of the lots the length along the road
        self.verge = {side: float(rng.uniform(1, 3.5)) * (rng.random() < 0.4) for side in (-1, 1)}
        self.walk = {side: float(rng.uniform(2, 5.5)) for side in (-1, 1)}
        self.lot = {side: float(rng.uniform(11, 20)) for side in (-1, 1)}
        self.crossing = float(rng.uniform(25, 70))  # metres between pedestrian crossings
        ego_lane = int(rng.integers(self.own_lanes))
        self.camera_x = self.drive_side * self.lane * (ego_lane + 0.5) + float(rng.uniform(-0.3, 0.3))
        self.vehicles = _random_vehicles(rng, self, ego_lane)

    def lanes_end(self, side: int) -> float:
        """Where the lanes end, metres from the centre line: at the kerb, or where cars are parked."""
        return self.edge[side] - PARKING * self.parking[side]


def _random_weather(rng: np.random.Generator, dusk: bool) -> Weather:
    """Draw a weather; by dusk its night keeps a grey sky."""
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


def _random_vehicles(rng: np.random.Generator, street: Street, ego_lane: int) -> list[Vehicle]:
    """Fill the lanes, from the camera's own side outwards, then let cyclists ride along the kerbs."""
    vehicles: list[Vehicle] = []
    rare = [str(kind) for kind in rng.choice(_RARE, 3, replace=False, p=(0.22, 0.22, 0.12, 0.22, 0.22))]
    if street.rails and "train" not in rare and rng.random() < 0.25:
        rare.append("train")
    for lane in range(street.own_lanes):
        ego = lane == ego_lane
        speed = SPEED if ego else float(rng.uniform(8.5, 11.5))
        z = float(rng.uniform(9, 28)) if ego else float(rng.uniform(0, 20))
        x = street.drive_side * street.lane * (lane + 0.5)
        vehicles += _random_queue(rng, rare, 0.35, (10, 40), x=x, z=z, speed=speed)
    for lane in range(street.other_lanes):
        speed, z = -float(rng.uniform(6, 12)), float(rng.uniform(4, 20))
        x = -street.drive_side * street.lane * (lane + 0.5)
        vehicles += _random_queue(rng, rare, 0.5, (9, 35), x=x, z=z, speed=speed)
    for side in (-1, 1):
        speed = side * street.drive_side * float(rng.uniform(4, 6))
        for _ in range(int(rng.integers(0, 3)) + ("bicycle" in rare)):
            x = side * (street.lanes_end(side) - 0.5)
            z = float(rng.uniform(5, 60))
            vehicles.append(Vehicle("bicycle", x, z, speed, _random_seed(rng)))
    return vehicles


def _random_queue(
    rng: np.random.Generator,
    rare: list[str],
    rare_share: float,
    gap: tuple[float, float],
    *,
    x: float,
    z: float,
    speed: float,
) -> list[Vehicle]:
    """The vehicles on one lane, from z to the end of the loop; what it takes of the rare ones is gone."""
    queue = []
    while z < LOOP - 25:
        if rare and rng.random() < rare_share:
            kind = rare.pop()
        else:
            kind = str(rng.choice(("car", "truck", "bus", "motorcycle"), p=(0.8, 0.07, 0.05, 0.08)))
        if kind == "bicycle":  # rides along the kerb, not here
            rare.append(kind)
            kind = "car"
        queue.append(Vehicle(kind, x, z + _LONGER.get(kind, 0.0), speed, _random_seed(rng)))
        z += float(rng.uniform(*gap)) + 12 * (kind in ("bus", "truck")) + 26 * (kind == "train")
    return queue


def _random_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 30))
