# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Bi-Mix's training: its step by hand, beside DANNet's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from test_train_dannet import LOSS, batch, freeze_batch_norm, gradients, small
from torch import Tensor
from torch.nn import functional as F

from night_seg_ros.cli import main
from night_seg_ros.models.checkpoint import load_model
from night_seg_ros.models.dannet import CITYSCAPES_SHARES, Relighting, class_weights
from night_seg_ros.models.relighting import CurveRelighting
from night_seg_ros.training.engine.optimization import OptimizerConfig
from night_seg_ros.training.losses.adaptation import pseudo_label, static_loss
from night_seg_ros.training.losses.mixing import dynamic_classes, half_of_classes, mix
from night_seg_ros.training.losses.supervised import upsample
from night_seg_ros.training.train_bimix import BiMixLossConfig, BiMixMethod
from night_seg_ros.training.train_dannet import DANNetModelConfig, DiscriminatorConfig

MIXING: dict[str, Any] = {
    "static": "self_supervised",
    "std": 0.0,
    "trans2seg": 0.5,
    "seg2trans": 0.25,
    "mixing": "paper",
    "adversarial_variant": "paper",
}


def method(relighting: Relighting = "curves", **loss: Any) -> BiMixMethod:
    torch.manual_seed(0)
    network = {"output_stride": 16}
    model = DANNetModelConfig("deeplab", "resnet10", relighting, 4, "none", 0.16, 1.0, network)
    optimizer = OptimizerConfig("sgd", 0.01, 0.9, 0.0005)
    config = BiMixLossConfig(**LOSS | MIXING | loss)
    return BiMixMethod(model, config, optimizer, DiscriminatorConfig(8, 0.001, (0.9, 0.99)))


def run(ours: BiMixMethod, data: dict[str, Tensor]) -> Any:
    freeze_batch_norm(ours.networks["model"])
    torch.manual_seed(5)
    return ours.step(data, Tensor.backward)


