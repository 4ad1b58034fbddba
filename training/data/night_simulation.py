"""How a camera sees a street at night, and a simulation that turns a labelled day image into dusk or night.

All light is linear: 1.0 is what just saturates the sensor. The parts (light falling on surfaces, bloom,
sensor noise, development) serve the synthetic street too. Camera axes: x right, y up, z forward, in metres,
the camera at 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from night_seg_ros.models.classes import CLASSES


def f32(values: object) -> np.ndarray:
    """An array of float32."""
    return np.array(values, np.float32)


SODIUM = (1.0, 0.55, 0.16)
WARM_LED = (1.0, 0.80, 0.55)
COOL_LED = (0.86, 0.95, 1.0)
LAMP_COLOURS = np.array([SODIUM, (1.0, 0.66, 0.27), WARM_LED, COOL_LED], np.float32)
HEADLIGHT = (1.0, 0.95, 0.85)
TAIL_LIGHT = (1.0, 0.05, 0.03)

_ROAD, _BUILDING, _LIGHT, _SIGN, _VEGETATION, _SKY = (
    CLASSES.index(name) for name in ("road", "building", "traffic light", "traffic sign", "vegetation", "sky")
)
_VEHICLES = [CLASSES.index(name) for name in ("car", "truck", "bus")]
_GROUND_TABLE = np.zeros(256, bool)
_GROUND_TABLE[[CLASSES.index(name) for name in ("road", "sidewalk", "terrain")]] = True
_VEHICLE_TABLE = np.zeros(256, np.uint8)
_VEHICLE_TABLE[_VEHICLES] = 1

_steps = np.arange(256) / 255
TO_LINEAR = np.where(_steps <= 0.04045, _steps / 12.92, ((_steps + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""sRGB value 0..255 -> linear light 0..1, float32, shape (256,)."""


@dataclass(frozen=True)
class Lights:
    """N lamps: `position`, `colour` (its brightness included) and `direction` are (N, 3), `tightness` is
    (N,).

    A lamp shines with cos(angle to its direction) ** tightness; tightness 0 shines all round.
    """

    position: np.ndarray
    colour: np.ndarray
    direction: np.ndarray
    tightness: np.ndarray

    @staticmethod
    def of(lamps: list[tuple]) -> Lights:
        """From a list of (position, colour, direction, tightness)."""
        columns = list(zip(*lamps, strict=True)) if lamps else [(), (), (), ()]
        shapes = ((-1, 3), (-1, 3), (-1, 3), (-1,))
        return Lights(*(np.array(c, np.float32).reshape(s) for c, s in zip(columns, shapes, strict=True)))


def irradiance(points: np.ndarray, normals: np.ndarray | None, lights: Lights) -> np.ndarray:
    """The light that falls on surface points.

    points: (3, H, W) float32 metres. normals: the same shape, or None for surfaces that face every lamp half.
    Returns (H, W, 3) float32, linear.
    """
    total = np.zeros((*points.shape[1:], 3), np.float32)
    for position, colour, direction, tightness in zip(
        lights.position, lights.colour, lights.direction, lights.tightness, strict=True
    ):
        x, y, z = (points[i] - position[i] for i in range(3))
        inverse = 1 / (x * x + y * y + z * z + 0.6)
        root = np.sqrt(inverse)
        amount = inverse
        if tightness > 0:
            cosine = np.maximum((x * direction[0] + y * direction[1] + z * direction[2]) * root, 0)
            amount = amount * (cosine if tightness == 1 else np.power(cosine, tightness))
        if normals is None:
            amount = amount * 0.5
        else:
            facing = -(x * normals[0] + y * normals[1] + z * normals[2]) * root
            amount = amount * np.maximum(facing, 0.04)
        for channel in range(3):
            total[..., channel] += amount * colour[channel]
    return total


def headlight_beam(points: np.ndarray, strength: float, cutoff: float = 0.012) -> np.ndarray:
    """The ego car's low beam on points (3, H, W): (H, W) float32; below the cut-off (a slope) it is
    bright."""
    x, y, z = points
    z = np.maximum(z, 0.5)
    side, up = x / z, (y + 0.7) / z  # the lamps sit about 0.7 m under the camera
    shape = np.exp(-((side / 0.45) ** 2)) * (0.06 + 0.94 / (1 + np.exp(np.minimum((up + cutoff) * 90, 50))))
    return (strength * 40) * shape / (z * z + 25) * np.minimum(1, 0.25 + z / 12)


