# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg bench``: what is measured is what it says; the figures themselves are the machine's."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from night_seg_ros.cli import main
from night_seg_ros.training import bench
from night_seg_ros.training.data.stream import TrainingStream
from night_seg_ros.training.train_egnet import EGNetMethod

CHECKOUT = Path(__file__).resolve().parents[2]
RECIPE = CHECKOUT / "config" / "training" / "egnet_study.yaml"


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Command line of a small bench on synthetic streets."""
    values: dict[str, Any] = {"base": str(RECIPE), "model": {"backbone": "resnet10"}}
    values["data"] = {"train": [{"dataset": "synthetic", "night": 1.0}], "batch_size": 2, "workers": 0}
    values["data"] |= {"crop": [64, 96], "canvas": [64, 96]}
    values["schedule"] = {"iterations": 5, "warmup": 5}  # fewer than the bench takes
    values["run"] = {"out": str(tmp_path / "run"), "accelerator": "cpu", "precision": "bf16-mixed"}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    return ["bench", "train", "egnet", "--config", str(path), "--rounds=3", "--steps=2"]


def test_the_table_and_the_file_hold_the_same(command, tmp_path: Path, capsys) -> None:
    assert main([*command, "--json", str(tmp_path / "bench.json")]) == 0
    result = json.loads((tmp_path / "bench.json").read_text())
    assert {key: result[key] for key in ("device", "precision", "batch_size", "crop", "workers")} == {
        "device": "cpu",
        "precision": "bf16-mixed",
        "batch_size": 2,
        "crop": [64, 96],
        "workers": 0,
    }
    step, plain = result["speed"]["step"], result["speed"]["plain"]
    least, most = plain["speedup_range"]
    assert 0 < least <= plain["speedup"] <= most
    assert step["latency"]["median_ms"] <= step["latency"]["p90_ms"] <= step["latency"]["p99_ms"]
    assert step["images_per_s"] == pytest.approx(2000 / step["latency"]["median_ms"])
    assert result["slower"] == ("input" if result["input"] < step["images_per_s"] else "step")
    assert result["tflop_per_s"] == pytest.approx(result["gflop"] / step["latency"]["median_ms"])
    assert result["peak_memory_mib"] > 100
    table = capsys.readouterr().out
    assert f"input pipeline {result['input']:.1f} images/s" in table
    for figures in (step, plain):
        assert (
            f"{figures['latency']['median_ms']:.2f} ms" in table
            and f"{figures['images_per_s']:.1f} " in table
        )
    assert not (tmp_path / "run").exists()


def test_a_slow_input_is_found(command, tmp_path: Path, monkeypatch, capsys) -> None:
    sample, clock = TrainingStream.__getitem__, time.perf_counter
    slept = 0

    def slow(self: TrainingStream, number: int) -> Any:
        nonlocal slept
        slept += 1000  # seconds: more than a step takes on any machine
        return sample(self, number)

    monkeypatch.setattr(time, "perf_counter", lambda: clock() + slept)
    monkeypatch.setattr(TrainingStream, "__getitem__", slow)
    monkeypatch.setattr(bench, "WARM_UP", 1)
    assert main([*command, "--rounds=1", "--steps=1", "--json", str(tmp_path / "bench.json")]) == 0
    result = json.loads((tmp_path / "bench.json").read_text())
    assert result["input"] < 0.001 and result["slower"] == "input"
    assert "the step waits for the input pipeline" in capsys.readouterr().out


def test_plain_is_float32_and_channels_first(command, monkeypatch) -> None:
    """Both steps, as the network sees them; each runs as often as asked and learns."""
    seen: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    weights: dict[int, list[float]] = {}
    step = EGNetMethod.step

    def watched(self: EGNetMethod, batch: Any, backward: Any) -> Any:
        report = step(self, batch, backward)
        network = self.networks["model"]
        weight = next(p for p in network.parameters() if p.dim() == 4)
        wide = weight.is_contiguous() and not weight.is_contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            seen[wide].append(network(batch["image"]).logits)
        weights.setdefault(id(self), []).append(weight.sum().item())
        assert batch["image"].is_contiguous() == wide
        return report

    monkeypatch.setattr(EGNetMethod, "step", watched)
    monkeypatch.setattr(bench, "WARM_UP", 1)
    assert main(command) == 0
    # Fabric gives back its outputs in float32, computed in bf16: there, most values need 8 bits only.
    assert len(seen[False]) == 1 + 1 + 3 * 2  # warm-up, memory, rounds
    assert len(seen[True]) == len(seen[False]) + 1  # operations
    assert all(logits.dtype == torch.float32 for logits in seen[True])
    in_bf16 = [torch.equal(logits, logits.bfloat16().float()) for logits in seen[False]]
    assert all(in_bf16) and not any(torch.equal(x, x.bfloat16().float()) for x in seen[True])
    for values in weights.values():
        assert len(np.unique(values)) == len(values) >= 8


def test_dannet_holds_one_graph_at_a_time(tmp_path: Path, capsys) -> None:
    """At most 60 % of what all graphs together keep, in the same precision."""
    values: dict[str, Any] = {"base": str(RECIPE.with_name("dannet_synthetic.yaml"))}
    values["model"] = {"backbone": "resnet10", "relighting_width": 4}
    sizes = {"crop": [64, 64], "canvas": [80, 96]}
    values["data"] = {"batch_size": 2, "workers": 0, "pairs": sizes, **sizes}
    values["run"] = {"accelerator": "cpu", "precision": "32-true"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(values))
    argv = ["bench", "train", "dannet", "--config", str(tmp_path / "recipe.yaml"), "--rounds=1", "--steps=1"]
    assert main([*argv, "--json", str(tmp_path / "bench.json")]) == 0
    result = json.loads((tmp_path / "bench.json").read_text())
    step, plain = (result["speed"][name]["memory_mib"] for name in ("step", "plain"))
    assert 0 < step <= 0.6 * plain
    assert f"{plain:.1f} MiB" in capsys.readouterr().out


def test_what_is_kept_for_backward() -> None:
    x = torch.ones(256, requires_grad=True)  # 1 KiB

    def one_after_the_other() -> None:
        for _ in range(3):
            x.exp().sum().backward()  # exp keeps its result

    def at_once() -> None:
        torch.stack([x.exp().sum() for _ in range(3)]).sum().backward()

    assert bench.peak_saved(one_after_the_other) == 1024
    assert bench.peak_saved(at_once) == 3 * 1024


@pytest.mark.parametrize(
    "change, message",
    [(["--rounds=0"], "rounds and steps are 0 and 2"), (["--data.crop=[32, 0]"], "data.crop is [32, 0]")],
)
def test_bad_input_is_named(command, change: list[str], message: str, capsys) -> None:
    assert main([*command, *change]) == 1
    assert message in capsys.readouterr().err


def test_a_name_that_is_not_there(capsys) -> None:
    assert main(["bench", "train", "nothing"]) == 2
    assert "methods: egnet, source, dannet" in capsys.readouterr().err
