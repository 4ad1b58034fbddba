# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Ways to run a network: what is done to it, or instead of it, on a device."""
