"""The networks. Knows torch, and nothing of training or ROS."""

from __future__ import annotations

from night_seg_ros.models.factory import METHODS, build_model
from night_seg_ros.models.output import SegmentationOutput

__all__ = ["METHODS", "SegmentationOutput", "build_model"]
