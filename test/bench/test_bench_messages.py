# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg bench messages``: all encodings, against conversions that are not ours."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is missing: source ROS 2 or install .[ros]")

from night_seg_ros.bench import messages as bench_messages
from night_seg_ros.cli import main
from night_seg_ros.media.conversion import ENCODINGS

SHORT = ["--rounds=2", "--repeats=1"]


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    path = tmp_path / "frame.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8))
    return path


def test_each_encoding_is_measured_and_agrees(frame: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "bench.json"
    options = ["--frames", str(frame), "--frame-size", "64", "96", *SHORT, "--json", str(path)]
    assert main(["bench", "messages", *options]) == 0
    result = json.loads(path.read_text())
    table = capsys.readouterr().out
    assert list(result["conversions"]) == [*ENCODINGS, "jpeg", "to mono8", "to bgr8"]
    for name, conversion in result["conversions"].items():
        latency = conversion["speed"]["ours"]["latency"]
        assert 0 < latency["median_ms"] <= latency["p99_ms"]
        assert conversion["difference"] <= (1 if name == "mono16" else 0)  # the other one does not round
        assert f"\n{name} " in table
    assert table.startswith("96x64, cpu")


def test_a_wrong_conversion_is_told(frame: Path, monkeypatch, capsys) -> None:
    right = bench_messages.image_to_bgr
    monkeypatch.setattr(bench_messages, "image_to_bgr", lambda message: right(message)[:, :, ::-1])
    assert main(["bench", "messages", "--frames", str(frame), "--frame-size", "64", "96", *SHORT]) == 0
    assert "pixels differ by up to 2" in capsys.readouterr().out


def test_an_odd_size_is_refused(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "messages", "--frame-size", "65", "96"])
    assert "YUV encodings need an even height and width" in capsys.readouterr().err
