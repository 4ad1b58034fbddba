# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg segment --attention``: its pictures, its correlations, and what has none."""

from __future__ import annotations

import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.bag_files import pictures
from torch.nn import functional as F

from night_seg_ros import Segmenter, cli
from night_seg_ros.commands.attention import AttentionCorrelation
from night_seg_ros.common.images import resize
from night_seg_ros.inference.exporting import export_model
from night_seg_ros.inference.preprocess import preprocess
from night_seg_ros.media.sources import open_source
from night_seg_ros.media.writers import VideoFile, write_image
from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import load_model, save_checkpoint
from night_seg_ros.pictures.drawing import map_colours

EGNET = Path(__file__).resolve().parents[2] / "models" / "weights" / "egnet.safetensors"


def segment(out: Path, *arguments: object) -> int:
    fixed = ["--attention", "--out", out, "--device", "cpu", "--precision", "fp32"]
    return cli.main(["segment", *(str(argument) for argument in [*arguments, *fixed])])


def printed_correlations(text: str) -> list[float]:
    found = re.findall(r"^guidance layer (\d): correlation of W_r with V (-?\d\.\d{3})$", text, re.M)
    assert [int(layer) for layer, _ in found] == [1, 2, 3]
    return [float(figure) for _, figure in found]


def test_correlation_is_numpys_over_all_frames() -> None:
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (*size, 3)).astype(np.uint8) for size in ((7, 9), (12, 5), (1, 1))]
    correlation, values = AttentionCorrelation(), []
    for brightness, frame in enumerate(frames):
        frame[:] = frame // (brightness + 1)  # frames unlike each other: a mean of their figures is another
        value = frame.max(axis=2)
        noise = random.integers(0, 60, (2, *value.shape))
        attention = np.stack([value // 2 + noise[0], 255 - value, noise[1]]).astype(np.uint8)
        correlation.add(frame, attention)
        values.append(np.stack([value, *attention]).reshape(4, -1))
    expected = np.corrcoef(np.concatenate(values, axis=1))[0, 1:]
    assert expected[1] == pytest.approx(-1) and 0.3 < expected[0] < 0.99
    np.testing.assert_allclose(correlation.figures(), expected, atol=1e-12)


def test_correlation_of_what_never_changes() -> None:
    correlation = AttentionCorrelation()
    for seed in range(3):
        frame = np.random.default_rng(seed).integers(0, 256, (37, 53, 3)).astype(np.uint8)
        correlation.add(frame, np.stack([np.full((37, 53), 177), frame[..., 0]]).astype(np.uint8))
    constant, other = correlation.figures()
    assert math.isnan(constant) and other > 0.1
    with pytest.raises(ValueError, match="nothing to correlate"):
        AttentionCorrelation().figures()


@torch.no_grad()
def test_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pictures against the Segmenter; correlations against the plain network and NumPy, on the files."""
    for index, size in enumerate(((45, 67), (90, 61))):
        write_image(tmp_path / "frames" / f"{index}.png", pictures(1, *size)[0] // (index + 1))
    out = tmp_path / "out"
    assert segment(out, tmp_path / "frames") == 0
    suffixes = ("attention", "exposure", "labels", "overlay")
    assert sorted(path.name for path in out.iterdir()) == [
        f"{index}_{suffix}.png" for index in (0, 1) for suffix in suffixes
    ]
    segmenter = Segmenter(EGNET, device="cpu", precision="fp32")
    network, metadata = load_model(EGNET)
    values = []
    for index, tile in ((0, (430, 640)), (1, (640, 434))):
        bgr = cv2.imread(str(tmp_path / "frames" / f"{index}.png"))
        picture = cv2.imread(str(out / f"{index}_attention.png"))
        attention = segmenter(bgr, ("attention",)).attention
        assert attention is not None
        assert picture.shape == (38 + tile[0] + 10, 10 + 4 * (tile[1] + 10), 3)
        for column, expected in enumerate((bgr, *map(map_colours, attention))):
            left = 10 + column * (tile[1] + 10)
            shown = picture[38 : 38 + tile[0], left : left + tile[1]]
            np.testing.assert_array_equal(shown, resize(expected, *tile))
            assert picture[:38, left : left + tile[1]].max() > 200  # a title
        rgb = torch.from_numpy(bgr[:, :, ::-1].copy()).permute(2, 0, 1)[None]
        maps = network(preprocess(rgb, metadata["input_size"])).attention
        maps = [F.interpolate(each, bgr.shape[:2], mode="bilinear")[0, 0].numpy() for each in maps]
        values.append(np.stack([bgr.max(axis=2) / 255, *maps]).reshape(4, -1))
    expected = np.corrcoef(np.concatenate(values, axis=1))[0, 1:]
    assert np.abs(expected).max() > 0.2
    np.testing.assert_allclose(printed_correlations(capsys.readouterr().out), expected, atol=3e-3)


def test_video(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with VideoFile(tmp_path / "drive.mp4", 5.0, "mp4v") as video:
        for image in pictures(3, 64, 96):
            video.write(image)
    out = tmp_path / "out"
    assert segment(out, tmp_path / "drive.mp4", "--weights", weights) == 0
    assert sorted(path.name for path in out.iterdir()) == ["drive_attention.mp4", "drive_overlay.mp4"]
    for name, shape in (("attention", (474, 2610, 3)), ("overlay", (64, 96, 3))):
        source = open_source(out / f"drive_{name}.mp4")
        assert source.rate == pytest.approx(5)
        assert [frame.image.shape for frame in source.frames()] == [shape] * 3
    segmenter, correlation = Segmenter(weights, device="cpu", precision="fp32"), AttentionCorrelation()
    for frame in open_source(tmp_path / "drive.mp4").frames():
        attention = segmenter(frame.image, ("attention",)).attention
        assert attention is not None
        correlation.add(frame.image, attention)
    found = printed_correlations(capsys.readouterr().out)
    assert found == [round(figure, 3) for figure in correlation.figures()]


def test_what_has_no_attention_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(tmp_path / "frame.png", pictures(1, 45, 67)[0])
    networks = {
        "dannet": {"name": "dannet", "relighting_width": 8},
        "egnet": {"name": "egnet", "guidance": "concat"},
    }
    files = {}
    for name, arguments in networks.items():
        files[name] = tmp_path / f"{name}.safetensors"
        save_checkpoint(files[name], build_model(**arguments, backbone="resnet10"), {})
    model, metadata = load_model(EGNET)
    export_model(tmp_path / "egnet.pt2", "pt2", model, metadata, size=(45, 67), weights_sha256="ab" * 32)
    for arguments, problem in (
        ((files["dannet"],), "--attention: this dannet has no attention maps"),
        ((files["egnet"],), "--attention: this egnet has no attention maps"),
        ((tmp_path / "egnet.pt2", "--trust-pt2"), "--attention: an exported program gives no attention maps"),
    ):
        assert segment(tmp_path / "out", tmp_path / "frame.png", "--weights", *arguments) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"night-seg segment: {problem}") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
