# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What all encoders are: a stem and four stages."""

from __future__ import annotations

from torch import Tensor, nn

OUTPUT_STRIDES = (8, 16, 32)


class EncoderStages(nn.Module):
    """A classifier's network without the classifier, cut into the parts that networks are put together from.

    Attributes:
        stem: what comes before the first stage.
        stages: four stages, at strides 4, 8, 16 and 32, or the encoder's output stride.
        out_channels: channels after each stage.
        stage_prefixes: what stands before the names of each stage's tensors in published weights.
    """

    stem: nn.Sequential
    stages: nn.ModuleList
    out_channels: list[int]
    stage_prefixes: list[str]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features after each of the four stages."""
        features = self.stem(image)
        levels = []
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        return levels
