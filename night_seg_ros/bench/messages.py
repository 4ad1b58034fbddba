# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg bench messages``: from image messages to pixels, and from pixels to image messages."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from rosbags.image import image as rosbags_image
from tqdm import tqdm

from night_seg_ros.bench.measuring import compare_speed, describe_device
from night_seg_ros.bench.options import (
    add_frame_options,
    add_json_option,
    add_turn_options,
    read_frames,
    save_result,
)
from night_seg_ros.media.conversion import (
    ENCODINGS,
    array_to_image,
    array_to_jpeg,
    compressed_to_bgr,
    image_to_bgr,
    sample_image,
)

CPU = torch.device("cpu")
Way = tuple[Callable[[], Any], Callable[[], Any]]  # ours and plain


def bench_messages(bgr: np.ndarray, *, rounds: int, repeats: int) -> dict[str, Any]:
    """Measure the conversions.

    Plain is rosbags-image for what comes in; for what goes out, a message whose data are bytes.

    Args:
        bgr: (H, W, 3) uint8, a frame of even height and width.
        rounds, repeats: see ``compare_speed``.

    Returns:
        JSON values: ``conversions``, by name, what ``compare_speed`` gives of ``ours`` and ``plain``, and
        ``difference``, of 255, between their pixels at most; ``frame_size`` (height, width), and what
        ``describe_device`` gives, with the threads of OpenCV.
    """
    ways = {**ways_in(bgr), **ways_out(bgr)}
    conversions = {}
    for name, (ours, plain) in tqdm(ways.items(), "conversions"):
        speed = compare_speed(
            {"ours": ours, "plain": plain}, images=1, rounds=rounds, repeats=repeats, device=CPU
        )
        difference = np.abs(_values(ours()).astype(int) - _values(plain())).max()
        conversions[name] = {"speed": speed, "difference": int(difference)}
    where = {**describe_device(CPU), "threads": cv2.getNumThreads()}
    return {**where, "frame_size": list(bgr.shape[:2]), "conversions": conversions}


def ways_in(bgr: np.ndarray) -> dict[str, Way]:
    """From messages of each encoding, and from JPEG, to BGR pixels."""
    ways: dict[str, Way] = {}
    for encoding in ENCODINGS:
        message, for_plain = sample_image(bgr, encoding), sample_image(bgr, encoding)
        for_plain.height = len(message.data) // message.step  # it takes the colour plane of nv12 for rows
        plain = partial(rosbags_image.message_to_cvimage, for_plain, "bgr8")
        ways[encoding] = partial(image_to_bgr, message), plain
    jpeg = array_to_jpeg(bgr, sample_image(bgr, "bgr8").header)
    plain = partial(rosbags_image.compressed_image_to_cvimage, jpeg, "bgr8")
    return {**ways, "jpeg": (partial(compressed_to_bgr, jpeg), plain)}


def ways_out(bgr: np.ndarray) -> dict[str, Way]:
    """From labels and from a coloured overlay to messages."""
    ways: dict[str, Way] = {}
    for pixels, encoding in ((bgr[:, :, 0].copy(), "mono8"), (bgr, "bgr8")):
        like = sample_image(bgr, encoding)
        ours = partial(array_to_image, pixels, encoding, like.header)
        ways[f"to {encoding}"] = ours, partial(_message_of_bytes, pixels, like)
    return ways


def _message_of_bytes(pixels: np.ndarray, like: Any) -> Any:
    """A message of the type, size and encoding of another one, whose data are given as bytes."""
    message = type(like)(header=like.header, height=like.height, width=like.width, encoding=like.encoding)
    message.step = pixels[0].size
    message.data = pixels.tobytes()
    return message


def _values(result: Any) -> np.ndarray:
    return result if isinstance(result, np.ndarray) else np.frombuffer(result.data, np.uint8)


def main(argv: list[str]) -> int:
    """Entry of ``night-seg bench messages``."""
    parser = argparse.ArgumentParser(
        "night-seg bench messages",
        description="Measure, for each encoding of cameras, the way from an image message to pixels, against "
        "rosbags-image; and the way from labels and overlays to messages, against messages whose data are "
        "bytes.",
    )
    add_frame_options(parser)
    add_turn_options(parser)
    add_json_option(parser)
    options = parser.parse_args(argv)
    height, width = options.frame_size
    if height % 2 or width % 2:
        parser.error(f"--frame-size: {height} {width}: YUV encodings need an even height and width")
    (bgr, *_) = read_frames(options.frames, (height, width))
    result = bench_messages(bgr, rounds=options.rounds, repeats=options.repeats)
    print(_format(result))
    save_result(options, result)
    return 0


def _format(result: dict[str, Any]) -> str:
    height, width = result["frame_size"]
    lines = [
        f"{width}x{height}, {result['device']}, {result['threads']} threads",
        f"{'':<14}{'ours':>12}{'p99':>12}{'plain':>12}   ours is faster by",
    ]
    for name, conversion in result["conversions"].items():
        ours, plain = conversion["speed"]["ours"], conversion["speed"]["plain"]
        times = (ours["latency"]["median_ms"], ours["latency"]["p99_ms"], plain["latency"]["median_ms"])
        least, most = plain["speedup_range"]
        line = f"{name:<14}" + "".join(f"{value:>9.3f} ms" for value in times)
        line += f"   {plain['speedup']:.2f} ({least:.2f} to {most:.2f})"
        if conversion["difference"]:
            line += f"; pixels differ by up to {conversion['difference']} of 255"
        lines.append(line)
    return "\n".join(lines)
