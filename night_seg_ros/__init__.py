# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reads the road at night: semantic segmentation of camera images for ROS 2 vehicles.

``night_seg_ros.Segmenter`` runs a model on frames; ``night_seg_ros.models`` holds the networks
and ``night_seg_ros.training`` the offline training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from night_seg_ros.inference.segmenter import Segmentation, Segmenter

__all__ = ["Segmentation", "Segmenter"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load the Segmenter, and torch with it, only when it is asked for."""
    if name in __all__:
        from night_seg_ros.inference import segmenter

        return getattr(segmenter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
