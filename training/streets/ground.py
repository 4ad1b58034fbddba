# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The ground of the synthetic street: carriageway, pavements, verges and what is painted on the road."""

from __future__ import annotations

import numpy as np

from night_seg_ros.training.streets.geometry import GROUND, ON_GROUND, ON_SIDE, Colour
from night_seg_ros.training.streets.layout import CURB, StreetLayout
from night_seg_ros.training.streets.objects import ID
from night_seg_ros.training.streets.textures import ASPHALT, FLAT, GRASS, PAVING

# Strips of ground follow the bend piece by piece.
_EDGES = (-6.0, 2, 5, 9, 14, 20, 28, 38, 50, 65, 85, 110, 150)


def draw_ground(layout: StreetLayout) -> None:
    """Everything flat: the ground, far to the sides, and on it the markings of the road."""
    layout.builder.place(layer=GROUND, follow=True)
    for side in (-1, 1):
        _beside_the_road(layout, side)
    street = layout.street
    _ribbon(layout, -street.edge[-1], street.edge[1], ID["road"], street.asphalt, texture=ASPHALT, size=5.0)
    for side in (-1, 1):
        _pavement(layout, side)
    layout.builder.place(layer=GROUND, follow=True)
    _patches(layout)
    if street.rails:
        _rails(layout)
    _lines(layout)
    _crossings(layout)


def _ribbon(
    layout: StreetLayout,
    x0: float,
    x1: float,
    label: int,
    colour: Colour,
    *,
    texture: int = FLAT,
    size: float = 4.0,
    along: tuple[float, float] | None = None,
    y: float = 0.0,
) -> None:
    """A strip of ground; along the road it goes from z to z of the world, or all the way if not given."""
    edges = _edges(layout)
    x0, x1 = min(x0, x1), max(x0, x1)
    low, high = along or (edges[0], edges[-1])
    cuts = [low, *(e for e in edges if low < e < high), high]
    for a, e in zip(cuts[:-1], cuts[1:], strict=True):
        corners = [(x0, y, a), (x0, y, e), (x1, y, e), (x1, y, a)]
        layout.builder.face(
            corners, label, colour, texture=texture, size=(size, size), on=ON_GROUND, one_sided=True
        )


def _edges(layout: StreetLayout) -> list[float]:
    """Where strips are cut, in the world."""
    return [layout.camera.z + edge for edge in _EDGES]


def _beside_the_road(layout: StreetLayout, side: int) -> None:
    """The ground of the lots, and the verge."""
    street = layout.street
    edge = street.edge[side]
    walk = edge + street.verge[side]
    lots = walk + street.walk[side]
    if street.district == "town":
        label, colour, texture = ID["sidewalk"], street.pavement * 0.9, PAVING
    else:
        label, colour, texture = ID["terrain"], street.grass, GRASS
    _ribbon(layout, side * lots, side * 90, label, colour, texture=texture, size=3.0, y=CURB)
    _ribbon(layout, side * edge, side * walk, ID["terrain"], street.grass, texture=GRASS, size=3.0, y=CURB)


def _pavement(layout: StreetLayout, side: int) -> None:
    street, label = layout.street, ID["sidewalk"]
    edge = street.edge[side]
    walk = edge + street.verge[side]
    _ribbon(
        layout,
        side * walk,
        side * (walk + street.walk[side]),
        label,
        street.pavement,
        texture=PAVING,
        size=2.4,
        y=CURB,
    )
    stone = street.pavement * 1.35
    _ribbon(layout, side * edge, side * (edge + 0.16), label, stone, y=CURB)
    edges = _edges(layout)
    for a, e in zip(edges[:-1], edges[1:], strict=True):
        x = side * edge
        points = [(x, 0, a), (x, CURB, a), (x, CURB, e), (x, 0, e)]
        layout.builder.face(points, label, stone * 0.8, on=ON_SIDE)


def _patches(layout: StreetLayout) -> None:
    """Patches and manholes."""
    street, road = layout.street, ID["road"]
    left, right = -street.edge[-1], street.edge[1]
    for index in layout.indices(14):
        rng = layout.rng(1, index)
        z = index * 14 + rng.uniform(0, 10)
        x = rng.uniform(left, right - 1)
        if rng.random() < 0.5:
            tone = street.asphalt * rng.choice((0.7, 0.8, 1.2))
            wide, end = x + rng.uniform(0.6, 2.5), z + rng.uniform(1, 9)
            _ribbon(layout, x, wide, road, tone, texture=ASPHALT, size=5.0, along=(z, end))
        if rng.random() < 0.35:
            x = rng.uniform(left + 1, right - 1)
            points = [(x + 0.35 * np.cos(a), 0.0, z + 0.35 * np.sin(a)) for a in np.linspace(0, 5.8, 10)]
            layout.builder.face(points, road, street.asphalt * 0.5, on=ON_GROUND)


def _rails(layout: StreetLayout) -> None:
    for track in (-0.5, 0.5):
        for x in (-0.72, 0.72):
            middle = track * layout.street.lane + x
            _ribbon(layout, middle - 0.035, middle + 0.035, ID["road"], (0.25, 0.24, 0.23))


def _lines(layout: StreetLayout) -> None:
    """Dashed lines between the lanes, and lines along the edges."""
    street, road, white = layout.street, ID["road"], layout.street.marking
    length, period = street.dash
    lines = [
        k * street.lane
        for k in range(-9, 10)
        if -street.edge[-1] + 1.5 < k * street.lane < street.edge[1] - 1.5
    ]
    for index in layout.indices(period, 75):
        z = index * period
        for x in lines:
            _ribbon(layout, x - 0.07, x + 0.07, road, white, size=1, along=(z, z + length))
    if street.edge_line:
        for side in (-1, 1):
            x = side * (street.lanes_end(side) - 0.3)
            _ribbon(layout, x - 0.06, x + 0.06, road, white)


def _crossings(layout: StreetLayout) -> None:
    """Zebra crossings, with a stop line and an arrow before them."""
    street, road, white = layout.street, ID["road"], layout.street.marking
    for index in layout.indices(street.crossing, 70):
        rng = layout.rng(2, index)
        z = (index + 0.7) * street.crossing
        if rng.random() < 0.6:
            for x in np.arange(-street.edge[-1] + 0.3, street.edge[1] - 0.4, 1.0):
                _ribbon(layout, x, x + 0.5, road, white, size=1, along=(z, z + 3))
        side = street.drive_side
        inner, outer = sorted((0.1 * side, side * street.edge[side]))
        _ribbon(layout, inner, outer, road, white, size=1, along=(z - 1.6, z - 1.25))
        x = layout.camera.x + rng.uniform(-0.3, 0.3)
        arrow = [
            (-0.07, -14),
            (-0.07, -11),
            (-0.35, -11),
            (0, -9.4),
            (0.35, -11),
            (0.07, -11),
            (0.07, -14),
        ]
        layout.builder.face([(x + dx, 0, z + dz) for dx, dz in arrow], road, white, on=ON_GROUND)
