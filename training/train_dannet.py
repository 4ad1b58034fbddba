# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Training of DANNet: a labelled day is adapted to the night (``night-seg train dannet``)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import load_weights
from night_seg_ros.models.classes import IGNORE, NUM_CLASSES
from night_seg_ros.models.dannet import (
    CITYSCAPES_SHARES,
    DANNet,
    Relighting,
    Reweighting,
    class_weights,
)
from night_seg_ros.models.discriminator import Discriminator
from night_seg_ros.models.encoder import Encoder
from night_seg_ros.models.output import SegmentationOutput
from night_seg_ros.models.pretrained import read_pretrained
from night_seg_ros.training.data.pairs import AdaptationDataConfig
from night_seg_ros.training.engine.engine import Batch, Engine, Method, RunConfig, StepReport
from night_seg_ros.training.engine.optimization import OptimizerConfig, ScheduleConfig, build_optimizer
from night_seg_ros.training.engine.pictures import image_picture, label_picture, side_by_side
from night_seg_ros.training.engine.recipe_command import run_training
from night_seg_ros.training.losses.adaptation import (
    Adversarial,
    Static,
    Variant,
    adversarial_loss,
    light_loss,
    pseudo_label,
    released_static_probabilities,
    self_supervised_loss,
    static_loss,
)
from night_seg_ros.training.losses.supervised import cross_entropy, upsample

Scores = dict[str, Tensor]


@dataclass
class DANNetModelConfig:
    """The network.

    Attributes:
        segmentation_network: ``pspnet``, ``deeplab`` or ``refinenet``.
        backbone: see ``models.encoder.BACKBONES``.
        relighting: ``residual`` (DANNet's), ``curves`` (Bi-Mix's) or ``none`` (ablation).
        relighting_width: channels of the first layer of the relighting network.
        reweighting: of the prediction when testing: ``probabilities`` (DANNet), ``logits`` (release) or
            ``none`` (Bi-Mix; ablation).
        std, avg: standard deviation and mean of the weights of that re-weighting (Eq. 2); 0.16 and 1 in the
            paper.
        network: further arguments of the segmentation network, such as ``output_stride``.
        pretrained: ImageNet weights of the backbone, see ``SourceModelConfig``; or None. For training without
            a checkpoint (ablation).
        checkpoint: the segmentation network to start from, of ``night-seg train source``; or None.

    Raises:
        ValueError: both ``pretrained`` and ``checkpoint``.
    """

    segmentation_network: str
    backbone: str
    relighting: Relighting
    relighting_width: int
    reweighting: Reweighting
    std: float
    avg: float
    network: dict[str, Any] = field(default_factory=dict)
    pretrained: str | None = None
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        if self.pretrained is not None and self.checkpoint is not None:
            raise ValueError("model.checkpoint replaces model.pretrained: set one of them to null")


