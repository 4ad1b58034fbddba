# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the benchmarks ask for on the command line: a network, frames, how to measure; where results go."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from night_seg_ros.common.files import write_json
from night_seg_ros.inference.options import add_device_option, add_weights_options, chosen_weights
from night_seg_ros.inference.preprocess import MIN_SIDE, InputSize, choose_device
from night_seg_ros.inference.segmenter import PRECISIONS
from night_seg_ros.media.sources import Source, open_source
from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import load_model

FRAMES = 16  # at most; kept in memory, and gone through again and again
STREETS = 4  # drawn ones: that takes a while


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """--model, --weights, --build, --input-size; see ``open_network``."""
    add_weights_options(parser).add_argument(
        "--build",
        type=_build_arguments,
        metavar="JSON",
        help="""a network with random weights: '{"name": "dannet", "backbone": "resnet101"}'""",
    )
    parser.add_argument(
        "--input-size",
        type=side,
        action=_InputSize,
        metavar=("N", "W"),
        help="shorter side, in pixels, at which the network sees a frame, or its height and width (default: "
        "what the weights say; with --build the frame's)",
    )


def add_frame_options(parser: argparse.ArgumentParser) -> None:
    """--frames, --frame-size; see ``read_frames``."""
    parser.add_argument(
        "--frames",
        type=Path,
        nargs="+",
        metavar="PATH",
        help=f"images, folders, videos or bags; the first {FRAMES} frames are taken, resized to the frame "
        "size (default: synthetic streets by night)",
    )
    parser.add_argument(
        "--frame-size",
        type=side,
        nargs=2,
        default=[1080, 1920],
        metavar=("H", "W"),
        help="of the camera, in pixels (default: 1080 1920)",
    )


def add_batch_options(parser: argparse.ArgumentParser) -> None:
    """All of a network that runs on batches of frames."""
    add_network_options(parser)
    add_frame_options(parser)
    add_run_options(parser)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """--batch and those of ``add_turn_options`` and ``add_device_options``."""
    parser.add_argument(
        "--batch", type=positive_int, default=1, metavar="N", help="images a call (default: 1)"
    )
    add_turn_options(parser)
    add_device_options(parser)


def add_turn_options(parser: argparse.ArgumentParser) -> None:
    """--rounds, --repeats."""
    parser.add_argument(
        "--rounds", type=positive_int, default=5, metavar="N", help="how often they take turns (default: 5)"
    )
    parser.add_argument(
        "--repeats", type=positive_int, default=5, metavar="N", help="calls of each per turn (default: 5)"
    )


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """--device, --precision, --threads, and --json."""
    add_device_option(parser)
    parser.add_argument(
        "--precision",
        default="auto",
        choices=["auto", *PRECISIONS],
        help="of ours; plain is always fp32 (default: auto)",
    )
    parser.add_argument(
        "--threads", type=positive_int, metavar="N", help="of the CPU's work (default: PyTorch's own choice)"
    )
    add_json_option(parser)


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """--json; see ``save_result``."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result to this file")


def save_result(options: argparse.Namespace, result: dict[str, Any]) -> None:
    """Write a result, JSON values, where --json asks for it."""
    if options.json:
        write_json(options.json, result)


def prepare_device(options: argparse.Namespace) -> torch.device:
    """Give this process its threads; the device of the options.

    Raises:
        ValueError: there is no such device.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    return choose_device(options.device)


def open_network(options: argparse.Namespace) -> tuple[nn.Module, InputSize, str]:
    """The network of the options, what size it sees frames at, and what it is called.

    Returns:
        The network in float32, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError, CheckpointError: the weights can't be used.
        ValueError: ``build_model`` does not take these arguments.
    """
    if options.build is not None:
        torch.manual_seed(0)
        name = ", ".join(str(value) for value in options.build.values())
        return build_model(**options.build).eval(), options.input_size, f"{name}, random weights"
    weights = chosen_weights(options)
    network, metadata = load_model(weights)
    stored = metadata.get("input_size")
    input_size = options.input_size or (tuple(stored) if isinstance(stored, list) else stored)
    return network, input_size, f"{metadata['model']['name']} of {weights.name}"


def read_frames(paths: list[Path] | None, size: tuple[int, int]) -> list[np.ndarray]:
    """Frames in memory, each (H, W, 3) uint8 BGR.

    Args:
        paths: images, folders, videos or bags, of which the first FRAMES frames are taken, from each in turn;
            None: STREETS synthetic streets by night.
        size: height and width that they are resized to.

    Raises:
        SourceError: there is nothing to read, or a frame can't be read.
    """
    height, width = size
    if not paths:
        return list(tqdm(_streets(height, width), "drawing streets", total=STREETS, unit="frame"))
    sources = [open_source(path) for path in paths]
    return [_resize(image, height, width) for image in islice(_in_turn(sources), FRAMES)]


def read_batches(options: argparse.Namespace, size: tuple[int, int]) -> list[list[np.ndarray]]:
    """The frames of the options at this height and width, in batches of the options."""
    return batches_of(read_frames(options.frames, size), options.batch)


def batches_of(frames: list[np.ndarray], batch: int) -> list[list[np.ndarray]]:
    """All frames in batches of one length; if they do not suffice, the first ones come again."""
    count = math.ceil(len(frames) / batch)
    return [[frames[(i * batch + j) % len(frames)] for j in range(batch)] for i in range(count)]


def positive_int(text: str) -> int:
    """Argument: a whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number of 1 or more")
    return int(text)


def positive_float(text: str) -> float:
    """Argument: a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number above 0")
    return value


def side(text: str) -> int:
    """Argument: height or width of an image that networks take."""
    if positive_int(text) < MIN_SIDE:
        raise argparse.ArgumentTypeError(f"{text!r}: networks need {MIN_SIDE} pixels or more")
    return int(text)


class _InputSize(argparse.Action):
    """One number, or a height and a width: see ``inference.preprocess.InputSize``."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(nargs="+", **arguments)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        if len(values) > 2:
            parser.error(f"{option}: give a shorter side, or a height and a width")
        setattr(namespace, self.dest, values[0] if len(values) == 1 else tuple(values))


def _build_arguments(text: str) -> dict[str, Any]:
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from None
    if not isinstance(arguments, dict) or not isinstance(arguments.get("name"), str):
        raise argparse.ArgumentTypeError(
            f'{text!r}: give the arguments of a network, such as {{"name": "egnet"}}'
        )
    return arguments


def _streets(height: int, width: int) -> Iterator[np.ndarray]:
    """Night streets that no training sees."""
    from night_seg_ros.training.streets.scene import StreetScene
    from night_seg_ros.training.streets.street import HELD_OUT_SEEDS

    for seed in HELD_OUT_SEEDS[:STREETS]:
        night = StreetScene(seed).render(height, width, day=False).night
        assert night is not None
        yield np.ascontiguousarray(night[:, :, ::-1])


def _in_turn(sources: list[Source]) -> Iterator[np.ndarray]:
    """The first frame of each source, then the second of each, and so on."""
    for frames in zip_longest(*(source.frames() for source in sources)):
        yield from (frame.image for frame in frames if frame is not None)


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    smaller = height * width < image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
