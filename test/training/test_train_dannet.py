# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""DANNet's training: its step by hand, its pairs, its command line."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from night_seg_ros.cli import main
from night_seg_ros.common.files import InputError
from night_seg_ros.models.checkpoint import load_model, save_checkpoint
from night_seg_ros.models.dannet import CITYSCAPES_SHARES, Relighting, class_weights
from night_seg_ros.training.data.datasets import DataError, to_image
from night_seg_ros.training.data.pairs import PairConfig, PairStream, SyntheticPairs, shifted
from night_seg_ros.training.engine.optimization import OptimizerConfig
from night_seg_ros.training.engine.pictures import label_picture
from night_seg_ros.training.losses.adaptation import (
    light_loss,
    pseudo_label,
    self_supervised_loss,
    static_loss,
)
from night_seg_ros.training.losses.supervised import upsample
from night_seg_ros.training.streets.scene import StreetScene
from night_seg_ros.training.train_dannet import (
    DANNetLossConfig,
    DANNetMethod,
    DANNetModelConfig,
    DiscriminatorConfig,
    pseudo_label_statistics,
)

CONFIG = Path(__file__).resolve().parents[2] / "config" / "training"
LOSS: dict[str, Any] = {
    "light": 0.5,
    "light_source": 0.25,
    "light_variant": "paper",
    "static": "neighbourhood",
    "static_weight": 1.0,
    "gamma": 1.0,
    "adversarial": 0.1,
    "pseudo_labels": "paper",
    "reweight_pseudo_labels": True,
    "day_target": True,
    "std": 0.05,
    "avg": 1.0,
}


def method(relighting: Relighting = "residual", **loss: Any) -> DANNetMethod:
    torch.manual_seed(0)
    network = {"output_stride": 16}
    model = DANNetModelConfig("deeplab", "resnet10", relighting, 4, "probabilities", 0.16, 1.0, network)
    optimizer = OptimizerConfig("sgd", 0.01, 0.9, 0.0005)
    discriminator = DiscriminatorConfig(8, 0.001, (0.9, 0.99))
    return DANNetMethod(model, DANNetLossConfig(**LOSS | loss), optimizer, discriminator)


