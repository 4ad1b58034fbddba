# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg compare``: its pictures, its figures and what it says of mistakes."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from helpers.bag_files import drive, pictures
from helpers.frame_commands import check_that_nothing_is_overwritten

from night_seg_ros import cli
from night_seg_ros.commands.comparison import Comparison, compare_files
from night_seg_ros.inference.colours import overlay
from night_seg_ros.inference.segmenter import Segmenter
from night_seg_ros.media.sources import Images, SourceFrame, open_source
from night_seg_ros.media.writers import VideoFile, write_image
from night_seg_ros.models import METHODS, build_model, checkpoint
from night_seg_ros.models.checkpoint import load_model, save_checkpoint
from night_seg_ros.models.classes import CLASSES, PALETTE
from night_seg_ros.pictures.tiles import lay_out

INPUT_SIZE = 64


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints that have learnt nothing: an EGNet, one that differs from it a little, and a DANNet."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    egnet = build_model("egnet", backbone="resnet10")
    dannet = build_model("dannet", backbone="resnet10", relighting_width=4)
    paths = {name: folder / f"{name}.safetensors" for name in ("one", "two", "dannet")}
    save_checkpoint(paths["one"], egnet, {"input_size": INPUT_SIZE})
    save_checkpoint(paths["dannet"], dannet, {"input_size": INPUT_SIZE})
    with torch.no_grad():
        for name, parameter in egnet.named_parameters():
            if "_head.weight" in name:
                parameter += 0.5 * parameter.std() * torch.randn_like(parameter)
    save_checkpoint(paths["two"], egnet, {"input_size": INPUT_SIZE})
    return paths


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder of three images of coarse blobs, the last of another size."""
    folder = tmp_path / "frames"
    for index, (height, width) in enumerate(((90, 160), (90, 160), (75, 101))):
        write_image(folder / f"frame{index}.png", cv2.resize(pictures(3, 6, 9)[index], (width, height)))
    return folder


def command(models: dict[str, Path], out: Path, *arguments: object) -> int:
    names = ",".join(f"{name}={path}" for name, path in models.items())
    fixed = ["--models", names, "--out", out, "--device", "cpu", "--precision", "fp32"]
    return cli.main(["compare", *map(str, [*fixed, *arguments])])


def segmenter_of(path: Path) -> Segmenter:
    return Segmenter(path, device="cpu", precision="fp32")


def figures_in(out: Path) -> dict[str, Any]:
    """The figures of compare.json, which must be strict JSON."""
    text = (out / "compare.json").read_text()
    figures: dict[str, Any] = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    return figures


def slow_agreement(labels: list[tuple[Any, Any]]) -> tuple[float, float, dict[str, float]]:
    """Share of same pixels, mean IoU and IoU by class of pairs of label images, pixel by pixel."""
    pixels = [pair for one, other in labels for pair in zip(one.ravel(), other.ravel(), strict=True)]
    same = sum(a == b for a, b in pixels) / len(pixels)
    iou = {}
    for train_id, name in enumerate(CLASSES):
        either = sum(train_id in pair for pair in pixels)
        if either:
            iou[name] = sum(a == b == train_id for a, b in pixels) / either
    return same, sum(iou.values()) / len(iou), iou


def place(sheet: np.ndarray, tile: np.ndarray) -> tuple[int, int]:
    """Left and top of a tile in a sheet; the test fails where it is not there pixel by pixel."""
    left, top = cv2.minMaxLoc(cv2.matchTemplate(sheet, tile, cv2.TM_SQDIFF))[2]
    np.testing.assert_array_equal(sheet[top : top + tile.shape[0], left : left + tile.shape[1]], tile)
    return left, top


def test_picture_holds_input_and_results(models: dict[str, Path], frames: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert command(models, out, frames, "--alpha", "0.25") == 0
    names = ["frame0_compare.png", "frame1_compare.png", "frame2_compare.png"]
    assert sorted(path.name for path in out.iterdir()) == ["compare.json", "compare.md", *names]
    for index, size in enumerate(((640, 360), (640, 360), (640, 475))):
        bgr = cv2.imread(str(frames / f"frame{index}.png"))
        sheet = cv2.imread(str(out / names[index]))
        tiles = [[bgr]]
        for name, path in models.items():
            result = segmenter_of(path)(bgr)
            shown = result.relit
            if name != "dannet":
                assert result.exposure is not None and shown is None
                shown = cv2.applyColorMap(result.exposure, cv2.COLORMAP_INFERNO)
            assert shown is not None
            tiles.append([overlay(bgr, result.labels, 0.25), shown])
        places = [[place(sheet, cv2.resize(tile, size)) for tile in column] for column in tiles]
        steps = [after[0][0] - before[0][0] for before, after in zip(places, places[1:], strict=False)]
        assert len(set(steps)) == 1 and size[0] < steps[0] < size[0] + 30  # in a row, side by side
        assert {column[0][1] for column in places} == {places[0][0][1]}
        for (left, _), (below, top) in places[1:]:
            assert below == left and top > size[1]
        assert 2 * size[1] < sheet.shape[0] < 2 * size[1] + 120  # nothing below: DANNet has no exposure map
        for left, top in (corner for column in places for corner in column):
            title = sheet[top - 30 : top, left : left + 200]
            assert title.max() > 200 and 0.02 < (title > 120).mean() < 0.5  # bright letters on the dark
        legend = sheet[places[1][1][1] :, : places[1][0][0]].reshape(-1, 3)
        for red, green, blue in PALETTE:
            assert (legend == (blue, green, red)).all(axis=1).any()


def test_figures_are_those_of_a_slow_formula(
    models: dict[str, Path], frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command(models, out, frames) == 0
    printed = capsys.readouterr().out
    figures = figures_in(out)
    assert figures["inputs"] == [str(frames)] and figures["frames"] == 3
    assert list(figures["models"]) == ["one", "two", "dannet"]
    page = (out / "compare.md").read_text()
    labels = {}
    for name, path in models.items():
        segmenter = segmenter_of(path)
        labels[name] = [segmenter(frame.image).labels for frame in Images(frames).frames()]
        model = figures["models"][name]
        assert model == {
            "network": "dannet" if name == "dannet" else "egnet",
            "weights_hash": segmenter.weights_hash,
            "device": "cpu",
            "precision": "fp32",
        }
        row = f"| {name} | {model['network']} | {model['weights_hash']} |"
        assert row in " ".join(printed.split()) and row in " ".join(page.split())
    assert [pair["models"] for pair in figures["pairs"]] == [list(pair) for pair in combinations(models, 2)]
    for pair in figures["pairs"]:
        one, other = pair["models"]
        same, miou, iou = slow_agreement(list(zip(labels[one], labels[other], strict=True)))
        assert pair["same_pixels"] == pytest.approx(same)
        assert pair["miou"] == pytest.approx(miou)
        assert pair["iou"] == pytest.approx(iou)
        row = f"| {one} and {other} | {100 * same:.1f} % | {100 * miou:.1f} % |"
        assert row in " ".join(printed.split()) and row in " ".join(page.split())
    agreement = figures["pairs"][0]
    assert 0.1 < agreement["same_pixels"] < 0.95 and len(agreement["iou"]) < len(CLASSES)
    assert len({round(iou, 3) for iou in agreement["iou"].values()}) > 3  # else the test would see little
    by_class = page[page.index("IoU by class") :]
    for name, iou in agreement["iou"].items():
        assert f"| {name} | {100 * iou:.1f} % |" in " ".join(by_class.split())


def test_a_model_agrees_with_itself(models: dict[str, Path], frames: Path, tmp_path: Path) -> None:
    twins = {"a": models["one"], "b": models["one"]}
    assert command(twins, tmp_path / "out", frames) == 0
    (pair,) = figures_in(tmp_path / "out")["pairs"]
    assert pair["same_pixels"] == pair["miou"] == 1 and set(pair["iou"].values()) == {1}


def test_one_model_has_none_to_agree_with(models: dict[str, Path], frames: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert command({"one": models["one"]}, out, frames / "frame0.png") == 0
    assert figures_in(out)["pairs"] == []
    assert "same pixels |" not in (out / "compare.md").read_text()


def test_video_and_bag_give_a_video(models: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("sensor_msgs")
    images = [cv2.resize(image, (96, 64)) for image in pictures(3, 4, 6)]
    with VideoFile(tmp_path / "drive.mp4", 5.0, "mp4v") as video:
        for image in images:
            video.write(image)
    bag = drive(tmp_path / "recording", images)
    out = tmp_path / "out"
    pair = {name: models[name] for name in ("one", "dannet")}
    assert command(pair, out, tmp_path / "drive.mp4", bag) == 0
    left = ["compare.json", "compare.md", "drive_compare.mp4", "recording_compare.mp4"]
    assert sorted(path.name for path in out.iterdir()) == left
    assert figures_in(out)["frames"] == 6
    comparison = Comparison({name: segmenter_of(path) for name, path in pair.items()})
    for name, rate in (("drive", 5), ("recording", 10)):
        source = open_source(out / f"{name}_compare.mp4")
        assert source.rate == pytest.approx(rate)
        written = [frame.image for frame in source.frames()]
        assert len(written) == 3
    for image, sheet in zip(images, written, strict=True):
        assert np.abs(sheet.astype(int) - comparison.add(image)).mean() < 8  # what the codec leaves


def test_nothing_of_a_frame_is_kept(models: dict[str, Path], tmp_path: Path) -> None:
    alive: list[int] = []

    class Endless(Images):
        """Ten frames that are made as they are asked for."""

        def frames(self, on_error: object = None) -> Iterator[SourceFrame]:
            made = []
            for index in range(10):
                image = pictures(1, 40, 50)[0]
                made.append(weakref.ref(image))
                yield SourceFrame(image, 0, f"{index}")
                del image
                alive.append(sum(frame() is not None for frame in made))

    write_image(tmp_path / "frame.png", pictures(1)[0])
    comparison = Comparison({name: segmenter_of(path) for name, path in models.items()})
    source = Endless(tmp_path / "frame.png")
    compare_files([source], comparison, tmp_path / "out", on_error=pytest.fail)
    assert comparison.figures()["frames"] == len(alive) == 10
    assert max(alive) <= 1


def test_unreadable_image_is_skipped_and_told(
    models: dict[str, Path], frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (frames / "frame0b.jpg").write_bytes(b"no image")
    out = tmp_path / "out"
    assert command(models, out, frames) == 1
    assert figures_in(out)["frames"] == len(list(out.glob("*_compare.png"))) == 3
    captured = capsys.readouterr()
    assert f"skipped image {frames / 'frame0b.jpg'} can't be decoded: it is no image" in captured.err
    assert "1 of the inputs could not be read" in captured.out


def test_nothing_to_read(models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert command(models, tmp_path / "out", tmp_path / "bad.png") == 1
    assert "night-seg compare: no frame could be read" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def write_weights(folder: Path, names: list[str]) -> None:
    torch.manual_seed(0)
    for name in names:
        save_checkpoint(folder / f"{name}.safetensors", build_model(name, backbone="resnet10"), {})


def test_all_methods_by_default(frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_weights(tmp_path / "weights", list(METHODS))
    monkeypatch.setattr(checkpoint, "_WEIGHTS_FOLDER", tmp_path / "weights")
    out = tmp_path / "out"
    assert cli.main(["compare", str(frames / "frame0.png"), "--out", str(out), "--device", "cpu"]) == 0
    assert {name: model["network"] for name, model in figures_in(out)["models"].items()} == {
        name: name for name in METHODS
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("egnet,unet", "'unet': give egnet, "),
        ("own.safetensors", "'own.safetensors': give egnet, "),
        ("egnet,", "'': give egnet, "),
        ("own=", "'own=': give egnet, "),
        ("=own.safetensors", "'=own.safetensors': give egnet, "),
        ("egnet,egnet", "the name 'egnet' twice: name one of them NAME=PATH.safetensors"),
        ("egnet,dannet", "'dannet' (shipped: egnet); give weights: in --models, dannet=PATH.safetensors"),
        ("own=nowhere.safetensors", "no weights at nowhere.safetensors: give the path"),
    ],
)
def test_mistakes_in_models_get_one_line(
    text: str,
    problem: str,
    frames: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_weights(tmp_path / "weights", ["egnet"])
    monkeypatch.setattr(checkpoint, "_WEIGHTS_FOLDER", tmp_path / "weights")
    assert cli.main(["compare", str(frames), "--models", text, "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("night-seg compare: ") and problem in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_results_never_overwrite_one_another(
    models: dict[str, Path], frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_that_nothing_is_overwritten(partial(command, models), "compare", frames, capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frames", "--split", "val"],
        ["frames", "--dataset", "folder", "--root", ".", "--split", "val"],
        ["--dataset", "folder", "--split", "val"],
        ["--dataset", "synthetic"],
        ["--dataset", "synthetic", "--split", "night", "--root", "."],
        ["frames", "--alpha", "2"],
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["compare", *arguments, "--out", "nowhere"])
    assert stop.value.code == 2
    assert "give" in capsys.readouterr().err.splitlines()[-1]
    assert not Path("nowhere").exists()


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """NightCity's val as its owners ship it, with labels twice the size of the images but for the first."""
    root = tmp_path / "nightcity"
    for index, scale in enumerate((1, 2, 2)):
        size = (80 * scale, 48 * scale)
        label = cv2.resize(
            np.random.default_rng(index).choice([0, 2, 8, 10, 13, 255], (6, 10)).astype(np.uint8),
            size,
            interpolation=cv2.INTER_NEAREST,
        )
        image = cv2.resize(PALETTE[np.minimum(label, 18)], (80, 48)) // 2
        write_image(root / "images" / "val" / f"{index}.png", image)
        write_image(root / "label" / "val" / f"{index}_trainIds.png", label)
    return root


