# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The networks. Knows torch, and nothing of training or ROS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from night_seg_ros.models.names import METHODS

if TYPE_CHECKING:
    from night_seg_ros.models.factory import build_model
    from night_seg_ros.models.output import SegmentationOutput

__all__ = ["METHODS", "SegmentationOutput", "build_model"]


def __getattr__(name: str) -> Any:
    """Load the networks, and torch with them, only when they are asked for."""
    if name == "build_model":
        from night_seg_ros.models.factory import build_model

        return build_model
    if name == "SegmentationOutput":
        from night_seg_ros.models.output import SegmentationOutput

        return SegmentationOutput
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
