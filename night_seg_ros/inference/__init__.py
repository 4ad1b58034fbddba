# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Runs a model on frames: from pixels to labels, exposure and confidence. Knows nothing of ROS."""
