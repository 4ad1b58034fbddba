# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Replays a drive through the real nodes and writes down what came of it, for ``night-seg demo``."""

from __future__ import annotations

import argparse
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from tqdm import tqdm

from night_seg_ros.commands.replay_report import (
    DIAGNOSTICS,
    EXPOSURE,
    LABELS,
    OVERLAY,
    Recording,
    measure,
    read_recording,
    summarise,
    summary_page,
    write_video,
)
from night_seg_ros.common.files import write_bytes, write_json
from night_seg_ros.inference.options import chosen_weights
from night_seg_ros.inference.segmenter import Segmenter
from night_seg_ros.media.sources import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    Bag,
    Images,
    Source,
    open_source,
)
from night_seg_ros.media.writers import write_image
from night_seg_ros.models import METHODS
from night_seg_ros.nodes.processes import START_S, NodeProcesses, segment_node_arguments
from night_seg_ros.pictures.contact_sheet import contact_sheet

CAMERA = "/camera/image_raw"
COMPLETE = "/record_node/complete"  # where record_node answers a frame that it has with all its outputs
TITLES = {"egnet": "EGNet", "dannet": "DANNet", "bimix": "Bi-Mix"}

DRIVE_RATE = 10.0  # frames per second
DRIVE_SIZE = (360, 640)  # height, width
FOLDER_RATE = 2.0  # separate images are looked at, not driven through
ANSWER_S = 30.0
QUIET_S = 5.0  # in real time, the last answers may come late


def write_drive(path: Path, seconds: float, seed: int) -> list[np.ndarray]:
    """Render a synthetic night drive into a rosbag2.

    Returns:
        The truth of each frame: (H, W) uint8 train ids, 255 = ignored.
    """
    from night_seg_ros.training.streets.scene import StreetScene

    height, width = DRIVE_SIZE
    typestore = get_typestore(Stores.ROS2_JAZZY)
    message, header, stamp = (
        typestore.types[name] for name in (IMAGE, "std_msgs/msg/Header", "builtin_interfaces/msg/Time")
    )
    scene = StreetScene(seed)
    truth = []
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(CAMERA, IMAGE, typestore=typestore)
        for index in tqdm(range(max(1, round(seconds * DRIVE_RATE))), "drawing the drive", unit="frame"):
            frame = scene.render(height, width, time=index / DRIVE_RATE, day=False)
            assert frame.night is not None
            truth.append(frame.label)
            bgr = np.ascontiguousarray(frame.night[:, :, ::-1])
            time_ns = 1_700_000_000 * 10**9 + round(index * 1e9 / DRIVE_RATE)
            image = message(
                header=header(stamp=stamp(*divmod(time_ns, 10**9)), frame_id="camera"),
                height=height,
                width=width,
                encoding="bgr8",
                is_bigendian=0,
                step=width * 3,
                data=bgr.reshape(-1),
            )
            writer.write(connection, time_ns, typestore.serialize_cdr(image, IMAGE))
    return truth


def replay(
    source: Source, bag: Path, *, model: str, weights: Path, device: str, seconds: float, realtime: bool
) -> Recording:
    """Play a source through segment_node and record both into ``bag``.

    Args:
        seconds: how much of the source; 0: all.

    Raises:
        NodeError: a process failed or hung.
    """
    topic, kind = (source.topic, source.message_type) if isinstance(source, Bag) else (CAMERA, IMAGE)
    compressed = kind == COMPRESSED_IMAGE
    parameters = {
        "model": model,
        "weights": str(weights.resolve()),
        "device": device,
        "image_transport": "compressed" if compressed else "raw",
    }
    node = segment_node_arguments(bag.parent, parameters)
    node += ["-r", f"image{'/compressed' if compressed else ''}:={topic}"]
    frames = min(len(source), seconds * source.rate + 1) if seconds else len(source)
    with NodeProcesses(bag.parent) as processes:
        processes.start("nodes.segment_node", node)
        processes.start("nodes.record_node", _recorder_arguments(source, bag, topic, kind, realtime))
        processes.start("nodes.play_node", _player_arguments(source, topic, seconds, realtime), show=True)
        processes.wait("nodes.play_node", START_S + 60 + 5 * frames + frames / source.rate)
        processes.wait("nodes.record_node", 60)
    return read_recording(bag, topic)


