# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The cars, lorries, buses and trams of the synthetic street, drawn as faces in metres.

Every function draws into the builder's current object: its middle at x = 0, its foot at y = 0, ahead = +z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from night_seg_ros.training.streets.geometry import ON_GROUND, ON_SIDE, Builder, Colour, Point
from night_seg_ros.training.streets.objects import (
    CIRCLE,
    ID,
    PAINTS,
    RUBBER,
    Rng,
    box,
    front_rect,
    pick,
    side_rect,
)
from night_seg_ros.training.streets.optics import HEADLIGHT, TAIL_LIGHT, f32
from night_seg_ros.training.streets.textures import BARS, CABIN, PLASTER

GLASS = (0.02, 0.025, 0.03)


def wheel(b: Builder, x: float, z: float, radius: float, label: int, outward: int) -> None:
    """A wheel on the left (outward -1) or right (1) flank of a vehicle."""
    ring = CIRCLE[::-1] if outward < 0 else CIRCLE
    for r, colour, off in ((radius, RUBBER, 0.0), (radius * 0.6, (0.2, 0.2, 0.21), 0.01)):
        points: list[Point] = [(x + outward * off, radius + r * s, z - r * c) for c, s in ring]
        b.face(points, label, colour, on=ON_SIDE, one_sided=True)


def vehicle_lamps(
    b: Builder, half: float, length: float, y: float, label: int, *, on: bool, size: float = 0.12
) -> None:
    """Head and tail lamps at both ends of a vehicle, and the light that the headlamps throw."""
    z = length / 2 + 0.01
    for x in (-half + 0.22, half - 0.22):
        light = tuple(c * 35 for c in HEADLIGHT) if on else (0, 0, 0)
        box_points = [(x + size * c * 1.2, y + size * s, z) for c, s in CIRCLE]
        b.face(box_points, label, (0.6, 0.6, 0.6), one_sided=True, light=light)
        tail = tuple(c * 7 for c in TAIL_LIGHT) if on else (0, 0, 0)
        b.face(
            [(px, py + 0.1, -z) for px, py, _ in box_points[::-1]],
            label,
            (0.3, 0.01, 0.01),
            one_sided=True,
            light=tail,
        )
    if on:
        b.lamp((0, y, z + 0.3), HEADLIGHT, 60, (0, -0.12, 1), 24)
        b.lamp((0, y, -z - 0.3), TAIL_LIGHT, 1.2, (0, -0.2, -1), 2)


@dataclass(frozen=True)
class _CarShape:
    """Outline of a car from its side, in metres: z along it, its middle at 0, and heights; and its width."""

    half: float  # of the width
    rear: float  # z, likewise down to `front`
    boot: float  # where the rear window begins
    back: float  # where it ends at the roof
    screen: float  # where the windscreen begins at the roof
    bonnet: float  # where it ends
    front: float
    belt: float  # height of the windows' lower edge
    roof: float  # height
    van: bool

    @property
    def top(self) -> float:
        """Half the width of the roof, which is narrower than the body."""
        return 0.84 * self.half


def _random_shape(rng: Rng) -> _CarShape:
    van = rng.random() < 0.18
    half, length = rng.uniform(0.82, 0.93), rng.uniform(3.7, 4.7) + van
    belt, roof = (1.1, 2.0) if van else (rng.uniform(0.88, 0.98), rng.uniform(1.38, 1.6))
    rear, front = -length / 2, length / 2
    hatch = rng.random() < 0.6
    boot = rear + (0.15 if hatch or van else 0.75)
    bonnet = front - (0.7 if van else rng.uniform(0.95, 1.2))
    screen, back = bonnet - 0.65, boot + (0.1 if van else 0.45)
    return _CarShape(half, rear, boot, back, screen, bonnet, front, belt, roof, van)


def car(b: Builder, rng: Rng, *, lights: bool) -> None:
    label = ID["car"]
    paint = pick(rng, PAINTS)
    car = _random_shape(rng)
    _car_underside(b, car)
    _car_body(b, car, paint)
    _car_side_windows(b, car, paint)
    _car_screens(b, car, paint)
    _car_ends(b, car, paint)
    for x, out in ((-car.half, -1), (car.half, 1)):
        for z in (car.rear + 0.75, car.front - 0.8):
            wheel(b, x, z, 0.31, label, out)
    vehicle_lamps(b, car.half, car.front - car.rear, 0.72, label, on=lights)


