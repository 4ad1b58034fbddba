# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Bi-Mix: DANNet's network with relighting by curves.

Source: Yang et al., "Bidirectional Mixing for Domain Adaptive Nighttime Semantic Segmentation".
"""

from __future__ import annotations

from typing import Any

from night_seg_ros.models.dannet import DANNet, Relighting, Reweighting


class BiMix(DANNet):
    """Bi-Mix's network, see ``DANNet``; the two differ in what they are by default, and in their training.

    Args:
        relighting_width: of ``curves``, channels of its convolutions; 32 in the release.
        reweighting: the paper has none; the release re-weights as DANNet's does (``logits``).
    """

    def __init__(
        self,
        backbone: str = "resnet101",
        num_classes: int = 19,
        segmentation_network: str = "refinenet",
        relighting: Relighting = "curves",
        relighting_width: int = 32,
        reweighting: Reweighting = "none",
        **network: Any,
    ) -> None:
        super().__init__(
            backbone, num_classes, segmentation_network, relighting, relighting_width, reweighting, **network
        )
