# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Writes a model as a program and checks it, for ``night-seg export``."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
from torch import Tensor
from tqdm import tqdm

from night_seg_ros.commands.export_check import CheckFrame, compare, format_report, judge
from night_seg_ros.common.files import atomic_path, write_bytes
from night_seg_ros.inference.exporting import export_model
from night_seg_ros.inference.options import chosen_weights
from night_seg_ros.inference.preprocess import network_size
from night_seg_ros.inference.segmenter import Segmenter
from night_seg_ros.media.sources import open_source
from night_seg_ros.models.checkpoint import load_model
from night_seg_ros.training.data.datasets import (
    LabelledImages,
    held_out_streets,
    open_labelled,
)
from night_seg_ros.training.evaluation.metrics import SegmentationMetrics

CAMERA = (1080, 1920)  # height and width of the frames that the size of the input is chosen for
STREETS = 8  # synthetic ones, by night, to check with if no frames are given


def run(options: argparse.Namespace) -> int:
    """Do what the options of ``night-seg export`` say; the exit status."""
    weights = chosen_weights(options)
    _, metadata = load_model(weights)
    size = None
    if not options.dynamic:
        size = tuple(options.size) if options.size else network_size(*CAMERA, metadata.get("input_size"))
    frames = _frames(options)
    print(f"{weights} -> {options.out}, {_describe(size, options.size is None)}")
    export(weights, options.out, options.format, size, frames, options.device)
    print(
        f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB, checked; the report is {options.out}.json"
    )
    return 0


def _describe(size: tuple[int, int] | None, chosen: bool) -> str:
    if size is None:
        return "input of any size"
    height, width = size
    why = f" (that of {CAMERA[1]}x{CAMERA[0]} frames; --size sets another, --dynamic leaves it open)"
    return f"input of {width}x{height}{why if chosen else ''}"


def _frames(options: argparse.Namespace) -> CheckFrames:
    if options.frames:
        return frames_of_files(options.frames, options.topic)
    if options.dataset:
        dataset = open_labelled(options.dataset, options.root, options.split)
        return frames_of_dataset(dataset, f"{options.dataset} {options.split}")
    return frames_of_dataset(held_out_streets(True, STREETS), f"{STREETS} synthetic streets by night")


class CheckFrames(NamedTuple):
    """Frames to check a program with: what they are called, how many, and whether they have labels."""

    what: str
    total: int
    labelled: bool
    frames: Iterator[CheckFrame]


def frames_of_files(paths: list[Path], topic: str = "") -> CheckFrames:
    """Frames of images, folders, videos and bags; see ``open_source``.

    Raises:
        SourceError: there is nothing to read; or, later, a frame can't be read.
    """
    sources = [open_source(path, topic=topic) for path in paths]
    frames = (CheckFrame(frame.name, frame.image) for source in sources for frame in source.frames())
    what = ", ".join(str(path) for path in paths)
    return CheckFrames(what, sum(len(source) for source in sources), False, frames)


def frames_of_dataset(dataset: LabelledImages, what: str) -> CheckFrames:
    """Frames and their labels.

    Raises:
        DataError: later, when a file can't be read.
    """
    frames = (_check_frame(dataset[index]) for index in range(len(dataset)))
    return CheckFrames(what, len(dataset), True, frames)


def _check_frame(sample: dict[str, Any]) -> CheckFrame:
    rgb, label = (sample[key].as_subclass(Tensor).numpy() for key in ("image", "label"))
    return CheckFrame(sample["name"], cv2.cvtColor(rgb.transpose(1, 2, 0), cv2.COLOR_RGB2BGR), label)


def export(
    weights: Path,
    out: Path,
    file_format: str,
    size: tuple[int, int] | None,
    frames: CheckFrames,
    device: str = "cpu",
) -> dict[str, Any]:
    """Write a checkpoint as a program, check it, and write the report beside it as ``OUT.json``.

    The table of the check is printed. A program that fails is not kept, nor is anything at ``out`` changed.

    Args:
        weights: a checkpoint.
        out: the file; its suffix is the format.
        file_format: a key of ``FORMATS``.
        size: (height, width) of the one input that the program takes; None: of any size.
        frames: what to check it with.
        device: where the check runs.

    Returns:
        The report: that of ``export_check.compare``, and what was checked.

    Raises:
        FileNotFoundError, CheckpointError: the weights can't be used, or a Python package is missing.
        CheckError: the program does not say what the checkpoint says.
    """
    model, metadata = load_model(weights)
    weights_sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    with atomic_path(out) as temporary:
        export_model(temporary, file_format, model, metadata, size=size, weights_sha256=weights_sha256)
        report: dict[str, Any] = {
            "file": out.name,
            "format": file_format,
            "sha256": hashlib.sha256(temporary.read_bytes()).hexdigest(),
            "weights": weights.name,
            "weights_sha256": weights_sha256,
            "model": metadata["model"],
            "size": size,
            "precision": "fp32",
            "checked_with": frames.what,
        }
        checkpoint = Segmenter(weights, device=device, precision="fp32", input_size=size)
        program = Segmenter(temporary, device=device, precision="fp32", trust_pt2=True)
        report["device"] = str(checkpoint.device)
        report["program_device"] = str(program.network_device)
        metrics = (SegmentationMetrics(), SegmentationMetrics()) if frames.labelled else None
        bar = tqdm(frames.frames, "check", total=frames.total, unit="frame")
        report |= compare(checkpoint, program, bar, metrics)
        print(format_report(report))
        judge(report)
    write_bytes(f"{out}.json", (json.dumps(report, indent=2, allow_nan=False) + "\n").encode())
    return report
