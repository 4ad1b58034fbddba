# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Exported programs: what they say, how they are checked, and what happens to foreign ones."""

from __future__ import annotations

import copy
import functools
import importlib
import io
import json
import pickle
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from helpers.bag_files import pictures
from helpers.reference_weights import reference_state_dict
from torch.nn import functional as F

from night_seg_ros import Segmenter, cli
from night_seg_ros.commands import checked_export
from night_seg_ros.commands.export_check import CheckFrame, compare, judge
from night_seg_ros.inference import exporting
from night_seg_ros.inference.engines.exported import ExportedNetwork, load_network
from night_seg_ros.inference.exporting import export_model
from night_seg_ros.media.writers import write_image
from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import HEADER, CheckpointError, load_model, save_checkpoint
from night_seg_ros.models.classes import CLASSES
from night_seg_ros.models.pooling import region_means
from night_seg_ros.training.data import datasets

CHECKOUT = Path(__file__).resolve().parents[2]
MAP = "egnet attention map"  # an ablation
MODELS: dict[str, dict[str, Any]] = {
    "egnet": {"name": "egnet"},
    MAP: {"name": "egnet", "exposure": "attention_map"},
    "dannet pspnet": {"name": "dannet", "segmentation_network": "pspnet", "relighting": "none"},
    "dannet deeplab": {"name": "dannet", "segmentation_network": "deeplab", "relighting_width": 8},
    "bimix refinenet": {"name": "bimix", "width": 16},
    "ccnet": {"name": "ccnet"},
    "espnet": {"name": "espnet", "p": 1, "q": 1, "backbone": None},
}
SIZE = (45, 67)  # of programs for one size
SIZES = [(1, 45, 67), (2, 64, 96), (3, 32, 32), (1, 33, 130)]  # number, height, width
CASES = [  # an export takes seconds: for one size, each network in one of the formats
    *((name, file_format, None) for name in MODELS for file_format in ("pt2", "onnx") if name != MAP),
    (MAP, "pt2", None),
    ("egnet", "onnx", SIZE),
    ("egnet", "pt2", SIZE),
    ("dannet pspnet", "onnx", SIZE),
    ("dannet deeplab", "pt2", SIZE),
    ("bimix refinenet", "pt2", SIZE),
    ("ccnet", "pt2", SIZE),
    ("espnet", "onnx", SIZE),
]


def need_onnx() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)


FORMATS = ["onnx", "pt2"]


@functools.cache
def built(name: str) -> torch.nn.Module:
    """A tiny model that has learnt nothing, but whose batch norms and class weights do something."""
    model = build_model(**{"backbone": "resnet10", **MODELS[name]})
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    state = {key: torch.from_numpy(value) for key, value in reference_state_dict(shapes).items()}
    if "reweighting.weights" in state:
        state["reweighting.weights"] = torch.linspace(0.5, 1.5, 19)
    state |= {key: model.state_dict()[key] for key in state if key.startswith("exposure_map.")}
    model.load_state_dict(state)
    return model.eval()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Exports a model of ``MODELS``, once for all tests."""
    folder = tmp_path_factory.mktemp("programs")
    trace = exporting._trace
    traces: dict[Any, Any] = {}

    def trace_once(network: Any, size: tuple[int, int] | None) -> Any:
        """Both formats are made from the same graph, and tracing takes half of the time."""
        key = id(network.model), size
        if key not in traces:
            traces[key] = trace(network, size)
        return traces[key]

    @functools.cache
    def make(name: str, file_format: str, size: tuple[int, int] | None) -> Path:
        if file_format == "onnx":
            need_onnx()
        path = folder / f"{name.replace(' ', '_')}_{'one' if size else 'any'}.{file_format}"
        model = built(name)
        metadata = {"model": model.build_arguments, "classes": list(CLASSES), "input_size": 40}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exporting, "_trace", trace_once)
            export_model(path, file_format, model, metadata, size=size, weights_sha256="ab" * 32)
        return path

    return make


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, built("egnet"), {"input_size": 40})
    return path


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder of two images of different, odd sizes."""
    for index, size in enumerate(((45, 67), (101, 130))):
        write_image(tmp_path / "frames" / f"frame{index}.png", pictures(1, *size)[0])
    return tmp_path / "frames"


