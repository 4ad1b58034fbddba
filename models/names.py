# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Names of the networks, for options: they must not wait for torch."""

from __future__ import annotations

METHODS = ("egnet", "dannet", "bimix")
"""The published methods, which nodes and commands know by name."""

SEGMENTATION_NETWORKS = ("pspnet", "deeplab", "refinenet")
"""Networks that ``dannet`` and ``bimix`` have a choice of."""
