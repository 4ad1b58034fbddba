# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg import-weights``: turns the weights that a network's authors published into a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from night_seg_ros.models.names import SEGMENTATION_NETWORKS
from night_seg_ros.models.released import RULES

# Height and width at which the authors test.
INPUT_SIZE = (540, 960)
ESPNET_INPUT_SIZE = (512, 1024)


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg import-weights``."""
    options = _parse(argv)
    # With torch, which --help does without.
    from night_seg_ros.models.checkpoint import import_espnet, import_released, save_checkpoint
    from night_seg_ros.models.dannet import TEST_STD

    metadata: dict[str, Any]
    if options.model == "espnet":
        model = import_espnet(options.segmentation)
        metadata = {"input_size": ESPNET_INPUT_SIZE, "imported_from": [Path(options.segmentation).name]}
    else:
        model = import_released(
            options.model, options.segmentation_network, options.segmentation, options.relighting
        )
        sources = [Path(options.segmentation).name, Path(options.relighting).name]
        metadata = {"input_size": INPUT_SIZE, "reweighting_std": TEST_STD, "imported_from": sources}
    save_checkpoint(options.out, model, metadata)
    print(f"model: {options.out}")
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="night-seg import-weights", description=__doc__)
    published = [name for name in SEGMENTATION_NETWORKS if name in RULES]
    models = parser.add_subparsers(dest="model", required=True, metavar="MODEL")
    for name in ("dannet", "bimix", "espnet"):
        model = models.add_parser(name, help=f"weights of {name}")
        model.add_argument("--segmentation", required=True, metavar="FILE", help="the segmentation network's")
        model.add_argument("--out", required=True, metavar="W.safetensors", help="checkpoint to write")
        if name != "espnet":
            model.add_argument("--segmentation-network", required=True, choices=published)
            model.add_argument("--relighting", required=True, metavar="FILE", help="the relighting network's")
    return parser.parse_args(argv)