def _car_underside(b: Builder, car: _CarShape) -> None:
    """The gap under the car."""
    label, black = ID["car"], (0.008, 0.008, 0.008)
    for x in (-car.half * 0.95, car.half * 0.95):
        side_rect(b, x, 0.05, 0.35, car.rear + 0.2, car.front - 0.2, label, black)
    for z in (car.rear + 0.15, car.front - 0.15):
        front_rect(b, -car.half * 0.9, car.half * 0.9, 0.05, 0.35, z, label, black)


def _car_body(b: Builder, car: _CarShape, paint: Colour) -> None:
    """The body below the windows."""
    label, half = ID["car"], car.half
    nose = car.belt - 0.18
    profile = [
        (car.rear, 0.28),
        (car.rear - 0.02, 0.6),
        (car.rear + 0.06, car.belt),
        (car.bonnet, car.belt),
        (car.front - 0.1, nose),
        (car.front, 0.5),
        (car.front - 0.03, 0.25),
    ]
    b.face([(-half, y, z) for z, y in profile[::-1]], label, paint, on=ON_SIDE, one_sided=True)
    b.face([(half, y, z) for z, y in profile], label, paint, on=ON_SIDE, one_sided=True)
    for (z0, y0), (z1, y1) in zip(profile[:-1], profile[1:], strict=True):
        b.face(
            [(-half, y0, z0), (-half, y1, z1), (half, y1, z1), (half, y0, z0)], label, paint, one_sided=True
        )


def _car_side_windows(b: Builder, car: _CarShape, paint: Colour) -> None:
    """The cabin from its sides: pillars in paint, two panes; a van has the front one only."""
    label, belt, roof = ID["car"], car.belt, car.roof
    middle, low, high = (car.boot + car.bonnet) / 2, belt + 0.05, roof - 0.09
    share = (high - belt) / (roof - belt)
    rear_pane = (car.boot + 0.15, car.back + 0.12, middle - 0.05, middle - 0.05)
    front_pane = (middle + 0.05, middle + 0.05, car.screen - 0.05, car.bonnet - 0.14)
    for x, top in ((-car.half, -car.top), (car.half, car.top)):
        outline = [(x, belt, car.boot), (top, roof, car.back), (top, roof, car.screen), (x, belt, car.bonnet)]
        b.face(_facing_out(outline, x), label, paint, on=ON_SIDE, one_sided=True)
        for z0, z1, z2, z3 in (front_pane,) if car.van else (rear_pane, front_pane):
            x_high = x + (top - x) * share
            pane = [
                (x * 1.005, low, z0),
                (x_high * 1.005, high, z1),
                (x_high * 1.005, high, z2),
                (x * 1.005, low, z3),
            ]
            b.face(_facing_out(pane, x), label, GLASS, on=ON_SIDE, one_sided=True)


def _facing_out(points: list[Point], x: float) -> list[Point]:
    """Points that run clockwise seen from the right: the other way round if they lie on the left."""
    return points[::-1] if x < 0 else points


def _car_screens(b: Builder, car: _CarShape, paint: Colour) -> None:
    """The rear window, the windscreen and the roof between them."""
    label, half, top, belt, roof = ID["car"], car.half, car.top, car.belt, car.roof
    inset = 0.08
    for z0, z1, flip in ((car.boot, car.back, False), (car.bonnet, car.screen, True)):
        ends = [(-half, belt, z0), (-top, roof, z1), (top, roof, z1), (half, belt, z0)]
        b.face(ends[::-1] if flip else ends, label, paint, one_sided=True)
        out = 0.01 if flip else -0.01
        pane = [
            (-half + inset, belt + 0.04, z0 + out),
            (-top + inset, roof - 0.09, z1 + out),
            (top - inset, roof - 0.09, z1 + out),
            (half - inset, belt + 0.04, z0 + out),
        ]
        b.face(pane[::-1] if flip else pane, label, GLASS, one_sided=True)
    roof_points = [
        (-top, roof, car.back),
        (-top, roof, car.screen),
        (top, roof, car.screen),
        (top, roof, car.back),
    ]
    b.face(roof_points, label, paint, on=ON_GROUND, one_sided=True)