@dataclass
class DANNetLossConfig:
    """``segmentation + static_weight * static + light * L_light + adversarial * L_adv`` (Eq. 11), or so.

    Attributes:
        light: weight of the light losses; 0 for none (ablation).
        light_source: that of the source image's; the release has 1.
        light_variant: ``paper`` or ``release``, see ``losses.adaptation``.
        static: what the night learns from the day: ``neighbourhood`` (DANNet, Eq. 8, 9), ``self_supervised``
            (Bi-Mix, Eq. 5), ``release`` (of both: as ``neighbourhood``, with the softmax over the static
            classes alone, times their weights); or ``focal``, ``cross_entropy``, ``none`` (ablations).
        static_weight: weight of the static loss.
        gamma: of the static loss.
        adversarial: weight of the adversarial losses.
        adversarial_kind: ``least_squares`` (Eq. 10, 12, 13), or ``cross_entropy`` (ablation: AdaptSegNet's).
        pseudo_labels: ``paper`` or ``release``, see ``losses.adaptation.pseudo_label``; ``self_supervised``
            takes the plain day prediction instead.
        reweight_pseudo_labels: whether rare classes weigh more in these; without is an ablation.
        day_target: whether the day images of the pairs take part; without them (ablation) there are no pseudo
            labels, so ``static`` must be ``none``.
        std, avg: standard deviation and mean of the class weights in training (Eq. 2), those of the
            segmentation loss and of the pseudo labels; 0.05 and 1 in the paper. With a ``std`` of 0 all
            classes weigh the same, as in Bi-Mix.
        class_shares: share of each class in the source's labels, which says how rare it is (Eq. 1); None for
            those of Cityscapes.

    Raises:
        ValueError: a static loss without the day, or a weight or ``gamma`` below 0.
    """

    light: float
    light_source: float
    light_variant: Variant
    static: Static | Literal["self_supervised", "release", "none"]
    static_weight: float
    gamma: float
    adversarial: float
    pseudo_labels: Variant
    reweight_pseudo_labels: bool
    day_target: bool
    std: float
    avg: float
    class_shares: list[float] | None = None
    adversarial_kind: Adversarial = "least_squares"

    def __post_init__(self) -> None:
        for name in ("light", "light_source", "static_weight", "adversarial", "gamma"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"loss.{name} is {getattr(self, name)}: give 0 or more")
        if self.class_shares is not None and len(self.class_shares) != NUM_CLASSES:
            raise ValueError(f"loss.class_shares has {len(self.class_shares)} values: give {NUM_CLASSES}")
        if not self.day_target and self.static != "none":
            raise ValueError(
                f"loss.static {self.static!r} needs the day images: set loss.day_target, or 'none'"
            )


@dataclass
class DiscriminatorConfig:
    """The discriminators and their Adam.

    Attributes:
        width: channels of the first convolution. At 64, the paper's, they cost more than a light network.
        lr: learning rate at its peak.
        betas: decay of the means of gradient and squared gradient.
    """

    width: int
    lr: float
    betas: tuple[float, float]


