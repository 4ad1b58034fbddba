# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What ``night-seg segment --attention`` shows of EGNet: pictures like Fig. 10, and correlations."""

from __future__ import annotations

import numpy as np

from night_seg_ros.inference.engines.exported import ExportedNetwork
from night_seg_ros.inference.segmenter import Segmenter
from night_seg_ros.pictures.drawing import map_colours
from night_seg_ros.pictures.tiles import lay_out


class AttentionCorrelation:
    """Pearson correlation of each attention map W_r (Eq. 1) with V of HSV, over all pixels of all frames.

    It keeps sums only, nothing of any frame. A pixel is one of the frame: the maps, which come at the layers'
    strides, are compared at the frame's size.
    """

    def __init__(self) -> None:
        self._pixels = 0
        self._sums: np.ndarray | float = 0.0  # of V and of each map
        self._products: np.ndarray | float = 0.0  # of each two of these

    def add(self, bgr: np.ndarray, attention: np.ndarray) -> None:
        """Count a frame.

        Args:
            bgr: (H, W, 3) uint8.
            attention: (layers, H, W) uint8, 0..255 = 0..1, as ``Segmentation`` has it.
        """
        values = np.stack([bgr.max(axis=2), *attention]).reshape(1 + len(attention), -1).astype(np.float64)
        self._pixels += values.shape[1]
        self._sums = self._sums + values.sum(axis=1)
        self._products = self._products + values @ values.T  # exact: integers below 2 ** 53

    def figures(self) -> list[float]:
        """The correlation of each layer's map, -1..1; NaN if the map, or V, is the same everywhere.

        Raises:
            ValueError: no frame was added.
        """
        if not self._pixels:
            raise ValueError("no frame could be read: there is nothing to correlate")
        covariance = self._pixels * self._products - np.outer(self._sums, self._sums)
        deviation = np.sqrt(covariance.diagonal())
        with np.errstate(invalid="ignore"):
            return (covariance[0, 1:] / (deviation[0] * deviation[1:])).tolist()

    def lines(self) -> list[str]:
        """The figures for people, a line each layer."""
        return [
            f"guidance layer {layer}: correlation of W_r with V {figure:.3f}"
            for layer, figure in enumerate(self.figures(), 1)
        ]


def attention_picture(bgr: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """A frame and its attention maps side by side, like Fig. 10; all maps in one scale of colours.

    Args:
        bgr: (H, W, 3) uint8.
        attention: (layers, H, W) uint8, 0..255 = 0..1.

    Returns:
        (H', W', 3) uint8 BGR.
    """
    maps = [
        (f"W_r of guidance layer {layer} (black 0, yellow 1)", map_colours(values))
        for layer, values in enumerate(attention, 1)
    ]
    return lay_out([[tile] for tile in [("input", bgr), *maps]])


def check_attention(segmenter: Segmenter) -> None:
    """See that a network gives attention maps.

    Raises:
        ValueError: it is an exported program, or it has no guidance by attention.
    """
    if isinstance(segmenter.network.network, ExportedNetwork):
        raise ValueError(
            "--attention: an exported program gives no attention maps; take the checkpoint it was made from"
        )
    if not segmenter.has_attention:
        raise ValueError(
            f"--attention: this {segmenter.model_name} has no attention maps; "
            "only EGNet with guidance 'attention' has"
        )
