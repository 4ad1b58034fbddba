# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a start imports: large packages load when they are needed, not before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from night_seg_ros.inference import exporting, names, segmenter
from night_seg_ros.models import METHODS, factory
from night_seg_ros.models.dannet import SEGMENTATION_NETWORKS as NETWORKS
from night_seg_ros.models.names import SEGMENTATION_NETWORKS
from night_seg_ros.training.data import datasets
from night_seg_ros.training.data import names as data_names

CHECKOUT = Path(__file__).resolve().parents[1]
# What costs a tenth of a second or more, and what only some files or outputs need.
LARGE = {"torch", "torch._dynamo", "torchvision", "lightning", "jsonargparse", "tensorboard"}
LARGE |= {"matplotlib", "onnx", "onnxruntime", "rosbags", "cv2", "sympy"}

# Prints which of the modules argv[1] were imported by the statements argv[2].
PROBE = """
import json, sys
try:
    exec(sys.argv[2])
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps([name for name in json.loads(sys.argv[1]) if name in sys.modules]))
"""


def imported(statements: str) -> set[str]:
    """The ``LARGE`` modules that a fresh process has imported after some statements."""
    command = [sys.executable, "-c", PROBE, json.dumps(sorted(LARGE)), statements]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def command_line(*arguments: str) -> str:
    return f"from night_seg_ros.cli import main; main({list(arguments)})"


@pytest.mark.parametrize("command", ["segment", "compare", "export", "import-weights", "demo"])
def test_help_of_a_vehicles_commands_imports_none(command: str) -> None:
    assert imported(command_line(command, "--help")) == set()


def test_help_of_play_does_without_torch() -> None:
    pytest.importorskip("rclpy")
    assert imported(command_line("play", "--help")) <= {"cv2"}


@pytest.mark.parametrize("command", [["train", method] for method in ("egnet", "dannet")] + [["study"]])
def test_help_of_a_training_does_without_what_trains(command: list[str]) -> None:
    pytest.importorskip("jsonargparse")
    assert imported(command_line(*command, "--help")) <= {"torch", "jsonargparse", "cv2"}


@pytest.mark.parametrize("method", METHODS)
def test_segmenting_an_image_needs_torch_and_opencv(method: str, tmp_path: Path) -> None:
    image, out = tmp_path / "image.png", tmp_path / "out"
    cv2.imwrite(str(image), np.full((48, 64, 3), 90, np.uint8))
    arguments = ["segment", str(image), "--model", method, "--device", "cpu", "--precision", "fp32"]
    assert imported(command_line(*arguments, "--out", str(out))) == {"torch", "cv2"}
    assert (out / "image_labels.png").is_file()


def test_building_a_model_needs_torch() -> None:
    build = "from night_seg_ros.models import build_model"
    for method in METHODS:
        build += f"; build_model({method!r}, backbone='resnet10')"
    assert imported(build) == {"torch"}


def test_the_node_starts_with_torch_and_opencv() -> None:
    pytest.importorskip("rclpy")
    assert imported("import night_seg_ros.nodes.segment_node") == {"torch", "cv2"}


def test_names_for_options_are_those_of_what_they_name() -> None:
    assert tuple(NETWORKS) == SEGMENTATION_NETWORKS
    assert {*METHODS, *SEGMENTATION_NETWORKS} <= factory.MODELS.keys()
    assert tuple(segmenter.PRECISIONS) == names.PRECISIONS
    assert tuple(exporting.FORMATS) == names.FORMATS
    assert tuple(datasets.DATASETS) == data_names.DATASETS