def _recorder_arguments(source: Source, bag: Path, topic: str, kind: str, realtime: bool) -> list[str]:
    arguments = [str(bag), "--answers", COMPLETE]
    arguments += ["--other", DIAGNOSTICS, "diagnostic_msgs/msg/DiagnosticArray"]
    for pair in ((topic, kind), (LABELS, IMAGE), (EXPOSURE, IMAGE), (OVERLAY, COMPRESSED_IMAGE)):
        arguments += ["--topic", *pair]
    if isinstance(source, Bag) and source.info_topic:
        arguments += ["--other", source.info_topic, CAMERA_INFO]
    if realtime:
        arguments += ["--quiet", str(QUIET_S)]
    return arguments


def _player_arguments(source: Source, topic: str, seconds: float, realtime: bool) -> list[str]:
    arguments = [str(source.path), "--topic", topic, "--stamp", "now", "--duration", str(seconds)]
    arguments += ["--wait-for-subscribers", "2", "--start-timeout", str(START_S)]
    if not isinstance(source, Bag):
        arguments += ["--fps", str(source.rate)]
    if not realtime:
        arguments += ["--answer-topic", COMPLETE, "--answer-timeout", str(ANSWER_S)]
    return arguments


@dataclass
class Drive:
    """What is played.

    Attributes:
        name: for people.
        seconds: how much of the source; 0: all.
        truth: of each frame, (H, W) uint8 train ids, 255 = ignored; None: nobody knows.
    """

    name: str
    source: Source
    seconds: float
    truth: list[np.ndarray] | None

    def captions(self, frames: int) -> list[str]:
        """Of so many frames: the names of images, else the time since the first."""
        if isinstance(self.source, Images) and len(self.source) == frames:
            return [path.stem for path in self.source.paths]
        return [f"{index / self.source.rate:.1f} s" for index in range(frames)]


def open_drive(options: argparse.Namespace, work: Path) -> Drive:
    """The drive that the options ask for; a synthetic one is drawn into the folder ``work``."""
    if not options.input:
        truth = write_drive(work / "drive", options.seconds or 10.0, options.seed)
        name = f"synthetic street, seed {options.seed}"
        return Drive(name, open_source(work / "drive"), seconds=0.0, truth=truth)
    source = open_source(options.input, topic=options.topic)
    if isinstance(source, Images):
        source.rate = FOLDER_RATE
    return Drive(source.name, source, options.seconds or 0.0, truth=None)


def run_demo(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Do it all in the folder ``work``, then move the results to ``options.out``; returns the summary."""
    weights = chosen_weights(options)
    # What is wrong with these shows at once and in one line.
    model = Segmenter(weights, device=options.device).model_name
    if model not in METHODS:
        raise ValueError(f"{weights} holds the model {model!r}: segment_node runs {', '.join(METHODS)}")
    drive = open_drive(options, work)
    recording = replay(
        drive.source,
        work / "bag",
        model=model,
        weights=weights,
        device=options.device,
        seconds=drive.seconds,
        realtime=options.realtime,
    )
    measured = measure(recording, drive.captions(len(recording.stamps)), drive.truth)
    summary = summarise(recording, measured, drive.name, drive.source.rate, options.realtime)
    # Where frames were dropped, the others are shown longer.
    video_rate = drive.source.rate * len(recording.processed) / len(recording.stamps)
    write_video(recording, options.out / "overlay.mp4", video_rate, measured.size)
    title = f"A night drive through {TITLES.get(summary['model'], summary['model'])}"
    sheet = contact_sheet(measured.rows, title, _subtitle(summary))
    write_image(options.out / "contact_sheet.png", sheet)
    write_json(options.out / "summary.json", summary)
    write_bytes(options.out / "summary.md", summary_page(summary, options.weights is None).encode())
    shutil.rmtree(options.out / "bag", ignore_errors=True)
    os.replace(work / "bag", options.out / "bag")
    return summary


def _subtitle(summary: dict[str, Any]) -> str:
    return (
        f"{summary['drive']}: {summary['frames_processed']} of {summary['frames_in']} frames, "
        f"{summary['width']}x{summary['height']}{' and other sizes' if summary['other_sizes'] else ''}"
        f"   \u00b7   latency median {summary['latency_median_ms']:.0f} ms, "
        f"p99 {summary['latency_p99_ms']:.0f} ms "
        f"on {summary['device']} ({summary['precision']})"
    )
