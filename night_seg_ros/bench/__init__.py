# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Measures speed and memory, always against a plain baseline in the same run."""
