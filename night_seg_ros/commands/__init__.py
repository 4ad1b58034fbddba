# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The commands of ``night-seg`` that join the parts. Nothing imports them but ``cli``."""
