# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Light on the painted faces: the same street by day and by night."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from night_seg_ros.training.streets import optics
from night_seg_ros.training.streets.geometry import Faces, StreetCamera
from night_seg_ros.training.streets.optics import f32
from night_seg_ros.training.streets.street import Weather
from night_seg_ros.training.streets.textures import PITCH, TILE, atlas


@dataclass(frozen=True)
class Surface:
    """What every pixel shows: its face, its label, its texture and its place."""

    faces: Faces
    ids: np.ndarray  # (H, W) int32
    label: np.ndarray  # (H, W) uint8
    inverse_depth: np.ndarray  # (H, W) float32, 1/m
    tint: np.ndarray  # (H, W, 3) float32 texture multiplier
    column: np.ndarray  # (H, W) float32, where in the atlas
    row: np.ndarray


def _rays(camera: StreetCamera, step: int) -> tuple[np.ndarray, np.ndarray]:
    """x/z (1, W) and y/z (H, 1) of the pixels' rays, every `step` pixels."""
    u = (np.arange(0, camera.width, step, dtype=np.float32) - (camera.width / 2 - 0.5)) / np.float32(
        camera.focal
    )
    v = ((camera.rows / 2 - 0.5) - np.arange(0, camera.rows, step, dtype=np.float32)) / np.float32(
        camera.focal
    )
    return u[None], v[:, None]