def _car_ends(b: Builder, car: _CarShape, paint: np.ndarray) -> None:
    """Bumpers and number plates."""
    label, half, dark = ID["car"], car.half, paint * 0.5
    for z, flip, plate in (
        (car.rear - 0.03, False, (0.45, 0.35, 0.03)),
        (car.front + 0.01, True, (0.6, 0.6, 0.6)),
    ):
        for x0, x1, y0, y1, colour in ((-half, half, 0.3, 0.42, dark), (-0.26, 0.26, 0.5, 0.61, plate)):
            points = [(x0, y0, z), (x0, y1, z), (x1, y1, z), (x1, y0, z)]
            b.face(points[::-1] if flip else points, label, colour, one_sided=True)


def _cabin(y0: float, y1: float, light: Colour) -> dict[str, Any]:
    """How a pane between two heights shows the lit inside of a bus."""
    height = y1 - y0
    return {"texture": CABIN, "size": (3.4, height), "shift": (0.0, y1 / height), "light": light}


def _windows(
    b: Builder, half: float, y0: float, y1: float, z0: float, z1: float, count: int, label: int, light: Colour
) -> None:
    step = (z1 - z0) / count
    inside = _cabin(y0, y1, light)
    for i in range(count):
        a, e = z0 + i * step + 0.08, z0 + (i + 1) * step - 0.08
        for x, near, far in ((half + 0.01, a, e), (-half - 0.01, e, a)):
            pane = [(x, y0, near), (x, y1, near), (x, y1, far), (x, y0, far)]
            b.face(pane, label, GLASS, on=ON_SIDE, one_sided=True, **inside)


def _both_ends(
    b: Builder,
    length: float,
    x0: float,
    x1: float,
    y0: float,
    y1: float,
    label: int,
    colour: Colour,
    **more: Any,
) -> None:
    z = length / 2 + 0.012
    points = [(x0, y0, -z), (x0, y1, -z), (x1, y1, -z), (x1, y0, -z)]
    b.face(points, label, colour, one_sided=True, **more)
    b.face([(x, y, z) for x, y, _ in points[::-1]], label, colour, one_sided=True, **more)


def bus(b: Builder, rng: Rng, *, lights: bool) -> None:
    label = ID["bus"]
    paint, trim = pick(rng, PAINTS), pick(rng, PAINTS)
    double = rng.random() < 0.35
    half, length, top = 1.25, rng.uniform(9, 12.5), 4.3 if double else 3.1
    inside = tuple(f32((1.0, 0.92, 0.75)) * rng.uniform(0.08, 0.4)) if lights else (0, 0, 0)
    box(b, -half, half, 0.3, top, -length / 2, length / 2, label, paint, top=(0.5, 0.5, 0.5))
    for x, out in ((-half - 0.005, -1), (half + 0.005, 1)):
        points = [
            (x, 0.32, length / 2),
            (x, 0.85, length / 2),
            (x, 0.85, -length / 2),
            (x, 0.32, -length / 2),
        ]
        b.face(points if out < 0 else points[::-1], label, trim, on=ON_SIDE, one_sided=True)
    decks = ((1.3, 2.3), (2.9, 3.9)) if double else ((1.3, 2.5),)
    for y0, y1 in decks:
        _windows(b, half, y0, y1, -length / 2 + 0.4, length / 2 - 0.3, 7, label, inside)
        dimmed = tuple(0.5 * c for c in inside)
        edge, pane = half - 0.15, _cabin(y0 - 0.1, y1 + 0.05, dimmed)
        _both_ends(b, length, -edge, edge, y0 - 0.1, y1 + 0.05, label, GLASS, **pane)
    _both_ends(b, length, -half, half, 0.3, 0.7, label, trim)
    sign = (2.5, 1.2, 0.2) if lights else (0, 0, 0)
    _both_ends(b, length, -0.7, 0.7, top - 0.42, top - 0.15, label, (0.03, 0.02, 0.01), light=sign)
    for x, out in ((-half, -1), (half, 1)):
        for z in (-length / 2 + 2.6, length / 2 - 2.4):
            wheel(b, x, z, 0.48, label, out)
    vehicle_lamps(b, half, length + 0.05, 0.75, label, on=lights, size=0.13)


