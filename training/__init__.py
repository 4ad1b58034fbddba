# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Offline training and evaluation. Knows the models, and nothing of ROS."""