def batch(count: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = {name: torch.randn(count, 3, 64, 64, generator=generator) for name in ("image", "day", "night")}
    label = torch.randint(0, 19, (count, 64, 64), generator=generator)
    return images | {"label": label, "night_label": label.flip(-1)}


def gradients(module: torch.nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in module.parameters() if p.grad is not None]


def freeze_batch_norm(module: torch.nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d | torch.nn.Dropout2d):
            layer.eval()


def test_step_by_hand() -> None:
    """All graphs held at once and one backward: the same losses, the same gradients."""
    ours = method()
    freeze_batch_norm(ours.networks["model"])
    data = batch()
    report = ours.step(data, Tensor.backward)

    theirs = method()
    network = theirs.networks["model"]
    freeze_batch_norm(network)
    weights = class_weights(CITYSCAPES_SHARES, 0.05)
    intensity = data["night"].mean()
    outputs = {name: network(data[name]) for name in ("image", "day", "night")}
    scores = {name: upsample(output, (64, 64)) for name, output in outputs.items()}
    p = {name: score.softmax(dim=1) for name, score in scores.items()}
    label = pseudo_label(scores["day"].detach(), scores["night"].detach(), weights, "paper")
    expected = {
        "segmentation": torch.nn.functional.cross_entropy(scores["image"], data["label"], weights),
        "light_source": 0.25 * light_loss(data["image"], outputs["image"].relit, intensity, "paper"),
        "light_day": 0.5 * light_loss(data["day"], outputs["day"].relit, intensity, "paper"),
        "light_night": 0.5 * light_loss(data["night"], outputs["night"].relit, intensity, "paper"),
        "adversarial_day": 0.1 * theirs.discriminators["day"](p["day"]).square().mean(),
        "adversarial_night": 0.1 * theirs.discriminators["night"](p["night"]).square().mean(),
        "static": static_loss(p["night"], label, "neighbourhood"),
    }
    total = torch.stack(list(expected.values())).sum()
    total.backward()
    for name, value in {**expected, "total": total}.items():
        torch.testing.assert_close(report.losses[name], value.detach(), rtol=1e-4, atol=1e-6)
    for a, b in zip(gradients(ours.networks["model"]), gradients(network), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    for name in ("day", "night"):
        discriminator = theirs.discriminators[name]
        discriminator.zero_grad()
        source, target = (discriminator(p[x].detach()) for x in ("image", name))
        loss = source.square().mean() / 2 + (target - 1).square().mean() / 2
        loss.backward()
        torch.testing.assert_close(
            report.losses[f"{name}_discriminator"], loss.detach(), rtol=1e-4, atol=1e-6
        )
        for a, b in zip(gradients(ours.discriminators[name]), gradients(discriminator), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_generator_and_discriminators_leave_each_other_alone() -> None:
    ours = method()
    steps: list[dict[str, list[Tensor]]] = []

    def backward(loss: Tensor) -> None:
        loss.backward()
        steps.append({name: gradients(network) for name, network in ours.networks.items()})

    ours.step(batch(), backward)
    source, day, night, first, second = steps
    assert not any(step[name] for step in (source, day, night) for name in step if name != "model")
    assert len(source["model"]) > 0
    assert first["day_discriminator"] and not first["night_discriminator"]
    assert second["night_discriminator"]
    for before, after in zip(night["model"], second["model"], strict=True):
        assert torch.equal(before, after)


def test_the_same_seed_gives_the_same_losses() -> None:
    first, second = (method().step(batch(), Tensor.backward) for _ in range(2))
    assert first.losses.keys() == second.losses.keys()
    for name, value in first.losses.items():
        assert torch.equal(value, second.losses[name])


def test_memory_does_not_grow() -> None:
    """Tensors that live on between steps, over 50 of them."""
    ours, data = method(), batch(1)
    optimizers = ours.optimizers()
    counts = []
    gc.freeze()  # what is there already need not be looked through after each step
    for _ in range(50):
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        ours.step(data, Tensor.backward)
        for optimizer in optimizers.values():
            optimizer.step()
        gc.collect()
        counts.append(sum(issubclass(type(each), Tensor) for each in gc.get_objects()))
    gc.unfreeze()
    assert max(counts[2:]) <= counts[1]


@pytest.mark.parametrize(
    "change, losses",
    [
        (
            {"static": "none", "day_target": False},
            {"adversarial_night", "light_night", "night_discriminator"},
        ),
        ({"light": 0.0, "light_source": 0.0}, {"adversarial_day", "adversarial_night", "static"}),
        ({"static": "focal"}, {"static", "light_day"}),
        ({"static": "cross_entropy"}, {"static", "light_day"}),
        ({"static": "release", "pseudo_labels": "release"}, {"static", "light_day"}),
        ({"static": "self_supervised", "std": 0.0}, {"static", "light_day"}),
        ({"static": "none"}, {"adversarial_day", "light_day"}),
        ({"reweight_pseudo_labels": False}, {"static"}),
        ({"relighting": "none"}, {"static", "adversarial_day"}),
        ({"adversarial": 0.0}, {"static", "light_night"}),
        (
            {"static": "none", "day_target": False, "relighting": "none", "light": 0.0},
            {"adversarial_night", "segmentation", "night_discriminator"},
        ),
        ({"pseudo_labels": "release", "light_variant": "release", "light_source": 1.0}, {"light_source"}),
    ],
)
def test_ablations(change: dict[str, Any], losses: set[str]) -> None:
    report = method(**change).step(batch(1), Tensor.backward)
    assert losses <= report.losses.keys()
    assert all(value.isfinite() for value in report.losses.values())
    if change.get("static") == "none":
        assert "static" not in report.losses and not any("pseudo" in name for name in report.statistics)
    if not change.get("day_target", True):
        assert not any("day" in name for name in report.losses)
    if change.get("relighting") == "none" or change.get("light") == 0:
        assert not any(name.startswith("light") for name in report.losses.keys() - {"light_source"})


@pytest.mark.parametrize("static", ["neighbourhood", "focal", "cross_entropy", "release", "self_supervised"])
def test_what_the_night_learns(static: str) -> None:
    """Each kind of static loss by its own formula, of the logits that the step sees."""
    data, ours = batch(), method(static=static, pseudo_labels="release", static_weight=2.0)
    freeze_batch_norm(ours.networks["model"])
    report = ours.step(data, Tensor.backward)
    network = method().networks["model"]
    freeze_batch_norm(network)
    weights = class_weights(CITYSCAPES_SHARES, 0.05)
    with torch.no_grad():
        day, night = (upsample(network(data[name]), (64, 64)) for name in ("day", "night"))
    label = pseudo_label(day, night, weights, "release")
    if static == "self_supervised":
        label = day.argmax(1)
        expected = self_supervised_loss(day.softmax(1), night.softmax(1))
    elif static == "release":
        p = night[:, :11].softmax(1) * weights[:11].view(1, 11, 1, 1)
        expected = static_loss(p, label, "neighbourhood")
    else:
        expected = static_loss(night.softmax(1), label, static)  # type: ignore[arg-type]
    torch.testing.assert_close(report.losses["static"], 2 * expected, rtol=1e-4, atol=1e-6)
    kept = report.statistics["pseudo_labels_kept"].item()
    assert kept == pytest.approx((label != 255).float().mean().item(), abs=1e-3)


def test_std_and_avg_of_the_class_weights() -> None:
    """In training those of the loss, in testing those of the model; Fig. 7 of the paper."""
    model = DANNetModelConfig("deeplab", "resnet10", "none", 4, "probabilities", 0.3, 1.2, {})
    ours = DANNetMethod(
        model,
        DANNetLossConfig(**LOSS | {"std": 0.1, "avg": 0.9}),
        OptimizerConfig("sgd", 0.01, 0.9, 0.0005),
        DiscriminatorConfig(8, 0.001, (0.9, 0.99)),
    )
    torch.testing.assert_close(ours.class_weights, class_weights(CITYSCAPES_SHARES, 0.1, 0.9))
    torch.testing.assert_close(ours.network.reweighting.weights, class_weights(CITYSCAPES_SHARES, 0.3, 1.2))


def test_pseudo_labels_need_the_day() -> None:
    with pytest.raises(ValueError, match="needs the day images"):
        method(day_target=False)


def test_statistics_of_the_pseudo_labels() -> None:
    label = torch.tensor([[[0, 1, 255, 3]]])
    truth = torch.tensor([[[0, 2, 0, 255]]])
    statistics = pseudo_label_statistics(label, truth)
    assert statistics["pseudo_labels_kept"].item() == 0.75
    assert statistics["pseudo_labels_precision"].item() == 0.5
    assert pseudo_label_statistics(label, None).keys() == {"pseudo_labels_kept"}


# The pairs


def pair_config(**changes: Any) -> PairConfig:
    values: dict[str, Any] = {"dataset": "folder", "root": "", "list": "pairs.csv", "misalignment": 0.0}
    values |= {"canvas": (48, 64), "scale": (0.9, 1.1), "crop": (40, 40), "size": None}
    return PairConfig(**values | changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pairs of equal images: what happens to one must happen to the other."""
    rng = np.random.default_rng(0)
    lines = ["night,day"]
    for i in range(3):
        image = rng.integers(0, 256, (48, 64, 3), np.uint8)
        for name in (f"night_{i}.png", f"day_{i}.png"):
            cv2.imwrite(str(tmp_path / name), image)
        lines.append(f"night_{i}.png,day_{i}.png")
    (tmp_path / "pairs.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_one_crop_and_flip_for_both(folder: Path) -> None:
    stream = PairStream(pair_config(), str(folder), seed=1)
    seen = []
    for index in range(6):
        sample = stream[index]
        assert sample.keys() == {"day", "night"} and sample["day"].shape == (3, 40, 40)
        assert torch.equal(sample["day"], sample["night"])
        assert torch.equal(sample["day"], stream[index]["day"])  # depends on its number alone
        seen.append(sample["day"])
    assert not any(torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i])


def test_crops_may_be_resized(folder: Path) -> None:
    assert PairStream(pair_config(size=(32, 32)), str(folder), seed=1)[0]["night"].shape == (3, 32, 32)


def test_every_pair_once_per_epoch(folder: Path) -> None:
    stream = PairStream(pair_config(), str(folder), seed=1)
    for epoch in range(2):
        images = [stream.lane.draw(3 * epoch + i, (1, 5)).image for i in range(3)]
        assert sorted(images) == [0, 1, 2]


def test_synthetic_pairs() -> None:
    pair = SyntheticPairs(48, 64)[3]
    frame = StreetScene(3).render(48, 64)
    assert frame.night is not None and frame.day is not None
    np.testing.assert_array_equal(pair["night"].permute(1, 2, 0), frame.night)
    np.testing.assert_array_equal(pair["night_label"], frame.label)
    np.testing.assert_array_equal(pair["day"].permute(1, 2, 0), frame.day)


def test_simulated_pairs(tmp_path: Path) -> None:
    """Dark and bright of one street, aligned; each draw of an image is another night."""
    for seed in range(2):
        frame = StreetScene(seed).render(48, 64)
        for kind, pixels in (("images", frame.day[..., ::-1]), ("labels", frame.label)):
            (tmp_path / kind / "train").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / kind / "train" / f"{seed}.png"), pixels)
    config = pair_config(dataset="simulated", list="", split="train", crop=(48, 64), scale=(1.0, 1.0))
    stream = PairStream(config, str(tmp_path), seed=1)
    samples = [stream[index] for index in range(4)]
    assert all(sample.keys() == {"day", "night"} for sample in samples)
    night, day = (torch.stack([sample[name] for sample in samples]) for name in ("night", "day"))
    assert night.mean() < day.mean() - 0.2
    assert torch.equal(stream[3]["night"], samples[3]["night"])
    days = [sample["day"] for sample in samples]
    pairs = [(i, k) for i in range(2) for k in range(2, 4)]
    again = [(i, k) for i, k in pairs if any(torch.equal(days[k], d) for d in (days[i], days[i].flip(2)))]
    assert len(again) == 2  # each image once an epoch
    for i, k in again:
        night = samples[i]["night"]
        assert not any(torch.equal(samples[k]["night"], each) for each in (night, night.flip(2)))
    (tmp_path / "labels").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="labels"):
        PairStream(config, str(tmp_path), seed=1)


def test_misaligned_pairs(folder: Path) -> None:
    """The night stays, the day moves, each time otherwise."""
    crop = {"crop": (43, 57), "scale": (1.0, 1.0)}
    plain, moved = (PairStream(pair_config(misalignment=m, **crop), str(folder), seed=1) for m in (0.0, 0.03))
    assert torch.equal(plain[0]["day"], plain[0]["night"])
    assert not torch.equal(moved[0]["day"], moved[0]["night"])
    assert torch.equal(moved[1]["day"], moved[1]["day"])


def test_misalignment_is_bounded() -> None:
    """A bright dot moves by at most the share, plus what the scale moves it."""
    image = np.zeros((100, 200, 3), np.uint8)
    image[48:53, 98:103] = 255
    moved = []
    for seed in range(50):
        view = shifted(to_image(image), 0.05, np.random.default_rng(seed))
        rows, columns = np.nonzero(view[0].numpy() > 100)
        moved.append((rows.mean() - 50, columns.mean() - 100))
    most = np.abs(moved).max(axis=0)
    assert 3 < most[0] <= 5.6 and 6 < most[1] <= 10.6


def test_bad_pairs_are_named(folder: Path) -> None:
    with pytest.raises(DataError, match="known are dark_zurich, folder, synthetic, simulated"):
        PairStream(pair_config(dataset="acdc"), str(folder), seed=1)
    cv2.imwrite(str(folder / "day_1.png"), np.zeros((40, 64, 3), np.uint8))
    with pytest.raises(
        DataError, match=r"night_1.png is \(64, 48\) pixels, but its day image .*day_1.png is"
    ):
        PairStream(pair_config(), str(folder), seed=1)
    (folder / "day_1.png").write_bytes(b"broken")
    with pytest.raises(InputError, match="day_1.png can't be decoded: it is no image"):
        PairStream(pair_config(), str(folder), seed=1)
    (folder / "day_1.png").unlink()
    with pytest.raises(DataError, match="pairs.csv, line 3: no image .*day_1.png"):
        PairStream(pair_config(), str(folder), seed=1)


# The command line


def small(name: str, out: Path, **changes: Any) -> list[str]:
    """A recipe that ships, as a run of three small steps."""
    values: dict[str, Any] = {"base": str(CONFIG / f"{name}.yaml"), "model": {"backbone": "resnet10"}}
    small_images = {"canvas": [48, 64], "crop": [48, 64]}
    values["data"] = {"batch_size": 1, "workers": 0, "validation": [], **small_images}
    if not name.startswith("source"):
        values["model"]["relighting_width"] = 4
        values["data"]["pairs"] = small_images | {"canvas": [56, 72]}
    values["schedule"] = {"iterations": 3, "warmup": 0}
    values["run"] = {"out": str(out), "accelerator": "cpu", "precision": "32-true", "log_every": 1}
    values["run"] |= {"picture_every": 3}
    path = out.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(values))
    return ["--config", str(path), *(f"--{key}={value}" for key, value in changes.items())]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source model of three steps."""
    out = tmp_path_factory.mktemp("source") / "run"
    assert main(["train", "source", *small("source_synthetic", out)]) == 0
    return out / "model.safetensors"


def test_from_source_to_dannet(source: Path, tmp_path: Path, capsys) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model, metadata = load_model(source)
    assert metadata["model"]["name"] == "pspnet"
    out = tmp_path / "run"
    argv = ["train", "dannet", *small("dannet_synthetic", out, **{"model.checkpoint": source})]
    assert main(argv) == 0
    adapted, metadata = load_model(out / "model.safetensors")
    assert metadata["model"]["name"] == "dannet" and metadata["iterations"] == 3
    shares = yaml.safe_load((CONFIG / "dannet_synthetic.yaml").read_text())["loss"]["class_shares"]
    torch.testing.assert_close(adapted.reweighting.weights, class_weights(shares, 0.16).half().float())
    assert metadata["starts_from"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert metadata["training_data"]["pairs"]["dataset"] == "synthetic"
    events = EventAccumulator(str(out / "logs"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {f"loss/{name}" for name in ("total", "static", "segmentation", "light_day")} <= tags
    assert {"statistics/pseudo_labels_kept", "statistics/pseudo_labels_precision"} <= tags
    assert {"statistics/night_discriminator_accuracy", "rate/day_discriminator"} <= tags
    assert events.Tags()["images"] == ["day, night, relit night, pseudo label, prediction, truth"]

    # The adapted network began as the source's.
    first = load_model(source)[0].state_dict()["encoder.stem.conv1.weight"]
    again = adapted.segmentation_network.state_dict()["encoder.stem.conv1.weight"]
    assert 0 < (first - again).abs().max() < 0.05

    # It goes on, and runs where any model runs.
    assert main([*argv, "--schedule.iterations=4", "--resume"]) == 0
    image = tmp_path / "a.png"
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8))
    weights = ["--weights", str(out / "model.safetensors"), "--device", "cpu"]
    assert main(["segment", str(image), "--out", str(tmp_path / "out"), *weights]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"a_{name}.png" for name in ("labels", "exposure", "overlay", "relit")
    }


@pytest.mark.parametrize("method", ["source", "dannet"])
def test_resume_continues_bit_for_bit(method: str, source: Path, tmp_path: Path) -> None:
    """With dropout, which must draw the same after a resume."""
    states = []
    for name, parts in (("whole", [3]), ("parts", [2, 3])):
        argv = ["train", method, *small(f"{method}_synthetic", tmp_path / name)]
        argv += [f"--model.checkpoint={source}", "--schedule.power=0"]  # a rate that knows no end
        for number, steps in enumerate(parts):
            resume = ["--resume"] if number else []
            assert main([*argv, f"--schedule.iterations={steps}", *resume]) == 0
        states.append(torch.load(tmp_path / name / "state.pt", weights_only=True)["networks"])
    for name, network in states[0].items():
        for key, value in network.items():
            assert torch.equal(value, states[1][name][key]), (name, key)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model.segmentation_network": "deeplab"}, "another one: name pspnet"),
        ({"data.pairs.dataset": "folder", "data.pairs.list": "nowhere.csv"}, "nowhere.csv"),
        ({"loss.day_target": "false"}, "needs the day images"),
        ({"loss.gamma": -1}, "loss.gamma is -1"),
        ({"loss.std": 3}, "std 3.0 is too large"),
        ({"loss.class_shares": [1.0, 2.0]}, "loss.class_shares has 2 values: give 19"),
        ({"model.pretrained": "torchvision"}, "set one of them to null"),
        ({"data.pairs.size": [16, 64]}, "data.pairs.size is [16, 64]: give two sides of 32"),
        ({"data.pairs.scale": [1.1, 0.9]}, "lower end first"),
        ({"data.pairs.misalignment": 2}, "give a share of 0..1"),
        ({"data.pairs.crop": [96, 96]}, "enlarge canvas or scale, or take a smaller crop"),
    ],
)
def test_errors_before_the_first_step(
    source: Path, tmp_path: Path, capsys, changes: dict[str, Any], message: str
) -> None:
    argv = small("dannet_synthetic", tmp_path / "run", **{"model.checkpoint": source, **changes})
    try:
        status = main(["train", "dannet", *argv])
    except SystemExit as exit:  # a value that no recipe may have is found when it is parsed
        status = exit.code
    assert status in (1, 2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "state.pt").exists()


def test_source_labels_of_another_data_set(source: Path, folder: Path, tmp_path: Path, capsys) -> None:
    for kind in ("images", "labels"):
        (folder / kind / "all").mkdir(parents=True)
    cv2.imwrite(str(folder / "images" / "all" / "a.png"), np.zeros((48, 64, 3), np.uint8))
    cv2.imwrite(str(folder / "labels" / "all" / "a.png"), np.full((48, 64), 149, np.uint8))
    sources = "[{dataset: folder, split: all}]"
    changes = {"model.checkpoint": source, "data.root": folder, "data.train": sources}
    assert main(["train", "dannet", *small("dannet_synthetic", tmp_path / "run", **changes)]) == 1
    error = capsys.readouterr().err
    assert "a.png" in error and "149" in error
    assert not (tmp_path / "run" / "state.pt").exists()


def test_a_run_keeps_to_the_checkpoint_it_began_with(source: Path, tmp_path: Path, capsys) -> None:
    out, other = tmp_path / "run", tmp_path / "other.safetensors"
    save_checkpoint(other, load_model(source)[0], {"input_size": 64})
    argv = ["train", "dannet", *small("dannet_synthetic", out)]
    assert main([*argv, f"--model.checkpoint={source}"]) == 0
    longer = [*argv, "--schedule.iterations=4", "--resume"]
    assert main([*longer, f"--model.checkpoint={other}"]) == 1
    assert "began with another model.checkpoint" in capsys.readouterr().err
    assert main(longer) == 0  # the checkpoint may be gone by now
    began_with = load_model(out / "model.safetensors")[1]["starts_from"]
    assert began_with == hashlib.sha256(source.read_bytes()).hexdigest()


def test_pictures_show_what_was_learned_from() -> None:
    """The pseudo label of the raw day prediction, as in a step, and the re-weighted prediction."""
    ours = method(relighting="none")
    network = ours.network
    network.reweighting.weights = torch.linspace(0.2, 3, 19)
    data = batch()
    (picture,) = ours.pictures(data).values()
    assert network.training and network.segmentation_network.training
    network.eval()
    with torch.no_grad():
        reweighted = upsample(network(data["night"]), (64, 64))
        raw = upsample(network.segmentation_network(data["day"]), (64, 64))
    label = pseudo_label(raw, reweighted, ours.class_weights, "paper")
    for column, expected in ((3, label), (4, reweighted.argmax(1))):
        shown = picture[:, 2 : 2 + 64, 2 + 66 * (column - 1) : 66 * column]
        assert torch.equal(shown, label_picture(expected)[0])


def test_two_processes(source: Path, tmp_path: Path) -> None:
    """Three backward passes a step, discriminators that are frozen in between: all that DDP minds."""
    out = tmp_path / "run"
    launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "night_seg_ros.cli"]
    changes = {"model.checkpoint": source, "data.batch_size": 2}
    command = [sys.executable, "-m", *launcher, "train", "dannet", *small("dannet_synthetic", out, **changes)]
    done = subprocess.run(
        command,
        cwd=CONFIG.parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert load_model(out / "model.safetensors")[1]["iterations"] == 3

    # The gradients are means over the processes: one process with the whole batch ends near the same weights.
    assert main(["train", "dannet", *small("dannet_synthetic", tmp_path / "one", **changes)]) == 0
    two, one = (
        load_model(folder / "model.safetensors")[0].state_dict() for folder in (out, tmp_path / "one")
    )
    start = load_model(source)[0].state_dict()["classifier.weight"]
    key = "segmentation_network.classifier.weight"
    moved, apart = (two[key] - start).norm(), (two[key] - one[key]).norm()
    assert 0 < moved and apart < 0.5 * moved
