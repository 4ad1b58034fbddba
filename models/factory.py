# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Builds models by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from night_seg_ros.models.bimix import BiMix
from night_seg_ros.models.ccnet import CCNet
from night_seg_ros.models.dannet import SEGMENTATION_NETWORKS, DANNet
from night_seg_ros.models.egnet import EGNet
from night_seg_ros.models.espnet import ESPNet

MODELS: dict[str, Callable[..., nn.Module]] = {
    "egnet": EGNet,
    "dannet": DANNet,
    "bimix": BiMix,
    **SEGMENTATION_NETWORKS,
    "ccnet": CCNet,
    "espnet": ESPNet,
}


def build_model(
    name: str,
    *,
    backbone: str | None = None,
    segmentation_network: str | None = None,
    num_classes: int = 19,
    **options: Any,
) -> nn.Module:
    """Build a model with random weights.

    Args:
        name: a key of ``MODELS``.
        backbone: a name in ``encoder.BACKBONES``; the paper's where None.
        segmentation_network: for methods that have a choice of it; the paper's where None.
        num_classes: channels of the logits.
        options: further arguments of the model.

    Returns:
        A module from normalised images (N, 3, H, W) to ``SegmentationOutput``. Its attribute
        ``build_arguments`` holds what rebuilds it.

    Raises:
        ValueError: unknown name, or an argument that the model does not take.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; known: {', '.join(MODELS)}")
    arguments: dict[str, Any] = {"num_classes": num_classes, **options}
    if backbone is not None:
        if "backbone" not in inspect.signature(MODELS[name]).parameters:
            raise ValueError(f"{name} has no backbone to choose, {backbone!r} or other: set backbone to null")
        arguments["backbone"] = backbone
    if segmentation_network is not None:
        arguments["segmentation_network"] = segmentation_network
    try:
        model = MODELS[name](**arguments)
    except TypeError as error:
        raise ValueError(f"model {name!r} can't be built: {error}") from error
    model.build_arguments = {"name": name, **arguments}  # type: ignore[assignment]
    return model
