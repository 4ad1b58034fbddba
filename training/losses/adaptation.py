"""Losses of unsupervised adaptation to the night: light, static objects, adversarial.

Source: Wu et al., "DANNet", CVPR 2021, Eq. 3-13; "release" is the code that its authors published, where it
differs. All are pure functions: device comes from the inputs, which stay as they are.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from night_seg_ros.models.classes import IGNORE

STATIC_CLASSES = 11  # train ids 0..10: what stays where it is between the day and the night image of a pair

Variant = Literal["paper", "release"]
Static = Literal["neighbourhood", "focal", "cross_entropy"]


def total_variation_loss(difference: Tensor, variant: Variant) -> Tensor:
    """How rough the change by the relighting is (Eq. 4).

    Args:
        difference: I - R, (N, 3, H, W), H and W from 2 up.
        variant: ``paper``: the squared differences of neighbours, summed over colours and both directions,
            mean over pixels; ``release``: twice that, each direction over its own number of differences.

    Returns:
        scalar.
    """
    count, _, height, width = difference.shape
    vertical = difference.diff(dim=2).square().sum()
    horizontal = difference.diff(dim=3).square().sum()
    if variant == "paper":
        return (vertical + horizontal) / (count * height * width)
    return 2 * (vertical / ((height - 1) * width) + horizontal / (height * (width - 1))) / count


def exposure_loss(relit: Tensor, intensity: Tensor, variant: Variant) -> Tensor:
    """Distance of the relit image's brightness, over patches of 32x32, from that of the night (Eq. 5).

    Args:
        relit: R, (N, 3, H, W), H and W from 32 up.
        intensity: E, the mean of this step's night images, scalar.
        variant: ``paper``: absolute distances; ``release``: squared.

    Returns:
        scalar.
    """
    distance = F.avg_pool2d(relit.mean(dim=1, keepdim=True), kernel_size=32) - intensity
    return (distance.abs() if variant == "paper" else distance.square()).mean()


def ssim_loss(image: Tensor, relit: Tensor) -> Tensor:
    """``(1 - SSIM) / 2``, mean over pixels, with means over 3x3 pixels (Eq. 6).

    Shape: both (N, 3, H, W) -> scalar in 0..1.
    """
    x, y = (F.pad(each, (1, 1, 1, 1), mode="reflect") for each in (image, relit))
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = (
        F.avg_pool2d(each, kernel_size=3, stride=1) for each in (x, y, x * x, y * y, x * y)
    )
    variance_x, variance_y = mean_xx - mean_x**2, mean_yy - mean_y**2
    covariance = mean_xy - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    likeness = likeness / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))
    return ((1 - likeness) / 2).clamp(0, 1).mean()


def light_loss(image: Tensor, relit: Tensor, intensity: Tensor, variant: Variant) -> Tensor:
    """``10 L_tv + L_exp + L_ssim`` of an image and its relit version (Eq. 3).

    Shape: both (N, 3, H, W), H and W from 32 up; intensity: see ``exposure_loss`` -> scalar.
    """
    return (
        10 * total_variation_loss(image - relit, variant)
        + exposure_loss(relit, intensity, variant)
        + ssim_loss(image, relit)
    )


def pseudo_label(day: Tensor, night: Tensor, weights: Tensor, variant: Variant) -> Tensor:
    """What the static objects of a night image are, from the prediction for the day image.

    Args:
        day, night: probabilities (N, C, H, W).
        weights: of the classes, (C,), see ``class_weights``.
        variant: ``paper``: the re-weighted day prediction; ``release``: a mixture of both, with 0.8 of the
            day's where that is above 0.4, else 0.2.

    Returns:
        (N, H, W) int64: 0..10, or 255 for what may have moved.
    """
    if variant == "release":
        trust = torch.where(day > 0.4, 0.8, 0.2)
        day = trust * day + (1 - trust) * night
    label = (day * weights.view(1, -1, 1, 1)).argmax(dim=1)
    return label.where(label < STATIC_CLASSES, IGNORE)


def neighbourhood_probability(probabilities: Tensor, label: Tensor) -> Tensor:
    """Largest probability of a pixel's label among the pixel and its eight neighbours (Eq. 9).

    Shape: probabilities (N, C, H, W), label (N, H, W) int64 below C -> (N, H, W).
    """
    # The maximum of every class's map, read at the label's class, is the label's maximum.
    pooled = F.max_pool2d(probabilities, kernel_size=3, stride=1, padding=1)
    return pooled.gather(1, label.unsqueeze(1)).squeeze(1)


def static_loss(probabilities: Tensor, label: Tensor, kind: Static, gamma: float = 1.0) -> Tensor:
    """``-(1 - p)^gamma log p`` of the night prediction, mean over the pixels that count (Eq. 8, 9).

    Args:
        probabilities: of the night image, (N, C, H, W).
        label: see ``pseudo_label``.
        kind: ``neighbourhood`` (the paper): p is the largest probability of the label within 3x3 pixels, as
            the two images of a pair are never quite aligned; ``focal``: that of the pixel itself;
            ``cross_entropy``: likewise, without the factor.
        gamma: of the factor.

    Returns:
        scalar; 0 where no pixel counts.
    """
    valid = label != IGNORE
    known = label.where(valid, 0)
    if kind == "neighbourhood":
        p = neighbourhood_probability(probabilities, known)
    else:
        p = probabilities.gather(1, known.unsqueeze(1)).squeeze(1)
    p = p.clamp(min=1e-8)
    loss = -p.log() if kind == "cross_entropy" else -((1 - p) ** gamma) * p.log()
    return (loss * valid).sum() / valid.sum().clamp(min=1)


def least_squares(scores: Tensor, target: float) -> Tensor:
    """Mean squared distance of a discriminator's scores from what they shall be (Eq. 10, 12, 13)."""
    return (scores - target).square().mean()
