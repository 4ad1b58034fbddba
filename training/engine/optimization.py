# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Optimisers, the poly schedule and the moving average of the weights, as every method takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

Tensors = tuple[Tensor, ...] | list[Tensor]


@dataclass
class OptimizerConfig:
    """Optimiser of a network.

    Attributes:
        name: ``sgd`` (momentum, weight decay) or ``adamw`` (decoupled weight decay, betas 0.9 and 0.999).
        lr: learning rate at its peak.
        momentum: of ``sgd``.
        weight_decay: see ``name``.
    """

    name: Literal["sgd", "adamw"]
    lr: float
    momentum: float
    weight_decay: float


@dataclass
class ScheduleConfig:
    """Length and learning rate: linear warm-up, then ``(1 - step / iterations) ** power``.

    Attributes:
        iterations: training steps, 1 or more.
        power: of the poly schedule.
        warmup: steps over which the rate rises from 0.

    Raises:
        ValueError: no step.
    """

    iterations: int
    power: float
    warmup: int

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"schedule.iterations is {self.iterations}: give 1 or more")


def build_optimizer(config: OptimizerConfig, network: nn.Module) -> Optimizer:
    """The optimiser of ``network``; normalisation layers and biases do not decay."""
    decay = [p for p in network.parameters() if p.dim() > 1]
    plain = [p for p in network.parameters() if p.dim() <= 1]
    groups = [{"params": decay, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
    return torch.optim.AdamW(groups, lr=config.lr)


def poly_factor(step: int, config: ScheduleConfig) -> float:
    """Learning rate at a step, as a share of its peak."""
    warmup = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    return warmup * (1 - step / config.iterations) ** config.power


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Exponential moving average whose decay rises to ``decay``: early steps are soon forgotten."""

    def update(averages: Tensors, values: Tensors, count: Tensor | int) -> None:
        steps = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))(averages, values, count)

    return update