def load(path: Path) -> ExportedNetwork:
    network, _ = load_network(path, torch.device("cpu"), trust_pt2=True)
    assert isinstance(network, ExportedNetwork)
    return network


@pytest.mark.parametrize(("name", "file_format", "size"), CASES)
def test_programs_say_what_the_models_say(
    program: Callable[..., Path], name: str, file_format: str, size: tuple[int, int] | None
) -> None:
    path = program(name, file_format, size)
    assert str(CHECKOUT).encode() not in path.read_bytes()
    network = load(path)
    torch.manual_seed(0)
    for count, height, width in [(1, *size)] if size else SIZES:
        image = torch.randn(count, 3, height, width).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            expected, answer = built(name)(image), network(image)
        assert expected.logits.std() > 0.1
        assert answer.align_corners == expected.align_corners and answer.aux_logits is None
        for key in ("logits", "exposure", "relit"):
            wanted, given = getattr(expected, key), getattr(answer, key)
            assert (wanted is None) == (given is None)
            if wanted is not None:
                assert given.shape == wanted.shape
                assert (given - wanted).abs().max() < 1e-3 * wanted.abs().max(), (key, image.shape)


@pytest.mark.parametrize("file_format", FORMATS)
def test_one_size_is_one_size(program: Callable[..., Path], file_format: str) -> None:
    path = program("egnet", file_format, SIZE)
    for shape in ((2, 3, 45, 67), (1, 3, 67, 45)):
        with pytest.raises(ValueError, match="takes 1 image of 67x45"):
            load(path)(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"input_size is 64, but .* \(45, 67\)"):
        Segmenter(path, device="cpu", input_size=64, trust_pt2=True)
    with pytest.raises(ValueError, match="fp32 only"):
        Segmenter(path, device="cpu", precision="bf16", trust_pt2=True)
    segmenter = Segmenter(path, device="cpu", trust_pt2=True)
    warning = segmenter.distortion((67, 67))
    assert warning.startswith("frames of 67x67 lose their shape: the network sees them at 67x45")
    assert warning.endswith("export the program with --size for this shape, or --dynamic")
    assert segmenter.distortion((90, 134)) == ""


