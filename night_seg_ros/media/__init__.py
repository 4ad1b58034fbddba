# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pixels in and out: messages, bags, videos, folders of images."""
