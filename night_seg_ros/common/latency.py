# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Figures of latencies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """``median_ms``, ``p90_ms`` and ``p99_ms`` of latencies in seconds, one or more."""
    values = np.percentile(seconds, (50, 90, 99)) * 1000
    return dict(zip(("median_ms", "p90_ms", "p99_ms"), values.tolist(), strict=True))
