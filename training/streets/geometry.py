# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Flat faces in metres: collected from objects, projected through a pinhole camera and painted far to near.

World axes: x right, y up (0 = road), z along the road. Each object has its own place and heading; its faces
are given in its own axes, the last face painted last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from night_seg_ros.training.streets.optics import f32
from night_seg_ros.training.streets.textures import CLOUDS, FLAT

# How the texture lies on a face: which two axes of the object its columns and rows run along.
ON_GROUND, ON_SIDE, ON_FRONT = range(3)
_COLUMN_AXIS = f32([[1, 0, 0], [0, 0, 1], [1, 0, 0]])
_ROW_AXIS = f32([[0, 0, 1], [0, -1, 0], [0, -1, 0]])
_GRAZING = f32([0.5, 0.04, 0])  # how much a texture is squeezed with distance
NEAR = 0.3  # metres; nothing nearer is drawn

# Painting order: each layer goes over the ones before it.
GROUND, BACKDROP, THINGS = range(3)

Point = tuple[float, float, float]
Colour = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class StreetCamera:
    """Pinhole camera at (x, height, z) looking along the road; pitch in radians, positive looks down."""

    x: float
    height: float
    z: float
    pitch: float
    focal: float  # pixels
    width: int
    rows: int
    bend: float  # 1/m: the road's curvature; things at distance d stand aside by bend * d * d / 2
    slope: float  # 1/m: the same upwards

    def rotation(self) -> np.ndarray:
        """World to camera axes, (3, 3) float32."""
        c, s = np.cos(self.pitch), np.sin(self.pitch)
        return f32([[1, 0, 0], [0, c, s], [0, -s, c]])

    def to_camera(self, world: np.ndarray) -> np.ndarray:
        """World points (N, 3), already bent, to camera axes."""
        return (world - f32((self.x, self.height, self.z))) @ self.rotation().T

    def to_pixels(self, rays: np.ndarray) -> np.ndarray:
        """Rays (N, 2), x/z and y/z in camera axes, to columns and rows of the picture (N, 2)."""
        pixels = rays * f32((self.focal, -self.focal))
        pixels += f32((self.width / 2 - 0.5, self.rows / 2 - 0.5))
        return pixels

    def bent(self, world: np.ndarray) -> np.ndarray:
        """World points (N, 3) of a straight, flat road to the real one."""
        ahead = world[:, 2] - self.z
        out = world.copy()
        out[:, 0] += 0.5 * self.bend * ahead * ahead
        out[:, 1] += 0.5 * self.slope * ahead * ahead
        return out


def _columns(**widths: int) -> np.dtype:
    """Names of the columns of a table of float32, and how many numbers each takes."""
    return np.dtype([(name, np.float32, (width,) if width > 1 else ()) for name, width in widths.items()])


_OBJECT = _columns(origin=3, cos=1, sin=1, layer=1, key=1, follow=1)
_FACE = _columns(
    object=1, label=1, colour=3, light=3, texture=1, size=2, on=1, shift=2, one_sided=1, porous=1
)  # fmt: skip
_LAMP = _columns(object=1, at=3, colour=3, power=1, direction=3, tightness=1)