def test_onnxruntime_without_cuda(program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = program("egnet", "onnx", SIZE)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.warns(UserWarning, match="onnxruntime can't use CUDA here, so the network runs on the CPU"):
        network, _ = load_network(path, torch.device("cuda"))
    assert isinstance(network, ExportedNetwork) and network.device == torch.device("cpu")
    assert load(path).device == torch.device("cpu")


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("name", ["egnet", "dannet deeplab"])
def test_segmenter_runs_a_program_like_its_model(
    program: Callable[..., Path], name: str, file_format: str
) -> None:
    for size, input_size in ((None, 40), (SIZE, SIZE)):
        expected = Segmenter(built(name), device="cpu", precision="fp32", input_size=input_size)
        segmenter = Segmenter(program(name, file_format, size), device="cpu", trust_pt2=True)
        assert segmenter.model_name == name.split()[0] and len(segmenter.weights_hash) == 12
        assert segmenter.precision == "fp32" and segmenter.input_size == input_size
        assert segmenter.metadata["weights_sha256"] == "ab" * 32
        for height, width in ((45, 67), (101, 130)):
            bgr = pictures(1, height, width)[0]
            wanted, given = expected(bgr), segmenter(bgr)
            assert np.mean(wanted.labels == given.labels) > 0.999
            assert len(np.unique(wanted.labels)) > 1
            for key in ("exposure", "confidence", "relit"):
                before, after = getattr(wanted, key), getattr(given, key)
                assert (before is None) == (after is None)
                assert before is None or cv2.absdiff(before, after).max() <= 2
        several = [*pictures(2, 45, 67), *pictures(1, 101, 130)]  # one size takes one image at a time
        for one, other in zip(segmenter(several), map(segmenter, several), strict=True):
            assert np.mean(one.labels == other.labels) > 0.999


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (6, 6), (5, 3)])
def test_region_means(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    images = [torch.rand(2, 3, height, width) for height, width in ((4, 5), (6, 6), (13, 17), (1, 50))]
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    for image in images:
        torch.testing.assert_close(region_means(image, size), F.adaptive_avg_pool2d(image, size))


def export(file_format: str, out: Path, weights: Path, *arguments: object) -> int:
    fixed = ["--format", file_format, "--out", out, "--weights", weights]
    return cli.main(["export", *(str(argument) for argument in [*fixed, *arguments])])


@pytest.mark.parametrize("file_format", FORMATS)
def test_command(
    checkpoint: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file_format: str
) -> None:
    if file_format == "onnx":
        need_onnx()
    out = tmp_path / "out" / f"model.{file_format}"
    assert export(file_format, out, checkpoint, "--frames", frames) == 0
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name, f"{out.name}.json"]
    report = json.loads(Path(f"{out}.json").read_text())
    assert report["frames"] == 2 and report["agreement"] > 0.999 and report["exposure_difference"] <= 1
    assert report["size"] == [40, 71]  # a shorter side of 40, for 1920x1080
    assert report["distorted_frames"] == 2 and report["relit_difference"] is None
    printed = capsys.readouterr().out
    assert "input of 71x40 (that of 1920x1080 frames" in printed and "equal labels" in printed
    assert "checkpoint on cpu, program on cpu" in printed
    trust = ["--trust-pt2"] if file_format == "pt2" else []
    arguments = ["segment", str(frames), "--weights", str(out), "--out", str(tmp_path / "labels"), *trust]
    assert cli.main([*arguments, "--device", "cpu"]) == 0
    assert capsys.readouterr().err.count("lose their shape") == 1
    bgr = cv2.imread(str(frames / "frame1.png"))
    written = cv2.imread(str(tmp_path / "labels" / "frame1_labels.png"), cv2.IMREAD_UNCHANGED)
    segmenter = Segmenter(checkpoint, device="cpu", precision="fp32", input_size=(40, 71))
    assert np.mean(written == segmenter(bgr).labels) > 0.999


