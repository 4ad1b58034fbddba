# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Puts a part of a published state dict into a module."""

from __future__ import annotations

from torch import Tensor, nn


def load_part(part: nn.Module, weights: dict[str, Tensor], prefix: str) -> None:
    """Load the entries of ``weights`` under ``prefix`` that ``part`` has.

    Raises:
        ValueError: a key is missing or misshapen; the message names it.
    """
    missing = [prefix + key for key in part.state_dict() if prefix + key not in weights]
    if missing:
        raise ValueError(f"pretrained weights lack {len(missing)} entries, first {missing[0]!r}")
    for key, value in part.state_dict().items():
        shape = tuple(weights[prefix + key].shape)
        if shape != tuple(value.shape):
            raise ValueError(f"pretrained {prefix + key!r} has shape {shape}, not {tuple(value.shape)}")
    part.load_state_dict({key: weights[prefix + key] for key in part.state_dict()})
