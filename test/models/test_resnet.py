# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Our ResNet against torchvision's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet as theirs

from night_seg_ros.models.resnet import BACKBONES, ResNetStages


def their_resnet(backbone: str) -> theirs.ResNet:
    block, layers = BACKBONES[backbone]
    return theirs.ResNet(getattr(theirs, block.__name__), layers)


def their_stages(resnet: theirs.ResNet) -> list[nn.Sequential]:
    return [resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4]


def equal(ours: nn.Module, other: nn.Module) -> bool:
    """Whether two modules have the same tensors, by the same names and in the same order."""
    tensors, others = ours.state_dict(), other.state_dict()
    return list(tensors) == list(others) and all(torch.equal(tensors[key], others[key]) for key in tensors)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_seed_gives_the_same_weights_by_the_same_names(backbone: str) -> None:
    torch.manual_seed(5)
    ours, next_of_ours = ResNetStages(backbone), torch.rand(3)
    torch.manual_seed(5)
    resnet, next_of_theirs = their_resnet(backbone), torch.rand(3)
    assert equal(ours.stem.conv1, resnet.conv1) and equal(ours.stem.bn1, resnet.bn1)
    for stage, their_stage in zip(ours.stages, their_stages(resnet), strict=True):
        assert equal(stage, their_stage)
    assert torch.equal(next_of_ours, next_of_theirs)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_outputs_and_gradients_are_the_same_bit_for_bit(backbone: str, training: bool) -> None:
    torch.manual_seed(6)
    resnet = their_resnet(backbone).train(training)
    ours = ResNetStages(backbone).train(training)
    ours.load_pretrained(resnet.state_dict())
    image = torch.randn(2, 3, 64, 96)
    features, levels = resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(image)))), ours(image)
    for stage, level in zip(their_stages(resnet), levels, strict=True):
        features = stage(features)
        assert torch.equal(level, features)

    def gradient(network: nn.Module, last: Tensor) -> Tensor:
        last.square().mean().backward()
        weight = next(network.parameters())
        assert weight.grad is not None
        return weight.grad

    assert torch.equal(gradient(ours, levels[-1]), gradient(resnet, features))
