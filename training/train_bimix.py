# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Training of Bi-Mix: DANNet's, and mixing in both directions (``night-seg train bimix``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from night_seg_ros.models.output import SegmentationOutput
from night_seg_ros.training.data.pairs import AdaptationDataConfig
from night_seg_ros.training.engine.engine import Batch, Engine, RunConfig
from night_seg_ros.training.engine.optimization import OptimizerConfig, ScheduleConfig
from night_seg_ros.training.engine.recipe_command import run_training
from night_seg_ros.training.losses.adaptation import Variant
from night_seg_ros.training.losses.mixing import (
    confident_share,
    dynamic_classes,
    half_of_classes,
    mix,
    mixed_cross_entropy,
)
from night_seg_ros.training.losses.supervised import upsample
from night_seg_ros.training.train_dannet import (
    DANNetLossConfig,
    DANNetMethod,
    DANNetModelConfig,
    DiscriminatorConfig,
    Scores,
    announce_start,
)


@dataclass(kw_only=True)
class BiMixLossConfig(DANNetLossConfig):
    """DANNet's losses, and those of the two mixings (Eq. 15).

    The paper has neither class weights (``std`` 0, Eq. 13) nor static classes (``static``
    ``self_supervised``, Eq. 5); the release has both, as in DANNet.

    Attributes:
        trans2seg: mu1, weight of the cross-entropy for night images with source objects pasted in (F->M); 0
            for none (ablation).
        seg2trans: mu2, weight of the distance between the relighting of day images and of night images with
            day objects pasted in (M->F); 0 for none (ablation).
        mixing: ``paper``, or ``release``: the night's part of the cross-entropy weighs as much as its
            prediction is confident.
        adversarial_variant: ``paper`` (Eq. 14): the discriminators shall say 1 of a source and 0 of a target
            image, and each of their losses counts whole; ``release``: as in DANNet, 0 and 1, and half.

    Raises:
        ValueError: see ``DANNetLossConfig``; or M->F without the day images.
    """

    trans2seg: float
    seg2trans: float
    mixing: Variant
    adversarial_variant: Variant

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("trans2seg", "seg2trans"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"loss.{name} is {getattr(self, name)}: give 0 or more")
        if self.seg2trans and not self.day_target:
            raise ValueError("loss.seg2trans needs the day images: set loss.day_target, or seg2trans to 0")


class BiMixMethod(DANNetMethod):
    """DANNet's step, with two terms more.

    Raises:
        ValueError: ``seg2trans`` without a relighting network.
    """

    name = "bimix"
    forward_methods = ("light_increment", "segment")
    loss: BiMixLossConfig

    def __init__(
        self,
        model: DANNetModelConfig,
        loss: BiMixLossConfig,
        optimizer: OptimizerConfig,
        discriminator: DiscriminatorConfig,
    ) -> None:
        if loss.seg2trans and model.relighting == "none":
            raise ValueError("loss.seg2trans needs a relighting network: set model.relighting, or this to 0")
        super().__init__(model, loss, optimizer, discriminator)
        if loss.adversarial_variant == "paper":
            self.source_score, self.target_score = 1.0, 0.0
            self.discriminator_weight = 1.0

    def check_data(self, data: AdaptationDataConfig) -> None:
        target = data.pairs.size or data.pairs.crop
        if self.loss.trans2seg and target != data.crop:
            raise ValueError(
                f"source crops {list(data.crop)} can't be mixed with target crops {list(target)}: "
                "give data.pairs.size the value of data.crop"
            )

    def further_terms(self, batch: Batch, scores: Scores) -> Iterator[dict[str, Tensor]]:
        if self.loss.trans2seg:
            yield {"trans2seg": self.loss.trans2seg * self._trans2seg(batch, scores["night"])}
        if self.loss.seg2trans:
            yield {"seg2trans": self.loss.seg2trans * self._seg2trans(batch, scores["day"])}

    def _trans2seg(self, batch: Batch, night: Tensor) -> Tensor:
        """Cross-entropy for the night with half of the source's classes pasted in (Eq. 2-4).

        The mixture is segmented as it is: in sections 3.3 and 3.4 it does not pass the relighting network,
        which this loss therefore does not move.
        """
        mask = half_of_classes(batch["label"])
        image = mix(mask, batch["image"], batch["night"])
        label = mix(mask, batch["label"], night.argmax(dim=1))
        model: Any = self.networks["model"]
        with self.autocast():
            output: SegmentationOutput = model.segment(image)
        confidence = confident_share(night.softmax(dim=1)) if self.loss.mixing == "release" else None
        return mixed_cross_entropy(upsample(output, label.shape[-2:]), label, mask, confidence)

    def _seg2trans(self, batch: Batch, day: Tensor) -> Tensor:
        """Distance of the relighting of the day from that of the night with the day's objects (Eq. 10-12).

        The L1 distance as a mean over pixels and colours; Eq. 12 is printed without a division.
        """
        mixed = mix(dynamic_classes(day), batch["day"], batch["night"])
        model: Any = self.networks["model"]
        with self.autocast():
            increment: Tensor = model.light_increment(torch.cat([mixed, batch["day"]]))
        of_mixed, of_day = increment.float().chunk(2)
        return F.l1_loss(of_mixed, of_day)


def bimix_training(
    model: DANNetModelConfig,
    loss: BiMixLossConfig,
    optimizer: OptimizerConfig,
    discriminator: DiscriminatorConfig,
    schedule: ScheduleConfig,
    data: AdaptationDataConfig,
    run: RunConfig,
    *,
    resume: bool = False,
) -> Engine:
    """Train Bi-Mix from a recipe.

    Args:
        resume: go on from ``run.out``/state.pt.

    Returns:
        The engine, ready to train.
    """
    announce_start(model, resume)
    torch.manual_seed(run.seed)
    method = BiMixMethod(model, loss, optimizer, discriminator)
    return Engine(method, data, schedule, run, resume=resume)


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg train bimix``."""
    return run_training(bimix_training, "night-seg train bimix", argv)


if __name__ == "__main__":
    raise SystemExit(main())
