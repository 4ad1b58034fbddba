# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Training of the networks that only ``night-seg train source`` knows; see test_train_dannet for PSPNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_train_dannet import small

from night_seg_ros.cli import main
from night_seg_ros.models.checkpoint import load_model
from night_seg_ros.training.engine.optimization import OptimizerConfig
from night_seg_ros.training.train_source import SourceLossConfig, SourceMethod, SourceModelConfig

ESPNET = {"segmentation_network": "espnet", "backbone": "null", "network": "{p: 1, q: 1}"}
CCNET = {"segmentation_network": "ccnet"}


def argv(out: Path, model: dict[str, str]) -> list[str]:
    return ["train", "source", *small("source_synthetic", out, **{f"model.{k}": v for k, v in model.items()})]


@pytest.mark.parametrize("network", [CCNET, ESPNET], ids=["ccnet", "espnet"])
def test_command(network: dict[str, str], tmp_path: Path) -> None:
    arguments = argv(tmp_path / "run", network)
    assert main(arguments) == 0
    model, metadata = load_model(tmp_path / "run" / "model.safetensors")
    assert metadata["model"]["name"] == network["segmentation_network"] and metadata["iterations"] == 3
    assert ("backbone" in metadata["model"]) == (network is CCNET)
    with torch.no_grad():
        assert model(torch.randn(1, 3, 48, 64)).logits.std() > 0
    assert main([*arguments, "--schedule.iterations=4", "--resume"]) == 0


@pytest.mark.parametrize(
    ("name", "backbone", "network", "steps"),
    [("ccnet", "resnet10", {"output_stride": 16}, 8), ("espnet", None, {"p": 1, "q": 1}, 25)],
)
def test_a_batch_is_learnt(name: str, backbone: str | None, network: dict[str, Any], steps: int) -> None:
    """Four classes, each a quarter of the image and of one colour; who guesses has a loss of log 4 = 1.39."""
    torch.manual_seed(0)
    model = SourceModelConfig(name, backbone, network)
    method = SourceMethod(model, SourceLossConfig(aux=0.4), OptimizerConfig("adamw", 0.01, 0.9, 0.0))
    label = torch.tensor([[[0, 1], [2, 3]], [[3, 0], [1, 2]]]).repeat_interleave(32, 1)
    label = label.repeat_interleave(32, 2)  # 2 x 64 x 64
    image = torch.randn(4, 3)[label].permute(0, 3, 1, 2).contiguous()
    (optimizer,) = method.optimizers().values()
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        report = method.step({"image": image, "label": label}, lambda total: total.backward())
        optimizer.step()
        losses.append({key: value.item() for key, value in report.losses.items()})
    assert losses[0].keys() == ({"total", "segmentation"} | ({"aux"} if name == "ccnet" else set()))
    assert losses[0]["segmentation"] > 1.39 and losses[-1]["segmentation"] < 0.5


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({**ESPNET, "backbone": "resnet18"}, "espnet has no backbone to choose, 'resnet18' or other"),
        ({**ESPNET, "pretrained": "torchvision"}, "set model.pretrained to null (espnet has none)"),
    ],
)
def test_espnet_has_no_resnet(
    model: dict[str, str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(argv(tmp_path / "run", model))
    except SystemExit as exit:  # a value that no recipe may have is found when it is parsed
        status = exit.code
    assert status in (1, 2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_ccnet_starts_from_pretrained_weights(tmp_path: Path) -> None:
    from torchvision.models.resnet import BasicBlock, ResNet

    torch.manual_seed(0)
    weights = ResNet(BasicBlock, [1, 1, 1, 1]).state_dict()
    torch.save(weights, tmp_path / "resnet10.pth")
    model = SourceModelConfig("ccnet", "resnet10", {}, pretrained=str(tmp_path / "resnet10.pth"))
    method = SourceMethod(model, SourceLossConfig(aux=0.4), OptimizerConfig("sgd", 0.01, 0.9, 0.0))
    stages = method.networks["model"].encoder.stages
    for i, name in ((1, "layer2"), (3, "layer4")):
        torch.testing.assert_close(stages[i][0].conv2.weight, weights[f"{name}.0.conv2.weight"])
