# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Training of a segmentation network on labelled images, to adapt it later (``night-seg train source``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import load_weights
from night_seg_ros.models.encoder import Encoder
from night_seg_ros.models.output import SegmentationOutput
from night_seg_ros.models.pretrained import read_pretrained
from night_seg_ros.training.data.stream import DataConfig
from night_seg_ros.training.engine.engine import Batch, Engine, Method, RunConfig, StepReport
from night_seg_ros.training.engine.optimization import OptimizerConfig, ScheduleConfig, build_optimizer
from night_seg_ros.training.engine.pictures import image_picture, label_picture, side_by_side
from night_seg_ros.training.engine.recipe_command import run_training
from night_seg_ros.training.losses.supervised import cross_entropy, upsample


@dataclass
class SourceModelConfig:
    """The network.

    Attributes:
        segmentation_network: ``pspnet``, ``deeplab``, ``refinenet``, ``ccnet`` or ``espnet``.
        backbone: see ``models.encoder.BACKBONES``; None for ``espnet``, which has none to choose.
        network: further arguments of the network, such as ``output_stride``.
        pretrained: ImageNet weights of the backbone, see ``read_pretrained`` (of torchvision's, the deep stem
            and the first stage of PSPNet and CCNet stay random), or None for random ones.
        checkpoint: a checkpoint of the same network to start from, or None.

    Raises:
        ValueError: ``pretrained`` without ``backbone``.
    """

    segmentation_network: str
    backbone: str | None
    network: dict[str, Any] = field(default_factory=dict)
    pretrained: str | None = None
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        if self.pretrained is not None and self.backbone is None:
            raise ValueError(
                "model.pretrained is for the backbone that model.backbone names: name one, or set "
                "model.pretrained to null (espnet has none)"
            )


@dataclass
class SourceLossConfig:
    """``cross-entropy + aux * cross-entropy of the second head``.

    Attributes:
        aux: weight of the second head; RefineNet and ESPNet have none.
        class_weights: weight of each class, or None for 1.
    """

    aux: float
    class_weights: list[float] | None = None


class SourceMethod(Method):
    """One batch of labelled images, one network, one optimiser."""

    def __init__(self, model: SourceModelConfig, loss: SourceLossConfig, optimizer: OptimizerConfig) -> None:
        network = build_model(model.segmentation_network, backbone=model.backbone, **model.network)
        if model.pretrained is not None:
            assert isinstance(network.encoder, Encoder) and model.backbone is not None
            network.encoder.load_pretrained(read_pretrained(model.pretrained, model.backbone))
        if model.checkpoint is not None:
            self.starts_from = load_weights(model.checkpoint, network)
        self.networks = {"model": network}
        self.losses = {}
        self._loss = loss
        self._optimizer = optimizer

    def optimizers(self) -> dict[str, Optimizer]:
        return {"model": build_optimizer(self._optimizer, self.networks["model"])}

    def step(self, batch: Batch, backward: Callable[[Tensor], None]) -> StepReport:
        output: SegmentationOutput = self.networks["model"](batch["image"])
        label = batch["label"]
        weights = self._loss.class_weights
        class_weights = None if weights is None else torch.tensor(weights, device=label.device)
        losses = {"segmentation": cross_entropy(upsample(output, label.shape[-2:]), label, class_weights)}
        if output.aux_logits is not None:
            aux = upsample(output._replace(logits=output.aux_logits), label.shape[-2:])
            losses["aux"] = self._loss.aux * cross_entropy(aux, label, class_weights)
        total = torch.stack(list(losses.values())).sum()
        backward(total)
        return StepReport({"total": total.detach(), **{name: loss.detach() for name, loss in losses.items()}})

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        model = self.networks["model"].eval()
        logits = model(batch["image"][:2]).logits
        model.train()
        columns = {
            "image": image_picture(batch["image"][:2]),
            "truth": label_picture(batch["label"][:2]),
            "prediction": label_picture(logits.argmax(1)),
        }
        return {", ".join(columns): side_by_side(*columns.values())}


def source_training(
    model: SourceModelConfig,
    loss: SourceLossConfig,
    optimizer: OptimizerConfig,
    schedule: ScheduleConfig,
    data: DataConfig,
    run: RunConfig,
    *,
    resume: bool = False,
) -> Engine:
    """Train a segmentation network on labelled images.

    Args:
        resume: go on from ``run.out``/state.pt.

    Returns:
        The engine, ready to train.
    """
    torch.manual_seed(run.seed)
    return Engine(SourceMethod(model, loss, optimizer), data, schedule, run, resume=resume)


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg train source``."""
    return run_training(source_training, "night-seg train source", argv)


if __name__ == "__main__":
    raise SystemExit(main())
