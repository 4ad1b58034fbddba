# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Names of the data sets, for options: they must not wait for torch."""

from __future__ import annotations

DATASETS = (
    "folder",
    "nightcity",
    "cityscapes",
    "bdd100k",
    "bdd100k_night",
    "dark_zurich",
    "nighttime_driving",
    "acdc",
    "acdc_night",
)
"""Data sets of files; what opens them is in ``datasets.DATASETS``."""

SYNTHETIC = "synthetic"
"""The drawn streets, which are no files and not in ``DATASETS``."""
