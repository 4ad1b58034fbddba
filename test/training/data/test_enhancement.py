# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""CLAHE against OpenCV's own way through HSV, and where it is done."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from night_seg_ros.training.data.enhancement import enhance


def dark_image(height: int = 90, width: int = 130) -> np.ndarray:
    """(H, W, 3) uint8: smooth colours, darker to the left, some of it black."""
    coarse = np.random.default_rng(0).integers(40, 256, (5, 7, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    image = (smooth * np.linspace(0.1, 0.5, width)[None, :, None]).astype(np.uint8)
    image[:20, :20] = 0
    return image


def enhanced(image: np.ndarray) -> np.ndarray:
    result = enhance(torch.from_numpy(image).permute(2, 0, 1), "clahe")
    assert result.dtype == torch.uint8
    return result.permute(1, 2, 0).numpy()


def test_it_is_clahe_of_v_by_opencv() -> None:
    image = dark_image()
    hue, saturation, value = cv2.split(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV))
    equalised = cv2.createCLAHE(2.0, (8, 8)).apply(image.max(axis=2))
    expected = cv2.cvtColor(
        cv2.merge([hue, saturation, equalised.astype(np.float32) / 255]), cv2.COLOR_HSV2RGB
    )
    result = enhanced(image)
    np.testing.assert_allclose(result, 255 * expected, atol=0.51)
    np.testing.assert_array_equal(result.max(axis=2), equalised)
    assert result.mean() > 1.5 * image.mean()


def test_black_gets_grey_and_not_coloured() -> None:
    corner = enhanced(dark_image())[:20, :20]
    assert (corner == corner[..., :1]).all()


def test_none_is_the_image_itself() -> None:
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    assert enhance(image, "none") is image


@pytest.mark.parametrize("size", [(1, 1), (7, 33), (513, 30)])
def test_any_size(size: tuple[int, int]) -> None:
    assert enhanced(dark_image(*size)).shape == (*size, 3)
