# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Procedural textures of the synthetic street, packed into one atlas.

Every tile is seamless and 256 x 256. It holds a colour multiplier (128 = 1.0), an alpha (0 = a hole through
which the things behind show) and the light it gives off at night (lit windows, shop fronts). The atlas holds
three copies of each tile, ever more blurred, so that a distant surface can be read from a coarse copy and
does not flicker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import cv2
import numpy as np

from night_seg_ros.training.streets.optics import f32

TILE = 256
PITCH = TILE + 2  # a border of one pixel repeats the opposite edge, for bilinear reading
BLURS = (0.0, 1.6, 6.0)  # of the three copies, in texels

FLAT, ASPHALT, PAVING, GRASS, LEAVES, BRANCHES, BRICK, HEDGE, CLOUDS, BARS, RAILS, ROOF, PLASTER = range(13)
CABIN = 13
FACADES = tuple(range(14, 26))
SHOPS = tuple(range(26, 32))
TILES = 32


@dataclass(frozen=True)
class Atlas:
    """All tiles: `surface` (rows, columns, 4) uint8 RGB multiplier and alpha, `light` (rows, columns, 3)
    uint8 RGB."""

    surface: np.ndarray
    light: np.ndarray


@dataclass(frozen=True)
class Tile:
    """One tile before it is packed, all float32.

    Attributes:
        surface: colour multiplier, (256, 256, 3); None for 1 everywhere.
        alpha: (256, 256), 0..1; None for 1 everywhere.
        light: that it gives off, (256, 256, 3); None for none.
    """

    surface: np.ndarray | None = None
    alpha: np.ndarray | None = None
    light: np.ndarray | None = None