def _table(rows: list[tuple], columns: np.dtype) -> np.ndarray:
    """Rows of numbers as an array (N,) with named columns."""
    return np.array(rows, np.float32).reshape(-1, columns.itemsize // 4).view(columns)[:, 0]


class Builder:
    """Collects the faces and lamps of all objects of one frame.

    Attributes:
        objects, faces, lamps: rows of numbers, in the order of `_OBJECT`, `_FACE` and `_LAMP`.
        points: the corners of all faces, one face after the other.
        counts: how many corners each face has.
    """

    def __init__(self) -> None:
        self.objects: list[tuple] = []
        self.points: list[Point] = []
        self.counts: list[int] = []
        self.faces: list[tuple] = []
        self.lamps: list[tuple] = []

    def place(
        self,
        x: float = 0,
        z: float = 0,
        yaw: float = 0,
        *,
        y: float = 0,
        layer: int = THINGS,
        key: float = 0,
        follow: bool = False,
    ) -> None:
        """Start an object at (x, y, z), turned by yaw. Far `key` is painted first. `follow`: each corner
        follows the bend of the road, not the object as a whole."""
        self.objects.append((x, y, z, np.cos(yaw), np.sin(yaw), layer, key, follow))

    def face(
        self,
        points: Sequence[Point],
        label: int,
        colour: Colour,
        *,
        texture: int = FLAT,
        size: tuple[float, float] = (1.0, 1.0),
        on: int = ON_FRONT,
        shift: tuple[float, float] = (0.0, 0.0),
        light: Colour = (0, 0, 0),
        one_sided: bool = False,
        porous: bool = False,
    ) -> None:
        """A flat polygon. colour: linear RGB 0..1. size: metres that one texture tile covers. light: emitted
        at night, linear RGB. one_sided: seen only where its corners run clockwise. porous: the texture has
        holes."""
        self.points.extend(points)
        self.counts.append(len(points))
        self.faces.append(
            (len(self.objects) - 1, label, *colour, *light, texture, *size, on, *shift, one_sided, porous)
        )

    def lamp(
        self, at: Point, colour: Colour, power: float, direction: Point = (0, -1, 0), tightness: float = 0
    ) -> None:
        """A lamp that lights its surroundings, in the axes of the current object."""
        self.lamps.append((len(self.objects) - 1, *at, *colour, power, *direction, tightness))


@dataclass(frozen=True)
class Faces:
    """The painted picture before any light: `ids` (H, W) int32, 0 = sky, the face seen at each pixel;
    `behind` the same without porous faces; and per face (row 0 = sky) its label, colour and so on."""

    ids: np.ndarray
    behind: np.ndarray
    label: np.ndarray  # (F,)
    colour: np.ndarray  # (F, 3) linear
    light: np.ndarray  # (F, 3) linear
    texture: np.ndarray  # (F,)
    normal: np.ndarray  # (F, 3) camera axes, towards the camera
    plane: np.ndarray  # (F, 9): 1/z, column/z and row/z as functions of the ray
    porous: np.ndarray  # (F,) bool
    grazing: np.ndarray  # (F,) how much a texture is squeezed with distance
    ground: np.ndarray  # (F,) bool
    lamp_position: np.ndarray  # (L, 3) camera axes
    lamp_colour: np.ndarray  # (L, 3)
    lamp_direction: np.ndarray  # (L, 3)
    lamp_tightness: np.ndarray  # (L,)


class _Placing:
    """Brings what is given in the axes of an object, whose index stands in `of`, into camera axes.

    Args:
        objects: table of `_OBJECT`.
    """

    def __init__(self, objects: np.ndarray, camera: StreetCamera) -> None:
        self._objects, self._camera = objects, camera
        self._rotation = camera.rotation()

    def points(self, points: np.ndarray, of: np.ndarray) -> np.ndarray:
        """Points (N, 3) of objects."""
        origin = self._objects["origin"][of]
        turned = self._turn(points, of)
        bent = self._camera.bent
        return self._camera.to_camera(
            np.where(self._follow(of), bent(turned + origin), turned + bent(origin))
        )

    def origins(self, of: np.ndarray) -> np.ndarray:
        """Where the objects stand, (N, 3)."""
        origin = self._objects["origin"][of]
        return self._camera.to_camera(np.where(self._follow(of), origin, self._camera.bent(origin)))

    def directions(self, vectors: np.ndarray, of: np.ndarray) -> np.ndarray:
        """Directions (N, 3) of objects."""
        return self._turn(vectors, of) @ self._rotation.T

    def _follow(self, of: np.ndarray) -> np.ndarray:
        return self._objects["follow"][of, None] > 0

    def _turn(self, vectors: np.ndarray, of: np.ndarray) -> np.ndarray:
        c, s = self._objects["cos"][of], self._objects["sin"][of]
        x, y, z = vectors.T
        return np.stack([c * x + s * z, y, c * z - s * x], axis=1)


@dataclass(frozen=True)
class _Polygons:
    """The outlines of all faces: `corners` (P, 3) in camera axes, those of face i are the `counts[i]` ones
    from `starts[i]` on."""

    corners: np.ndarray
    starts: np.ndarray
    counts: np.ndarray

    def normals(self) -> tuple[np.ndarray, np.ndarray]:
        """The faces' normals (F, 3), and the distance of their planes along them (F,): positive where the
        normal points away from the camera."""
        first, second, third = (self.corners[self.starts + self.counts * k // 3] for k in range(3))
        normal = np.cross(second - first, third - first)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
        return normal, np.einsum("ij,ij->i", normal, first)


def paint(builder: Builder, camera: StreetCamera, sky_label: int) -> Faces:
    """Project all faces and paint them far to near."""
    objects = _table(builder.objects, _OBJECT)
    faces = _table(builder.faces, _FACE)
    lamps = _table(builder.lamps, _LAMP)
    owner = faces["object"].astype(np.int64)
    lamp_owner = lamps["object"].astype(np.int64)
    on = faces["on"].astype(np.int64)
    porous = faces["porous"] > 0

    placing = _Placing(objects, camera)
    counts = np.array(builder.counts)
    corners = placing.points(np.array(builder.points, np.float32), np.repeat(owner, counts))
    polygons = _Polygons(corners, np.cumsum(counts) - counts, counts)
    normal, offset = polygons.normals()
    visible = (offset < 0) | (faces["one_sided"] == 0)
    normal[offset > 0] *= -1
    plane = _planes(faces, placing, normal, -np.abs(offset))

    order = np.lexsort((np.arange(len(faces)), -objects["key"][owner], objects["layer"][owner]))
    ids, behind = _fill(polygons, camera, order[visible[order]], porous)
    return Faces(
        ids=ids,
        behind=behind,
        label=_with_sky(faces["label"].astype(np.uint8), sky_label),
        colour=_with_sky(faces["colour"], 1),
        light=_with_sky(faces["light"], 0),
        texture=_with_sky(faces["texture"].astype(np.int32), CLOUDS),
        normal=_with_sky(normal, 0),
        plane=_with_sky(plane, _ceiling(camera)),
        porous=_with_sky(porous, False),
        grazing=_with_sky(_GRAZING[on], 0),
        ground=_with_sky(objects["layer"][owner] == GROUND, False),
        lamp_position=placing.points(lamps["at"], lamp_owner),
        lamp_colour=lamps["colour"] * lamps["power"][:, None],
        lamp_direction=placing.directions(lamps["direction"], lamp_owner),
        lamp_tightness=lamps["tightness"],
    )


def _planes(faces: np.ndarray, placing: _Placing, normal: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """1/z, column/z and row/z of the faces, each linear in the ray (x/z, y/z, 1): its factors, (F, 9).

    normal, offset: of the faces, turned towards the camera.
    """
    owner, on = faces["object"].astype(np.int64), faces["on"].astype(np.int64)
    inverse = normal / np.minimum(offset, -1e-4)[:, None]
    anchor = placing.origins(owner)
    plane = [inverse]
    for k, axis in enumerate((_COLUMN_AXIS, _ROW_AXIS)):
        along = placing.directions(axis[on], owner) / faces["size"][:, k, None]
        start = faces["shift"][:, k] - np.einsum("ij,ij->i", along, anchor)
        plane.append(along + start[:, None] * inverse)
    return np.concatenate(plane, axis=1)


def _ceiling(camera: StreetCamera) -> np.ndarray:
    """The plane (9,) of the sky: a ceiling 300 m up with clouds on it."""
    rotation = camera.rotation()
    return np.concatenate([rotation[:, 1] / 300, rotation[:, 0] / 1400, rotation[:, 2] / 900])


def _with_sky(values: np.ndarray, sky: object) -> np.ndarray:
    """Put the value of the sky before those of the faces."""
    return np.concatenate([np.full((1, *values.shape[1:]), sky, values.dtype), values])


def _fill(
    polygons: _Polygons, camera: StreetCamera, order: np.ndarray, porous: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fill polygons in the given order of their indices, the last one on top; see `Faces` for the result."""
    corners, starts, counts = polygons.corners, polygons.starts, polygons.counts
    pixels = camera.to_pixels(corners[:, :2] / np.maximum(corners[:, 2:], NEAR))
    cut = np.minimum.reduceat(corners[:, 2], starts) < NEAR
    low, high = np.minimum.reduceat(pixels, starts), np.maximum.reduceat(pixels, starts)
    inside = cut | ((high > -1) & (low < f32((camera.width, camera.rows)))).all(axis=1)
    inside &= np.maximum.reduceat(corners[:, 2], starts) > NEAR
    fixed = (_bounded(pixels) * 16).round().astype(np.int32)
    ids = np.zeros((camera.rows, camera.width), np.int32)
    behind = np.zeros_like(ids)
    for index in order[inside[order]].tolist():
        own = slice(starts[index], starts[index] + counts[index])
        polygon = _cut(corners[own], camera) if cut[index] else fixed[own]
        if len(polygon) < 3:
            continue
        cv2.fillPoly(ids, [polygon], index + 1, cv2.LINE_8, 4)
        if not porous[index]:
            cv2.fillPoly(behind, [polygon], index + 1, cv2.LINE_8, 4)
    return ids, behind


def _bounded(pixels: np.ndarray) -> np.ndarray:
    """Pixels as near to the picture as OpenCV can draw."""
    return np.clip(pixels, -8000, 8000)


def _cut(corners: np.ndarray, camera: StreetCamera) -> np.ndarray:
    """Cut a polygon (N, 3) in camera axes at the near plane: pixels (M, 2) int32, in 16ths."""
    out = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if a[2] >= NEAR:
            out.append(a)
        if (a[2] >= NEAR) != (b[2] >= NEAR):
            out.append(a + (b - a) * ((NEAR - a[2]) / (b[2] - a[2])))
    part = np.array(out, np.float32).reshape(-1, 3)
    return (_bounded(camera.to_pixels(part[:, :2] / part[:, 2:])) * 16).astype(np.int32)
