# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What drives in the synthetic street at one moment, our own car included."""

from __future__ import annotations

import numpy as np

from night_seg_ros.models.classes import IGNORE
from night_seg_ros.training.streets import people, traffic
from night_seg_ros.training.streets.layout import SIGHT, StreetLayout
from night_seg_ros.training.streets.objects import PAINTS, pick
from night_seg_ros.training.streets.street import LOOP, SPEED

_CLOSED_VEHICLES = {"car": traffic.car, "truck": traffic.truck, "bus": traffic.bus, "train": traffic.tram}
_EXTENT = {  # half width, half length, height
    "car": (0.85, 2.1, 1.4),
    "truck": (1.2, 4.5, 3.0),
    "bus": (1.25, 5.5, 3.1),
    "train": (1.2, 13.0, 3.3),
    "motorcycle": (0.25, 0.8, 1.5),
    "bicycle": (0.25, 0.8, 1.5),
}


def draw_driving(layout: StreetLayout) -> None:
    """Everything that drives."""
    _lanes(layout)
    _side_roads(layout)
    if layout.street.bonnet:
        _bonnet(layout)


def draw_vehicle(
    layout: StreetLayout, kind: str, rng: np.random.Generator, x: float, z: float, yaw: float, *, lights: bool
) -> None:
    """One vehicle with its shadow, if it is in sight; yaw in radians, 0 drives ahead."""
    b = layout.builder
    half, reach, tall = _EXTENT[kind]
    ahead = z - layout.camera.z
    if not -20 < ahead < SIGHT:
        return
    b.place(x, z, yaw, key=ahead - reach * abs(np.cos(yaw)))
    if kind in _CLOSED_VEHICLES:
        _CLOSED_VEHICLES[kind](b, rng, lights=lights)
    else:
        oncoming = bool(np.cos(yaw) < 0)
        people.two_wheeler(
            b, rng, layout.time, heavy=kind == "motorcycle", ridden=True, across=False, ahead=oncoming,
            lights=lights,
        )  # fmt: skip
    c, s = abs(np.cos(yaw)), abs(np.sin(yaw))
    w, d = half * c + reach * s, reach * c + half * s
    w, d = w + 0.12, d + 0.15
    layout.darken_under(x - w, x + w, z - d, z + d)
    layout.cast_shadow(x - w, x + w, z - d, z + d, tall)


def _lanes(layout: StreetLayout) -> None:
    for vehicle in layout.street.vehicles:
        ahead = (vehicle.z + (vehicle.speed - SPEED) * layout.time + 20) % LOOP - 20
        rng = np.random.default_rng(vehicle.seed)
        if vehicle.speed == SPEED:
            ahead += 0.6 * np.sin(0.5 * layout.time + vehicle.seed % 7)
        yaw = 0.0 if vehicle.speed > 0 else np.pi
        lights = rng.random() < layout.street.lights_on
        draw_vehicle(layout, vehicle.kind, rng, vehicle.x, ahead + layout.camera.z, yaw, lights=lights)


def _side_roads(layout: StreetLayout) -> None:
    """Someone crosses, or waits at a side road."""
    b = layout.builder
    for index in layout.indices(55, 70):
        rng = layout.rng(10, index)
        z = index * 55 + rng.uniform(10, 50)
        if z - layout.camera.z <= 12 or rng.random() >= 0.5:
            continue
        side = int(rng.choice((-1, 1)))
        reach = layout.street.edge[side] - 1.0
        x = side * (reach - (layout.time * 2.5 + rng.uniform(0, 8)) % (2 * reach))
        kind = str(rng.choice(("bicycle", "motorcycle", "car"), p=(0.55, 0.2, 0.25)))
        if kind == "car":
            yaw = -side * np.pi / 2 + rng.uniform(-0.3, 0.3)
            draw_vehicle(layout, kind, rng, side * (reach + 2.5), z, yaw, lights=True)
        else:
            b.place(x, z, key=z - layout.camera.z)
            people.two_wheeler(
                b, rng, layout.time, heavy=kind == "motorcycle", ridden=True, across=True, ahead=False,
                lights=True,
            )  # fmt: skip


def _bonnet(layout: StreetLayout) -> None:
    """The bonnet of our own car at the lower edge; its label is IGNORE."""
    camera = layout.camera
    rise = camera.rows / 2 / camera.focal  # half the picture's height, one metre ahead
    layout.builder.place(camera.x, camera.z, y=camera.height, key=-1000)
    rng = layout.rng(11)
    low, high = -1.4 * rise - camera.pitch, -rise * rng.uniform(0.86, 0.97) - camera.pitch
    wide = camera.width / camera.focal
    arch = [(t * wide, high - 0.25 * rise * abs(t) ** 2.5, 1.0) for t in np.linspace(-1, 1, 15)]
    colour = pick(rng, PAINTS)
    layout.builder.face([(-wide, low, 1.0), *arch, (wide, low, 1.0)], IGNORE, colour)
