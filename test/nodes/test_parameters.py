"""config/segment.yaml shows the defaults that the node has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from night_seg_ros.models.classes import CLASSES, PALETTE
from night_seg_ros.nodes.parameters import PARAMETERS, check_value, name_cameras

CONFIG = Path(__file__).resolve().parents[2] / "config" / "segment.yaml"


def test_the_parameters_file_shows_every_default_and_changes_none() -> None:
    text = CONFIG.read_text(encoding="utf-8")
    settable = {name: entry.default for name, entry in PARAMETERS.items() if entry.when != "never"}
    active = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert active.items() <= settable.items()
    names = "|".join(settable)
    shown = yaml.safe_load(re.sub(rf"^    # ({names}): ", r"    \1: ", text, flags=re.MULTILINE))
    assert shown["/**"]["ros__parameters"] == settable


def test_defaults_are_within_choices_and_limits() -> None:
    for name, parameter in PARAMETERS.items():
        if parameter.choices:
            assert parameter.default in parameter.choices, name
        if parameter.limits:
            low, high = parameter.limits
            assert low <= parameter.default <= high, name
        else:
            assert not isinstance(parameter.default, float), name


def test_a_float_may_be_a_whole_number() -> None:
    for value in (0, 0.0, 0.3, 1, 1.0):
        check_value("overlay_alpha", value)
    for value in (-1, 2, 1.1, float("nan"), float("inf"), True, "1", None, [1.0]):
        with pytest.raises(ValueError, match="^overlay_alpha is .*: give a number from 0 to 1$"):
            check_value("overlay_alpha", value)
    with pytest.raises(ValueError, match="give a number from 0.1 to 3600"):
        check_value("frame_timeout", 0)


def test_class_names_and_palette_are_those_of_the_models() -> None:
    assert PARAMETERS["class_names"].default == list(CLASSES)
    colours = PARAMETERS["palette"].default
    assert [colours[i : i + 3] for i in range(0, len(colours), 3)] == PALETTE.tolist()


def test_names_of_cameras() -> None:
    assert name_cameras([]) == name_cameras(None) == {"": "image"}
    topics = ["/front/image_raw", "rear/image", "~/top/image", "/car/left/camera/image_rect"]
    names = ["front", "rear", "top", "car/left/camera"]
    assert name_cameras(topics) == dict(zip(names, topics, strict=True))


@pytest.mark.parametrize(
    "topics", [["/image"], ["image"], [""], ["/a/x", "a/y"], ["/a/x", "/a/x"], "/a/x", "", [1], [b"/a/x"]]
)
def test_topics_that_name_no_cameras(topics: object) -> None:
    with pytest.raises(ValueError, match="^image_topics"):
        name_cameras(topics)
