# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The parameters of segment_node: the one place of their defaults, limits and meaning."""

from __future__ import annotations

from typing import Any

from night_seg_ros.inference.segmenter import PRECISIONS
from night_seg_ros.models import METHODS
from night_seg_ros.models.classes import CLASSES, PALETTE
from night_seg_ros.nodes.parameters import Parameter


def name_cameras(image_topics: Any) -> dict[str, str]:
    """Topics of the cameras by their names: /front/image_raw is the camera ``front``.

    Args:
        image_topics: the parameter of that name; None, which ROS makes of an empty list in a file, is one.

    Returns:
        Topic by name, in the order given; for an empty list, the topic ``image`` of a camera without name.

    Raises:
        ValueError: not a list of topics, a topic without a namespace, or two in the same one.
    """
    if image_topics in (None, []):
        return {"": "image"}
    if not isinstance(image_topics, list) or not all(isinstance(topic, str) for topic in image_topics):
        raise ValueError(
            f"image_topics {image_topics!r} is no list of topics such as [/front/image_raw, /rear/image_raw]"
        )
    topics: dict[str, str] = {}
    for topic in image_topics:
        name = topic.lstrip("~/").rpartition("/")[0]
        advice = f"give it a namespace of its own, such as front/image, and remap it: front/image:={topic}"
        if not name:
            raise ValueError(
                f"image_topics: {topic!r} has no namespace to name the camera and its outputs; {advice}"
            )
        if name in topics:
            raise ValueError(
                f"image_topics: {topics[name]!r} and {topic!r} would both be the camera {name!r}; {advice}"
            )
        topics[name] = topic
    return topics


PARAMETERS: dict[str, Parameter] = {
    "model": Parameter("egnet", "the network", choices=tuple(METHODS)),
    "weights": Parameter(
        "",
        "path of a .safetensors checkpoint or .onnx program; empty: the demonstration weights of the model",
    ),
    "device": Parameter("auto", "auto (CUDA where there is one), cpu, cuda, cuda:1 ..."),
    "precision": Parameter("auto", "what the network computes in", choices=("auto", *PRECISIONS)),
    "input_size": Parameter(
        0,
        "shorter side, in pixels, at which the network sees a frame; 0: what the weights say. "
        "The outputs always have the camera's size",
        limits=(0, 8192),
    ),
    "image_transport": Parameter(
        "raw", "raw: topic image; compressed: topic image/compressed", choices=("raw", "compressed")
    ),
    "image_topics": Parameter(
        [],
        "topics of several cameras, such as /front/image_raw, /rear/image_raw; empty: the topic image only",
        check=name_cameras,
    ),
    "batch_deadline": Parameter(
        0.0,
        "seconds that a camera's frame may wait for those of other cameras of its size, to go through the "
        "network with them; 0: on a GPU it goes with those that are there, on the CPU alone",
        limits=(0.0, 1.0),
    ),
    "reliability": Parameter(
        "reliable", "QoS reliability of the outputs", choices=("reliable", "best_effort")
    ),
    "overlay_alpha": Parameter(
        0.5, "weight of the class colours in the overlay", limits=(0.0, 1.0), when="now"
    ),
    "jpeg_quality": Parameter(80, "quality of overlay/compressed", limits=(1, 100), when="now"),
    "autostart": Parameter(True, "configure and activate without being asked", when="start"),
    "frame_timeout": Parameter(
        5.0, "seconds without a frame after which a warning says why", limits=(0.1, 3600.0), when="start"
    ),
    "diagnostics_period": Parameter(
        1.0, "seconds between two messages on /diagnostics", limits=(0.1, 3600.0), when="start"
    ),
    "class_names": Parameter(list(CLASSES), "names of the classes by label value", when="never"),
    "palette": Parameter(
        PALETTE.flatten().tolist(), "colours by label value: R, G, B, R, G, B ...", when="never"
    ),
}