class DANNetMethod(Method):
    """Three domains, one network, a discriminator for each of the two targets.

    Each domain's losses are computed and sent back before the next domain's, so that memory holds the graph
    of one at a time; the gradients add up.

    Attributes:
        source_score, target_score: what the discriminators shall say of a source and of a target image: 0 and
            1, as in the release.
        discriminator_weight: of each of their two losses.
    """

    name = "dannet"
    leaves_parameters_unused = True  # a second head, in whatever loss does not look at it
    source_score, target_score = 0.0, 1.0
    discriminator_weight = 0.5

    def __init__(
        self,
        model: DANNetModelConfig,
        loss: DANNetLossConfig,
        optimizer: OptimizerConfig,
        discriminator: DiscriminatorConfig,
    ) -> None:
        network = build_model(
            self.name,
            segmentation_network=model.segmentation_network,
            backbone=model.backbone,
            relighting=model.relighting,
            relighting_width=model.relighting_width,
            reweighting=model.reweighting,
            **model.network,
        )
        assert isinstance(network, DANNet)
        if model.checkpoint is not None:
            self.starts_from = load_weights(model.checkpoint, network.segmentation_network)
        elif model.pretrained is not None:
            encoder = network.segmentation_network.encoder
            assert isinstance(encoder, Encoder)
            encoder.load_pretrained(read_pretrained(model.pretrained, model.backbone))
        shares = loss.class_shares or CITYSCAPES_SHARES
        network.reweighting.weights = class_weights(shares, model.std, model.avg)
        targets = ("day", "night") if loss.day_target else ("night",)
        # As they are; the engine replaces those among ``networks`` by ones that share gradients.
        self.network = network
        self.discriminators = {
            name: Discriminator(width=discriminator.width) for name in targets if loss.adversarial
        }
        self.networks = {
            "model": network,
            **{f"{name}_discriminator": module for name, module in self.discriminators.items()},
        }
        self.losses = {}
        self.loss = loss
        self.class_weights = class_weights(shares, loss.std, loss.avg)
        self._optimizer, self._discriminator = optimizer, discriminator

    def optimizers(self) -> dict[str, Optimizer]:
        optimizers: dict[str, Optimizer] = {"model": build_optimizer(self._optimizer, self.networks["model"])}
        for name in self.discriminators:
            network = self.networks[f"{name}_discriminator"]
            optimizers[f"{name}_discriminator"] = torch.optim.Adam(
                network.parameters(), self._discriminator.lr, self._discriminator.betas
            )
        return optimizers

    def step(self, batch: Batch, backward: Callable[[Tensor], None]) -> StepReport:
        """One step of Eq. 11 for the network, then one of Eq. 12 and 13 for the discriminators.

        Args:
            batch: ``image`` and ``label`` of the source, ``day`` and ``night`` of the pairs, and, where it is
                known, ``night_label``, for the statistics only.
        """
        for discriminator in self.discriminators.values():
            discriminator.requires_grad_(False)
        losses: dict[str, Tensor] = {}
        scores: Scores = {}
        intensity = batch["night"].mean()

        def learn(terms: dict[str, Tensor]) -> None:
            if terms:
                backward(torch.stack(list(terms.values())).sum())
            losses.update({name: term.detach() for name, term in terms.items()})

        output: SegmentationOutput = self.networks["model"](batch["image"])
        terms = self._light("source", batch["image"], output, intensity, self.loss.light_source)
        source = upsample(output, batch["label"].shape[-2:])
        scores["source"] = source.detach()
        self.class_weights = self.class_weights.to(source.device)
        terms["segmentation"] = cross_entropy(source, batch["label"], self.class_weights)
        learn(terms)

        if self.loss.day_target:
            terms, day = self._target("day", batch["day"], intensity)
            scores["day"] = day.detach()
            learn(terms)

        terms, night = self._target("night", batch["night"], intensity)
        scores["night"] = night.detach()
        statistics: dict[str, Tensor] = {}
        if self.loss.static != "none":
            label = self._pseudo_label(scores["day"], scores["night"])
            terms["static"] = self.loss.static_weight * self._static_loss(scores["day"], night, label)
            statistics |= pseudo_label_statistics(label, batch.get("night_label"))
        learn(terms)

        for terms in self.further_terms(batch, scores):
            learn(terms)
        losses["total"] = torch.stack(list(losses.values())).sum()

        for name, discriminator in self.discriminators.items():
            discriminator.requires_grad_(True)
            network = self.networks[f"{name}_discriminator"]
            source, target = (network(scores[domain].softmax(dim=1)) for domain in ("source", name))
            kind = self.loss.adversarial_kind
            loss = adversarial_loss(source, self.source_score, kind)
            loss = self.discriminator_weight * (loss + adversarial_loss(target, self.target_score, kind))
            backward(loss)
            losses[f"{name}_discriminator"] = loss.detach()
            statistics[f"{name}_discriminator_accuracy"] = self._accuracy(source, target)
        return StepReport(losses, statistics)

    def _accuracy(self, source: Tensor, target: Tensor) -> Tensor:
        """Share of a discriminator's patches, of as many source as target images, that it tells rightly."""
        border = 0.0 if self.loss.adversarial_kind == "cross_entropy" else 0.5  # of logits, of scores
        above = [(judged > border).float().mean() for judged in (source, target)]
        right = above[1] + 1 - above[0]
        return (right if self.target_score > self.source_score else 2 - right) / 2

    def _target(self, name: str, image: Tensor, intensity: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of a target domain that need no label; and the logits (N, C, H, W)."""
        output: SegmentationOutput = self.networks["model"](image)
        terms = self._light(name, image, output, intensity, self.loss.light)
        logits = upsample(output, image.shape[-2:])
        if name in self.discriminators:
            with self.autocast():
                judged = self.discriminators[name](logits.softmax(dim=1))
            loss = adversarial_loss(judged.float(), self.source_score, self.loss.adversarial_kind)
            terms[f"adversarial_{name}"] = self.loss.adversarial * loss
        return terms, logits

    def further_terms(self, batch: Batch, scores: Scores) -> Iterator[dict[str, Tensor]]:
        """Losses that a method adds; each dict is sent back before the next is asked for.

        Args:
            scores: logits (N, C, H, W) of ``source``, ``day`` and ``night``, without gradient.
        """
        yield from ()

    def _light(
        self, name: str, image: Tensor, output: SegmentationOutput, intensity: Tensor, weight: float
    ) -> dict[str, Tensor]:
        if output.relit is None or weight == 0:
            return {}
        return {
            f"light_{name}": weight
            * light_loss(image, output.relit.float(), intensity, self.loss.light_variant)
        }

    def _static_loss(self, day: Tensor, night: Tensor, label: Tensor) -> Tensor:
        """What the logits of the night cost beside the day's and their pseudo label."""
        kind, gamma = self.loss.static, self.loss.gamma
        assert kind != "none"
        if kind == "self_supervised":
            return self_supervised_loss(day.softmax(dim=1), night.softmax(dim=1), gamma)
        if kind == "release":
            probabilities = released_static_probabilities(night, self.class_weights)
            return static_loss(probabilities, label, "neighbourhood", gamma)
        return static_loss(night.softmax(dim=1), label, kind, gamma)

    def _pseudo_label(self, day: Tensor, night: Tensor) -> Tensor:
        if self.loss.static == "self_supervised":
            return day.argmax(dim=1)
        weights = self.class_weights
        if not self.loss.reweight_pseudo_labels:
            weights = torch.ones_like(weights)
        return pseudo_label(day, night, weights, self.loss.pseudo_labels)

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        for part in self.network.children():  # but not the network itself, which would re-weight its logits
            part.eval()
        day, night = (batch[name][:2] for name in ("day", "night"))
        outputs = [self.networks["model"](image) for image in (day, night)]
        self.network.train()
        scores = [upsample(output, day.shape[-2:]) for output in outputs]
        columns = {"day": image_picture(day), "night": image_picture(night)}
        if outputs[1].relit is not None:
            columns["relit night"] = image_picture(outputs[1].relit)
        if self.loss.static != "none":
            columns["pseudo label"] = label_picture(self._pseudo_label(*scores))
        columns["prediction"] = label_picture(self.network.reweighting(scores[1]).argmax(1))
        if "night_label" in batch:
            columns["truth"] = label_picture(batch["night_label"][:2])
        return {", ".join(columns): side_by_side(*columns.values())}


def pseudo_label_statistics(label: Tensor, truth: Tensor | None) -> dict[str, Tensor]:
    """Share of the pixels that have a pseudo label, and how many of these are right.

    Args:
        label: (N, H, W), 255 where there is none.
        truth: (N, H, W), 255 where it is not known; or None.
    """
    kept = label != IGNORE
    statistics = {"pseudo_labels_kept": kept.float().mean()}
    if truth is not None:
        judged = kept & (truth != IGNORE)
        right = (label == truth) & judged
        statistics["pseudo_labels_precision"] = right.sum() / judged.sum().clamp(min=1)
    return statistics


def dannet_training(
    model: DANNetModelConfig,
    loss: DANNetLossConfig,
    optimizer: OptimizerConfig,
    discriminator: DiscriminatorConfig,
    schedule: ScheduleConfig,
    data: AdaptationDataConfig,
    run: RunConfig,
    *,
    resume: bool = False,
) -> Engine:
    """Train DANNet from a recipe.

    Args:
        resume: go on from ``run.out``/state.pt.

    Returns:
        The engine, ready to train.
    """
    announce_start(model, resume)
    torch.manual_seed(run.seed)
    method = DANNetMethod(model, loss, optimizer, discriminator)
    return Engine(method, data, schedule, run, resume=resume)


def announce_start(model: DANNetModelConfig, resume: bool) -> None:
    """Say so if a training starts from random weights, which adapts badly."""
    if model.checkpoint is None and model.pretrained is None and not resume:
        from lightning.fabric.utilities.rank_zero import rank_zero_only

        rank_zero_only(print)("no model.checkpoint: the weights start at random", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg train dannet``."""
    return run_training(dannet_training, "night-seg train dannet", argv)


if __name__ == "__main__":
    raise SystemExit(main())
