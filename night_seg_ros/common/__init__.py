# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What every part may use: files, images, tables, timing. Knows no other part."""