def truck(b: Builder, rng: Rng, *, lights: bool) -> None:
    label = ID["truck"]
    paint, load = pick(rng, PAINTS), pick(rng, PAINTS)
    load = load if rng.random() < 0.5 else f32((0.6, 0.6, 0.6)) * rng.uniform(0.5, 1.2)
    half, length, top = 1.2, rng.uniform(6.5, 10.5), rng.uniform(2.9, 3.7)
    end, start = length / 2, -length / 2
    box(b, -half * 0.8, half * 0.8, 0.45, 0.95, start, end - 0.3, label, (0.02, 0.02, 0.02))
    cab = end - 1.9

    def cabin() -> None:
        box(b, -half * 0.96, half * 0.96, 0.5, 2.6, cab, end, label, paint)
        _windows(b, half * 0.96, 1.45, 2.25, end - 1.3, end - 0.2, 1, label, (0, 0, 0))
        pane = [
            (-half * 0.85, 1.4, end + 0.01),
            (-half * 0.85, 2.35, end + 0.01),
            (half * 0.85, 2.35, end + 0.01),
            (half * 0.85, 1.4, end + 0.01),
        ]
        b.face(pane[::-1], label, GLASS, one_sided=True)
        bumper = [(x, y - 0.85 if y < 2 else 0.9, z) for x, y, z in pane]
        b.face(bumper[::-1], label, (0.03, 0.03, 0.03), one_sided=True)

    cabin()  # what is nearer covers it: from ahead the box hides behind the cabin again
    box(b, -half, half, 0.95, top, start, cab - 0.15, label, load, texture=PLASTER, size=(2.0, 2.0))
    door = [
        (0.02, 1.05, start - 0.01),
        (0.02, top - 0.1, start - 0.01),
        (-0.02, top - 0.1, start - 0.01),
        (-0.02, 1.05, start - 0.01),
    ]
    b.face(door[::-1], label, load * 0.3, one_sided=True)
    box(b, -half * 0.95, half * 0.95, 0.5, 0.75, start - 0.05, start + 0.05, label, (0.05, 0.05, 0.05))
    for x, out in ((-half, -1), (half, 1)):
        for z in (start + 1.0, start + 2.0, end - 1.1):
            wheel(b, x, z, 0.48, label, out)
    vehicle_lamps(b, half, length, 0.75, label, on=lights, size=0.12)


def tram(b: Builder, rng: Rng, *, lights: bool) -> None:
    label = ID["train"]
    paint = f32(
        [(0.5, 0.48, 0.42), (0.35, 0.03, 0.03), (0.03, 0.2, 0.08), (0.05, 0.12, 0.35), (0.5, 0.4, 0.05)]
    )
    body, trim = pick(rng, paint), pick(rng, paint)
    half, length, top = 1.2, rng.uniform(20, 28), 3.4
    inside = tuple(f32((1.0, 0.95, 0.85)) * rng.uniform(0.1, 0.45)) if lights else (0, 0, 0)
    box(b, -half, half, 0.15, top, -length / 2, length / 2, label, body, top=(0.3, 0.3, 0.3))
    for x, out in ((-half - 0.005, -1), (half + 0.005, 1)):
        points = [(x, 0.15, length / 2), (x, 0.9, length / 2), (x, 0.9, -length / 2), (x, 0.15, -length / 2)]
        b.face(points if out < 0 else points[::-1], label, trim, on=ON_SIDE, one_sided=True)
    _windows(b, half, 1.2, 2.5, -length / 2 + 0.6, length / 2 - 0.6, int(length / 1.6), label, inside)
    _both_ends(b, length, -half, half, 0.15, 1.0, label, trim)
    dimmed = _cabin(1.2, 2.65, tuple(0.3 * c for c in inside))
    _both_ends(b, length, -half + 0.2, half - 0.2, 1.2, 2.65, label, GLASS, **dimmed)
    _both_ends(
        b,
        length,
        -0.6,
        0.6,
        2.85,
        3.2,
        label,
        (0.03, 0.02, 0.01),
        light=(2.5, 1.5, 0.3) if lights else (0, 0, 0),
    )
    b.face(
        [(-0.5, 4.6, 0), (0.5, 4.6, 0), (0.1, top, -1), (-0.1, top, -1)],
        label,
        (0.03, 0.03, 0.03),
        porous=True,
        texture=BARS,
        size=(0.6, 9),
    )
    vehicle_lamps(b, half, length + 0.05, 0.8, label, on=lights, size=0.12)
