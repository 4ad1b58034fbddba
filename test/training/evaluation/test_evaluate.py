# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""How an image is segmented and scored, and ``night-seg evaluate`` as a user calls it."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import Dataset

from night_seg_ros.cli import main
from night_seg_ros.common.files import write_json
from night_seg_ros.inference.preprocess import preprocess
from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import load_model, save_checkpoint
from night_seg_ros.models.dannet import CITYSCAPES_SHARES, class_weights
from night_seg_ros.models.output import SegmentationOutput
from night_seg_ros.training.data import datasets
from night_seg_ros.training.data.datasets import (
    DataError,
    FolderDataset,
    Sample,
    SyntheticStreets,
    to_sample,
)
from night_seg_ros.training.data.enhancement import enhance
from night_seg_ros.training.evaluation import evaluate as evaluation
from night_seg_ros.training.evaluation.metrics import SegmentationMetrics, WorstImages

SIZE = (75, 106)


class Convolution(nn.Module):
    """A network of one random convolution, sure of what it says; ``stride`` is that of its logits."""

    def __init__(self, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 19, kernel, stride=stride, padding=kernel // 2)
        with torch.no_grad():
            self.layer.weight *= 5

    def forward(self, image: Tensor) -> SegmentationOutput:
        return SegmentationOutput(self.layer(image))


class Average(nn.Module):
    """A network that says one thing of all pixels that it sees: the convolution of their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Convolution()

    def forward(self, image: Tensor) -> SegmentationOutput:
        return self.network(image.mean(dim=(2, 3), keepdim=True))


def random_image(height: int, width: int, seed: int = 0) -> Tensor:
    """Coarse blobs of colour, (1, 3, H, W) uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 5, 7, generator=generator)
    return (F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)


def random_sample(height: int, width: int, seed: int = 0) -> Sample:
    image = random_image(height, width, seed)[0].permute(1, 2, 0).numpy().copy()
    label = np.random.default_rng(seed).integers(0, 19, (height, width)).astype(np.uint8)
    return to_sample(image, label, f"image{seed}")


@torch.inference_mode()
def segment(model: nn.Module, rgb: Tensor, size: tuple[int, int] = SIZE, **test_time: Any) -> Tensor:
    how = evaluation.TestTime(**test_time)
    labels = evaluation.segment(model, rgb, size, input_size=None, dtype=torch.float32, test_time=how)
    assert labels.shape == (1, *size) and labels.dtype == torch.uint8
    return labels


@torch.inference_mode()
def probabilities(model: nn.Module, rgb: Tensor, size: tuple[int, int]) -> Tensor:
    """Of a network with stride 1 that sees an image at a size, at that size."""
    return model(preprocess(rgb, size)).logits.softmax(dim=1)


@pytest.mark.parametrize("window", [(32, 32), (33, 70), (75, 106), (500, 40)])
def test_windows_do_not_change_what_a_pixelwise_network_says(window: tuple[int, int]) -> None:
    rgb = random_image(*SIZE)
    plain = segment(Convolution(), rgb)
    assert len(plain.unique()) > 5
    assert torch.equal(segment(Convolution(), rgb, sliding_window=window), plain)
    views: dict[str, Any] = {"scales": (0.75, 1.25), "flip": True}
    plain = segment(Convolution(), rgb, **views)
    assert torch.equal(segment(Convolution(), rgb, sliding_window=window, **views), plain)


def test_windows_are_averaged_where_they_overlap() -> None:
    """Windows of 32 in a height of 64 start at 0, 16 and 32: steps of 21 are the largest that are allowed."""
    rgb = torch.zeros(1, 3, 64, 32, dtype=torch.uint8)
    rgb[:, 0, :30] = rgb[:, 2, 30:] = 255  # red over blue
    of_window = [
        probabilities(Average(), rgb[:, :, top : top + 32], (32, 32))[0, :, 0, 0] for top in (0, 16, 32)
    ]
    expected = []
    for row in range(64):
        covering = [p for top, p in zip((0, 16, 32), of_window, strict=True) if top <= row < top + 32]
        expected.append(int(torch.stack(covering).mean(dim=0).argmax()))
    labels = segment(Average(), rgb, (64, 32), sliding_window=(32, 32))
    assert labels[0, :, 0].tolist() == expected
    assert (labels == labels[:, :, :1]).all() and len(set(expected)) > 1


