# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What stands and walks beside the road of the synthetic street, and closes the view at its end."""

from __future__ import annotations

import numpy as np

from night_seg_ros.training.streets import objects as draw
from night_seg_ros.training.streets import people
from night_seg_ros.training.streets.driving import draw_vehicle
from night_seg_ros.training.streets.geometry import BACKDROP
from night_seg_ros.training.streets.layout import CURB, StreetLayout
from night_seg_ros.training.streets.objects import ID, Rng
from night_seg_ros.training.streets.optics import f32
from night_seg_ros.training.streets.textures import FACADES, LEAVES, SHOPS

WALLS = f32(
    [
        (0.42, 0.38, 0.3), (0.3, 0.13, 0.09), (0.5, 0.48, 0.45), (0.36, 0.22, 0.14), (0.22, 0.21, 0.2),
        (0.6, 0.58, 0.52), (0.45, 0.33, 0.2), (0.3, 0.31, 0.33), (0.5, 0.4, 0.36),
    ]
)  # fmt: skip

_LOTS = ("flush", "house", "park", "yard")  # flush: a house at the pavement
_LOT_CHANCES = {
    "town": (0.72, 0.1, 0.08, 0.1),
    "suburb": (0.12, 0.55, 0.18, 0.15),
    "green": (0.05, 0.2, 0.5, 0.25),
}


def draw_roadside(layout: StreetLayout) -> None:
    """Everything beside the lanes, and the backdrop."""
    for side in (-1, 1):
        _lots(layout, side)
        _lamps(layout, side)
        _kerb(layout, side)
        _people(layout, side)
        _traffic_lights(layout, side)
        if layout.street.parking[side]:
            _parked_cars(layout, side)
    _backdrop(layout)


# behind the pavement


def _lots(layout: StreetLayout, side: int) -> None:
    """Houses and gardens, one after the other."""
    street = layout.street
    length = street.lot[side]
    front = street.edge[side] + street.verge[side] + street.walk[side]
    for index in layout.indices(length):
        rng = layout.rng(3, side, index)
        z0 = index * length
        z1 = z0 + length
        kind = str(rng.choice(_LOTS, p=_LOT_CHANCES[street.district]))
        boundary = str(rng.choice(("wall", "fence", "hedge", "none"), p=(0.38, 0.34, 0.2, 0.08)))
        if kind == "flush":
            end = z1 - rng.choice((0, 0, 0, 2))
            _house(layout, rng, side, side * (front + 0.02), z0, end, rng.random() < 0.55)
            continue
        if kind == "house":
            x = side * (front + rng.uniform(3, 9))
            _house(layout, rng, side, x, z0 + 1, z1 - rng.uniform(1, 4), False)
        elif kind == "yard":
            _house(layout, rng, side, side * (front + rng.uniform(9, 18)), z0, z1, False)
        else:
            for _ in range(4):
                z, x = rng.uniform(z0, z1), side * (front + rng.uniform(3, 16))
                _garden_tree(layout, rng, x, z)
        if kind != "park" and rng.random() < 0.6:
            z, x = rng.uniform(z0, z1), side * (front + rng.uniform(1.2, 3))
            _garden_tree(layout, rng, x, z, nearer=3)
        _boundary(layout, rng, boundary, side * (front + 0.3), z0, length)


def _house(layout: StreetLayout, rng: Rng, side: int, x: float, z0: float, z1: float, shop: bool) -> None:
    b = layout.builder
    storeys = rng.integers(3, 7) if layout.street.district == "town" else rng.integers(2, 4)
    b.place(layer=BACKDROP, key=z0 - layout.camera.z, follow=True)
    house = draw.House(
        side=side,
        x=x,
        z0=z0,
        z1=z1,
        height=draw.STOREY * float(storeys) + rng.uniform(0, 1),
        facade=int(rng.choice(FACADES)),
        glow=float(rng.uniform(0.3, 1.6)),
        shop=int(rng.choice(SHOPS)) if shop else None,
        depth=float(rng.uniform(8, 14)),
        colour=draw.pick(rng, WALLS),
    )
    draw.building(b, rng, house)
    layout.cast_shadow(min(x, x + side * 10), max(x, x + side * 10), z0, z1, house.height)
    if house.shop is not None and house.shop != SHOPS[-1]:  # the last one is dark
        b.lamp((x - side * 0.8, 2.0, (z0 + z1) / 2), (1, 0.88, 0.7), float(rng.uniform(2, 9)))


