# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The one output type of every model."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class SegmentationOutput(NamedTuple):
    """What a model answers to a normalised image batch of shape (N, 3, H, W).

    Attributes:
        logits: (N, num_classes, H', W') class scores at the network's own stride.
        exposure: (N, 1, H, W) predicted exposure in [0, 1], or None.
        relit: (N, 3, H, W) relit image, normalised as the input, or None.
        aux_logits: (N, num_classes, H'', W'') scores of a second head, in training; or None.
        align_corners: whether bilinear upsampling of the logits has to let the centres of the corner
            pixels coincide (else the corners themselves, half a pixel further out).
        attention: maps (N, 1, h, w) in [0, 1], one of each guidance layer in their order, at the layer's own
            stride (EGNet's ``W_r``); or None.
    """

    logits: Tensor
    exposure: Tensor | None = None
    relit: Tensor | None = None
    aux_logits: Tensor | None = None
    align_corners: bool = False
    attention: tuple[Tensor, ...] | None = None