def test_step_is_dannets_and_two_terms() -> None:
    data = batch()
    ours = method()
    report = run(ours, data)
    without = method(trans2seg=0.0, seg2trans=0.0)
    plain = run(without, data)
    assert report.losses.keys() - plain.losses.keys() == {"trans2seg", "seg2trans"}
    for name in plain.losses.keys() - {"total"}:
        assert torch.equal(report.losses[name], plain.losses[name]), name

    # The two terms by hand, with all graphs at once; their gradient is what the step has more.
    theirs = method()
    network = theirs.networks["model"]
    freeze_batch_norm(network)
    with torch.no_grad():
        p = {name: upsample(network(data[name]), (64, 64)).softmax(1) for name in ("day", "night")}
    torch.manual_seed(5)
    mask = half_of_classes(data["label"])
    label = mix(mask, data["label"], p["night"].argmax(1))
    scores = upsample(network.segmentation_network(mix(mask, data["image"], data["night"])), (64, 64))
    mixed = mix(dynamic_classes(p["day"]), data["day"], data["night"])
    terms = {
        "trans2seg": 0.5 * F.cross_entropy(scores, label),
        "seg2trans": 0.25
        * (network.relighting_network(mixed) - network.relighting_network(data["day"])).abs().mean(),
    }
    for name, value in terms.items():
        torch.testing.assert_close(report.losses[name], value.detach(), rtol=1e-4, atol=1e-7)
    total = plain.losses["total"] + sum(terms.values())
    torch.testing.assert_close(report.losses["total"], total.detach(), rtol=1e-4, atol=1e-6)
    sum(terms.values()).backward()
    parameters = zip(
        *(dict(m.networks["model"].named_parameters()).values() for m in (ours, without, theirs)), strict=True
    )
    for whole, dannet, further in parameters:
        more = torch.zeros_like(whole) if further.grad is None else further.grad
        less = torch.zeros_like(whole) if dannet.grad is None else dannet.grad
        if whole.grad is not None:
            torch.testing.assert_close(whole.grad, less + more, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("variant", ["paper", "release"])
def test_dannets_part_of_the_step_by_hand(variant: str) -> None:
    """Eq. 5, 13 and 14 as printed; or DANNet's class weights, static loss, labels 0 and 1, and half."""
    data = batch()
    released = {
        "static": "release",
        "std": 0.05,
        "pseudo_labels": "release",
        "adversarial_variant": "release",
    }
    ours = method(trans2seg=0.0, seg2trans=0.0, **(released if variant == "release" else {}))
    report = run(ours, data)
    theirs = method()
    network = theirs.networks["model"]
    freeze_batch_norm(network)
    with torch.no_grad():
        s = {name: upsample(network(data[name]), (64, 64)) for name in ("image", "day", "night")}
        p = {name: scores.softmax(1) for name, scores in s.items()}
        day, night = theirs.discriminators["day"], theirs.discriminators["night"]
        if variant == "paper":
            source_score, target_score, factor = 1, 0, 1.0
            weights = torch.ones(19)
            sure, label = p["day"].max(1)
            at_night = p["night"].gather(1, label[:, None])[:, 0]
            static = -((1 - sure) * at_night.log()).mean()
        else:
            source_score, target_score, factor = 0, 1, 0.5
            weights = class_weights(CITYSCAPES_SHARES, 0.05)
            label = pseudo_label(s["day"], s["night"], weights, "release")
            q = s["night"][:, :11].softmax(1) * weights[:11].view(1, 11, 1, 1)
            static = static_loss(q, label, "neighbourhood")
        expected = {
            "segmentation": F.cross_entropy(s["image"], data["label"], weights),
            "static": static,
            "adversarial_day": 0.1 * (day(p["day"]) - source_score).square().mean(),
            "adversarial_night": 0.1 * (night(p["night"]) - source_score).square().mean(),
        }
        for name, discriminator in (("day", day), ("night", night)):
            source, target = discriminator(p["image"]), discriminator(p[name])
            loss = (source - source_score).square().mean() + (target - target_score).square().mean()
            expected[f"{name}_discriminator"] = factor * loss
            right = torch.cat([source > 0.5, target < 0.5]).float().mean()
            right = right if variant == "paper" else 1 - right
            accuracy = report.statistics[f"{name}_discriminator_accuracy"]
            assert accuracy.item() == pytest.approx(right.item(), abs=1e-3)
    for name, value in expected.items():
        torch.testing.assert_close(report.losses[name], value, rtol=1e-4, atol=1e-6)


def test_mixtures_do_not_pass_the_relighting_network() -> None:
    """F->M sends no gradient into it, and much into the segmentation network."""
    data = batch()
    ours, without = method(seg2trans=0.0), method(trans2seg=0.0, seg2trans=0.0)
    for each in (ours, without):
        run(each, data)
    networks = [each.networks["model"] for each in (ours, without)]
    for a, b in zip(*(gradients(n.relighting_network) for n in networks), strict=True):
        assert torch.equal(a, b)
    pairs = zip(*(gradients(n.segmentation_network) for n in networks), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


def test_no_gradient_runs_through_mask_or_pseudo_label() -> None:
    """With seg2trans alone, the segmentation network, which makes the mask, is not moved by it."""
    data = batch()
    ours, without = method(trans2seg=0.0), method(trans2seg=0.0, seg2trans=0.0)
    for each in (ours, without):
        run(each, data)
    networks = [each.networks["model"] for each in (ours, without)]
    for a, b in zip(*(gradients(n.segmentation_network) for n in networks), strict=True):
        assert torch.equal(a, b)
    pairs = zip(*(gradients(n.relighting_network) for n in networks), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("relighting", ["curves", "residual"])
@pytest.mark.parametrize(
    "change, more",
    [
        ({}, {"trans2seg", "seg2trans"}),
        ({"trans2seg": 0.0}, {"seg2trans"}),
        ({"seg2trans": 0.0}, {"trans2seg"}),
        ({"mixing": "release"}, {"trans2seg", "seg2trans"}),
        ({"seg2trans": 0.0, "day_target": False, "static": "none"}, {"trans2seg"}),
    ],
)
def test_ablations(change: dict[str, Any], more: set[str], relighting: Relighting) -> None:
    report = method(relighting, **change).step(batch(1), Tensor.backward)
    assert report.losses.keys() & {"trans2seg", "seg2trans"} == more
    assert all(value.isfinite() for value in report.losses.values())


def test_without_relighting_network() -> None:
    report = method("none", seg2trans=0.0).step(batch(1), Tensor.backward)
    assert "trans2seg" in report.losses and not any("light" in name for name in report.losses)
    with pytest.raises(ValueError, match="needs a relighting network"):
        method("none")


def test_day_without_moving_objects() -> None:
    """The image to relight is then the night's, whole."""
    data = batch()
    ours = method(trans2seg=0.0)
    with torch.no_grad():
        # Every head's bias says road.
        for head in ours.network.segmentation_network.head.branches:
            head.weight.zero_()
            head.bias.zero_()
            head.bias[0] = 5
    report = run(ours, data)
    relight = method().networks["model"].relighting_network
    expected = 0.25 * (relight(data["night"]) - relight(data["day"])).abs().mean()
    torch.testing.assert_close(report.losses["seg2trans"], expected.detach(), rtol=1e-4, atol=1e-7)


def test_source_without_a_label() -> None:
    data = batch()
    data["label"] = torch.full_like(data["label"], 255)
    report = run(method(), data)
    assert all(value.isfinite() for value in report.losses.values())
    assert report.losses["trans2seg"] > 0  # nothing is pasted: the night with its own prediction


@pytest.mark.parametrize(
    "change, message",
    [
        ({"trans2seg": -1.0}, "loss.trans2seg is -1.0"),
        ({"day_target": False, "static": "none"}, "seg2trans needs the day images"),
    ],
)
def test_values_that_make_no_sense(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method(**change)


# The command line


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source model of three steps."""
    out = tmp_path_factory.mktemp("source") / "run"
    assert main(["train", "source", *small("source_synthetic", out)]) == 0
    return out / "model.safetensors"


def test_from_source_to_bimix(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    argv = ["train", "bimix", *small("bimix_synthetic", out, **{"model.checkpoint": source})]
    assert main(argv) == 0
    model, metadata = load_model(out / "model.safetensors")
    assert metadata["model"]["name"] == "bimix" and metadata["iterations"] == 3
    assert type(model.relighting_network) is CurveRelighting
    assert main([*argv, "--schedule.iterations=4", "--resume"]) == 0


def test_crops_that_can_not_be_mixed(source: Path, tmp_path: Path, capsys) -> None:
    changes = {"model.checkpoint": source, "data.pairs.size": [32, 64]}
    assert main(["train", "bimix", *small("bimix_synthetic", tmp_path / "run", **changes)]) == 1
    assert "[48, 64] can't be mixed with target crops [32, 64]" in capsys.readouterr().err
    assert not (tmp_path / "run" / "state.pt").exists()


def test_two_processes(source: Path, tmp_path: Path) -> None:
    """The relighting network is called alone there too: its gradients are shared, or the two drift apart."""
    out = tmp_path / "run"
    launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "night_seg_ros.cli"]
    changes = {"model.checkpoint": source, "data.batch_size": 2, "loss.seg2trans": 10, "loss.trans2seg": 1}
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "train", "bimix", *small("bimix_synthetic", out, **changes)],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert main(["train", "bimix", *small("bimix_synthetic", tmp_path / "one", **changes)]) == 0
    two, one = (
        load_model(folder / "model.safetensors")[0].state_dict() for folder in (out, tmp_path / "one")
    )
    for key in two:
        if key.startswith("relighting_network") and key.endswith("weight"):
            assert (two[key] - one[key]).norm() < 0.05 * one[key].norm(), key
