# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The things that stand and drive in the synthetic street, drawn as faces in metres.

Every function draws into the builder's current object: its middle at x = 0, its foot at y = 0, ahead = +z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from night_seg_ros.models.classes import CLASSES
from night_seg_ros.training.streets.geometry import ON_FRONT, ON_GROUND, ON_SIDE, Builder, Colour
from night_seg_ros.training.streets.optics import f32
from night_seg_ros.training.streets.textures import BARS, BRANCHES, BRICK, HEDGE, LEAVES, PLASTER, RAILS, ROOF

ID = {name: index for index, name in enumerate(CLASSES)}
STEEL = (0.18, 0.19, 0.2)
RUBBER = (0.012, 0.012, 0.013)
STOREY = 3.2  # metres
Rng = np.random.Generator

CIRCLE = [(float(np.cos(a)), float(np.sin(a))) for a in np.linspace(0, 2 * np.pi, 12, endpoint=False)]
PAINTS = f32(
    [
        (0.5, 0.5, 0.52), (0.7, 0.7, 0.7), (0.02, 0.02, 0.025), (0.12, 0.13, 0.14), (0.35, 0.02, 0.02),
        (0.03, 0.06, 0.25), (0.02, 0.1, 0.06), (0.5, 0.35, 0.03), (0.25, 0.27, 0.3), (0.1, 0.02, 0.03),
    ]
)  # fmt: skip


def pick(rng: Rng, colours: np.ndarray) -> np.ndarray:
    return colours[rng.integers(len(colours))] * rng.uniform(0.7, 1.3)


def front_rect(
    b: Builder, x0: float, x1: float, y0: float, y1: float, z: float, label: int, colour: Colour, **more: Any
) -> None:
    b.face([(x0, y0, z), (x0, y1, z), (x1, y1, z), (x1, y0, z)], label, colour, **more)


def side_rect(
    b: Builder, x: float, y0: float, y1: float, z0: float, z1: float, label: int, colour: Colour, **more: Any
) -> None:
    b.face([(x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1)], label, colour, on=ON_SIDE, **more)


def box(
    b: Builder,
    x0: float,
    x1: float,
    y0: float,
    y1: float,
    z0: float,
    z1: float,
    label: int,
    colour: Colour,
    **more: Any,
) -> None:
    """A box without its underside; only the faces towards the camera show."""
    top = more.pop("top", colour)
    b.face([(x0, y1, z0), (x0, y1, z1), (x1, y1, z1), (x1, y1, z0)], label, top, on=ON_GROUND, one_sided=True)
    near = [(x0, y0, z0), (x0, y1, z0), (x1, y1, z0), (x1, y0, z0)]
    b.face(near, label, colour, on=ON_FRONT, one_sided=True, **more)
    b.face([(x, y, z1) for x, y, _ in near[::-1]], label, colour, on=ON_FRONT, one_sided=True, **more)
    left = [(x0, y0, z1), (x0, y1, z1), (x0, y1, z0), (x0, y0, z0)]
    b.face(left, label, colour, on=ON_SIDE, one_sided=True, **more)
    b.face([(x1, y, z) for _, y, z in left[::-1]], label, colour, on=ON_SIDE, one_sided=True, **more)


def disc(
    b: Builder, x: float, y: float, z: float, radius: float, label: int, colour: Colour, **more: Any
) -> None:
    """An upright disc that faces along the road."""
    b.face([(x + radius * c, y + radius * s, z) for c, s in CIRCLE], label, colour, **more)


def mast(b: Builder, x: float, y0: float, y1: float, width: float, label: int, colour: Colour) -> None:
    front_rect(b, x - width / 2, x + width / 2, y0, y1, 0, label, colour)


