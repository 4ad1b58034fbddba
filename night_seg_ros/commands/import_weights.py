"""``night-seg import-weights``: turns the weights that a method's authors published into a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from night_seg_ros.models.names import SEGMENTATION_NETWORKS

INPUT_SIZE = (540, 960)  # height and width at which the authors test


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg import-weights``."""
    options = _parse(argv)
    from night_seg_ros.models.checkpoint import import_released, save_checkpoint
    from night_seg_ros.models.dannet import TEST_STD

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
    parser.add_argument("model", choices=["dannet", "bimix"])
    parser.add_argument("--segmentation-network", required=True, choices=SEGMENTATION_NETWORKS)
    parser.add_argument("--segmentation", required=True, metavar="FILE", help="the segmentation network's")
    parser.add_argument("--relighting", required=True, metavar="FILE", help="the relighting network's")
    parser.add_argument("--out", required=True, metavar="W.safetensors", help="checkpoint to write")
    return parser.parse_args(argv)
