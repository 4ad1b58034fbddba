"""What lights and hides a street: sun, sky, haze, wetness, and how its camera shows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from night_seg_ros.training.streets.optics import LAMP_COLOURS, f32


@dataclass(frozen=True)
class Weather:
    """What lights and hides the scene. Colours are linear RGB."""

    sun: np.ndarray  # (3,) direction to the sun, world axes
    sunlight: float  # 0 overcast .. 3 hard sun
    haze: float  # 1/m
    sky: np.ndarray  # (3,) day sky near the horizon
    zenith: np.ndarray  # (3,) day sky above
    cloud: float  # 0 clear .. 1
    exposure: float  # of the day image
    ambient: np.ndarray  # (3,) the night's light from everywhere
    night_sky: np.ndarray  # (3,)
    headlights: float  # strength of the ego car's low beam
    wet: float  # 0 dry .. 1 mirror
    brightness: float  # 0..1, what the camera's exposure control aims at by night
    bloom: float
    streak: float | None
    noise: float
    vignette: float
    contrast: float
    blur: float  # pixels at a width of 480


def random_weather(rng: np.random.Generator, dusk: bool) -> Weather:
    """Draw a weather; by dusk its night keeps a grey sky."""
    clear = rng.random() < 0.5
    elevation, azimuth = rng.uniform(0.25, 1.0), rng.uniform(0, 2 * np.pi)
    sun = (np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth))
    lamp = LAMP_COLOURS[rng.integers(len(LAMP_COLOURS))]
    level = float(np.exp(rng.uniform(np.log(0.002), np.log(0.015))))
    glow = 0.6 * lamp + 0.4 * f32((0.4, 0.55, 1.0))
    night_sky = np.exp(rng.uniform(np.log(0.0005), np.log(0.012))) * glow
    ambient = level * (0.5 * lamp + 0.5 * f32((0.7, 0.85, 1.1)))
    if dusk:  # a grey sky over a street that has little of its light
        night_sky = rng.uniform(0.15, 0.8) * f32((0.85, 0.94, 1.0))
        ambient = rng.uniform(0.08, 0.35) * night_sky
    return Weather(
        sun=f32(sun),
        sunlight=float(rng.uniform(1.0, 2.6)) if clear else float(rng.uniform(0, 0.25)),
        haze=float(rng.uniform(0.0004, 0.0025)),
        sky=f32((0.8, 0.9, 1.0)) * np.float32(rng.uniform(0.7, 1.6)),
        zenith=f32((0.3, 0.5, 0.85) if clear else (0.66, 0.7, 0.76)) * np.float32(rng.uniform(0.8, 1.5)),
        cloud=float(rng.uniform(0, 0.9)),
        exposure=float(rng.uniform(0.65, 1.2)) * (1.0 if clear else 1.3),
        ambient=f32(ambient),
        night_sky=f32(night_sky),
        headlights=float(np.exp(rng.uniform(np.log(0.6), np.log(7)))) * (0.5 if dusk else 1),
        wet=float(rng.choice((0.04, 0.1, 0.3, 0.6))),
        brightness=float(rng.uniform(0.09, 0.26)) + 0.05 * dusk,
        bloom=float(rng.uniform(0.4, 1.3)),
        streak=float(rng.uniform(0.5, 1.3)) if rng.random() < 0.18 else None,
        noise=float(rng.uniform(0.008, 0.045)),
        vignette=float(rng.uniform(0.1, 0.5)),
        contrast=float(rng.uniform(0.1, 0.8)),
        blur=float(rng.uniform(0.45, 0.95)),
    )
