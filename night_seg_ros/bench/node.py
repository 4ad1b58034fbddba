# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg bench node``: from a camera's topic to the labels, between processes.

Three processes talk over rclpy, in a ROS domain of their own: publish_node plays the cameras,
receive_node takes the labels, and between them runs first segment_node, then plain_node.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from night_seg_ros.bench.node_figures import Run, compare_nodes, format_nodes, summarise
from night_seg_ros.bench.options import (
    add_device_options,
    add_frame_options,
    add_network_options,
    open_network,
    positive_float,
    positive_int,
    prepare_device,
    read_frames,
    save_result,
)
from night_seg_ros.common.timing import (
    count_network_flop,
    device_name,
    judge_arithmetic,
    matrix_peak,
)
from night_seg_ros.inference.options import chosen_weights
from night_seg_ros.inference.preprocess import InputSize, network_size
from night_seg_ros.inference.segmenter import PRECISIONS, choose_precision
from night_seg_ros.models import METHODS
from night_seg_ros.models.checkpoint import save_checkpoint
from night_seg_ros.nodes.parameters import check_value
from night_seg_ros.nodes.processes import START_S, NodeError, NodeProcesses, segment_node_arguments
from night_seg_ros.nodes.segment_parameters import PARAMETERS

END_S = 120.0  # a slow network has frames to finish


@dataclass(frozen=True)
class Traffic:
    """What the cameras send, and for how long.

    Attributes:
        frames: .npy file of (N, H, W, 3) uint8 BGR.
        topics: of the cameras' images -> of their labels.
        rate: frames per second of each camera.
        seconds: how long.
    """

    frames: Path
    topics: dict[str, str]
    rate: float
    seconds: float


def run_node(work: Path, module: str, arguments: list[str], traffic: Traffic, *, threads: int | None) -> Run:
    """Send frames through a node and see what comes back.

    Args:
        work: folder for logs and for what the processes write.
        module: the node's, with its ``arguments``.
        threads: of the node's work on the CPU.

    Returns:
        What ``summarise`` gives, and labels (H, W) uint8 from the first camera by the frame's number in the
        file, of frames answered last.

    Raises:
        NodeError: a process failed or hung, or no labels came.
    """
    sent, received, labels = (
        work / f"{module}_{name}" for name in ("sent.json", "received.json", "labels.npz")
    )
    count = len(np.load(traffic.frames, mmap_mode="r"))
    publisher = [str(traffic.frames), str(sent), "--timeout", str(START_S)]
    publisher += ["--rate", str(traffic.rate), "--seconds", str(traffic.seconds)]
    publisher += [text for topic in traffic.topics for text in ("--camera", topic)]
    with NodeProcesses(work) as processes:
        if threads:
            processes.environment["OMP_NUM_THREADS"] = str(threads)
        processes.start(module, arguments)
        listener = [str(received), str(labels), "--keep", str(count), *_camera_arguments(traffic.topics)]
        listener += ["--process", str(processes.running[module].pid)]
        processes.start("bench.receive_node", listener)
        processes.start("bench.publish_node", publisher, show=True)
        processes.wait("bench.publish_node", 2 * START_S + traffic.seconds)
        processes.wait("bench.receive_node", END_S)
    sent_stamps = json.loads(sent.read_text())
    figures = summarise(sent_stamps, json.loads(received.read_text()))
    first_camera = sent_stamps["stamps"][next(iter(traffic.topics))]
    return figures, _labels_by_frame(labels, first_camera, count)


def _camera_arguments(topics: dict[str, str]) -> list[str]:
    """Of plain_node and receive_node."""
    return [text for pair in topics.items() for text in ("--camera", *pair)]


def _labels_by_frame(path: Path, stamps: list[int], frames: int) -> dict[int, np.ndarray]:
    """Labels by the number of their frame: a camera shows so many frames in turn, under these stamps."""
    numbers = {stamp: number % frames for number, stamp in enumerate(stamps)}
    with np.load(path) as answers:
        stamped = zip(answers["stamps"].tolist(), answers["labels"], strict=True)
        return {numbers[stamp]: image for stamp, image in stamped if stamp in numbers}


@dataclass(frozen=True)
class Subject:
    """The network that both nodes run.

    Attributes:
        name: for people.
        model: its method, as segment_node calls it.
        weights: its checkpoint.
        input_size: at which it sees a frame.
    """

    name: str
    model: str
    weights: Path
    network: nn.Module
    input_size: InputSize


def open_subject(options: argparse.Namespace, work: Path) -> Subject:
    """The network of the options; one that is built goes into a file in the folder ``work``.

    Raises:
        ValueError: segment_node can't run it, or not at this input size; see also ``open_network``.
    """
    network, input_size, name = open_network(options)
    built: Any = network.build_arguments
    if built["name"] not in METHODS:
        raise ValueError(f"segment_node runs {', '.join(METHODS)}, not {built['name']}")
    if isinstance(options.input_size, tuple):
        raise ValueError("segment_node takes an input size of one number, the shorter side")
    weights = chosen_weights(options)
    if options.build is not None:
        weights = work / "network.safetensors"
        save_checkpoint(weights, network, {})
    return Subject(name, built["name"], weights, network, input_size)


