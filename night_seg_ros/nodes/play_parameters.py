# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The parameters of play_node, which are also the options of ``night-seg play``: the one place of them."""

from __future__ import annotations

from night_seg_ros.nodes.parameters import Parameter

DEFAULT_TOPIC = "/camera/image_raw"

_DAY = 86400.0  # seconds
_NUMBERS = (int, float)  # which YAML makes of a text such as 2024


def _check_input(path: str) -> None:
    if not path:
        raise ValueError("no input: give a rosbag2, a video or a folder of images (parameter input)")


PARAMETERS: dict[str, Parameter] = {
    "input": Parameter(
        "",
        "what to play: a rosbag2 (folder, .db3 or .mcap), a video, a folder of images or an image",
        also=_NUMBERS,
        check=_check_input,
        when="start",
    ),
    "topic": Parameter(
        "",
        f"bag: the image topic to play, if it has several; else the one to fill ({DEFAULT_TOPIC})",
        also=_NUMBERS,
        when="start",
    ),
    "rate": Parameter(
        1.0, "speed; 2 plays twice as fast as recorded", limits=(0.001, 100_000.0), when="start"
    ),
    "duration": Parameter(
        0.0,
        "play only so many seconds of the recording; 0: all of it",
        limits=(0.0, _DAY),
        when="start",
    ),
    "loop": Parameter(False, "start again at the end, until stopped", when="start"),
    "stamp": Parameter(
        "recorded",
        "header stamps. recorded: those of the bag; videos and images count from the start of playing. "
        "now: the time of sending, from which a latency can be measured",
        choices=("recorded", "now"),
        when="start",
    ),
    "frame_id": Parameter(
        "camera", "header frame_id of videos and images; a bag's is kept", also=_NUMBERS, when="start"
    ),
    "fps": Parameter(
        0.0,
        "frames per second of a video or images; 0: the video's own, 10 for images",
        limits=(0.0, 100_000.0),
        when="start",
    ),
    "wait_for_subscribers": Parameter(
        1,
        "hold the first frame until so many subscribers are there (true: 1, false: 0)",
        also=(bool,),
        when="start",
    ),
    "start_timeout": Parameter(
        0.0,
        "seconds to wait for them, then give up with an error; 0: wait for ever",
        limits=(0.0, _DAY),
        when="start",
    ),
    "answer_topic": Parameter(
        "",
        "lossless: send a frame only after an image with the stamp of the one before came on this topic, "
        "such as /segment_node/labels",
        also=_NUMBERS,
        when="start",
    ),
    "answer_timeout": Parameter(
        10.0,
        "seconds to wait for one answer before going on; meanwhile the frame is sent three times more",
        limits=(0.001, _DAY),
        when="start",
    ),
    "progress": Parameter(False, "show a progress bar on a terminal", when="start"),
}