def _garden_tree(layout: StreetLayout, rng: Rng, x: float, z: float, nearer: float = 0) -> None:
    """A tree of a lot, painted as if it stood `nearer` metres nearer: it grows before the house."""
    layout.builder.place(x, z, layer=BACKDROP, key=z - layout.camera.z - nearer)
    draw.tree(layout.builder, rng, rng.random() < layout.street.bare_trees)


def _boundary(layout: StreetLayout, rng: Rng, kind: str, x: float, z0: float, length: float) -> None:
    """A wall, fence or hedge at the front of a lot, in pieces that follow the bend."""
    b, tall = layout.builder, rng.uniform(0.8, 2.3)
    if kind == "none":
        return
    pieces = 3
    style = int(rng.integers(1 << 30))
    for k in range(pieces):
        a, e = z0 + k * length / pieces, z0 + (k + 1) * length / pieces
        b.place(layer=BACKDROP, key=a - layout.camera.z - 4, follow=True)
        same = np.random.default_rng(style)
        if kind == "wall":
            draw.wall(b, same, x - 0.15, x + 0.15, tall, a, e)
        elif kind == "fence":
            draw.fence(b, same, x, min(tall, 1.8), a, e)
        else:
            draw.hedge(b, same, x - 0.4, x + 0.4, tall, a, e)


# between the lanes and the lots


def _kerb_x(layout: StreetLayout, side: int) -> float:
    """Where things stand on the pavement's edge."""
    return side * (layout.street.edge[side] + 0.5)


def _lamps(layout: StreetLayout, side: int) -> None:
    street, b, x = layout.street, layout.builder, _kerb_x(layout, side)
    if side not in street.lamp_sides:
        return
    for index in layout.indices(street.lamp_spacing):
        rng = layout.rng(4, side, index)
        z = index * street.lamp_spacing + 7 * (side > 0)
        b.place(x, z, y=CURB, key=z - layout.camera.z)
        lit = street.lamps_lit and rng.random() < 0.93
        draw.street_lamp(b, rng, street.lamp_height, side, street.lamp_colour, street.lamp_power, on=lit)
        layout.cast_shadow(x - 0.06, x + 0.06, z - 0.06, z + 0.06, street.lamp_height)


def _kerb(layout: StreetLayout, side: int) -> None:
    """Trees, signs, bollards, parked bicycles and guard rails, one or none every 9 metres."""
    street, b, x = layout.street, layout.builder, _kerb_x(layout, side)
    for index in layout.indices(9):
        rng = layout.rng(5, side, index)
        z = index * 9 + rng.uniform(0, 9)
        chance = rng.random()
        b.place(x + side * rng.uniform(-0.1, 0.3), z, y=CURB, key=z - layout.camera.z)
        if chance < (0.28 if street.district == "town" else 0.4):
            draw.tree(b, rng, rng.random() < street.bare_trees)
            layout.cast_shadow(x - 1.2, x + 1.2, z - 1, z + 1, 5)
        elif chance < 0.55:
            draw.traffic_sign(b, rng)
        elif chance < 0.61:
            _bollards(layout, rng, x, z)
        elif chance < 0.77:
            _parked_two_wheelers(layout, rng, x + side * 0.5, z)
        elif chance < 0.88 and street.verge[side] == 0:
            _guard_rail(layout, x, z, rng.uniform(3, 8), style=(12, side, index))