def truth_in_colours(label: np.ndarray) -> np.ndarray:
    """The class colours of a label, BGR, pixel by pixel; 255 is black."""
    colours = [(*map(int, colour[::-1]),) for colour in PALETTE]
    flat = [(0, 0, 0) if value == 255 else colours[value] for value in label.ravel().tolist()]
    return np.array(flat, np.uint8).reshape(*label.shape, 3)


@pytest.mark.parametrize("scale", [1, 2])
def test_truth_and_wrong_pixels_are_shown(models: dict[str, Path], tmp_path: Path, scale: int) -> None:
    """One model is right but for a block and a single pixel, the others are wrong where they differ from it.

    The label, 640x360, fills a tile exactly; its image has that size or half of it.
    """
    image = cv2.resize(pictures(1, 9, 16)[0], (640 // scale, 360 // scale))
    image[20:60, 40:120], image[70:100, 40:120] = 0, 255  # the darkest and the brightest of a frame
    labels = {
        name: segmenter_of(path)(image, ("labels",), size=(360, 640)).labels for name, path in models.items()
    }
    assert labels["one"] is not None
    label, planted = labels["one"].copy(), np.zeros((360, 640), bool)
    planted[90:160, 60:200] = planted[300, 500] = True
    label[planted] = (label[planted] + 1) % len(CLASSES)
    ignored = np.zeros_like(planted)
    ignored[30:130, 150:260] = ignored[359, 639] = True
    label[ignored] = 255
    write_image(tmp_path / "images" / "val" / "street.png", image)
    write_image(tmp_path / "label" / "val" / "street_trainIds.png", label)

    out = tmp_path / "out"
    assert command(models, out, "--dataset", "nightcity", "--root", tmp_path, "--split", "val") == 0
    sheet = cv2.imread(str(out / "street_compare.png"))
    first, top = place(sheet, truth_in_colours(label))
    place(sheet, lay_out([[("truth", truth_in_colours(label))]])[:, 10:650])
    shown = cv2.resize(image, (640, 360))
    step = place(sheet, overlay(shown, labels["one"], 0.5))[0] - first
    for column, name in enumerate(models, start=1):
        left = first + column * step
        tile = sheet[top : top + 360, left : left + 640]
        wrong = ~ignored & (label != labels[name])
        assert (wrong == planted & ~ignored).all() if name == "one" else wrong.mean() > 0.2
        marked = tile.max(axis=2) != tile.min(axis=2)  # in colour: all else is grey
        np.testing.assert_array_equal(marked, wrong)
        np.testing.assert_array_equal((tile == 0).all(axis=2), ignored)
        grey = cv2.cvtColor(tile, cv2.COLOR_BGR2GRAY)
        assert grey[marked].min() > grey[~marked].max()  # seen without any colour, too
        assert len(np.unique(grey[~marked])) > 20  # the frame is still there
        title = f"{100 * wrong.sum() / (~ignored).sum():.1f} % wrong: {name}"
        assert place(sheet, lay_out([[(title, tile)]])[:, 10:650])[0] == left


def test_label_of_nothing_but_ignored_pixels(models: dict[str, Path]) -> None:
    comparison = Comparison({"one": segmenter_of(models["one"])})
    sheet = comparison.add(pictures(1, 360, 640)[0], np.full((360, 640), 255, np.uint8))
    black = np.zeros((360, 640, 3), np.uint8)
    for title in ("truth", "- wrong: one"):
        place(sheet, lay_out([[(title, black)]])[:, 10:650])


def scores_by_evaluate(weights: Path, root: Path, out: Path) -> dict[str, Any]:
    """What ``night-seg evaluate`` says."""
    arguments = ["--weights", weights, "--dataset", "nightcity", "--root", root, "--split", "val"]
    arguments += ["--device", "cpu", "--precision", "fp32", "--json", out]
    assert cli.main(["evaluate", *map(str, arguments)]) == 0
    scores: dict[str, Any] = json.loads(out.read_text())
    return scores


def test_scores_are_those_of_evaluate(
    models: dict[str, Path], labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    data = ["--dataset", "nightcity", "--root", labelled, "--split", "val"]
    assert command(models, out, *data) == 0
    printed = " ".join(capsys.readouterr().out.split())
    figures = figures_in(out)
    assert figures["inputs"] == ["nightcity val"] and figures["frames"] == 3
    assert len(list(out.glob("[0-2]_compare.png"))) == 3
    found = []
    for name, path in models.items():
        expected = scores_by_evaluate(path, labelled, tmp_path / "scores.json")
        model = figures["models"][name]
        for key in ("miou", "pixel_accuracy", "iou"):  # rounding apart: its networks are folded
            assert model[key] == pytest.approx(expected[key], abs=1e-3)
        shown = f"fp32 | {100 * model['miou']:.1f} % | {100 * model['pixel_accuracy']:.1f} % |"
        assert shown in printed
        found.append(expected["pixel_accuracy"])
    assert len(set(found)) == 3 and max(found) > 0
    # Ignored pixels count for the agreement all the same.
    pairs = []
    one, two = (segmenter_of(models[name]) for name in ("one", "two"))
    for index, size in enumerate(((48, 80), (96, 160), (96, 160))):
        bgr = cv2.imread(str(labelled / "images" / "val" / f"{index}.png"))
        pairs.append((one(bgr, size=size).labels, two(bgr, size=size).labels))
    same, miou, _ = slow_agreement(pairs)
    assert figures["pairs"][0]["same_pixels"] == pytest.approx(same)
    assert figures["pairs"][0]["miou"] == pytest.approx(miou)


def test_unreadable_labelled_image_is_skipped(
    models: dict[str, Path], labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = labelled / "images" / "val" / "1.png"
    bad.write_bytes(b"no image")
    out = tmp_path / "out"
    assert command(models, out, "--dataset", "nightcity", "--root", labelled, "--split", "val") == 1
    assert figures_in(out)["frames"] == 2
    assert sorted(path.name for path in out.glob("*.png")) == ["0_compare.png", "2_compare.png"]
    assert f"skipped image {bad} can't be decoded" in capsys.readouterr().err


def test_labelled_images_of_one_name_are_refused(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for street in "ab":
        for kind in ("images", "labels"):
            write_image(tmp_path / kind / "val" / street / "0.png", np.zeros((48, 64), np.uint8))
    data = ["--dataset", "folder", "--root", tmp_path, "--split", "val"]
    assert command(models, tmp_path / "out", *data) == 1
    assert "would both become" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert command(models, tmp_path / "images" / "val" / "a", *data) == 1
    assert "is an input folder" in capsys.readouterr().err


def test_real_night_frames(models: dict[str, Path], shared_data: Path, tmp_path: Path) -> None:
    """EGNet's demonstration weights by name beside a checkpoint by its path, on real images."""
    images = sorted((shared_data / "night_frames").glob("*.*"))[:2]
    out = tmp_path / "out"
    names = f"egnet,own={models['dannet']}"
    arguments = ["compare", *map(str, images), "--models", names, "--out", str(out)]
    assert cli.main([*arguments, "--device", "cpu", "--precision", "fp32"]) == 0
    demonstration = checkpoint.demonstration_weights("egnet")
    segmenters = [segmenter_of(path) for path in (demonstration, models["dannet"])]
    labels = []
    for path in images:
        bgr = cv2.imread(str(path))
        sheet = cv2.imread(str(out / f"{path.stem}_compare.png"))
        height = round(640 * bgr.shape[0] / bgr.shape[1])
        how = cv2.INTER_AREA if bgr.shape[1] > 640 else cv2.INTER_LINEAR
        assert place(sheet, cv2.resize(bgr, (640, height), interpolation=how)) < (30, 60)
        labels.append([segmenter(bgr).labels for segmenter in segmenters])
    (pair,) = figures_in(out)["pairs"]
    same = sum((one == other).sum() for one, other in labels) / sum(one.size for one, _ in labels)
    assert pair["same_pixels"] == pytest.approx(same)
    assert load_model(demonstration)[1]["model"]["name"] == figures_in(out)["models"]["egnet"]["network"]
