# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reads the recording of a replay through segment_node: latencies, scores, pictures, the summary page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from tqdm import tqdm

from night_seg_ros.common.latency import percentiles
from night_seg_ros.common.tables import markdown_table, percent
from night_seg_ros.media.sources import open_source, read_stamp
from night_seg_ros.media.writers import VideoFile
from night_seg_ros.nodes.frame_statistics import exposure_shares
from night_seg_ros.nodes.processes import NodeError
from night_seg_ros.pictures.contact_sheet import Row
from night_seg_ros.training.evaluation.metrics import SegmentationMetrics

LABELS = "/segment_node/labels"
EXPOSURE = "/segment_node/exposure"
OVERLAY = "/segment_node/overlay/compressed"
DIAGNOSTICS = "/diagnostics"
ROWS = 6


@dataclass
class Recording:
    """What record_node wrote down of one replay.

    Attributes:
        stamps: header stamps of the frames sent, in ns, in order.
        latencies: seconds from the header stamp (the time of sending) to the receipt of the labels, by stamp.
        node: the last /diagnostics of the node, key by key.
        topics: those on which something came.
    """

    bag: Path
    topic: str
    stamps: list[int] = field(default_factory=list)
    latencies: dict[int, float] = field(default_factory=dict)
    node: dict[str, str] = field(default_factory=dict)
    topics: set[str] = field(default_factory=set)

    @property
    def processed(self) -> list[int]:
        """Indices of the frames that got labels."""
        return [index for index, stamp in enumerate(self.stamps) if stamp in self.latencies]

    def frames(self, topic: str) -> Iterator[tuple[int, np.ndarray]]:
        """Index of the frame, and its picture on this topic as (H, W, 3) uint8 BGR."""
        if topic not in self.topics:
            return
        index = {stamp: number for number, stamp in enumerate(self.stamps)}  # of those still to come
        # What cannot be decoded, the node has rejected and counted.
        for frame in open_source(self.bag, topic=topic).frames(on_error=lambda _: None):
            if frame.stamp_ns in index:
                yield index.pop(frame.stamp_ns), frame.image


def read_recording(bag: Path, topic: str) -> Recording:
    """Read stamps, latencies and diagnostics."""
    recording = Recording(bag, topic)
    typestore = get_typestore(Stores.ROS2_JAZZY)
    # In order, and each one once: a frame that is sent again, for want of an answer, keeps its stamp.
    stamps: dict[int, None] = {}
    with Reader(bag) as reader:
        for connection, time_ns, data in reader.messages():
            recording.topics.add(connection.topic)
            if connection.topic == topic:
                stamps[read_stamp(data)] = None
            elif connection.topic == LABELS:
                stamp = read_stamp(data)
                recording.latencies.setdefault(stamp, (time_ns - stamp) / 1e9)
            elif connection.topic == DIAGNOSTICS:
                message: Any = typestore.deserialize_cdr(data, connection.msgtype)
                recording.node = {pair.key: pair.value for pair in message.status[0].values}
    recording.stamps = list(stamps)
    return recording