def tree(b: Builder, rng: Rng, bare: bool) -> None:
    label = ID["vegetation"]
    height, crown = rng.uniform(4.5, 10), rng.uniform(1.4, 3.2)
    bark = f32((0.06, 0.05, 0.04)) * rng.uniform(0.5, 1.5)
    height = max(height, 2.0 + 2.3 * crown)  # the crown clears heads and cars
    trunk = rng.uniform(0.09, 0.25)
    foot = height - crown * 1.6
    b.face(
        [(-trunk, 0, 0), (-trunk * 0.6, foot + 1, 0), (trunk * 0.6, foot + 1, 0), (trunk, 0, 0)], label, bark
    )
    green = f32((0.05, 0.09, 0.02)) * rng.uniform(0.5, 1.6) + f32((0.05, 0.02, 0)) * rng.uniform(0, 0.8)
    for k in range(4 if bare else 6):
        x, y = rng.uniform(-0.55, 0.55) * crown, height - crown + rng.uniform(-0.55, 0.55) * crown
        r = crown * rng.uniform(0.55, 0.85)
        edge = r * (1 + rng.uniform(-0.22, 0.22, 18))
        angles = np.linspace(0, 2 * np.pi, 18, endpoint=False)
        points = [
            (x + e * np.cos(a), y + e * np.sin(a), 0.0)
            for e, a in zip(edge.tolist(), angles.tolist(), strict=True)
        ]
        shift = (float(rng.random()), float(rng.random()))
        colour = bark * rng.uniform(0.7, 1.2) if bare else green * (0.6 + 0.16 * k)
        b.face(
            points,
            label,
            colour,
            texture=BRANCHES if bare else LEAVES,
            size=(4.5, 4.5) if bare else (3.2, 3.2),
            shift=shift,
            porous=True,
        )


def hedge(
    b: Builder,
    rng: Rng,
    x0: float,
    x1: float,
    height: float,
    z0: float,
    z1: float,
    label: int = ID["vegetation"],
) -> None:
    green = f32((0.04, 0.07, 0.02)) * rng.uniform(0.6, 1.5)
    box(b, x0, x1, 0, height, z0, z1, label, green, top=green * 1.4, texture=HEDGE, size=(2.6, 2.6))
    for z in np.arange(z0, z1, 1.2):  # an uneven top
        r = rng.uniform(0.4, 0.7)
        x = (x0 + x1) / 2
        b.face(
            [(x + 1.4 * r * c, height + r * s * 0.7, z) for c, s in CIRCLE],
            label,
            green * rng.uniform(0.8, 1.3),
            texture=LEAVES,
            size=(2.6, 2.6),
            porous=True,
            shift=(float(z), 0),
        )


def wall(b: Builder, rng: Rng, x0: float, x1: float, height: float, z0: float, z1: float) -> None:
    tone = f32([(0.25, 0.12, 0.08), (0.3, 0.27, 0.22), (0.35, 0.34, 0.32), (0.2, 0.19, 0.18)])
    colour = pick(rng, tone)
    box(
        b,
        x0,
        x1,
        0,
        height,
        z0,
        z1,
        ID["wall"],
        colour,
        top=colour * 1.3,
        texture=BRICK if rng.random() < 0.65 else PLASTER,
        size=(2.4, 2.4),
    )


def fence(b: Builder, rng: Rng, x: float, height: float, z0: float, z1: float) -> None:
    rails = rng.random() < 0.3
    colour = pick(
        rng,
        f32([(0.02, 0.02, 0.02), (0.2, 0.2, 0.2), (0.04, 0.08, 0.05), (0.2, 0.13, 0.07), (0.5, 0.5, 0.48)]),
    )
    more = {"texture": RAILS, "size": (3.2, height)} if rails else {"texture": BARS, "size": (2.0, height)}
    side_rect(b, x, 0, height, z0, z1, ID["fence"], colour, porous=True, **more)


