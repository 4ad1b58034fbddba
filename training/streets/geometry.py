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

    def bent(self, world: np.ndarray) -> np.ndarray:
        """World points (N, 3) of a straight, flat road to the real one."""
        ahead = world[:, 2] - self.z
        out = world.copy()
        out[:, 0] += 0.5 * self.bend * ahead * ahead
        out[:, 1] += 0.5 * self.slope * ahead * ahead
        return out


class Builder:
    """Collects the faces and lamps of all objects of one frame."""

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


def _clip(points: np.ndarray) -> np.ndarray:
    """Cut a polygon (N, 3) at the near plane."""
    out = []
    for a, b in zip(points, np.roll(points, -1, axis=0), strict=True):
        if a[2] >= NEAR:
            out.append(a)
        if (a[2] >= NEAR) != (b[2] >= NEAR):
            out.append(a + (b - a) * ((NEAR - a[2]) / (b[2] - a[2])))
    return np.array(out, np.float32).reshape(-1, 3)


def paint(builder: Builder, camera: StreetCamera, sky_label: int) -> Faces:
    """Project all faces and paint them far to near."""
    objects = np.array(builder.objects, np.float32)
    faces = np.array(builder.faces, np.float32)
    counts = np.array(builder.counts)
    local = np.array(builder.points, np.float32)
    owner = faces[:, 0].astype(np.int64)
    starts = np.cumsum(counts) - counts
    rotation = camera.rotation()

    def turn(vectors: np.ndarray, of: np.ndarray) -> np.ndarray:
        c, s = objects[of, 3], objects[of, 4]
        x, y, z = vectors.T
        return np.stack([c * x + s * z, y, c * z - s * x], axis=1)

    def world(points: np.ndarray, of: np.ndarray) -> np.ndarray:
        origin = objects[of, :3]
        turned = turn(points, of)
        follow = objects[of, 7:8] > 0
        return np.where(follow, camera.bent(turned + origin), turned + camera.bent(origin))

    seen = camera.to_camera(world(local, np.repeat(owner, counts)))
    first, second, third = (seen[starts + counts * k // 3] for k in range(3))
    normal = np.cross(second - first, third - first)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    offset = np.einsum("ij,ij->i", normal, first)  # positive: the normal points away from the camera
    visible = (offset < 0) | (faces[:, 14] == 0)
    normal[offset > 0] *= -1
    offset = np.minimum(-np.abs(offset), -1e-4)

    # On the plane 1/z, column/z and row/z are linear in the ray (x/z, y/z, 1).
    on = faces[:, 11].astype(np.int64)
    inverse = normal / offset[:, None]
    anchor = camera.to_camera(
        np.where(objects[owner, 7:8] > 0, objects[owner, :3], camera.bent(objects[owner, :3]))
    )
    plane = [inverse]
    for axis, size, shift in ((_COLUMN_AXIS, 9, 12), (_ROW_AXIS, 10, 13)):
        along = turn(axis[on], owner) @ rotation.T / faces[:, size : size + 1]
        start = faces[:, shift] - np.einsum("ij,ij->i", along, anchor)
        plane.append(along + start[:, None] * inverse)

    nearest = np.minimum.reduceat(seen[:, 2], starts)
    farthest = np.maximum.reduceat(seen[:, 2], starts)
    depth = np.maximum(seen[:, 2:], NEAR)
    pixel = seen[:, :2] / depth * f32((camera.focal, -camera.focal))
    pixel += f32((camera.width / 2 - 0.5, camera.rows / 2 - 0.5))
    low, high = np.minimum.reduceat(pixel, starts), np.maximum.reduceat(pixel, starts)
    edge = f32((camera.width, camera.rows))
    clipped = nearest < NEAR
    visible &= (farthest > NEAR) & (clipped | ((high > -1) & (low < edge)).all(axis=1))
    fixed = np.clip(pixel, -8000, 8000)
    fixed = (fixed * 16).round().astype(np.int32)

    order = np.lexsort((np.arange(len(faces)), -objects[owner, 6], objects[owner, 5]))
    ids = np.zeros((camera.rows, camera.width), np.int32)
    behind = np.zeros_like(ids)
    porous = faces[:, 15] > 0
    for index in order[visible[order]].tolist():
        begin = starts[index]
        if clipped[index]:
            part = _clip(seen[begin : begin + counts[index]])
            if len(part) < 3:
                continue
            cut = part[:, :2] / part[:, 2:] * f32((camera.focal, -camera.focal))
            cut += f32((camera.width / 2 - 0.5, camera.rows / 2 - 0.5))
            polygon = (np.clip(cut, -8000, 8000) * 16).astype(np.int32)
        else:
            polygon = fixed[begin : begin + counts[index]]
        cv2.fillPoly(ids, [polygon], index + 1, cv2.LINE_8, 4)
        if not porous[index]:
            cv2.fillPoly(behind, [polygon], index + 1, cv2.LINE_8, 4)

    def with_sky(values: np.ndarray, sky: object) -> np.ndarray:
        return np.concatenate([np.full((1, *values.shape[1:]), sky, values.dtype), values])

    # The sky is a ceiling 300 m up with clouds on it.
    up = rotation[:, 1]
    ceiling = np.concatenate([up / 300, rotation[:, 0] / 1400, rotation[:, 2] / 900]).astype(np.float32)[None]
    lamps = np.array(builder.lamps, np.float32).reshape(-1, 12)
    lamp_owner = lamps[:, 0].astype(np.int64)
    return Faces(
        ids=ids,
        behind=behind,
        label=with_sky(faces[:, 1].astype(np.uint8), sky_label),
        colour=with_sky(faces[:, 2:5], 1),
        light=with_sky(faces[:, 5:8], 0),
        texture=with_sky(faces[:, 8].astype(np.int32), CLOUDS),
        normal=with_sky(normal, 0),
        plane=np.concatenate([ceiling, np.concatenate(plane, axis=1)]).astype(np.float32),
        porous=with_sky(porous, False),
        grazing=with_sky(
            np.where(on == ON_GROUND, 0.5, np.where(on == ON_SIDE, 0.04, 0.0)).astype(np.float32), 0
        ),
        ground=with_sky(objects[owner, 5] == GROUND, False),
        lamp_position=camera.to_camera(world(lamps[:, 1:4], lamp_owner)),
        lamp_colour=lamps[:, 4:7] * lamps[:, 7:8],
        lamp_direction=turn(lamps[:, 8:11], lamp_owner) @ rotation.T,
        lamp_tightness=lamps[:, 11],
    )