def _bollards(layout: StreetLayout, rng: Rng, x: float, z: float) -> None:
    for k in range(3):
        layout.builder.place(x, z + 1.5 * k, y=CURB, key=z + 1.5 * k - layout.camera.z)
        draw.mast(layout.builder, 0, 0, 1.0, 0.12, ID["pole"], draw.pick(rng, people.CLOTHES))


def _parked_two_wheelers(layout: StreetLayout, rng: Rng, x: float, z: float) -> None:
    for k in range(4):
        z_k = z + 0.8 * (3 - k)
        layout.builder.place(x, z_k, y=CURB, key=z_k - layout.camera.z)
        heavy, across = rng.random() < 0.4, rng.random() < 0.7
        people.two_wheeler(
            layout.builder, rng, 0, heavy=heavy, ridden=False, across=across, ahead=False, lights=False
        )


def _guard_rail(layout: StreetLayout, x: float, z: float, length: float, style: tuple[int, ...]) -> None:
    """A guard rail along the kerb, in pieces that follow the bend; style is the key of its looks."""
    for k in range(3):
        start, end = z + k * length / 3, z + (k + 1) * length / 3
        layout.builder.place(y=CURB, key=start - layout.camera.z, follow=True)
        draw.fence(layout.builder, layout.rng(*style), x, 1.0, start, end)


def _people(layout: StreetLayout, side: int) -> None:
    """People on the pavement, and a few on the road."""
    street, camera = layout.street, layout.camera
    inner = street.edge[side] + street.verge[side]
    for index in layout.indices(6, 70):
        rng = layout.rng(6, side, index)
        for _ in range(rng.poisson(street.people * 0.5)):
            z = index * 6 + rng.uniform(0, 6) + 10 * float(np.sin(layout.time * rng.uniform(-0.13, 0.13)))
            x = side * (inner + rng.uniform(0.3, max(street.walk[side] - 0.3, 0.5)))
            if rng.random() < 0.06:
                x = rng.uniform(-street.edge[-1], street.edge[1])
                z = max(z, camera.z + 12)
            foot = CURB if abs(x) > street.edge[side] else 0
            layout.builder.place(x, z, y=foot, key=z - camera.z)
            people.person(layout.builder, rng, layout.time)
            layout.darken_under(x - 0.2, x + 0.2, z - 0.15, z + 0.15)
            layout.cast_shadow(x - 0.2, x + 0.2, z - 0.1, z + 0.1, 1.6)


def _traffic_lights(layout: StreetLayout, side: int) -> None:
    street, b = layout.street, layout.builder
    for index in layout.indices(street.crossing, 100):
        rng = layout.rng(7, index)
        z = (index + 0.7) * street.crossing - 0.5
        if rng.random() < 0.85:
            b.place(side * (street.edge[side] + 0.35), z, y=CURB, key=z - layout.camera.z)
            state = (index + int(layout.time / 6)) % 3
            state = 0 if state == 1 else state
            facing = side == street.drive_side or rng.random() < 0.6
            draw.traffic_light(b, rng, state, on=True, facing=facing)


def _parked_cars(layout: StreetLayout, side: int) -> None:
    street = layout.street
    for index in layout.indices(6.2):
        rng = layout.rng(8, side, index)
        if rng.random() < 0.65:
            x = side * (street.edge[side] - 1.1) + rng.uniform(-0.15, 0.15)
            ahead = rng.random() < (0.85 if side == street.drive_side else 0.2)
            z = index * 6.2 + rng.uniform(0, 0.8)
            draw_vehicle(layout, "car", rng, x, z, 0.0 if ahead else np.pi, lights=False)


# at the end


def _backdrop(layout: StreetLayout) -> None:
    """Distant houses and trees that close the street."""
    b, rng = layout.builder, layout.rng(9)
    b.place(0, layout.camera.z + 145, layer=BACKDROP, key=1000)
    for k in range(26):
        x = (k - 13) * 13.0 + rng.uniform(-4, 4)
        if rng.random() < (0.65 if layout.street.district == "town" else 0.25):
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