def street_lamp(
    b: Builder, rng: Rng, height: float, side: int, colour: Colour, power: float, *, on: bool
) -> None:
    """A mast with an arm over the road (towards -side)."""
    label, steel = ID["pole"], (0.14, 0.15, 0.15)
    arm = rng.uniform(0.8, 2.0)
    mast(b, 0, 0, height, 0.13, label, steel)
    mast(b, 0, 0, 1.2, 0.2, label, steel)
    end = -side * arm
    b.face(
        [(0, height - 0.1, 0), (0, height, 0), (end, height + 0.25, 0), (end, height + 0.17, 0)], label, steel
    )
    light = tuple(c * 45 for c in colour) if on else (0, 0, 0)
    front_rect(b, end - 0.35, end + 0.35, height + 0.1, height + 0.26, 0, label, (0.3, 0.3, 0.3), light=light)
    if on:
        b.lamp((end, height + 0.1, 0), colour, power, (0, -1, 0), 2.0)


def traffic_light(b: Builder, rng: Rng, state: int, *, on: bool, facing: bool = True) -> None:
    """state: 0 red, 1 amber, 2 green."""
    height = rng.uniform(2.4, 3.2)
    mast(b, 0, 0, height, 0.11, ID["pole"], (0.05, 0.05, 0.05))
    label = ID["traffic light"]
    front_rect(b, -0.22, 0.22, height - 0.55, height + 0.6, 0, label, (0.008, 0.008, 0.008))
    if not facing:
        return
    for k, lamp in enumerate(((1.0, 0.05, 0.02), (1.0, 0.45, 0.03), (0.1, 1.0, 0.55))):
        lit = k == state
        disc(
            b,
            0,
            height + 0.38 - 0.35 * k,
            0,
            0.125,
            label,
            lamp if lit else (0.02, 0.02, 0.02),
            light=tuple(9 * c for c in lamp) if lit and on else (0, 0, 0),
        )


def traffic_sign(b: Builder, rng: Rng) -> None:
    height = rng.uniform(2.0, 2.7)
    mast(b, 0, 0, height, 0.08, ID["pole"], STEEL)
    label, kind, r = ID["traffic sign"], rng.integers(5), rng.uniform(0.3, 0.42)
    red, blue, white = (0.5, 0.02, 0.02), (0.02, 0.07, 0.4), (0.75, 0.75, 0.75)
    if kind == 0:  # a ban: red ring
        disc(b, 0, height, 0, r, label, red)
        disc(b, 0, height, 0, r * 0.75, label, white)
        front_rect(b, -r * 0.35, r * 0.35, height - r * 0.25, height + r * 0.25, 0, label, (0.03, 0.03, 0.03))
    elif kind == 1:  # a warning: red triangle
        for size, colour in ((1.15, red), (0.75, white)):
            b.face(
                [
                    (-r * size, height - 0.6 * r * size, 0),
                    (0, height + 1.1 * r * size, 0),
                    (r * size, height - 0.6 * r * size, 0),
                ],
                label,
                colour,
            )
    elif kind == 2:  # an order: blue disc, white arrow
        disc(b, 0, height, 0, r, label, blue)
        b.face(
            [
                (-0.1, height - 0.2, 0),
                (0.2, height + 0.1, 0),
                (0.1, height + 0.2, 0),
                (-0.2, height - 0.1, 0),
            ],
            label,
            white,
        )
    elif kind == 3:  # a square board
        front_rect(b, -r, r, height - r, height + r, 0, label, blue if rng.random() < 0.6 else white)
        front_rect(
            b,
            -r * 0.4,
            r * 0.4,
            height - r * 0.5,
            height + r * 0.5,
            0,
            label,
            white if rng.random() < 0.5 else red,
        )
    else:  # a direction board
        green = (0.02, 0.18, 0.08)
        w = rng.uniform(0.6, 1.3)
        front_rect(b, -w, w, height - 0.35, height + 0.45, 0, label, green if rng.random() < 0.4 else blue)
        for y in (-0.15, 0.15):
            front_rect(
                b, -w * 0.8, w * rng.uniform(0.1, 0.8), height + y - 0.05, height + y + 0.07, 0, label, white
            )


