# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Mixing of images and labels between the source, the day and the night (Bi-Mix)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from night_seg_ros.models.classes import IGNORE, NUM_CLASSES
from night_seg_ros.training.losses.adaptation import STATIC_CLASSES

CONFIDENT = 0.968  # in the release


def half_of_classes(label: Tensor) -> Tensor:
    """Where half of the classes of each image are, chosen at random (Bi-Mix, Eq. 2).

    Of an odd number of classes, the larger half. 255 is no class.

    Args:
        label: train ids (N, H, W) int64.

    Returns:
        (N, H, W) bool.
    """
    ids = label.flatten(1)
    present = torch.zeros(len(label), IGNORE + 1, dtype=torch.bool, device=label.device)
    present = present.scatter_(1, ids, True)[:, :NUM_CLASSES]
    order = torch.rand(present.shape, device=label.device).masked_fill(~present, 2)  # absent ones come last
    rank = order.argsort(dim=1).argsort(dim=1)
    half = (present.sum(dim=1, keepdim=True) + 1) // 2
    chosen = F.pad(rank < half, (0, IGNORE + 1 - NUM_CLASSES))
    return chosen.gather(1, ids).view_as(label)


def dynamic_classes(scores: Tensor) -> Tensor:
    """Where the predicted class is one that moves (Bi-Mix, Eq. 10).

    Shape: probabilities or logits (N, C, H, W) -> (N, H, W) bool.
    """
    return scores.argmax(dim=1) >= STATIC_CLASSES


def mix(mask: Tensor, pasted: Tensor, ground: Tensor) -> Tensor:
    """``mask * pasted + (1 - mask) * ground``, of images or of labels (Bi-Mix, Eq. 3, 11).

    Args:
        mask: (N, H, W) bool.
        pasted, ground: both (N, C, H, W) or both (N, H, W).
    """
    return torch.where(mask.unsqueeze(1) if pasted.dim() == 4 else mask, pasted, ground)


def mixed_cross_entropy(scores: Tensor, label: Tensor, trusted: Tensor, confidence: Tensor | None) -> Tensor:
    """Cross-entropy of the prediction for a mixed image, mean over the pixels that count (Bi-Mix, Eq. 4).

    The paper prints a division by N |C|, pixels times classes, which would be a nineteenth of this.

    Args:
        scores: logits (N, C, H, W).
        label: (N, H, W) int64; 255 does not count.
        trusted: (N, H, W) bool, where the label is the truth and no prediction.
        confidence: (N,), what a pixel weighs where it is not, see ``confident_share``; None for 1.

    Returns:
        scalar; 0 where no pixel counts.
    """
    loss = F.cross_entropy(scores, label, ignore_index=IGNORE, reduction="none")
    if confidence is not None:
        loss = loss * confidence.view(-1, 1, 1).expand_as(loss).masked_fill(trusted, 1)
    return loss.sum() / (label != IGNORE).sum().clamp(min=1)


def confident_share(probabilities: Tensor) -> Tensor:
    """Share of the pixels of each image whose class has a probability of 0.968 or more (release).

    Shape: (N, C, H, W) -> (N,).
    """
    return (probabilities.amax(dim=1) >= CONFIDENT).float().mean(dim=(1, 2))