def noise(rng: np.random.Generator, slope: float, size: int = TILE) -> np.ndarray:
    """A seamless (size, size) float32 noise with mean 0 and standard deviation 1; `slope` 0 is white, 2 is
    cloudy."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * frequency**-slope
    spectrum[0, 0] = 0.0
    field = np.fft.irfft2(spectrum, s=(size, size))
    return (field / field.std()).astype(np.float32)


def _grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2).astype(np.float32)


def _courses(height: int, width: int, mortar: int, rng: np.random.Generator, spread: float) -> np.ndarray:
    """Bricks or slabs in running bond, one tone each, with joints; (256, 256) multiplier."""
    out = np.ones((TILE, TILE), np.float32)
    for row in range(TILE // height):
        shift = (row % 2) * width // 2
        for column in range(TILE // width + 1):
            x = column * width - shift
            out[row * height : (row + 1) * height, max(x, 0) : max(x + width, 0)] = (
                1 + spread * rng.standard_normal()
            )
            out[row * height : (row + 1) * height, max(x, 0) : max(x + mortar, 0)] = 0.72
        out[row * height : row * height + mortar] = 0.74
    return out


def _facade(rng: np.random.Generator, style: int) -> Tile:
    """A wall of windows, some of them lit at night."""
    wall = 1 + 0.05 * noise(rng, 1.0) + 0.03 * noise(rng, 0.0)
    if style % 3 == 0:
        wall *= _courses(8, 20, 1, rng, 0.08)
    elif style % 3 == 1:
        wall *= _courses(32, 64, 1, rng, 0.03)
    surface = _grey(wall)
    light = np.zeros((TILE, TILE, 3), np.float32)
    columns, rows = ((4, 3), (5, 3), (3, 3), (8, 4))[style % 4]
    width, height = TILE // columns, TILE // rows
    band = style % 4 == 3  # an office block: ribbons of glass
    frame = 1.7 if rng.random() < 0.7 else 0.6
    share = rng.choice((0.08, 0.2, 0.45))
    pane_w = width - 6 if band else int(width * rng.uniform(0.36, 0.55))
    pane_h = int(height * rng.uniform(0.5, 0.66))
    for row in range(rows):
        for column in range(columns):
            x = column * width + (width - pane_w) // 2
            y = row * height + (height - pane_h) // 2
            surface[y - 3 : y + pane_h + 4, max(x - 3, 0) : x + pane_w + 3] = frame
            surface[y + pane_h + 4 : y + pane_h + 8, max(x - 5, 0) : x + pane_w + 5] *= (
                0.7  # the sill's shadow
            )
            glass = rng.uniform(0.18, 0.6)
            ramp = np.linspace(glass * 1.3, glass * 0.7, pane_h, dtype=np.float32)[:, None, None]
            surface[y : y + pane_h, x : x + pane_w] = ramp * f32((0.85, 0.97, 1.15))
            if rng.random() < share:
                warm = rng.choice(3)
                colour = f32(((1, 0.72, 0.36), (1, 0.88, 0.66), (0.8, 0.95, 1))[warm]) * rng.uniform(0.25, 1)
                glow = np.ones((pane_h, pane_w, 1), np.float32) * np.linspace(1.1, 0.6, pane_h)[:, None, None]
                if rng.random() < 0.5:  # curtains
                    glow[:, : pane_w // 4] *= 0.35
                    glow[:, -(pane_w // 4) :] *= 0.35
                light[y : y + pane_h, x : x + pane_w] = glow * colour
            if not band:  # the bars of the window
                for part in (surface, light):
                    scale = frame if part is surface else 0.1
                    part[y : y + pane_h, x + pane_w // 2 - 1 : x + pane_w // 2 + 1] = scale
                    part[y + pane_h // 2 : y + pane_h // 2 + 2, x : x + pane_w] = scale
    return Tile(surface, light=light * (light.max(axis=2, keepdims=True) > 0.12))


def _shop(rng: np.random.Generator, dark: bool) -> Tile:
    """A shop front, lit at night unless ``dark``: sign board above, two panes with goods, a door."""
    surface = _grey(0.8 + 0.03 * noise(rng, 0.5))
    light = np.zeros((TILE, TILE, 3), np.float32)
    board = rng.uniform(0.1, 1.6, 3).astype(np.float32)
    surface[14:70] = board
    letters = f32((1.9, 1.9, 1.8)) if board.mean() < 0.9 else f32((0.2, 0.15, 0.15))
    x = 30
    while x < 210:
        w = int(rng.integers(5, 14))
        surface[28:56, x : x + w] = letters
        if rng.random() < 0.5:
            surface[36:48, x + 3 : x + w] = board
        x += w + int(rng.integers(3, 14))
    if not dark:
        light[14:70] = surface[14:70] * f32((0.32, 0.32, 0.32))
    for x0, x1 in ((10, 100), (112, 146), (158, 246)):
        glass = rng.uniform(0.2, 0.5) * f32((0.9, 1.0, 1.1))
        surface[80:240, x0:x1] = glass
        colour = f32(((1, 0.8, 0.5), (1, 0.95, 0.85), (0.85, 0.95, 1))[rng.choice(3)]) * rng.uniform(0.5, 1.0)
        if not dark:
            light[80:240, x0:x1] = colour * np.linspace(1.15, 0.55, 160, dtype=np.float32)[:, None, None]
        for _ in range(9):  # goods and people inside, dark and coloured
            w, h = int(rng.integers(5, 22)), int(rng.integers(10, 60))
            gx = int(rng.integers(x0, max(x1 - w, x0 + 1)))
            tone = rng.uniform(0.1, 0.9, 3).astype(np.float32)
            surface[240 - h : 240, gx : gx + w] = tone
            light[240 - h : 240, gx : gx + w] *= tone
    return Tile(surface, light=light)


def _cabin(rng: np.random.Generator) -> np.ndarray:
    """The light through the windows of a bus (256, 256, 3): a bright ceiling, seats and heads."""
    light = _grey(np.repeat(np.linspace(1.0, 0.45, TILE)[:, None], TILE, axis=1))
    light[:22] = 1.3
    for x in range(0, TILE, 64):
        cv2.rectangle(light, (x + 6, 150), (x + 44, TILE), (0.08, 0.1, 0.16), -1)
        if rng.random() < 0.6:
            cv2.circle(light, (x + 25, 125), 17, (0.2, 0.14, 0.1), -1)
            cv2.rectangle(light, (x + 8, 142), (x + 42, TILE), (0.1, 0.09, 0.09), -1)
    return light


def _branches(rng: np.random.Generator) -> np.ndarray:
    """Alpha of bare twigs (256, 256), 0..1."""
    canvas = np.zeros((TILE, TILE), np.uint8)

    def grow(x: float, y: float, angle: float, length: float, width: int) -> None:
        x1, y1 = x + np.cos(angle) * length, y - np.sin(angle) * length
        for dx in (-TILE, 0, TILE):
            for dy in (-TILE, 0, TILE):
                cv2.line(
                    canvas, (int(x + dx), int(y + dy)), (int(x1 + dx), int(y1 + dy)), 255, width, cv2.LINE_AA
                )
        if length > 9:
            for _ in range(3):
                grow(
                    x1, y1, angle + rng.uniform(-0.7, 0.7), length * rng.uniform(0.6, 0.85), max(width - 1, 1)
                )

    for _ in range(7):
        grow(rng.uniform(0, TILE), rng.uniform(0, TILE), np.pi / 2 + rng.uniform(-0.8, 0.8), 45, 4)
    return canvas.astype(np.float32) / 255


def _asphalt(rng: np.random.Generator) -> Tile:
    grain = 1 + 0.10 * noise(rng, 0.2) + 0.07 * noise(rng, 1.6)
    cracks = np.abs(noise(rng, 1.7))
    return Tile(_grey(grain * np.where(cracks < 0.02, 0.75, 1.0)))


def _paving(rng: np.random.Generator) -> Tile:
    slabs = _courses(32, 64, 2, rng, 0.06)
    return Tile(_grey(slabs * (1 + 0.06 * noise(rng, 0.5) + 0.05 * noise(rng, 1.5))))


def _grass(rng: np.random.Generator) -> Tile:
    tone = noise(rng, 1.4)
    surface = _grey(1 + 0.2 * noise(rng, 0.3) + 0.12 * tone)
    surface[..., 0] *= 1 + 0.12 * tone
    return Tile(surface)


def _foliage(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Colour of leaves, and the clumps that they grow in."""
    clumps = noise(rng, 1.2)
    return _grey(np.clip(0.95 + 0.28 * clumps + 0.25 * noise(rng, 0.5), 0.15, 2)), clumps


