# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""DANNet: a relighting network ahead of a segmentation network.

Source: Wu et al., "DANNet: A One-Stage Domain Adaptation Network for Unsupervised Nighttime Semantic
Segmentation", CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from night_seg_ros.models.deeplab import DeepLab
from night_seg_ros.models.output import SegmentationOutput
from night_seg_ros.models.pspnet import PSPNet
from night_seg_ros.models.refinenet import RefineNet
from night_seg_ros.models.relighting import CurveRelighting, ResidualRelighting

SEGMENTATION_NETWORKS: dict[str, type[nn.Module]] = {
    "pspnet": PSPNet,
    "deeplab": DeepLab,
    "refinenet": RefineNet,
}

RELIGHTING_NETWORKS: dict[str, type[nn.Module]] = {"residual": ResidualRelighting, "curves": CurveRelighting}

Relighting = Literal["residual", "curves", "none"]
Reweighting = Literal["probabilities", "logits", "none"]

CITYSCAPES_SHARES = (
    *(0.36869696, 0.06084986, 0.22824049, 0.00655399, 0.00877272, 0.01227341, 0.00207795),
    *(0.0055127, 0.15928651, 0.01157818, 0.04018982, 0.01218957, 0.00135122, 0.06994545),
    *(0.00267456, 0.00235192, 0.00232904, 0.00098658, 0.00413907),
)
"""a_k of Eq. 1: each class's share of the valid pixels of Cityscapes train."""

TEST_STD = 0.16
"""Of the class weights when testing."""


def class_weights(shares: Sequence[float], std: float, average: float = 1.0) -> Tensor:
    """Weights of the classes, larger for rare ones: ``-log(a_k)``, scaled and shifted (DANNet, Eq. 1, 2).

    Args:
        shares: a_k, each class's share of the valid source pixels. A class without any weighs as the rarest
            of the others.
        std, average: see ``spread``; the paper's ``std`` is 0.05 in training, 0.16 in testing.

    Returns:
        (classes,) float32, above 0.

    Raises:
        ValueError: a share is below 0, all are 0, or see ``spread``.
    """
    present = [share for share in shares if share > 0]
    if not present or not all(share >= 0 for share in shares):
        raise ValueError(f"class shares must be 0 or more, and not all 0: {list(shares)}")
    return spread(-torch.tensor(shares, dtype=torch.float64).clamp(min=min(present)).log(), std, average)


def spread(values: Tensor, std: float, average: float) -> Tensor:
    """Scales and shifts values to a standard deviation and a mean (DANNet, Eq. 2).

    Args:
        values: one for each class, (classes,).
        std: sample standard deviation of the result; with 0, or values that are all the same, each is
            ``average``.
        average: mean of the result.

    Returns:
        (classes,) float32, above 0.

    Raises:
        ValueError: ``std`` is below 0, or so large that a weight is not above 0.
    """
    if not std >= 0:
        raise ValueError(f"std {std} of the class weights: give 0 or more")
    weights = torch.full_like(values, average, dtype=torch.float64)
    if values.max() > values.min():
        weights += (values - values.mean()) / values.std() * std
    if not weights.min() > 0:
        raise ValueError(
            f"std {std} is too large for an average of {average}: "
            f"the least class weight would be {weights.min():.3f}"
        )
    return weights.float()


class ClassReweighting(nn.Module):
    """Gives rare classes more weight in the prediction (DANNet, section 3.3).

    The paper's label is the argmax of ``w_k`` times the prediction: softmax(logits) times w is, but for a
    common factor, softmax(logits + log w).

    Args:
        num_classes: channels of the logits.
        kind: ``probabilities`` (the paper), ``logits`` (the release multiplies these) or ``none``.

    Attributes:
        weights: w_k, (num_classes,), above 0; 1 until they are set.

    Shape: logits (N, num_classes, H, W) -> the same.

    Raises:
        ValueError: another kind.
    """

    weights: Tensor

    def __init__(self, num_classes: int, kind: Reweighting) -> None:
        super().__init__()
        if kind not in get_args(Reweighting):
            raise ValueError(f"unknown reweighting {kind!r}; known: {', '.join(get_args(Reweighting))}")
        self.kind = kind
        self.register_buffer("weights", torch.ones(num_classes))

    def forward(self, logits: Tensor) -> Tensor:
        if self.kind == "probabilities":
            return logits + self.weights.log().view(-1, 1, 1)
        return logits * self.weights.view(-1, 1, 1) if self.kind == "logits" else logits


class DANNet(nn.Module):
    """Relights an image, then segments it. In evaluation mode the logits are re-weighted by class.

    Args:
        backbone: see ``encoder.BACKBONES``; the paper's is ``resnet101``.
        num_classes: channels of the logits.
        segmentation_network: ``pspnet``, ``deeplab`` or ``refinenet``.
        relighting: ``residual`` (the paper's), ``curves`` (Bi-Mix's), or ``none`` for an image that is
            segmented as it is (ablation).
        relighting_width: channels of the first layer of the relighting network, 64 in the paper.
        reweighting: see ``ClassReweighting``.
        network: further arguments of the segmentation network, such as its output stride.

    Shape: normalised RGB (N, 3, H, W), H and W from 32 up -> ``SegmentationOutput`` with logits at the
        segmentation network's stride and relit (N, 3, H, W), normalised; None without relighting network.

    Raises:
        ValueError: unknown backbone, segmentation network, relighting or re-weighting.
    """

    def __init__(
        self,
        backbone: str = "resnet101",
        num_classes: int = 19,
        segmentation_network: str = "pspnet",
        relighting: Relighting = "residual",
        relighting_width: int = 64,
        reweighting: Reweighting = "probabilities",
        **network: Any,
    ) -> None:
        super().__init__()
        if segmentation_network not in SEGMENTATION_NETWORKS:
            known = ", ".join(SEGMENTATION_NETWORKS)
            raise ValueError(f"unknown segmentation_network {segmentation_network!r}; known: {known}")
        if relighting not in get_args(Relighting):
            raise ValueError(f"unknown relighting {relighting!r}; known: {', '.join(get_args(Relighting))}")
        self.relighting_network = (
            RELIGHTING_NETWORKS[relighting](relighting_width) if relighting != "none" else None
        )
        self.segmentation_network = SEGMENTATION_NETWORKS[segmentation_network](
            backbone, num_classes, **network
        )
        self.reweighting = ClassReweighting(num_classes, reweighting)

    def light_increment(self, image: Tensor) -> Tensor:
        """What the relighting network adds to an image, without segmenting it; it must have one.

        Shape: normalised RGB (N, 3, H, W) -> the same.
        """
        assert self.relighting_network is not None
        increment: Tensor = self.relighting_network(image)
        return increment

    def segment(self, image: Tensor) -> SegmentationOutput:
        """What ``forward`` does to a relit image, for an image as it is.

        Shape: normalised RGB (N, 3, H, W), H and W from 32 up -> ``SegmentationOutput`` without ``relit``.
        """
        output: SegmentationOutput = self.segmentation_network(image)
        return output if self.training else output._replace(logits=self.reweighting(output.logits))

    def forward(self, image: Tensor) -> SegmentationOutput:
        relit = None if self.relighting_network is None else image + self.light_increment(image)
        return self.segment(image if relit is None else relit)._replace(relit=relit)
