# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg bench network``, ``labels``, ``frame``: what is compared, and what is told of it."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from night_seg_ros.bench import frame as bench_frame
from night_seg_ros.bench import options as bench_options
from night_seg_ros.bench.baseline import PlainSegmenter
from night_seg_ros.bench.labels import smooth_logits
from night_seg_ros.bench.options import batches_of
from night_seg_ros.cli import main
from night_seg_ros.models import build_model
from night_seg_ros.models.classes import IMAGENET_MEAN, IMAGENET_STD

SIZE = (72, 96)
SHORT = ["--rounds=2", "--repeats=1", "--device=cpu", "--precision=fp32"]


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder of three images, of which one has another size."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, size in enumerate((SIZE, SIZE, (144, 192))):
        coarse = generator.integers(0, 256, (6, 8, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(coarse, size[::-1]))
    return folder


@pytest.fixture
def bench(tmp_path: Path, weights: Path, frames: Path, capsys):
    """Runs a bench on small frames; its JSON and what it printed."""

    def run(name: str, *arguments: str) -> tuple[dict[str, Any], str]:
        network = [] if "--build" in arguments else ["--weights", str(weights)]
        options = ["--frame-size", *map(str, SIZE)]
        options += [] if name == "labels" else [*network, "--frames", str(frames)]
        path = tmp_path / "bench.json"
        assert main(["bench", name, *options, *SHORT, "--json", str(path), *arguments]) == 0
        return json.loads(path.read_text()), capsys.readouterr().out

    return run


def numbers(value: Any) -> list[float]:
    """All numbers in a JSON value."""
    if isinstance(value, dict):
        return [number for each in value.values() for number in numbers(each)]
    if isinstance(value, list):
        return [number for each in value for number in numbers(each)]
    return [value] if isinstance(value, int | float) else []


def check_speed(result: dict[str, Any], names: list[str]) -> None:
    assert list(result["speed"]) == names
    for figures in result["speed"].values():
        latency = figures["latency"]
        assert 0 < latency["median_ms"] <= latency["p90_ms"] <= latency["p99_ms"]
    for name in names[1:]:
        least, most = result["speed"][name]["speedup_range"]
        assert 0 < least <= result["speed"][name]["speedup"] <= most
    assert all(math.isfinite(number) for number in numbers(result))
    assert result["device"] == "cpu" and result["torch"] == torch.__version__ and result["threads"] >= 1


def test_plain_is_what_one_writes_first(frames: Path) -> None:
    torch.manual_seed(0)
    network = build_model("egnet", backbone="resnet10").eval()
    bgr = cv2.imread(str(frames / "0.png"))
    rgb = torch.from_numpy(bgr[:, :, ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        logits = network((rgb - mean) / std).logits
    full = F.interpolate(logits, SIZE, mode="bilinear", align_corners=False)
    for numpy_argmax in (False, True):
        labels = PlainSegmenter(network, None, numpy_argmax=numpy_argmax)([bgr, bgr])
        assert labels.shape == (2, *SIZE) and labels.dtype == np.uint8
        assert (labels == full[0].argmax(0).numpy()).mean() > 0.999


def test_the_network_of_plain_is_float32_and_channels_first(frames: Path) -> None:
    network = build_model("egnet", backbone="resnet10").eval()
    seen = []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    PlainSegmenter(network, 64)([np.zeros((*SIZE, 3), np.uint8)])
    assert seen[0].shape == (1, 3, 64, 85) and seen[0].dtype == torch.float32
    assert seen[0].is_contiguous() and not seen[0].is_contiguous(memory_format=torch.channels_last)


def test_frame(bench) -> None:
    result, table = bench("frame", "--batch=2")
    check_speed(result, ["ours", "plain", "authors"])
    assert (result["batch"], result["frame_size"], result["network_size"]) == (2, [*SIZE], [*SIZE])
    assert result["precision"] == "fp32" and result["agreement"] > 0.999
    assert list(result["stages"]["ours"]) == ["upload", "prepare", "network", "labels", "download"]
    assert list(result["stages"]["authors"])[-3:] == ["upsample", "download", "labels"]
    assert f"{100 * result['agreement']:.3f} % of the pixels" in table
    rate = 1e-3 * result["gflop"] / (result["speed"]["ours"]["latency"]["median_ms"] / 1000)
    assert result["tflop_per_s"] == pytest.approx(rate)
    assert f"{result['gflop']:.1f} GFLOP" in table
    assert f"{result['speed']['ours']['latency']['median_ms']:.2f} ms" in table


def test_sweep(tmp_path: Path, bench) -> None:
    picture = tmp_path / "sweep.png"
    result, table = bench("frame", "--frame-size", "96", "144", "--rounds=1", "--sweep", str(picture))
    sizes = [each["frame_size"] for each in result["sweep"]]
    assert sizes == [[32, 48], [48, 72], [64, 96], [96, 144]]
    assert all(f" 1 x {width}x{height}," in table for height, width in sizes)
    for each in result["sweep"]:
        check_speed(each, ["ours", "plain", "authors"])
    drawn = cv2.imread(str(picture))
    assert drawn.shape == (600, 960, 3) and drawn.std() > 10


def test_stages_of_ours_give_what_the_segmenter_gives(weights: Path, frames: Path) -> None:
    bgr = cv2.imread(str(frames / "0.png"))
    segmenter = bench_frame.Segmenter(weights, device="cpu", precision="fp32")
    value: Any = [bgr]
    with torch.inference_mode():
        for _, stage in bench_frame.our_stages(segmenter, SIZE):
            value = stage(value)
    assert np.array_equal(value[0], segmenter(bgr, ("labels",)).labels)


def test_agreement_counts_pixels(bench, monkeypatch) -> None:
    def half_wrong(self: PlainSegmenter, batch: list[np.ndarray]) -> np.ndarray:
        labels = original(self, batch)
        labels[:, : SIZE[0] // 2] = 255
        return labels

    original = PlainSegmenter.__call__
    monkeypatch.setattr(PlainSegmenter, "__call__", half_wrong)
    result, _ = bench("frame")
    assert result["agreement"] == pytest.approx(0.5, abs=0.001)


def test_network(bench) -> None:
    result, table = bench("network")
    check_speed(result, ["ours", "plain"])
    assert result["network_size"] == [*SIZE] and result["agreement"] > 0.999
    twice, _ = bench("network", "--batch=2")
    assert twice["gflop"] == pytest.approx(2 * result["gflop"])
    rate = 1e-3 * result["gflop"] / (result["speed"]["ours"]["latency"]["median_ms"] / 1000)
    assert result["tflop_per_s"] == pytest.approx(rate)
    assert result["share_of_peak"] == pytest.approx(rate / result["peak_tflop_per_s"])
    assert f"{result['gflop']:.1f} GFLOP" in table


def test_network_that_is_built(bench) -> None:
    result, table = bench(
        "network", "--build", '{"name": "pspnet", "backbone": "resnet10"}', "--input-size=48"
    )
    assert result["network"] == "pspnet, resnet10, random weights" and result["network_size"] == [48, 64]
    assert table.startswith("pspnet, resnet10, random weights: 1 x 64x48")


def test_labels(bench) -> None:
    result, table = bench("labels", "--logits", "33", "40", "--batch=2")
    check_speed(result, ["ours", "plain"])
    assert (result["logits"], result["frame_size"]) == ([2, 19, 33, 40], [*SIZE])
    assert result["agreement"] > 0.9999
    assert "logits 2x19x33x40 to labels 96x72" in table
    assert result["confidence_difference"] is None and "confidence" not in table
    result, table = bench("labels", "--confidence")
    assert result["confidence_difference"] <= 1 and result["agreement"] > 0.9999
    assert f"within {result['confidence_difference']} of 255" in table


def test_random_logits_have_regions() -> None:
    leaders = smooth_logits(1, (60, 80)).argmax(1)
    assert (leaders[:, :, 1:] == leaders[:, :, :-1]).float().mean() > 0.8
    assert len(leaders.unique()) > 5


def test_default_frames_are_streets(monkeypatch) -> None:
    monkeypatch.setattr(bench_options, "STREETS", 2)
    streets = bench_options.read_frames(None, SIZE)
    assert [street.shape for street in streets] == [(*SIZE, 3)] * 2
    assert not np.array_equal(*streets)


def test_frames_come_from_each_source_and_have_one_size(frames: Path) -> None:
    read = bench_options.read_frames([frames / "2.png", frames], SIZE)
    assert [frame.shape for frame in read] == [(*SIZE, 3)] * 4
    assert np.array_equal(read[1], cv2.imread(str(frames / "0.png")))
    assert np.array_equal(read[0], read[3])


def test_batches_have_one_length() -> None:
    frames = [np.full((1, 1, 3), number, np.uint8) for number in range(3)]
    values = [[int(frame[0, 0, 0]) for frame in batch] for batch in batches_of(frames, 2)]
    assert values == [[0, 1], [2, 0]]


@pytest.mark.parametrize(
    "options, message",
    [
        (["frame", "--rounds=0"], "--rounds: '0': give a whole number of 1 or more"),
        (["frame", "--frame-size", "20", "1920"], "networks need 32 pixels or more"),
        (["network", "--build", "{"], "is no JSON"),
        (["network", "--build", '["egnet"]'], "give the arguments of a network"),
        (["network", "--model=egnet", "--build", '{"name": "egnet"}'], "not allowed with"),
        (["labels", "--precision=fp8"], "invalid choice: 'fp8'"),
        (["node", "--rate=0"], "--rate: '0': give a number above 0"),
    ],
)
def test_bad_options_are_refused(options: list[str], message: str, capsys) -> None:
    with pytest.raises(SystemExit) as exit_status:
        main(["bench", *options])
    assert exit_status.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, message",
    [
        (["network", "--build", '{"name": "nonet"}'], "unknown model 'nonet'"),
        (["frame", "--weights", "nowhere.safetensors"], "no weights at nowhere.safetensors"),
        (["frame", "--frames", "nowhere"], "nowhere: no such file or folder"),
        (["labels", "--device=tpu"], "unknown device 'tpu'"),
        (["node", "--build", '{"name": "pspnet"}'], "segment_node runs egnet, dannet, bimix, not pspnet"),
    ],
)
def test_bad_input_is_named(options: list[str], message: str, capsys) -> None:
    assert main(["bench", *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"night-seg bench {options[0]}: ") and message in error


def test_a_vehicle_has_no_training_packages(bench, monkeypatch, tmp_path: Path, capsys) -> None:
    packages = ("jsonargparse", "lightning", "matplotlib", "tensorboard")
    loaded = [name for name in sys.modules if name.split(".")[0] in packages]  # by other tests
    for name in (*packages, *loaded):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith("night_seg_ros.training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "night_seg_ros.bench.chart", raising=False)
    for name in ("network", "labels", "frame"):
        bench(name)
    for arguments, package in (
        (["frame", "--sweep", str(tmp_path / "sweep.png")], "matplotlib"),
        (["train", "egnet"], "jsonargparse"),
    ):
        assert main(["bench", *arguments]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"night-seg bench {arguments[0]}: the Python package '{package}")


def test_a_bench_that_is_not_there(capsys) -> None:
    assert main(["bench", "nothing"]) == 2
    error = capsys.readouterr().err
    assert "night-seg bench: unknown command 'nothing'" in error
    assert all(name in error for name in ("network", "labels", "frame", "node", "train"))