@dataclass(frozen=True)
class House:
    """A house along the road, from z0 to z1, in metres."""

    side: int  # of the road: -1 left, 1 right
    x: float  # of its front
    z0: float
    z1: float
    depth: float
    height: float  # up to the eaves
    facade: int  # texture of the front
    shop: int | None  # texture of the ground floor, if that is a shop
    glow: float  # light of the windows at night
    colour: np.ndarray  # (3,) linear RGB of the walls


def building(b: Builder, rng: Rng, house: House) -> None:
    label, x, z0, z1 = ID["building"], house.x, house.z0, house.z1
    gable = rng.random() < 0.4
    end_wall = {"texture": BRICK if rng.random() < 0.5 else PLASTER, "size": (3.0, 3.0)}
    left, right = sorted((x, x + house.side * house.depth))
    front_rect(b, left, right, 0, house.height, z0, label, house.colour * 0.9, **end_wall)
    if gable:
        _gable_roof(b, rng, house)
    tile = (12.0, 9.6)
    front = {"texture": house.facade, "size": tile, "shift": (-z0 / tile[0], house.height / tile[1])}
    foot = STOREY if house.shop is not None else 0.0
    light = (house.glow,) * 3
    side_rect(b, x, foot, house.height, z0, z1, label, house.colour, light=light, **front)
    if not gable:  # a cornice
        cornice = x - house.side * 0.05
        side_rect(b, cornice, house.height - 0.35, house.height, z0, z1, label, house.colour * 0.7)
    if house.shop is not None:
        _shop_front(b, rng, house, house.shop)
    else:
        z = rng.uniform(z0 + 1, max(z1 - 2, z0 + 1.1))
        door = pick(rng, PAINTS) * 0.5
        side_rect(b, x - house.side * 0.02, 0, 2.2, z, z + 1.1, label, door)


def _gable_roof(b: Builder, rng: Rng, house: House) -> None:
    """A gable, the half of the roof towards the road, perhaps a chimney."""
    label, x, z0, z1 = ID["building"], house.x, house.z0, house.z1
    tiles = pick(rng, f32([(0.1, 0.05, 0.035), (0.06, 0.06, 0.065), (0.12, 0.07, 0.05)]))
    depth = min(house.depth, 9)
    ridge, middle, far = house.height + depth * 0.45, x + house.side * depth / 2, x + house.side * depth
    gable = [(x, house.height, z0), (middle, ridge, z0), (far, house.height, z0)]
    b.face(gable, label, house.colour * 0.85)
    eaves = x - house.side * 0.3
    slope = [
        (eaves, house.height - 0.1, z0),
        (middle, ridge, z0),
        (middle, ridge, z1),
        (eaves, house.height - 0.1, z1),
    ]
    b.face(slope, label, tiles, texture=ROOF, size=(4.0, 4.0), on=ON_SIDE)
    if rng.random() < 0.6:
        z = rng.uniform(z0 + 1, max(z1 - 2, z0 + 1.5))
        brick = (0.15, 0.08, 0.05)
        box(b, middle - 0.5, middle + 0.5, ridge - 1, ridge + 1.0, z, z + 0.9, label, brick)


def _shop_front(b: Builder, rng: Rng, house: House, texture: int) -> None:
    """Shops on the ground floor, each some 6 m wide, perhaps an awning over the first one."""
    label, x, z0, z1 = ID["building"], house.x, house.z0, house.z1
    span = (z1 - z0) / max(round((z1 - z0) / 6), 1)
    shops = {"texture": texture, "size": (span, STOREY), "shift": (-z0 / span, 1.0), "light": (1.4,) * 3}
    side_rect(b, x, 0, STOREY, z0, z1, label, (0.45, 0.45, 0.45), **shops)
    if rng.random() < 0.3:
        cloth = pick(rng, PAINTS)
        z = z0 + rng.uniform(0, 1)
        edge = x - house.side * 1.2
        awning = [(x, 3.0, z), (x, 3.0, z + span - 1), (edge, 2.4, z + span - 1), (edge, 2.4, z)]
        b.face(awning, label, cloth, on=ON_GROUND)