def _atlas_place(
    plane: np.ndarray, texture: np.ndarray, grazing: np.ndarray, u: np.ndarray, v: np.ndarray, focal: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """1/z and the place in the atlas of pixels whose faces' rows are given."""
    inverse, column, row = (plane[..., k] * u + plane[..., k + 1] * v + plane[..., k + 2] for k in (0, 3, 6))
    np.maximum(inverse, 1e-4, out=inverse)
    depth = 1 / inverse
    column *= depth
    row *= depth
    column -= np.floor(column)
    row -= np.floor(row)
    squeeze = depth * (1 + grazing * depth) * np.float32(500 / focal)
    # one of the three copies of the tiles
    level = (squeeze > 40).astype(np.int32) + (squeeze > 160)
    column = column * np.float32(TILE - 1e-3) + (texture * PITCH + 1)
    row = row * np.float32(TILE - 1e-3) + (level * PITCH + 1)
    return inverse, column.astype(np.float32), row.astype(np.float32)


def surface(faces: Faces, camera: StreetCamera) -> Surface:
    """Find texture and depth of every pixel, and look through the holes of porous faces."""
    u, v = _rays(camera, 1)
    front = faces.ids
    pictures = atlas()
    ids = front
    holes = np.flatnonzero(np.take(faces.porous, front))
    if len(holes):
        face = front.ravel()[holes]
        pixel_row, pixel_column = np.divmod(holes, camera.width)
        _, column, row = _atlas_place(
            faces.plane[face],
            faces.texture[face],
            faces.grazing[face],
            u[0][pixel_column],
            v[pixel_row, 0],
            camera.focal,
        )
        block = (-1, min(len(holes), 1024))  # remap takes no more than 32767 rows or columns
        spare = -len(holes) % 1024 if len(holes) > 1024 else 0
        column, row = (np.append(place, place[:spare]).reshape(block) for place in (column, row))
        texel = cv2.remap(pictures.surface, column, row, cv2.INTER_LINEAR).reshape(-1, 4)
        open_ = holes[texel[: len(holes), 3] < 110]
        ids = front.copy()
        ids.ravel()[open_] = faces.behind.ravel()[open_]
    plane = np.take(faces.plane, ids, axis=0)
    inverse, column, row = _atlas_place(
        plane, np.take(faces.texture, ids), np.take(faces.grazing, ids), u, v, camera.focal
    )
    texel = cv2.remap(pictures.surface, column, row, cv2.INTER_LINEAR)
    tint = cv2.cvtColor(texel, cv2.COLOR_RGBA2RGB).astype(np.float32)
    tint *= np.float32(1 / 128)
    return Surface(faces, ids, np.take(faces.label, front), inverse, tint, column, row)


def _soften(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma > 0.3 else image


def _cloud_cover(s: Surface) -> np.ndarray:
    """How white the sky is, (H, W, 1), from the texture of the sky's ceiling; none at the horizon."""
    return np.clip(s.tint[..., :1] - 0.7, 0, 1) * np.clip(s.inverse_depth * 2000, 0, 1)[..., None]


def _on_ground(s: Surface, mask: np.ndarray) -> np.ndarray:
    """A soft copy of a mask (H, W) uint8, 0..1, on the ground only."""
    soft = cv2.blur(mask, (5, 3)).astype(np.float32) * np.float32(1 / 255)
    soft *= np.take(s.faces.ground, s.ids)
    return soft


def day_image(
    s: Surface,
    camera: StreetCamera,
    weather: Weather,
    shadows: np.ndarray,
    contact: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """The scene by day, (H, W, 3) uint8. shadows, contact: (H, W) uint8, 255 where the ground lies in the
    sun's shadow and where right under a thing."""
    faces = s.faces
    rotation = camera.rotation()
    up = faces.normal @ rotation[:, 1]
    lit = np.maximum(faces.normal @ (rotation @ weather.sun), 0)
    ambient = (0.5 + 0.42 * up)[:, None] * (0.55 + 0.45 * weather.zenith / weather.zenith.max())
    sun = lit[:, None] * f32((1, 0.93, 0.82)) * np.float32(weather.sunlight)
    colour = np.concatenate([faces.colour * ambient, faces.colour * sun], axis=1).astype(np.float32)
    both = np.take(colour, s.ids, axis=0)
    open_sky = 1 - np.float32(0.7) * _on_ground(s, contact)
    sunny = 1 - _on_ground(s, np.maximum(shadows, contact))
    image = both[..., :3] * open_sky[..., None] + both[..., 3:] * sunny[..., None]
    image *= s.tint
    haze = np.exp(-np.float32(weather.haze) / s.inverse_depth)[..., None]
    image += (1 - haze) * (weather.sky * 0.8 - image)
    sky = s.ids == 0
    if sky.any():
        height = np.clip(_rays(camera, 1)[1] * 1.6, 0, 1)[..., None]
        clear = weather.sky + height * (weather.zenith - weather.sky)
        cover = np.float32(weather.cloud) * _cloud_cover(s)
        heaven = clear + cover * (f32((0.95, 0.96, 1.0)) - clear)
        image = np.where(sky[..., None], heaven, image)
    image *= np.float32(weather.exposure) * optics.vignette(camera.rows, camera.width, 0.4 * weather.vignette)
    image = _soften(image, weather.blur * camera.width / 480)
    return optics.develop(image, rng, 0.25 * weather.noise, weather.contrast)


def _street_light(s: Surface, camera: StreetCamera, weather: Weather) -> np.ndarray:
    """All light that falls on the surfaces at night, (H, W, 3), worked out on every second pixel."""
    faces = s.faces
    u, v = _rays(camera, 2)
    depth = 1 / s.inverse_depth[::2, ::2]
    np.minimum(depth, 300, out=depth)
    points = np.stack([u * depth, v * depth, depth])
    ids = s.ids[::2, ::2]
    normals = np.ascontiguousarray(np.moveaxis(np.take(faces.normal, ids, axis=0), 2, 0))
    position = faces.lamp_position
    order = np.argsort(np.abs(position[:, 2]))
    keep = order[(position[order, 2] > -14) & (position[order, 2] < 95)][:22]
    lights = optics.Lights(
        position[keep], faces.lamp_colour[keep], faces.lamp_direction[keep], faces.lamp_tightness[keep]
    )
    light = optics.irradiance(points, normals, lights) + weather.ambient
    beam = optics.headlight_beam(points, weather.headlights)
    # Street lamps see a surface from above, the headlamps see it as we do, so what faces us is lit best.
    facing = 0.35 - 0.65 * (normals[2] + normals[0] * u + normals[1] * v)
    light += (beam * facing)[..., None] * f32(optics.HEADLIGHT)
    return cv2.resize(light, (camera.width, camera.rows), interpolation=cv2.INTER_LINEAR)


def _reflections(
    image: np.ndarray, s: Surface, camera: StreetCamera, weather: Weather, horizon: float
) -> None:
    """Mirror what is bright in the road, drawn out downwards; added in place."""
    quarter = (max(camera.width // 4, 1), max(camera.rows // 4, 1))
    small = cv2.resize(image, quarter, interpolation=cv2.INTER_AREA)
    row = int(np.clip(round(horizon / 4), 1, quarter[1] - 1))
    below = quarter[1] - row
    mirrored = np.zeros_like(small)
    upper = np.maximum(small[:row] - 0.15, 0)[::-1][:below]
    np.minimum(upper, 12, out=upper)
    mirrored[row : row + len(upper)] = upper
    # low lamps are mirrored close to their foot, so what is bright near the ground smears down too
    mirrored += 0.5 * np.minimum(np.maximum(small - 0.6, 0), 12)
    reach = max(quarter[1] // 3, 3)
    streaks = cv2.blur(mirrored, (1, reach), anchor=(0, reach - 1))
    streaks = cv2.GaussianBlur(streaks, (0, 0), 0.7)
    streaks = cv2.resize(streaks, (camera.width, camera.rows), interpolation=cv2.INTER_LINEAR)
    ground = np.take(s.faces.ground, s.ids).astype(np.float32)
    ground *= np.float32(weather.wet) * np.clip(s.tint[..., 1] * 1.6 - 0.9, 0.1, 1.5)
    image += streaks * ground[..., None]


def night_image(
    s: Surface, camera: StreetCamera, weather: Weather, contact: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The scene at night, (H, W, 3) uint8."""
    faces = s.faces
    image = np.take(faces.colour, s.ids, axis=0) * s.tint
    image *= _street_light(s, camera, weather)
    image *= (1 - np.float32(0.6) * _on_ground(s, contact))[..., None]
    glow = cv2.remap(atlas().light, s.column, s.row, cv2.INTER_LINEAR).astype(np.float32)
    glow *= np.float32(1 / 255)
    glow *= np.take(faces.light, s.ids, axis=0)
    image += glow
    horizon = camera.rows / 2 - camera.focal * np.tan(camera.pitch)
    sky = s.ids == 0
    if sky.any():
        v = np.arange(camera.rows, dtype=np.float32)[:, None, None]
        nearness = np.clip(v / max(horizon, 1), 0, 1) ** 3
        heaven = weather.night_sky * (0.35 + 0.8 * nearness + 1.5 * weather.cloud * _cloud_cover(s))
        image = np.where(sky[..., None], heaven, image)
    haze = 1 - np.exp(-np.float32(weather.haze * 0.6) / s.inverse_depth)[..., None]
    image += haze * weather.night_sky * 0.7
    if weather.wet > 0.02:
        _reflections(image, s, camera, weather, horizon)
    image *= optics.exposure(image, weather.brightness)
    optics.bloom(image, weather.bloom, weather.streak)
    image *= optics.vignette(camera.rows, camera.width, weather.vignette)
    image = _soften(image, weather.blur * camera.width / 480)
    return optics.develop(image, rng, weather.noise, weather.contrast)