@pytest.mark.parametrize("views", [{}, {"flip": True}, {"sliding_window": (40, 50)}])
def test_an_enhanced_image_is_what_the_network_sees(views: dict[str, Any]) -> None:
    rgb = random_image(*SIZE) // 4
    bright = enhance(rgb[0], "clahe")[None]
    expected = segment(Convolution(), bright, **views)
    assert torch.equal(segment(Convolution(), rgb, enhancement="clahe", **views), expected)
    assert not torch.equal(segment(Convolution(), rgb, **views), expected)


def test_scores_by_exposure_go_by_the_image_as_it_was() -> None:
    sample = random_sample(60, 80)
    sample["image"] = sample["image"] // 4
    bright = {**sample, "image": enhance(sample["image"].as_subclass(Tensor), "clahe")}

    def scores(sample: Sample, how: evaluation.TestTime) -> dict[str, Any]:
        metrics = evaluation.evaluate(Convolution(), [sample], input_size=None, test_time=how, progress=False)
        return metrics.compute()

    plain, enhanced, before = (
        scores(sample, evaluation.TestTime()),
        scores(sample, evaluation.TestTime(enhancement="clahe")),
        scores(bright, evaluation.TestTime()),
    )
    assert enhanced["iou"] == before["iou"] != plain["iou"]
    assert enhanced["exposure_pixels"] == plain["exposure_pixels"] != before["exposure_pixels"]


def test_windows_cover_everything_and_overlap_by_a_third() -> None:
    for window in (32, 47, 100):
        for length in range(32, 400):
            starts = evaluation._window_starts(length, window)
            steps = [b - a for a, b in zip(starts, starts[1:], strict=False)]
            assert starts[0] == 0 and starts[-1] + window >= length
            assert starts[-1] + min(window, length) == length
            assert all(0 < step <= window * 2 / 3 for step in steps)


def test_flip_averages_with_the_mirrored_image() -> None:
    model, rgb = Convolution(kernel=3), random_image(*SIZE)
    mirrored = probabilities(model, rgb.flip(-1), SIZE).flip(-1)
    expected = (probabilities(model, rgb, SIZE) + mirrored).argmax(dim=1)
    flipped = segment(model, rgb, flip=True)
    assert torch.equal(flipped, expected)
    assert not torch.equal(flipped, segment(model, rgb))


def test_flip_does_not_change_what_a_symmetric_network_says() -> None:
    model, rgb = Convolution(kernel=3), random_image(*SIZE)
    with torch.no_grad():
        model.layer.weight += model.layer.weight.flip(-1)
    assert torch.equal(segment(model, rgb, flip=True), segment(model, rgb))


def test_scales_average_probabilities() -> None:
    model, rgb = Convolution(kernel=3), random_image(*SIZE)
    expected = torch.zeros(1, 19, *SIZE)
    for size in ((56, 80), SIZE, (94, 132)):  # 0.75, 1 and 1.25 of 75 x 106, rounded
        p = probabilities(model, rgb, size)
        expected += F.interpolate(p, size=SIZE, mode="bilinear", align_corners=False)
    labels = segment(model, rgb, scales=(0.75, 1.0, 1.25))
    assert torch.equal(labels, expected.argmax(dim=1))
    assert not torch.equal(labels, segment(model, rgb))


def test_impossible_views_are_refused() -> None:
    for wrong in ({"sliding_window": (31, 64)}, {"scales": ()}, {"scales": (1.0, 0.0)}):
        with pytest.raises(ValueError, match="window|scales"):
            evaluation.TestTime(**wrong)