def bench_node(options: argparse.Namespace, cameras: int, work: Path) -> dict[str, Any]:
    """Run segment_node, then the plain node, on the same frames.

    Args:
        options: of the command line.
        cameras: how many.
        work: folder for what the processes need and write.

    Returns:
        JSON values: what ``compare_nodes`` gives; what ``judge_arithmetic`` gives of ours, at the rate of its
        answers. What ran, where, and the sizes.

    Raises:
        NodeError: see ``run_node``.
        ValueError: the options can't be used; see ``open_subject``, ``read_frames``.
    """
    check_value(PARAMETERS, "batch_deadline", options.batch_deadline)
    device = prepare_device(options)
    subject = open_subject(options, work)
    height, width = options.frame_size
    np.save(work / "frames.npy", np.stack(read_frames(options.frames, (height, width))))
    flop = count_network_flop(subject.network, 1, *network_size(height, width, subject.input_size))
    precision = choose_precision(options.precision, device)
    peak = matrix_peak(device, PRECISIONS[precision])
    topics = {f"/camera{n}/image_raw": f"/segment_node/camera{n}/labels" for n in range(cameras)}
    traffic = Traffic(work / "frames.npy", topics, options.rate, options.seconds)
    ours = segment_node_arguments(work, _parameters(options, subject, list(topics)))
    plain = _plain_arguments(options, subject.weights, topics)
    runs = [
        run_node(work, module, arguments, traffic, threads=options.threads)
        for module, arguments in (("nodes.segment_node", ours), ("bench.plain_node", plain))
    ]
    compared = compare_nodes(*runs)
    return {
        "network": subject.name,
        "device": device_name(device),
        "precision": precision,
        "torch": torch.__version__,
        "threads": options.threads or torch.get_num_threads(),
        "frame_size": [height, width],
        "cameras": cameras,
        "rate_hz": options.rate,
        "batch_deadline": options.batch_deadline,
        "seconds": options.seconds,
        "fastdds_profiles": os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE", ""),
        **compared,
        **judge_arithmetic(flop, 1 / compared["ours"]["answered_hz"], peak),
    }


def _parameters(options: argparse.Namespace, subject: Subject, topics: list[str]) -> dict[str, Any]:
    """Of segment_node."""
    return {
        "model": subject.model,
        "weights": str(subject.weights.resolve()),
        "device": options.device,
        "precision": options.precision,
        "input_size": options.input_size or 0,
        "image_topics": topics,
        "batch_deadline": options.batch_deadline,
    }


def _plain_arguments(options: argparse.Namespace, weights: Path, topics: dict[str, str]) -> list[str]:
    arguments = [str(weights), "--device", options.device, *_camera_arguments(topics)]
    if options.input_size:
        arguments += ["--input-size", str(options.input_size)]
    return arguments


def main(argv: list[str]) -> int:
    """Entry of ``night-seg bench node``."""
    options = _parse(argv)
    if options.sweep:
        from night_seg_ros.bench.chart import draw_nodes  # what is missing shows before the work
    # Killed politely, it still takes its nodes along.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = []
    try:
        for cameras in range(1 if options.sweep else options.cameras, options.cameras + 1):
            with tempfile.TemporaryDirectory(prefix="night-seg-bench-") as work:
                results.append(bench_node(options, cameras, Path(work)))
            print(format_nodes(results[-1]))
    except NodeError as error:
        print(f"night-seg bench node: {error}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
    if options.sweep:
        draw_nodes(options.sweep, results)
    save_result(options, {"sweep": results} if options.sweep else results[0])
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "night-seg bench node",
        description="Measure segment_node between two other processes: from the publishing of a frame to the "
        "receipt of its labels; then the same of a plain node.",
    )
    add_network_options(parser)
    add_frame_options(parser)
    parser.add_argument(
        "--rate", type=positive_float, default=10.0, metavar="HZ", help="frames per second (default: 10)"
    )
    parser.add_argument(
        "--batch-deadline",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="segment_node's parameter of that name (default: 0)",
    )
    parser.add_argument("--cameras", type=positive_int, default=1, metavar="N", help="how many (default: 1)")
    parser.add_argument(
        "--sweep",
        type=Path,
        metavar="FILE",
        help="measure with 1 to N cameras, and draw the latencies as a picture, FILE.png",
    )
    parser.add_argument(
        "--seconds",
        type=positive_float,
        default=20.0,
        help="how long each node gets frames (default: 20; 300 shows whether memory grows)",
    )
    add_device_options(parser)
    return parser.parse_args(argv)
