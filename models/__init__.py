"""The networks. Knows torch, and nothing of training or ROS."""

from __future__ import annotations

from night_seg_ros.models.factory import MODELS, build_model
from night_seg_ros.models.output import SegmentationOutput

__all__ = ["MODELS", "SegmentationOutput", "build_model"]