def test_exposure_of_a_label_of_another_size() -> None:
    rgb = torch.randint(256, (1, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(evaluation.value_channel(rgb, (4, 6)), rgb.max(dim=1).values)
    large = rgb.repeat_interleave(10, dim=2).repeat_interleave(10, dim=3)
    # Halved, the blocks of 10 x 10 are blocks of 5 x 5, whose inner pixels keep their colour.
    half = evaluation.value_channel(large, (20, 30))
    assert half.shape == (1, 20, 30) and half.dtype == torch.uint8
    assert torch.equal(half[:, 2::5, 2::5], rgb.max(dim=1).values)


def test_scores_are_those_of_the_labels() -> None:
    samples = [random_sample(40, 60, seed) for seed in range(3)]
    model = Convolution(kernel=3, stride=2).train()
    found = evaluation.evaluate(model, samples, input_size=32, progress=False)
    assert model.training
    expected = SegmentationMetrics()
    for sample in samples:
        with torch.inference_mode():
            logits = model(preprocess(sample["image"][None], 32)).logits
        labels = F.interpolate(logits, size=(40, 60), mode="bilinear").argmax(dim=1)
        expected.update(labels, sample["label"][None], sample["image"].amax(dim=0)[None])
    assert found.compute() == expected.compute()


def test_an_image_without_a_label() -> None:
    sample = random_sample(40, 40)
    del sample["label"]
    with pytest.raises(DataError, match="image0 has no label"):
        evaluation.evaluate(Convolution(), [sample], input_size=None, progress=False)


class LargestFloat(TorchDispatchMode):
    """Records how many numbers the largest floating tensor held that any operation gave."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                self.numbers = max(self.numbers, tensor.numel())
        return result


def live_bytes() -> int:
    """Of all tensors there are, but those without memory that torch.export leaves behind."""
    tensors = [item for item in gc.get_objects() if type(item) in (Tensor, torch.nn.Parameter)]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


@pytest.mark.parametrize(
    ("test_time", "images_of_scores"),
    [
        (evaluation.TestTime(), 0.5),
        (evaluation.TestTime(scales=(0.5, 1.0), flip=True, sliding_window=(64, 64)), 1.0),
    ],
)
def test_memory(test_time: evaluation.TestTime, images_of_scores: float) -> None:
    """No float scores of a whole image without views, of one image with them; nothing piles up."""
    height, width = 400, 600
    live = {}

    def samples() -> Iterator[Sample]:
        for seed in range(6):
            if seed in (0, 3, 5):
                live[seed] = live_bytes()
            yield random_sample(height, width, seed)

    model = Convolution(kernel=3, stride=8)
    with LargestFloat() as largest:
        evaluation.evaluate(
            model,
            samples(),
            input_size=128,
            test_time=test_time,
            worst=WorstImages(2),
            progress=False,
        )
    assert 0 < largest.numbers <= images_of_scores * 19 * height * width
    scores = 4 * 19 * height * width
    assert live[3] < live[0] + scores / 4, "between images, no full-size scores are left"
    assert live[3] == live[5], "what one image leaves, the next one's replaces"


def test_counting_never_waits_for_the_device() -> None:
    """Tensors of the device "meta" have no values: whatever asked for one would fail."""
    image = torch.empty(1, 20, 30, dtype=torch.uint8, device="meta")
    SegmentationMetrics("meta").update(image, image, image)
    WorstImages(3, "meta").update(0, image, image)


class Broken(Dataset[Sample]):
    """Nine samples; those from ``first_broken`` on can't be read."""

    def __init__(self, first_broken: int) -> None:
        self.first_broken = first_broken

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> Sample:
        if index >= self.first_broken:
            raise DataError(f"image {index} can't be decoded")
        return random_sample(20, 30, index)


def test_reading_ahead_changes_nothing() -> None:
    whole = Broken(first_broken=9)
    read = evaluation.ReadAhead(whole)
    assert len(read) == 9
    for sample, number in zip(read, range(9), strict=True):
        assert sample["name"] == f"image{number}"
        assert torch.equal(sample["image"], whole[number]["image"])
        assert torch.equal(sample["label"], whole[number]["label"])


def test_reading_ahead_reports_what_cannot_be_read() -> None:
    names = []
    with pytest.raises(DataError, match="^image 6 can't be decoded$"):
        for sample in evaluation.ReadAhead(Broken(first_broken=6)):
            names.append(sample["name"])
    assert names == [f"image{number}" for number in range(6)]


def test_json_is_strict(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"miou": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An EGNet that has learnt nothing and sees images at a shorter side of 64 pixels."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("evaluate") / "small.safetensors"
    save_checkpoint(path, build_model("egnet", backbone="resnet10"), {"input_size": 64})
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images and their labels; the label of the last one is nothing but ignored."""
    folder = tmp_path_factory.mktemp("folder")
    for number in range(4):
        sample = random_sample(64, 96, number)
        label = sample["label"].numpy() if number < 3 else np.full((64, 96), 255)
        image = sample["image"].permute(1, 2, 0).numpy()
        for kind, picture in (("images", image), ("labels", label)):
            path = folder / kind / "val" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), picture)
    return folder


def evaluate_command(weights: Path, *options: str | Path) -> int:
    return main(["evaluate", *map(str, ("--weights", weights, "--device", "cpu", *options))])


def files_of(folder: Path) -> tuple[str | Path, ...]:
    return "--images", folder / "images" / "val", "--labels", folder / "labels" / "val"


def test_command(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, charts = tmp_path / "scores" / "out.json", tmp_path / "charts"
    charts.mkdir()
    (charts / "worst_07_1.0_old.png").touch()
    (charts / "notes.png").touch()
    options = ["--json", out, "--charts", charts, "--worst", "2", "--precision", "fp32"]
    assert evaluate_command(small_weights, *files_of(folder), *options) == 0
    scores = json.loads(out.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert scores["images"] == 4 and sum(scores["exposure_pixels"]) == 3 * 64 * 96
    assert len(scores["ef1_micro"]) == len(scores["ef1_macro"]) == 10
    table = capsys.readouterr().out
    for key, shown in (("miou", "{:.1f}"), ("mef1_micro", "{:.3f}"), ("mef1_macro", "{:.3f}")):
        assert shown.format(scores[key] * (100 if key == "miou" else 1)) in table
    for k in range(10):
        f1 = [scores[f"ef1_{averaging}"][k] for averaging in ("micro", "macro")]
        row = next(
            line for line in table.splitlines() if line.startswith(f"{k / 10:.1f} to {(k + 1) / 10:.1f}")
        )
        assert row.split()[-2:] == ["-" if value is None else f"{value:.3f}" for value in f1]

    dataset = FolderDataset(folder / "images" / "val", folder / "labels" / "val")
    accuracy = {}
    for sample in (dataset[number] for number in range(3)):
        model = load_model(small_weights)[0]
        one = evaluation.evaluate(model, [sample], input_size=64, progress=False).compute()
        accuracy[sample["name"]] = 100 * one["pixel_accuracy"]
    worst = sorted(accuracy, key=lambda name: accuracy[name])[:2]
    assert sorted(path.name for path in charts.iterdir()) == [
        "ef1.png",
        "notes.png",
        *(f"worst_{rank:02d}_{accuracy[name]:.1f}_{name}.png" for rank, name in enumerate(worst, start=1)),
    ]
    for path in (charts / "ef1.png", next(charts.glob("worst_01_*"))):
        picture = cv2.imread(str(path))
        assert picture is not None and min(picture.shape[:2]) > 500 and len(np.unique(picture)) > 10


def test_command_with_views(small_weights: Path, folder: Path, tmp_path: Path) -> None:
    """The options reach the network: each changes the scores, and all together too."""
    found = []
    for options in (
        [],
        ["--flip"],
        ["--enhance", "clahe"],
        ["--scales", "1.5"],
        ["--sliding-window", "48", "64"],
        ["--input-size", "48"],
        ["--input-size", "48", "64"],
        ["--precision", "bf16", "--flip", "--scales", "0.75", "--sliding-window", "40", "48"],
    ):
        out = tmp_path / "scores.json"
        precision = [] if "--precision" in options else ["--precision", "fp32"]
        assert evaluate_command(small_weights, *files_of(folder), *options, *precision, "--json", out) == 0
        found.append(json.loads(out.read_text())["pixel_accuracy"])
    assert len(set(found)) == len(found)


@pytest.fixture(scope="module")
def reweighted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """DANNets that have learnt nothing, by the kind of their re-weighting, and one of equal class weights."""
    folder, paths = tmp_path_factory.mktemp("reweighted"), {}
    for kind, std in (("probabilities", 0.16), ("none", 0.16), ("equal", 0.0)):
        torch.manual_seed(0)
        options: dict[str, Any] = {"reweighting": "probabilities" if kind == "equal" else kind}
        model = build_model("dannet", backbone="resnet10", relighting="none", output_stride=16, **options)
        model.reweighting.weights = class_weights(CITYSCAPES_SHARES, std)
        paths[kind] = folder / f"{kind}.safetensors"
        save_checkpoint(paths[kind], model, {"input_size": 64})
    return paths


def test_command_with_other_class_weights(reweighted: dict[str, Path], folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.json"
    dataset = FolderDataset(folder / "images" / "val", folder / "labels" / "val")
    samples = [dataset[number] for number in range(4)]
    found = []
    for options, std, average in (
        ([], 0.16, 1.0),
        (["--std", "0.3"], 0.3, 1.0),
        (["--avg", "0.5"], 0.16, 0.5),
        (["--std", "0", "--avg", "2"], 0.0, 1.0),  # of weights that are all the same, 2 is as good as 1
    ):
        given = [*options, "--precision", "fp32", "--json", out]
        assert evaluate_command(reweighted["probabilities"], *files_of(folder), *given) == 0
        scores = json.loads(out.read_text())
        model = load_model(reweighted["probabilities"])[0]
        model.reweighting.weights = class_weights(CITYSCAPES_SHARES, std, average)
        expected = evaluation.evaluate(model, samples, input_size=64, progress=False).compute()
        assert scores["pixel_accuracy"] == pytest.approx(expected["pixel_accuracy"], abs=1e-3)
        found.append(scores["iou"])
    assert all(a != b for i, a in enumerate(found) for b in found[:i])


def test_class_weights_that_can_not_be_spread(
    reweighted: dict[str, Path], small_weights: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for weights, options, message in (
        (small_weights, ["--std", "0.1"], "does not re-weight its prediction"),
        (reweighted["none"], ["--avg", "1"], "does not re-weight its prediction"),
        (reweighted["equal"], ["--std", "0.1"], "are all the same"),
        (reweighted["probabilities"], ["--std", "3"], "std 3.0 is too large for an average of 1"),
        (reweighted["probabilities"], ["--std", "-1"], "std -1.0 of the class weights: give 0 or more"),
    ):
        assert evaluate_command(weights, *files_of(folder), *options) == 1
        assert message in capsys.readouterr().err


def test_command_with_a_data_set(
    small_weights: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, precision = tmp_path / "scores.json", ("--precision", "fp32")
    files = ("--dataset", "folder", "--root", folder, "--split", "val")
    assert evaluate_command(small_weights, *files, *precision, "--json", out) == 0
    scores = out.read_text()
    assert evaluate_command(small_weights, *files_of(folder), *precision, "--json", out) == 0
    assert out.read_text() == scores

    monkeypatch.setattr(datasets, "HELD_OUT_SEEDS", range(100_000, 100_001))
    streets = ("--dataset", "synthetic", "--split", "night")
    assert evaluate_command(small_weights, *streets, *precision, "--json", out) == 0
    held_out = SyntheticStreets(night=True, length=1, first_seed=100_000)
    model = load_model(small_weights)[0]
    expected = evaluation.evaluate(model, evaluation.ReadAhead(held_out), input_size=64, progress=False)
    assert json.loads(out.read_text()) == expected.compute()


def test_a_data_set_without_labels(
    small_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "leftImg8bit" / "test" / "berlin" / "berlin_000000_000019_leftImg8bit.png"
    image.parent.mkdir(parents=True)
    cv2.imwrite(str(image), np.zeros((32, 64, 3), np.uint8))
    assert (
        evaluate_command(small_weights, "--dataset", "cityscapes", "--root", tmp_path, "--split", "test") == 1
    )
    error = capsys.readouterr().err
    assert "cityscapes test: these images are published without labels" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--images", "a"],
        ["--dataset", "folder", "--root", "a"],
        ["--dataset", "folder", "--split", "val"],
        ["--dataset", "synthetic"],
        ["--dataset", "synthetic", "--split", "night", "--labels", "a"],
        ["--dataset", "synthetic", "--split", "night", "--worst", "-1"],
        ["--dataset", "synthetic", "--split", "night", "--input-size", "8"],
    ],
)
def test_options_that_do_not_go_together(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *options])
    assert stop.value.code == 2
    assert "give" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--labels", "nowhere"], "has no label"),
        (["--sliding-window", "8", "64"], "sliding window (8, 64)"),
        (["--scales", "0"], "scales (0.0,)"),
        (["--device", "tpu9"], "tpu9"),
        (["--weights", "nowhere.safetensors"], "nowhere.safetensors"),
    ],
)
def test_mistakes_get_one_line(
    options: list[str],
    message: str,
    small_weights: Path,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert evaluate_command(small_weights, *files_of(folder), *options) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_nothing_to_score(
    small_weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    for number in range(4):
        cv2.imwrite(str(labels / f"{number}.png"), np.full((64, 96), 255, np.uint8))
    assert evaluate_command(small_weights, *files_of(folder), "--labels", labels) == 1
    assert "ignored" in capsys.readouterr().err.splitlines()[-1]


def test_checkpoints_of_other_classes_are_refused(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "w.safetensors"
    save_checkpoint(weights, build_model("egnet", backbone="resnet10", num_classes=5), {})
    assert evaluate_command(weights, *files_of(folder)) == 1
    assert "classes" in capsys.readouterr().err
