# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The people of the synthetic street, on foot and on two wheels, drawn as faces in metres.

Every function draws into the builder's current object: its middle at x = 0, its foot at y = 0, ahead = +z.
"""

from __future__ import annotations

import numpy as np

from night_seg_ros.training.streets.geometry import Builder, Colour
from night_seg_ros.training.streets.objects import (
    CIRCLE,
    ID,
    PAINTS,
    RUBBER,
    STEEL,
    Rng,
    disc,
    front_rect,
    pick,
)
from night_seg_ros.training.streets.optics import HEADLIGHT, TAIL_LIGHT, f32
from night_seg_ros.training.streets.textures import BARS

CLOTHES = f32(
    [
        (0.02, 0.02, 0.025), (0.03, 0.04, 0.1), (0.1, 0.1, 0.1), (0.3, 0.03, 0.03), (0.35, 0.33, 0.3),
        (0.06, 0.1, 0.05), (0.15, 0.09, 0.05), (0.5, 0.5, 0.5), (0.05, 0.15, 0.35), (0.5, 0.55, 0.03),
    ]
)  # fmt: skip
SKINS = f32([(0.5, 0.3, 0.2), (0.3, 0.17, 0.1), (0.1, 0.05, 0.03)])


def _limb(
    b: Builder, x0: float, y0: float, x1: float, y1: float, w0: float, w1: float, label: int, colour: Colour
) -> None:
    dx, dy = x1 - x0, y1 - y0
    n = (dx * dx + dy * dy) ** 0.5 + 1e-6
    px, py = -dy / n, dx / n
    ends = ((x0, y0, w0), (x1, y1, w1), (x1, y1, -w1), (x0, y0, -w0))
    b.face([(x + px * w, y + py * w, 0) for x, y, w in ends], label, colour)


def person(b: Builder, rng: Rng, time: float, *, label: int = ID["person"]) -> None:
    """A walking or standing person, seen from the front or the side."""
    coat, legs, skin = pick(rng, CLOTHES), pick(rng, CLOTHES[:7]), pick(rng, SKINS)
    s = rng.uniform(0.9, 1.08) * (0.65 if rng.random() < 0.08 else 1)
    stride = 0.17 * np.sin(time * 5 + rng.uniform(0, 6)) if rng.random() < 0.75 else 0.05
    broad = rng.uniform(0.17, 0.25)
    for k, shade in ((1, 0.8), (-1, 1.0)):
        foot = 0.08 * k * 0.6 + stride * k
        _limb(b, 0.07 * k * s, 0.86 * s, foot * s, 0.06, 0.09 * s, 0.055 * s, label, legs * shade)
        _limb(b, (foot - 0.06) * s, 0.04, (foot + 0.09) * s, 0.04, 0.04, 0.04, label, (0.01, 0.01, 0.01))
    skirt = 0.15 if rng.random() < 0.3 else 0.0
    torso = [
        (-broad * 0.85 - skirt * 0.2, 0.82 - skirt),
        (-broad, 1.3),
        (-broad * 0.7, 1.45),
        (broad * 0.7, 1.45),
        (broad, 1.3),
        (broad * 0.85 + skirt * 0.2, 0.82 - skirt),
    ]
    b.face([(x * s, y * s, 0) for x, y in torso], label, coat)
    for k in (1, -1):
        _limb(
            b,
            broad * k * s,
            1.38 * s,
            (broad + 0.05) * k * s - stride * k * 0.5,
            0.85 * s,
            0.06 * s,
            0.045 * s,
            label,
            coat * 0.8,
        )
    if rng.random() < 0.3:
        side = rng.choice((-1, 1))
        front_rect(
            b, (side * 0.3 - 0.1) * s, (side * 0.3 + 0.1) * s, 0.5 * s, 0.85 * s, 0, label, pick(rng, CLOTHES)
        )
    front_rect(b, -0.05 * s, 0.05 * s, 1.42 * s, 1.52 * s, 0, label, skin)
    disc(b, 0, 1.62 * s, 0, 0.115 * s, label, skin)
    hair = [(0.125 * s * c, (1.64 + 0.125 * q) * s, 0) for c, q in CIRCLE[:7]]
    b.face(hair, label, (0.02, 0.015, 0.01))


def _cycle_side(b: Builder, label: int, paint: Colour, heavy: bool) -> None:
    """A two-wheeler from its side, along x."""
    r = 0.31 if heavy else 0.34
    for x in (-0.62 if heavy else -0.52, 0.66 if heavy else 0.54):
        disc(b, x, r, 0, r, label, RUBBER)
        if heavy:
            disc(b, x, r, 0, r * 0.5, label, STEEL)
        else:
            disc(b, x, r, 0, r * 0.86, label, (0.1, 0.1, 0.105), texture=BARS, size=(0.3, 0.7), porous=True)
            disc(b, x, r, 0, 0.05, label, RUBBER)
    if heavy:
        b.face(
            [
                (-0.7, 0.62, 0),
                (-0.62, 0.82, 0),
                (-0.05, 0.8, 0),
                (0.2, 0.95, 0),
                (0.42, 0.8, 0),
                (0.3, 0.35, 0),
                (-0.3, 0.3, 0),
            ],
            label,
            paint,
        )
        b.face([(-0.65, 0.8, 0), (-0.6, 0.88, 0), (-0.05, 0.86, 0), (-0.02, 0.8, 0)], label, RUBBER)
        front_rect(b, -0.25, 0.2, 0.3, 0.6, 0, label, STEEL)
        _limb(b, 0.66, r, 0.42, 1.0, 0.04, 0.04, label, STEEL)
        return
    for x0, y0, x1, y1 in (
        (-0.52, 0.34, -0.1, 0.3),
        (-0.1, 0.3, -0.2, 0.85),
        (-0.52, 0.34, -0.18, 0.72),
        (-0.1, 0.3, 0.4, 0.75),
        (-0.18, 0.72, 0.4, 0.78),
        (0.54, 0.34, 0.38, 0.95),
    ):
        _limb(b, x0, y0, x1, y1, 0.022, 0.022, label, paint)
    _limb(b, -0.3, 0.88, -0.08, 0.88, 0.035, 0.03, label, RUBBER)
    _limb(b, 0.3, 0.97, 0.45, 0.97, 0.025, 0.025, label, RUBBER)


def _cycle_end(b: Builder, label: int, paint: Colour, heavy: bool, lights: bool, ahead: bool) -> None:
    """A two-wheeler from behind (or from ahead)."""
    w = 0.09 if heavy else 0.035
    front_rect(b, -w, w, 0, 0.66, 0, label, RUBBER)
    front_rect(b, -w * 1.2, w * 1.2, 0.4, 0.85, 0, label, paint)
    if heavy:
        b.face([(-0.2, 0.45, 0), (-0.22, 0.8, 0), (0.22, 0.8, 0), (0.2, 0.45, 0)], label, paint)
        front_rect(b, -0.09, 0.09, 0.42, 0.52, 0, label, (0.5, 0.45, 0.2))
    front_rect(b, -0.32, 0.32, 0.95 + 0.05 * heavy, 1.0 + 0.05 * heavy, 0, label, RUBBER)
    glow = (
        (0, 0, 0)
        if not lights
        else tuple(c * (25 if heavy else 8) for c in HEADLIGHT)
        if ahead
        else tuple(c * 6 for c in TAIL_LIGHT)
    )
    disc(b, 0, 0.72 if not ahead else 0.9, 0, 0.07 if heavy else 0.04, label, (0.4, 0.02, 0.02), light=glow)


def two_wheeler(
    b: Builder, rng: Rng, time: float, *, heavy: bool, ridden: bool, across: bool, ahead: bool, lights: bool
) -> None:
    """Bicycle, or motorcycle if heavy; with a rider or parked; seen from its side if across."""
    label, rider = ID["motorcycle" if heavy else "bicycle"], ID["rider"]
    paint = pick(rng, PAINTS)
    if across:
        _cycle_side(b, label, paint, heavy)
    else:
        _cycle_end(b, label, paint, heavy, lights, ahead)
    if not ridden:
        return
    coat, legs, skin = pick(rng, CLOTHES), pick(rng, CLOTHES[:7]), pick(rng, SKINS)
    helmet = pick(rng, PAINTS) if heavy or rng.random() < 0.5 else f32((0.02, 0.015, 0.01))
    turn = time * 6 + rng.uniform(0, 6)
    if across:
        for k, shade in ((0, 0.7), (np.pi, 1.0)):
            fx, fy = (
                (0.05, 0.35) if heavy else (-0.1 + 0.17 * np.cos(turn + k), 0.3 + 0.17 * np.sin(turn + k))
            )
            _limb(b, -0.2, 0.92, 0.15, 0.68, 0.09, 0.07, rider, legs * shade)
            _limb(b, 0.15, 0.68, fx, fy, 0.065, 0.05, rider, legs * shade)
        _limb(b, -0.22, 0.9, 0.05, 1.42, 0.16, 0.16, rider, coat)
        _limb(b, 0.05, 1.38, 0.38, 1.02, 0.06, 0.045, rider, coat * 0.8)
        disc(b, 0.14, 1.6, 0, 0.13, rider, skin)
        b.face([(0.14 + 0.14 * c, 1.62 + 0.14 * s, 0) for c, s in CIRCLE[:7]], rider, helmet)
        return
    for k in (-1, 1):
        lift = 0.12 * np.sin(turn + (k > 0) * np.pi) * (not heavy)
        _limb(b, 0.1 * k, 0.9, 0.17 * k, 0.62 + lift, 0.09, 0.07, rider, legs)
        _limb(b, 0.17 * k, 0.62 + lift, 0.13 * k, 0.28 + lift, 0.065, 0.05, rider, legs * 0.8)
        _limb(b, 0.2 * k, 1.36, 0.3 * k, 1.02, 0.06, 0.05, rider, coat * 0.8)
    wide = 0.24
    b.face(
        [
            (-0.17, 0.85, 0),
            (-wide, 1.3, 0),
            (-0.14, 1.46, 0),
            (0.14, 1.46, 0),
            (wide, 1.3, 0),
            (0.17, 0.85, 0),
        ],
        rider,
        coat,
    )
    disc(b, 0, 1.6, 0, 0.12, rider, skin if ahead else helmet)
    b.face([(0.135 * c, 1.61 + 0.135 * s, 0) for c, s in CIRCLE[:7]], rider, helmet)