def bloom(linear: np.ndarray, strength: float, streak: float | None = None) -> np.ndarray:
    """Add, in place, the glow that lens and air spread around what is brighter than white; returns `linear`.

    linear: (H, W, 3) float32. streak: direction in radians of the flare that a wiped windscreen draws, or
    None.
    """
    height, width = linear.shape[:2]
    size = (max(width // 4, 1), max(height // 4, 1))
    bright = cv2.resize(linear, size, interpolation=cv2.INTER_AREA)
    bright = np.minimum(np.maximum(bright - 0.7, 0), 60)
    unit = width / 480
    glow = 0.45 * cv2.GaussianBlur(bright, (0, 0), max(0.9 * unit, 0.5))
    small = cv2.resize(bright, (max(size[0] // 3, 1), max(size[1] // 3, 1)), interpolation=cv2.INTER_AREA)
    wide = 0.22 * cv2.GaussianBlur(small, (0, 0), max(1.3 * unit, 0.5))
    wide += 0.12 * cv2.GaussianBlur(small, (0, 0), max(4.5 * unit, 0.8))
    if streak is not None:
        reach = max(int(9 * unit), 2)
        kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
        for t in np.linspace(-1, 1, 6 * reach):
            column, row = (
                int(round(reach * (1 + t * np.cos(streak)))),
                int(round(reach * (1 - t * np.sin(streak)))),
            )
            kernel[row, column] += (1 - abs(t)) ** 2
        wide += 0.3 * cv2.filter2D(np.minimum(small, 15), -1, kernel / kernel.sum())
    glow += cv2.resize(wide, size, interpolation=cv2.INTER_LINEAR)
    glow *= strength
    linear += cv2.resize(glow, (width, height), interpolation=cv2.INTER_LINEAR)
    return linear


@lru_cache(maxsize=1)
def _noise_bank() -> np.ndarray:
    return np.random.default_rng(7).standard_normal((1024, 1024, 3), np.float32)


def noise_field(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Normal noise (height, width, 3) float32 cut at random from a fixed bank (drawing it anew is slow)."""
    bank = _noise_bank()
    if height > 1024 or width > 1024:
        bank = np.tile(bank, (-(-height // 1024) + 1, -(-width // 1024) + 1, 1))
    row = int(rng.integers(0, bank.shape[0] - height + 1))
    column = int(rng.integers(0, bank.shape[1] - width + 1))
    return bank[row : row + height, column : column + width]


def clouds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Soft cloud pattern (height, width) float32, about -2..2, drawn out sideways like clouds near the
    horizon."""
    field = np.zeros((height, width), np.float32)
    for rows, columns, weight in ((3, 3, 0.8), (7, 5, 0.6), (16, 10, 0.4), (40, 24, 0.2)):
        patch = np.ascontiguousarray(noise_field(rng, rows, columns)[..., 0])
        field += weight * cv2.resize(patch, (width, height), interpolation=cv2.INTER_CUBIC)
    return field


def vignette(height: int, width: int, strength: float) -> np.ndarray:
    """Fall-off of light towards the corners, (height, width, 1) float32, 1 in the middle."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    return 1 - np.float32(strength * 0.5) * (x * x + y * y)


def exposure(linear: np.ndarray, aim: float) -> np.float32:
    """Exposure control: the gain (0.1 to 2.5) that brings the mean of sqrt(light), saturated at 1, near the
    aim (0..1)."""
    light = linear[4::8, 4::8].max(axis=2)
    gain = 1.0
    for _ in range(3):
        mean = float(np.sqrt(np.minimum(light * gain, 1)).mean())
        gain = float(np.clip(gain * (aim / max(mean, 1e-3)) ** 2, 0.1, 2.5))
    return np.float32(gain)


@lru_cache(maxsize=64)
def _curve(contrast: int) -> np.ndarray:
    """uint8 table from sqrt(linear) * 182 (room for 1.4) to the output value: gamma, knee and a toe."""
    root = np.arange(256) / 182
    knee = np.where(root < 0.8, root, 0.8 + 0.2 * (1 - np.exp(-(root - 0.8) / 0.2)))
    value = knee ** (2 / 2.2)
    toe = value + contrast / 100 * (value * value * (3 - 2 * value) - value)
    return np.clip(toe * 255 * 1.012, 0, 255).round().astype(np.uint8)


def develop(linear: np.ndarray, rng: np.random.Generator, noise: float, contrast: float = 0.0) -> np.ndarray:
    """Sensor and development: shot noise, read noise, saturation, gamma.

    linear: (H, W, 3) float32, 1.0 = saturated; it is used as scratch. noise: about 0 (day) to 0.06 (high
    gain). contrast: 0..1, how much of an S-curve. Returns (H, W, 3) uint8.
    """
    height, width = linear.shape[:2]
    np.maximum(linear, 0, out=linear)
    # The noise of photon counts is constant after a square root, which is also nearly the gamma of a camera.
    root = np.sqrt(linear, out=linear)
    if noise > 0:
        root += np.float32(0.6 * noise) * noise_field(rng, height, width)
        blotch = noise_field(rng, (height + 1) // 2, (width + 1) // 2)
        root += cv2.resize(blotch, (width, height), interpolation=cv2.INTER_LINEAR) * np.float32(0.7 * noise)
    root *= 182
    return cv2.LUT(np.clip(root, 0, 255, out=root).astype(np.uint8), _curve(int(round(contrast * 100))))


class NightSimulation:
    """Turns a labelled real day image into a dusk or night one. Labels stay as they are.

    dusk: share of calls that give dusk (a bright sky over a dark street, few lamps); the others give night.

    Call: `simulation(image, label, rng)`, image (H, W, 3) uint8 RGB, label (H, W) uint8 train ids (255 =
    unknown); returns a new (H, W, 3) uint8 RGB image. The same generator state gives the same image. Raises
    ValueError on a wrong shape or dtype.
    """

    def __init__(self, dusk: float = 0.5) -> None:
        if not 0 <= dusk <= 1:
            raise ValueError(f"dusk is the share of dusk images, 0 to 1, not {dusk}")
        self.dusk = dusk

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"image must be (H, W, 3) uint8 RGB, not {image.shape} {image.dtype}")
        if label.shape != image.shape[:2] or label.dtype != np.uint8:
            raise ValueError(
                f"label must be {image.shape[:2]} uint8 train ids, not {label.shape} {label.dtype}"
            )
        height, width = label.shape
        dusk = bool(rng.random() < self.dusk)
        darkness = float(rng.random())  # 0 early dusk or lit night, 1 the darkest of its kind

        linear = TO_LINEAR[image]
        value = image.max(axis=2)
        self._flatten(linear, value, float(rng.uniform(0, 0.5)))
        self._desaturate(linear, float(rng.uniform(0.1, 0.55)))

        tint = f32((1, 1, 1)) + np.float32(rng.uniform(0, 1)) * f32((-0.22, 0.0, 0.16))
        if dusk:
            ambient = tint * np.float32(np.exp(np.log(0.3) * (1 - darkness) + np.log(0.035) * darkness))
        else:
            ambient = tint * np.float32(np.exp(np.log(0.05) * (1 - darkness) + np.log(0.002) * darkness))
        lamp_tone = LAMP_COLOURS[rng.integers(len(LAMP_COLOURS))] * rng.uniform(0.85, 1.1, 3).astype(
            np.float32
        )
        light, lamps = self._lighting(label, ambient, lamp_tone, dusk, rng)
        linear *= cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)

        self._windows(linear, label, value, dusk, rng)
        self._sky(linear, label, value, dusk, lamp_tone, rng)
        self._vehicle_lamps(linear, label, dusk, rng)
        self._signals(linear, label, image)
        for x, y, radius in lamps:
            glow = lamp_tone * rng.uniform(15, 60) + 4
            cv2.circle(linear, (x, y), radius, tuple(map(float, glow)), -1)

        bloom(linear, float(rng.uniform(0.4, 1.6)) * (0.5 if dusk else 1.0), self._streak(rng))
        brightest = float(exposure(linear, float(rng.uniform(0.25, 0.4)) + 0.1 * dusk))
        gain = min(float(rng.uniform(0.75, 1.35)), brightest)
        linear *= np.float32(gain) * vignette(height, width, float(rng.uniform(0, 0.45)))
        sigma = rng.uniform(0.0, 1.1) * width / 480
        if sigma > 0.35:
            linear = cv2.GaussianBlur(linear, (0, 0), sigma)
        noise = float(rng.uniform(0.0, 0.025 if dusk else 0.05))
        return develop(linear, rng, noise, float(rng.uniform(0, 0.5)))

    @staticmethod
    def _streak(rng: np.random.Generator) -> float | None:
        return float(rng.uniform(0.5, 1.3)) if rng.random() < 0.2 else None

    @staticmethod
    def _flatten(linear: np.ndarray, value: np.ndarray, strength: float) -> None:
        """Weaken the sun's large shadows, which have no place after sunset."""
        height, width = value.shape
        small = cv2.resize(value, (max(width // 8, 1), max(height // 8, 1)), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), 2.5).astype(np.float32) / 255
        gain = np.clip((small * small + 0.02) / 0.17, 0.2, 5) ** np.float32(-strength)
        linear *= cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]

    @staticmethod
    def _desaturate(linear: np.ndarray, amount: float) -> None:
        grey = cv2.transform(linear, f32([[0.3, 0.55, 0.15]]))
        linear *= np.float32(1 - amount)
        linear += (grey * np.float32(amount))[..., None]

    @staticmethod
    def _lighting(
        label: np.ndarray, ambient: np.ndarray, lamp_tone: np.ndarray, dusk: bool, rng: np.random.Generator
    ) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
        """Light on every surface at a quarter of the size, and the visible street lamps as (x, y, radius)
        pixels.

        The depth comes from the label map: ground lies on a plane under an assumed camera; whatever stands
        on it has the depth of the ground just below it.
        """
        height, width = label.shape
        rows, columns = max(height // 4, 1), max(width // 4, 1)
        small = cv2.resize(label, (columns, rows), interpolation=cv2.INTER_NEAREST)
        ground = _GROUND_TABLE[small]
        with_ground = np.flatnonzero(ground.mean(axis=1) > 0.05)
        top = float(with_ground[0]) if len(with_ground) else 0.5 * rows
        horizon = float(np.clip(top - 0.02 * rows, 0.25 * rows, 0.65 * rows))
        focal, camera_height = columns * rng.uniform(0.9, 1.4), 1.4

        v = np.arange(rows, dtype=np.float32)[:, None]
        u = np.arange(columns, dtype=np.float32)[None, :]
        plane = np.clip(camera_height * focal / np.maximum(v - horizon, 0.3), 2, 90)
        depth = np.where(ground, plane, 0).astype(np.float32)
        depth = np.maximum.accumulate(depth[::-1], axis=0)[::-1]  # things stand on the ground below them
        depth = np.where(depth > 0, depth, 3.0).astype(np.float32)
        points = np.stack([(u - columns / 2) / focal * depth, (horizon - v) / focal * depth, depth])
        normals = np.zeros_like(points)
        normals[1] = np.where(ground, 1, 0.35)
        normals[2] = np.where(ground, 0, -0.6)
        normals[0] = np.where(ground, 0, -0.6 * np.sign(points[0]))

        lamps: list[tuple] = []
        spots: list[tuple[int, int, int]] = []
        lit = rng.random() < (0.4 if dusk else 0.9)
        if lit:
            side, spacing, mast = rng.choice((-1, 1)), rng.uniform(18, 40), rng.uniform(5.5, 9)
            power = np.exp(rng.uniform(np.log(10), np.log(110))) * (0.35 if dusk else 1)
            offset, both = rng.uniform(3.5, 8), rng.random() < 0.4
            z = rng.uniform(-4, spacing)
            while z < 90:
                for s in (side, -side) if both else (side,):
                    lamps.append(((s * offset, mast - camera_height, z), lamp_tone * power, (0, -1, 0), 1.0))
                    x, y = columns / 2 + focal * s * (offset - 1) / max(z, 1), 0.0
                    y = horizon - focal * (mast - camera_height) / max(z, 1)
                    # a lamp is only seen before sky, trees or far houses
                    if z > 6 and 0 <= x < columns and 0 <= y < rows and small[int(y), int(x)] in (2, 8, 10):
                        spots.append((int(x * 4), int(y * 4), max(1, int(round(focal * 4 * 0.16 / z)))))
                z += spacing
        for _ in range(int(rng.integers(0, 4)) if not dusk else 0):  # shops and yards beside the road
            tone = LAMP_COLOURS[rng.integers(1, 4)]
            place = (rng.choice((-1, 1)) * rng.uniform(5, 11), rng.uniform(0, 1.5), rng.uniform(6, 40))
            lamps.append((place, tone * np.float32(rng.uniform(1, 8)), (0, -1, 0), 0.0))
        light = irradiance(points, normals, Lights.of(lamps)) + ambient
        if rng.random() < (0.3 if dusk else 0.85):
            beam = headlight_beam(points, float(np.exp(rng.uniform(np.log(0.5), np.log(5)))))
            beam = beam * (1 + 6 * (small == _SIGN))  # signs throw the light straight back
            light += beam[..., None] * f32(HEADLIGHT)
        return cv2.GaussianBlur(light, (0, 0), 0.8), spots

    @staticmethod
    def _windows(
        linear: np.ndarray, label: np.ndarray, value: np.ndarray, dusk: bool, rng: np.random.Generator
    ) -> None:
        """Light some windows: the dark patches of a building inside randomly lit cells of a grid."""
        if rng.random() < (0.4 if dusk else 0.1):
            return
        height, width = label.shape
        unit = width / 480
        cell = (max(int(rng.uniform(8, 20) * unit), 2), max(int(rng.uniform(10, 26) * unit), 2))
        grid = (max(width // cell[0], 1), max(height // cell[1], 1))
        lit = rng.random((grid[1], grid[0])) < rng.choice((0.02, 0.06, 0.15)) * (0.5 if dusk else 1)
        glow = (
            rng.uniform(0.05, 0.9, (grid[1], grid[0], 1))
            * LAMP_COLOURS[rng.integers(1, 4, (grid[1], grid[0]))]
        )
        glow = f32(glow * lit[..., None])
        full = cv2.resize(glow, (width, height), interpolation=cv2.INTER_NEAREST)
        around = cv2.blur(value, (int(25 * unit) | 1, int(25 * unit) | 1))
        glass = (label == _BUILDING) & (value < 110) & (value < around)
        linear += full * glass[..., None]

    @staticmethod
    def _sky(
        linear: np.ndarray,
        label: np.ndarray,
        value: np.ndarray,
        dusk: bool,
        lamp_tone: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        """Repaint the sky, also where it shines through bare trees."""
        height, width = label.shape
        share = (label == _SKY).astype(np.float32)
        through = (label == _VEGETATION) & (value > 170)
        share[through] = (value[through].astype(np.float32) - 170) / 85
        share[height * 2 // 3 :] = 0
        share = cv2.blur(share, (3, 3))[..., None]
        pattern = clouds(rng, height, width)
        rise = np.linspace(1, 0, height, dtype=np.float32)[:, None] ** 2  # 1 at the top of the picture
        if dusk:
            level = float(rng.uniform(0.12, 0.75))
            pattern = np.clip(1 + np.float32(rng.uniform(0.1, 0.45)) * pattern, 0.15, 2.5)
            pattern *= 1 - np.float32(rng.uniform(0, 0.6)) * rise
            colour: np.ndarray = f32((1, 1, 1)) + np.float32(rng.uniform(-0.3, 1)) * f32((-0.2, 0.0, 0.15))
        else:
            level = float(np.exp(rng.uniform(np.log(0.0005), np.log(0.03))))
            pattern = np.clip(1 + np.float32(0.3) * pattern, 0.2, 2) * (1 - np.float32(0.8) * rise)
            colour = np.float32(0.5) * lamp_tone + np.float32(0.5) * f32((0.5, 0.65, 1))
        day = cv2.transform(linear, f32([[0.3, 0.5, 0.2]]))
        own = np.float32(0.0 if not dusk else rng.uniform(0, 0.5))
        sky = (np.float32(level) * pattern)[..., None] * colour + (own * day)[..., None]
        linear += share * (sky - linear)

    @staticmethod
    def _vehicle_lamps(linear: np.ndarray, label: np.ndarray, dusk: bool, rng: np.random.Generator) -> None:
        """Head or tail lamps on each blob of vehicles: two, at a height and spacing that fit its size."""
        count, _, stats, _ = cv2.connectedComponentsWithStats(_VEHICLE_TABLE[label])
        oncoming_side = rng.choice((-1, 1))
        switched_on = rng.uniform(0.0, 0.8) if dusk else rng.uniform(0.6, 1.0)
        width = label.shape[1]
        for x, y, w, h, area in stats[1:count][:12]:
            if area < 12 or rng.random() > switched_on or w > 2.6 * h:
                continue  # a long blob is a side view or a row of cars
            side = 1 if x + w / 2 > width / 2 else -1
            front = rng.random() < (0.75 if side == oncoming_side else 0.2)
            strength = rng.uniform(0.1, 0.7) if dusk else 1.0
            power = rng.uniform(8, 60) if front else rng.uniform(1.5, 9)
            colour = f32(HEADLIGHT if front else TAIL_LIGHT) * np.float32(power * strength)
            radius = max(1, int(round(w * rng.uniform(0.02, 0.05))))
            low = rng.uniform(0.5, 0.68)
            for place in (rng.uniform(0.12, 0.2), rng.uniform(0.8, 0.88)):
                centre = (int(x + place * w), int(y + low * h))
                if label[centre[1], centre[0]] in _VEHICLES:
                    cv2.circle(linear, centre, radius, tuple(map(float, colour)), -1)

    @staticmethod
    def _signals(linear: np.ndarray, label: np.ndarray, image: np.ndarray) -> None:
        """The burning lamp of a traffic light is as bright at night as by day."""
        mask = label == _LIGHT
        if mask.any():
            pixels = image[mask].astype(np.float32)
            vivid = (pixels.max(axis=1) - pixels.min(axis=1)) > 90
            linear[mask] += vivid[:, None] * TO_LINEAR[image[mask]] * 6