def _leaves(rng: np.random.Generator) -> Tile:
    surface, clumps = _foliage(rng)
    return Tile(surface, np.clip(0.8 + 0.4 * (clumps + 0.7 * noise(rng, 0.9)), 0, 1))


def _bare_branches(rng: np.random.Generator) -> Tile:
    alpha = _branches(rng)
    return Tile(_grey(1 + 0.2 * noise(rng, 0.5)), alpha)


def _brick(rng: np.random.Generator) -> Tile:
    surface = _grey(_courses(8, 20, 1, rng, 0.12) * (1 + 0.06 * noise(rng, 1.2)))
    surface[..., 0] *= 1 + 0.05 * noise(rng, 1.0)
    return Tile(surface)


def _bars(rng: np.random.Generator) -> Tile:
    alpha = np.zeros((TILE, TILE), np.float32)
    for x in range(0, TILE, 16):
        alpha[:, x : x + 4] = 1
    alpha[10:22] = alpha[225:238] = 1
    return Tile(alpha=alpha)


def _rails(rng: np.random.Generator) -> Tile:
    alpha = np.zeros((TILE, TILE), np.float32)
    for y in (8, 90, 172):
        alpha[y : y + 26] = 1
    alpha[:, 0:14] = alpha[:, 128:142] = 1
    return Tile(_grey(1 + 0.15 * noise(rng, 0.8)), alpha)


# How each tile is drawn.
_DRAW: dict[int, Callable[[np.random.Generator], Tile]] = {
    FLAT: lambda rng: Tile(light=np.ones((TILE, TILE, 3), np.float32)),
    ASPHALT: _asphalt,
    PAVING: _paving,
    GRASS: _grass,
    LEAVES: _leaves,
    BRANCHES: _bare_branches,
    BRICK: _brick,
    HEDGE: lambda rng: Tile(_foliage(rng)[0]),
    CLOUDS: lambda rng: Tile(_grey(np.clip(1 + 0.5 * noise(rng, 1.8), 0, 2))),
    BARS: _bars,
    RAILS: _rails,
    ROOF: lambda rng: Tile(_grey(_courses(16, 16, 2, rng, 0.1))),
    PLASTER: lambda rng: Tile(_grey(1 + 0.07 * noise(rng, 1.4) + 0.02 * noise(rng, 0))),
    CABIN: lambda rng: Tile(light=_cabin(rng)),
    **{index: partial(_facade, style=style) for style, index in enumerate(FACADES)},
    **{index: partial(_shop, dark=index == SHOPS[-1]) for index in SHOPS},
}


def _blur(tile: np.ndarray, sigma: float) -> np.ndarray:
    if sigma == 0:
        return tile
    pad = int(3 * sigma) + 1
    wide = np.pad(tile, ((pad, pad), (pad, pad), (0, 0)), mode="wrap")
    return cv2.GaussianBlur(wide, (0, 0), sigma)[pad:-pad, pad:-pad]


@lru_cache(maxsize=1)
def atlas() -> Atlas:
    """The atlas, made once per process (about half a second), always the same."""
    surface = np.zeros((len(BLURS) * PITCH, TILES * PITCH, 4), np.uint8)
    light = np.zeros((len(BLURS) * PITCH, TILES * PITCH, 3), np.uint8)
    for index in range(TILES):
        tile = _DRAW[index](np.random.default_rng((index, 20)))
        colour = np.ones((TILE, TILE, 3), np.float32) if tile.surface is None else tile.surface
        alpha = np.ones((TILE, TILE), np.float32) if tile.alpha is None else tile.alpha
        glow = np.zeros((TILE, TILE, 3), np.float32) if tile.light is None else tile.light
        both = np.concatenate([np.clip(colour * 128, 0, 255), alpha[..., None] * 255], axis=2)
        for level, sigma in enumerate(BLURS):
            rows = slice(level * PITCH, (level + 1) * PITCH)
            columns = slice(index * PITCH, (index + 1) * PITCH)
            edges = ((1, 1), (1, 1), (0, 0))
            surface[rows, columns] = np.pad(_blur(both.astype(np.float32), sigma), edges, mode="wrap").round()
            glow_tile = _blur(np.clip(glow * 255, 0, 255).astype(np.float32), sigma)
            light[rows, columns] = np.pad(glow_tile, edges, mode="wrap").round()
    return Atlas(surface, light)
