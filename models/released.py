# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Names of the tensors in the files that the authors of DANNet, Bi-Mix and ESPNet published."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Rule = tuple[str, str | Callable[[re.Match[str]], str]]

_ENCODER: list[Rule] = [
    (r"^encoder\.stem\.", ""),
    (r"^encoder\.stages\.(\d)", lambda m: f"layer{int(m[1]) + 1}"),
]
_REFINENET_PARTS = {
    "reduce": "p_ims1d2_outl{path}_dimred",
    "merge": "adapt_stage{path}_b2_joint_varout_dimred",
    "project": "mflow_conv_g{path}_b3_joint_varout_dimred",
}
_REFINENET_UNITS = {"adapt": "adapt_stage{path}_b.0", "refine": "mflow_conv_g{path}_b.0"}
_REFINENET_LAYERS = {"1": "conv", "3": "conv_relu_varout_dimred"}


def _path(match: re.Match[str]) -> int:
    """Released paths are counted from the coarsest, 1 to 4; ours from the finest, 0 to 3."""
    return 4 - int(match[1])


# By network: how the name of one of our tensors becomes the released one.
RULES: dict[str, list[Rule]] = {
    "pspnet": [
        *_ENCODER,
        (r"^pyramid\.projections\.(\d)", r"head.0.stages.\1.1"),
        (r"^pyramid\.bottleneck", "head.0.bottleneck"),
        (r"^classifier", "head.1"),
        (r"^aux_head", "dsn"),
    ],
    "deeplab": [
        *_ENCODER,
        (r"^aux_head\.branches", "layer5.conv2d_list"),
        (r"^head\.branches", "layer6.conv2d_list"),
    ],
    "refinenet": [
        *_ENCODER,
        (
            r"^paths\.(\d)\.(reduce|merge|project)",
            lambda m: _REFINENET_PARTS[m[2]].format(path=_path(m)),
        ),
        (
            r"^paths\.(\d)\.(adapt|refine)\.units\.(\d)\.(\d)",
            lambda m: (
                f"{_REFINENET_UNITS[m[2]].format(path=_path(m))}.{int(m[3]) + 1}_{_REFINENET_LAYERS[m[4]]}"
            ),
        ),
        (
            r"^paths\.(\d)\.pool\.convolutions\.(\d)",
            lambda m: f"mflow_conv_g{_path(m)}_pool.0.{int(m[2]) + 1}_outvar_dimred",
        ),
        (r"^classifier", "clf_conv"),
    ],
    "espnet": [
        (r"\.reduce\.", ".c1.conv."),
        (r"\.branches\.(\d)", lambda m: f".d{2 ** int(m[1])}.conv"),
        (r"(level[23]\.\d|merge2\.1)\.norm\.", r"\1.bn."),
        (r"\.norm\.", "."),
        (r"^encoder\.norm(\d)", r"encoder.b\1"),
        (r"^encoder\.down(\d)", r"encoder.level\1_0"),
        (r"^project3\.0", "encoder.classifier.conv"),
        (r"^project3\.1", "br"),
        (r"^up(\d)\.weight", r"up\1.0.weight"),
        (r"^up(\d)", r"up_l\1"),
        (r"^project2", "level3_C.conv"),
        (r"^merge2", "combine_l2_l3"),
        (r"^merge1", "conv"),
    ],
    "dannet": [(r"^layers", "model"), (r"\.block\.", ".conv_block.")],
    "bimix": [(r"^convolutions\.(\d)", lambda m: f"e_conv{int(m[1]) + 1}")],
}

# The released DeepLab has four branches and adds up two: the others are in the file for nothing.
RELEASED_DEEPLAB_RATES = (6, 12)
_UNUSED_BRANCHES = (2, 3)


def released_name(network: str, key: str) -> str:
    """The released name of one of our tensors.

    Args:
        network: ``pspnet``, ``deeplab``, ``refinenet`` or ``espnet``; ``dannet`` or ``bimix`` for the
            relighting network.
        key: of the network's state dict.
    """
    for pattern, replacement in RULES[network]:
        key = re.sub(pattern, replacement, key)
    return key


def unused_names(network: str, names: Iterable[str]) -> dict[str, str]:
    """The released tensors that have no part in what the released network computes.

    Args:
        names: released names of those that have.

    Returns:
        Their names, each with the name of a tensor of the same shape.
    """
    if network != "deeplab":
        return {}
    first = "conv2d_list.0."
    return {
        name.replace(first, f"conv2d_list.{branch}."): name
        for name in names
        if first in name
        for branch in _UNUSED_BRANCHES
    }
