# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Losses of unsupervised adaptation to the night: light, static objects, adversarial.

Sources: Wu et al., "DANNet", CVPR 2021, Eq. 3-13; Yang et al., "Bi-Mix", where it is named; "release" is the
code that the authors published, where it differs. All are pure functions: device and dtype come from the
inputs, which stay as they are.
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
Adversarial = Literal["least_squares", "cross_entropy"]

TINY = 1e-7  # probabilities are held this far from 0 and 1: logarithms and powers of them stay finite


def total_variation_loss(difference: Tensor, variant: Variant) -> Tensor:
    """How rough the change by the relighting is (Eq. 3).

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
    """Distance of the relit image's brightness, over patches of 32x32, from that of the night (Eq. 4).

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
    """``(1 - SSIM) / 2``, mean over pixels, with means over 3x3 pixels (Eq. 5).

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
    """``10 L_tv + L_exp + L_ssim`` of an image and its relit version (Eq. 6).

    Bi-Mix prints other arguments (there Eq. 6-8): with the network's output f(I) for the relit image, the
    exposure term drawing f(I) to f(I) + I. That contradicts DANNet, which it builds on, and its own release;
    both of the latter have what is computed here, R = I + f(I) and the brightness of the night.

    Shape: both (N, 3, H, W), H and W from 32 up; intensity: see ``exposure_loss`` -> scalar.
    """
    return (
        10 * total_variation_loss(image - relit, variant)
        + exposure_loss(relit, intensity, variant)
        + ssim_loss(image, relit)
    )


def pseudo_label(day: Tensor, night: Tensor, weights: Tensor, variant: Variant) -> Tensor:
    """What the static objects of a night image are, from the prediction for the day image (section 3.3).

    Args:
        day, night: logits (N, C, H, W).
        weights: of the classes, (C,), see ``class_weights``.
        variant: ``paper``: the largest of the day's probabilities, each times its class's weight;
            ``release``: the largest of mixed logits, likewise weighted: ``t day + (1 - t) night`` of a static
            class, with t = 0.8 where the day's is above 0.4, else 0.2; the night's alone of the others.

    Returns:
        (N, H, W) int64: 0..10, or 255 for what may have moved.
    """
    if variant == "release":
        trust = 0.2 + 0.6 * (day > 0.4).to(day.dtype)
        trust[:, STATIC_CLASSES:] = 0
        scores = trust * day + (1 - trust) * night
    else:
        scores = day.softmax(dim=1)
    label = (scores * weights.view(1, -1, 1, 1)).argmax(dim=1)
    return label.where(label < STATIC_CLASSES, IGNORE)


def neighbourhood_probability(probabilities: Tensor, label: Tensor) -> Tensor:
    """``p = max_c max_j o(c, j) P(c, i)``, j over the 3x3 pixels around i, o the one-hot label (Eq. 9).

    The largest probability at a pixel itself among the classes that the label has there or next to it: the
    day's objects may be one pixel off. Beyond the image's edge, and where the label is 255, there is none.

    Shape: probabilities (N, C, H, W), C from 11 up, label (N, H, W) int64, 0..10 or 255 -> (N, H, W); 0 where
        the label is 255 all around.
    """
    static = probabilities[:, :STATIC_CLASSES]
    classes = torch.arange(STATIC_CLASSES, device=label.device).view(1, -1, 1, 1)
    held = (label.unsqueeze(1) == classes).to(static.dtype)
    return (F.max_pool2d(held, kernel_size=3, stride=1, padding=1) * static).amax(dim=1)


def static_loss(probabilities: Tensor, label: Tensor, kind: Static, gamma: float = 1.0) -> Tensor:
    """``-(1 - p)^gamma log p`` of the night prediction, mean over the valid pixels (Eq. 8, 9).

    Valid is a pixel whose own pseudo label is: what the day calls a car is no static object by night for
    having a house next to it.

    Args:
        probabilities: of the night image, (N, C, H, W), C from 11 up.
        label: see ``pseudo_label``.
        kind: ``neighbourhood`` (the paper): see ``neighbourhood_probability``; ``focal``: p is that of the
            pixel's own label; ``cross_entropy``: likewise, without the factor.
        gamma: of the factor.

    Returns:
        scalar; 0 where no pixel counts.
    """
    valid = label != IGNORE
    if kind == "neighbourhood":
        p = neighbourhood_probability(probabilities, label)
    else:
        p = probabilities.gather(1, label.where(valid, 0).unsqueeze(1)).squeeze(1)
    p = p.clamp(TINY, 1 - TINY)
    loss = -p.log() if kind == "cross_entropy" else -((1 - p) ** gamma) * p.log()
    return (loss * valid).sum() / valid.sum().clamp(min=1)


def released_static_probabilities(night: Tensor, weights: Tensor) -> Tensor:
    """What the release gives to ``static_loss``: the softmax over the static classes, times their weights.

    Args:
        night: logits (N, C, H, W), C from 11 up.
        weights: of the classes, (C,).

    Returns:
        (N, 11, H, W), above 0; a little above 1 where a sure class weighs more.
    """
    weights = weights[:STATIC_CLASSES].view(1, -1, 1, 1)
    return night[:, :STATIC_CLASSES].softmax(dim=1) * weights


def self_supervised_loss(day: Tensor, night: Tensor, gamma: float = 1.0) -> Tensor:
    """``-(1 - p_d)^gamma log p_n``, mean over all pixels (Bi-Mix, Eq. 5).

    The class of a pixel is that of the day prediction, of all classes, without re-weighting; p_d is its
    probability by day, p_n the one by night. The day is the teacher: no gradient goes into it. Its class has
    none anyway, and through ``1 - p_d``, which says how much a pixel counts, the loss could fall by the day
    growing surer, without the night learning anything. The equation does not say.

    Args:
        day, night: probabilities (N, C, H, W).
        gamma: of the factor.

    Returns:
        scalar.
    """
    sure, label = day.detach().max(dim=1)
    p = night.gather(1, label.unsqueeze(1)).squeeze(1).clamp(min=TINY)
    return -((1 - sure) ** gamma * p.log()).mean()


def adversarial_loss(scores: Tensor, target: float, kind: Adversarial = "least_squares") -> Tensor:
    """How far a discriminator's scores are from what they shall be, mean over its patches.

    Args:
        scores: of any shape; of ``cross_entropy``, logits.
        target: what they, or their sigmoids, shall be: 0 or 1.
        kind: ``least_squares`` (DANNet, Eq. 10, 12, 13; Bi-Mix, Eq. 14), or ``cross_entropy`` (AdaptSegNet).

    Returns:
        scalar.
    """
    if kind == "cross_entropy":
        return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))
    return (scores - target).square().mean()
