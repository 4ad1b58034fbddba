# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The synthetic street: a seeded road scene with all 19 classes, by day, by night, and as a label map.

It needs no data: streets, houses, traffic and people are drawn from geometry in metres. The camera drives
along an endless road at 10 m/s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from night_seg_ros.training.streets.driving import draw_driving
from night_seg_ros.training.streets.geometry import StreetCamera, paint
from night_seg_ros.training.streets.ground import draw_ground
from night_seg_ros.training.streets.layout import StreetLayout
from night_seg_ros.training.streets.objects import ID
from night_seg_ros.training.streets.render import day_image, night_image, surface
from night_seg_ros.training.streets.roadside import draw_roadside
from night_seg_ros.training.streets.street import SPEED, Street


@dataclass(frozen=True)
class StreetFrame:
    """One view: `day` and `night` (H, W, 3) uint8 RGB, None where not asked for, and `label` (H, W) uint8
    train ids (255 = the ego car's bonnet). All three show the same scene, pixel by pixel."""

    day: np.ndarray | None
    night: np.ndarray | None
    label: np.ndarray


class StreetScene:
    """The views of an endless street, fixed by `seed` (an int from 0 up; else ValueError).

    The same seed, time, size and flags give the same frame.
    """

    def __init__(self, seed: int) -> None:
        self.street = Street(seed)

    def render(
        self, height: int, width: int, time: float = 0.0, *, day: bool = True, night: bool = True
    ) -> StreetFrame:
        """The view after `time` seconds, height and width in pixels from 32 up (else ValueError).

        day, night: whether to render that image; one alone costs much less than both.
        """
        if height < 32 or width < 32:
            raise ValueError(
                f"a street needs at least 32 x 32 pixels, not {height} x {width} (height x width)"
            )
        street = self.street
        camera = StreetCamera(
            x=street.camera_x,
            height=street.camera_height,
            z=SPEED * time,
            pitch=street.camera_pitch + 0.003 * float(np.sin(2.1 * time)),
            focal=street.focal * width,
            width=width,
            rows=height,
            bend=street.bend,
            slope=street.slope,
        )
        layout = StreetLayout(street, camera, time)
        draw_ground(layout)
        draw_roadside(layout)
        draw_driving(layout)
        faces = paint(layout.builder, camera, ID["sky"])
        seen = surface(faces, camera)
        moment = int(round(time * 1000))
        by_day, by_night = (np.random.default_rng((street.seed, k, moment)) for k in (3, 4))
        shadows, contact = layout.shadow_masks()
        return StreetFrame(
            day=day_image(seen, camera, street.weather, shadows, contact, by_day) if day else None,
            night=night_image(seen, camera, street.weather, contact, by_night) if night else None,
            label=seen.label,
        )
