# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Dark images made easier to see, by an old and simple method, before a network sees them.

EGNet's paper compares with networks that see enhanced images; how it enhanced them we do not know. CLAHE
is our choice: K. Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV, 1994.
"""

from __future__ import annotations

from typing import Literal

import cv2
import torch
from torch import Tensor

Enhancement = Literal["none", "clahe"]

CLIP_LIMIT = 2.0  # times the mean height of a histogram: moderate, noise is not blown up
TILES = (8, 8)


def enhance(image: Tensor, enhancement: Enhancement) -> Tensor:
    """Enhance an image: ``clahe`` equalises V of HSV tile by tile and leaves hue and saturation.

    Args:
        image: RGB (3, H, W) uint8.
        enhancement: ``none`` gives the image itself.

    Returns:
        The same shape, dtype and device.
    """
    if enhancement == "none":
        return image
    value = image.amax(dim=0)
    equalised = cv2.createCLAHE(CLIP_LIMIT, TILES).apply(value.cpu().numpy())
    new_value = torch.from_numpy(equalised).to(image.device)
    # With hue and saturation as they are, R, G and B grow as V does; black, which has neither, gets grey.
    scaled = image * (new_value / value.clamp(min=1))
    return torch.where(value > 0, scaled.round(), new_value).to(torch.uint8)
