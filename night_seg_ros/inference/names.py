# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Names and limits, for options: they must not wait for torch."""

from __future__ import annotations

PRECISIONS = ("fp32", "bf16", "fp16")
"""What a network computes in; the types are ``segmenter.PRECISIONS``."""

FORMATS = ("onnx", "pt2")
"""Of exported programs, and suffixes of their files; what writes them is in ``exporting.FORMATS``."""

MIN_SIDE = 32
"""The least height and width of an image that networks take, in pixels."""