def test_scores_of_both(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(datasets, "HELD_OUT_SEEDS", range(100_000, 100_001))
    out = tmp_path / "model.pt2"
    labelled = ["--dataset", "synthetic", "--split", "night"]
    assert export("pt2", out, checkpoint, "--dynamic", *labelled) == 0
    report = json.loads(Path(f"{out}.json").read_text())
    assert report["size"] is None and report["distorted_frames"] == 0
    assert report["miou_checkpoint"] > 0 and abs(report["miou_change"]) < 1e-3
    assert "mIoU, program" in capsys.readouterr().out
    for weights in (out, checkpoint):
        arguments = ["--weights", str(weights), "--json", str(tmp_path / "scores.json"), "--trust-pt2"]
        assert cli.main(["evaluate", *labelled, *arguments, "--device", "cpu", "--precision", "fp32"]) == 0
        scores = json.loads((tmp_path / "scores.json").read_text())
        assert scores["miou"] == pytest.approx(report["miou_checkpoint"], abs=1e-3)


@pytest.mark.parametrize(
    ("part", "complaint"),
    [("segmentation_head.bias", "of the labels agree"), ("exposure_head.bias", "exposure differs")],
)
def test_another_program_is_not_kept(
    checkpoint: Path,
    frames: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    part: str,
    complaint: str,
) -> None:
    """One bias of one channel is changed on the way into the file."""

    def sabotaged(path: Path, file_format: str, model: torch.nn.Module, *rest: Any, **how: Any) -> None:
        model = copy.deepcopy(model)
        with torch.no_grad():
            model.get_parameter(part)[0] += 2.0
        export_model(path, file_format, model, *rest, **how)

    monkeypatch.setattr(checked_export, "export_model", sabotaged)
    out = tmp_path / "out" / "model.pt2"
    out.parent.mkdir()
    out.write_bytes(b"of yesterday")
    assert export("pt2", out, checkpoint, "--frames", frames) == 1
    error = capsys.readouterr().err
    assert complaint in error and "not kept" in error
    assert list(out.parent.iterdir()) == [out] and out.read_bytes() == b"of yesterday"


class Answers:
    """In the place of a Segmenter: gives these labels."""

    input_size = None

    def __init__(self, labels: list[np.ndarray]) -> None:
        self.labels: Iterator[np.ndarray] = iter(labels)

    def __call__(self, bgr: np.ndarray, outputs: tuple[str, ...]) -> Any:
        from night_seg_ros import Segmentation

        return Segmentation(labels=next(self.labels))


def test_agreement_by_hand() -> None:
    """Of 1000 + 3000 pixels, 1 and 4 differ: 99.875 %; the worst frame has 99.867 %."""
    first = [np.zeros((20, 50), np.uint8), np.zeros((60, 50), np.uint8)]
    second = [labels.copy() for labels in first]
    second[0][0, 0] = 1
    second[1][0, :4] = 1
    names = [CheckFrame(name, np.zeros((*a.shape, 3), np.uint8)) for name, a in zip("ab", first, strict=True)]
    report = compare(Answers(first), Answers(second), names, None)  # type: ignore[arg-type]
    assert report["agreement"] == pytest.approx(1 - 5 / 4000)
    assert (report["lowest_frame"], report["lowest_agreement"]) == ("b", pytest.approx(1 - 4 / 3000))
    with pytest.raises(ValueError, match=r"only 99\.8750 % of the labels"):
        judge(report)
    judge({**report, "agreement": 0.9991})
    with pytest.raises(ValueError, match="relit differs"):
        judge({**report, "agreement": 1.0, "relit_difference": 3})
    with pytest.raises(ValueError, match="no frame"):
        compare(Answers([]), Answers([]), [], None)  # type: ignore[arg-type]


def changed(path: Path, out: Path, change: Callable[[Any], None]) -> Path:
    """A copy of an ONNX file after a change."""
    onnx = importlib.import_module("onnx")
    model = onnx.load(path)
    change(model)
    out.write_bytes(model.SerializeToString())
    return out


def with_header(**entries: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        (entry,) = [entry for entry in model.metadata_props if entry.key == HEADER]
        entry.value = json.dumps({**json.loads(entry.value), **entries})

    return change


def with_deep_header(model: Any) -> None:
    """One that Python's reader of JSON gives up on."""
    (entry,) = [entry for entry in model.metadata_props if entry.key == HEADER]
    entry.value = "[" * 100_000


def with_secret(model: Any) -> None:
    """Its first weight is said to lie in another file."""
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "secret.bin"


def test_foreign_onnx_files(program: Callable[..., Path], tmp_path: Path) -> None:
    good = program("egnet", "onnx", SIZE)
    out = tmp_path / "model.onnx"
    changes: list[tuple[Callable[[Any], None], str]] = [
        (lambda model: model.ClearField("metadata_props"), "has no 'night_seg_ros' header"),
        (with_deep_header, "header is not JSON"),
        (with_header(format=2), "format 2"),
        (with_header(outputs=["logits", "depth"]), "names the outputs"),
        (with_header(outputs=["logits"]), "are not those that its header tells of"),
        (with_header(size=[45, 68]), "are not those that its header tells of"),
        (with_header(size=None), "are not those that its header tells of"),
        (with_header(size=[45, "67"]), "has the size"),
        (with_header(align_corners=1), "lacks a bool 'align_corners'"),
        (with_header(classes=["road"] * 18), "are not those that its header tells of"),
        (with_secret, "not a program that onnxruntime can run"),
    ]
    for change, complaint in changes:
        with pytest.raises(CheckpointError, match=complaint):
            load(changed(good, out, change))
    for data in (b"", b"no program", good.read_bytes()[:100_000]):
        out.write_bytes(data)
        with pytest.raises(CheckpointError, match="not a program that onnxruntime can run"):
            load(out)
    with pytest.raises(CheckpointError, match="18|classes"):
        Segmenter(changed(good, out, with_header(classes=["road"] * 19)), device="cpu")
    with pytest.raises(FileNotFoundError, match="none.onnx"):
        load(tmp_path / "none.onnx")


class Payload:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_pt2_files_are_loaded_on_trust_only(program: Callable[..., Path], tmp_path: Path) -> None:
    """A pickle in the place of the example inputs is enough to run code: torch.export.load loads it."""
    good, evil, mark = program("egnet", "pt2", SIZE), tmp_path / "model.pt2", tmp_path / "it ran"
    buffer = io.BytesIO()
    pickle.dump(Payload(mark), buffer)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(evil, "w") as target:
        for name in source.namelist():
            is_inputs = "/sample_inputs/" in name
            target.writestr(name, buffer.getvalue() if is_inputs else source.read(name))
    with pytest.raises(CheckpointError, match="trust"):
        Segmenter(evil, device="cpu")
    assert not mark.exists()


def test_damaged_pt2_files(program: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"no program")
    with pytest.raises(CheckpointError, match="not a program of torch.export"):
        load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data", "of another kind")
    with pytest.raises(CheckpointError, match="has no 'night_seg_ros' header"):
        load(path)
    with zipfile.ZipFile(program("egnet", "pt2", SIZE)) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if "/models/" not in name:
                target.writestr(name, source.read(name))
    with pytest.raises(CheckpointError, match="not a program that this torch can load"):
        load(path)


def test_missing_packages(
    program: Callable[..., Path],
    checkpoint: Path,
    frames: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    exported = tmp_path / "there.onnx"
    exported.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CheckpointError, match="'onnxruntime' is missing; install it with: pip install"):
        Segmenter(exported, device="cpu")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert export("onnx", tmp_path / "model.onnx", checkpoint, "--frames", frames) == 1
    error = capsys.readouterr().err
    assert (
        error.startswith("night-seg export: the Python package 'onnx' is missing") and error.count("\n") == 1
    )
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--out", "model.onnx"], "ends in .pt2"),
        (["--out", "model.pt2", "--size", "31", "64"], "--size: give two numbers from 32 up"),
        (["--out", "model.pt2", "--size", "64", "64", "--dynamic"], "not allowed with"),
        (
            ["--out", "model.pt2", "--dataset", "folder", "--split", "val"],
            "give --frames, nothing, or --dataset",
        ),
        (
            ["--out", "model.pt2", "--frames", "x", "--dataset", "synthetic", "--split", "night"],
            "give --frames",
        ),
    ],
)
def test_bad_options(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["export", "--format", "pt2", *arguments])
    assert stop.value.code == 2 and complaint in capsys.readouterr().err


def test_bad_inputs(
    checkpoint: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("pt2", tmp_path / "a.pt2", tmp_path / "none.safetensors", "--frames", frames) == 1
    assert "none.safetensors" in capsys.readouterr().err
    assert export("pt2", tmp_path / "a.pt2", checkpoint, "--frames", tmp_path / "none") == 1
    assert "none: no such file or folder" in capsys.readouterr().err
    (tmp_path / "there.onnx").write_bytes(b"")
    assert export("pt2", tmp_path / "a.pt2", tmp_path / "there.onnx", "--frames", frames) == 1
    error = capsys.readouterr().err
    assert "there.onnx is an exported program: give the checkpoint (.safetensors)" in error
    assert not (tmp_path / "a.pt2").exists()
    load_model(checkpoint)