@dataclass
class Measured:
    """Figures and pictures taken from a recording."""

    scores: dict[str, Any] | None  # see SegmentationMetrics.compute; None without truth
    underexposed: float  # mean share of the pixels with V < 0.1, 0..1
    overexposed: float  # the same for V > 0.9
    sizes: Counter[tuple[int, int]]  # how many frames have which (height, width)
    rows: list[Row]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of most frames."""
        return self.sizes.most_common(1)[0][0]


def measure(recording: Recording, captions: list[str], truth: list[np.ndarray] | None = None) -> Measured:
    """Score the labels against the truth, if there is one, and pick the rows of the contact sheet.

    Args:
        captions: for each frame sent.
        truth: for each frame sent, (H, W) uint8 train ids, 255 = ignored.

    Raises:
        NodeError: the node answered no frame, or the recording lacks frames.
    """
    _check_complete(recording, truth)
    picked = _pick(recording.processed)
    shares, sizes = [], Counter[tuple[int, int]]()
    camera: dict[int, np.ndarray] = {}
    values: dict[int, np.ndarray] = {}  # V of HSV, (H, W) uint8, for the scores by exposure
    for index, bgr in recording.frames(recording.topic):
        shares.append(exposure_shares(bgr))
        sizes[bgr.shape[0], bgr.shape[1]] += 1
        if truth is not None:
            values[index] = bgr.max(axis=2)
        if index in picked:
            camera[index] = bgr
    under, over = np.mean(shares, axis=0)
    return Measured(
        scores=None if truth is None else _score(recording, truth, values),
        underexposed=float(under),
        overexposed=float(over),
        sizes=sizes,
        rows=_rows(recording, captions, camera),
    )


def _check_complete(recording: Recording, truth: list[np.ndarray] | None) -> None:
    if not recording.processed:
        reason = recording.node.get("last_reject_reason")
        raise NodeError("the node answered not one frame" + (f"; it said: {reason}" if reason else ""))
    if truth is not None and len(recording.stamps) != len(truth):
        raise NodeError(f"{len(truth)} frames were sent, but {len(recording.stamps)} of them recorded")


def _pick(processed: list[int]) -> set[int]:
    """ROWS of these frames, or all if they are fewer, evenly from the first to the last."""
    places = np.linspace(0, len(processed) - 1, min(ROWS, len(processed)))
    return {processed[round(place)] for place in places}


def _score(recording: Recording, truth: list[np.ndarray], values: dict[int, np.ndarray]) -> dict[str, Any]:
    """The scores of all labels; truth and V are (H, W) uint8."""
    metrics = SegmentationMetrics()
    for index, picture in recording.frames(LABELS):
        images = (picture[:, :, 0], truth[index], values[index])
        metrics.update(*(torch.tensor(image[None]) for image in images))
    return metrics.compute()


def _rows(recording: Recording, captions: list[str], camera: dict[int, np.ndarray]) -> list[Row]:
    """A row for each of these frames of the camera that has an overlay."""
    labels, exposure, overlay = (
        {index: picture for index, picture in recording.frames(topic) if index in camera}
        for topic in (LABELS, EXPOSURE, OVERLAY)
    )
    rows = [
        Row(
            captions[index],
            camera[index],
            labels[index][:, :, 0],
            exposure[index][:, :, 0] if index in exposure else None,
            overlay[index],
        )
        for index in sorted(camera.keys() & overlay.keys())
    ]
    if not rows:
        raise NodeError("the recording has labels, but not one overlay for them")
    return rows


def write_video(recording: Recording, path: Path, rate: float, size: tuple[int, int]) -> None:
    """Write the overlays as an mp4 of ``rate`` frames per second."""
    with VideoFile(path, rate, size=size) as video:
        for _, bgr in tqdm(
            recording.frames(OVERLAY), "writing the video", total=len(recording.processed), unit="frame"
        ):
            video.write(bgr)


def summarise(
    recording: Recording, measured: Measured, drive: str, rate: float, realtime: bool
) -> dict[str, Any]:
    """The figures of summary.json."""
    latency = percentiles([recording.latencies[recording.stamps[index]] for index in recording.processed])
    height, width = measured.size
    frames, processed = len(recording.stamps), len(recording.processed)
    # The node counts a frame that it rejected, and that was sent again, twice.
    rejected = min(int(recording.node.get("frames_rejected", 0)), frames - processed)
    summary: dict[str, Any] = {
        "drive": drive,
        "replay": "realtime" if realtime else "lossless",
        "rate_hz": round(rate, 3),
        "width": width,
        "height": height,
        "other_sizes": len(measured.sizes) - 1,
        "frames_in": frames,
        "frames_processed": processed,
        "frames_rejected": rejected,
        "frames_dropped": frames - processed - rejected,
        "latency_median_ms": round(latency["median_ms"], 1),
        "latency_p99_ms": round(latency["p99_ms"], 1),
        "underexposed_share": round(measured.underexposed, 4),
        "overexposed_share": round(measured.overexposed, 4),
    }
    summary |= {key: recording.node.get(key, "") for key in ("model", "weights_hash", "device", "precision")}
    if measured.scores is not None:
        summary |= {
            key: measured.scores[key] for key in ("miou", "mef1_micro", "mef1_macro", "pixel_accuracy", "iou")
        }
    return summary


def summary_page(summary: dict[str, Any], shipped_weights: bool) -> str:
    """The figures as a page of Markdown."""
    weights = (
        "demonstration weights, for trying the package, not for driving"
        if shipped_weights
        else "your weights"
    )
    at = f"{summary['rate_hz']:g} Hz"
    replay_text = (
        f"in real time, {at}, as a camera sends; the node drops what it is too slow for"
        if summary["replay"] == "realtime"
        else f"lossless: a frame is sent when the one before has its labels, at {at} at most; so nothing "
        "queues and nothing is dropped, however slow the network is"
    )
    other_sizes = " and other sizes" if summary["other_sizes"] else ""
    network = f"{summary['model']} ({weights}; {summary['weights_hash']})"
    facts = {
        "drive": f"{summary['drive']}, {summary['width']}x{summary['height']}{other_sizes}",
        "replay": replay_text,
        "network": f"{network} on {summary['device']} in {summary['precision']}",
        "frames in": str(summary["frames_in"]),
        "processed": str(summary["frames_processed"]),
        "dropped": str(summary["frames_dropped"]),
        "rejected as unreadable": str(summary["frames_rejected"]),
        "latency, median": f"{summary['latency_median_ms']:.1f} ms",
        "latency, p99": f"{summary['latency_p99_ms']:.1f} ms",
        "pixels under-exposed (V < 0.1)": percent(summary["underexposed_share"]),
        "pixels over-exposed (V > 0.9)": percent(summary["overexposed_share"]),
    }
    if "miou" in summary:
        facts |= {
            "mIoU against the scene's truth": percent(summary["miou"]),
            "pixel accuracy": percent(summary["pixel_accuracy"]),
            "mean F1 over exposures, micro": f"{summary['mef1_micro']:.3f}",
            "mean F1 over exposures, macro": f"{summary['mef1_macro']:.3f}",
        }
    lines = [
        "# A night drive through segment_node",
        "",
        "![contact sheet](contact_sheet.png)",
        "",
        markdown_table(["", ""], list(facts.items())),
        "",
        "Latency is the time from a frame's header stamp, which the player sets at the moment of sending,",
        "to the receipt of its labels in another process. The first frame is among them.",
        "",
        "`bag/` holds what was sent and all that came back; `overlay.mp4` is the drive under the labels.",
    ]
    if "iou" in summary:
        by_class = [(name, percent(iou)) for name, iou in summary["iou"].items()]
        lines += ["", markdown_table(["class", "IoU"], by_class)]
    return "\n".join(lines) + "\n"
