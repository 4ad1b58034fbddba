# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The tables of parameters, what they refuse, and that config/segment.yaml shows segment_node's defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from night_seg_ros.models.classes import CLASSES, PALETTE
from night_seg_ros.nodes import play_parameters
from night_seg_ros.nodes.parameters import Parameters, check_value
from night_seg_ros.nodes.segment_parameters import PARAMETERS, name_cameras

CONFIG = Path(__file__).resolve().parents[2] / "config" / "segment.yaml"


def test_the_parameters_file_shows_every_default_and_changes_none() -> None:
    text = CONFIG.read_text(encoding="utf-8")
    settable = {name: entry.default for name, entry in PARAMETERS.items() if entry.when != "never"}
    active = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert active.items() <= settable.items()
    names = "|".join(settable)
    shown = yaml.safe_load(re.sub(rf"^    # ({names}): ", r"    \1: ", text, flags=re.MULTILINE))
    assert shown["/**"]["ros__parameters"] == settable


@pytest.mark.parametrize("parameters", [PARAMETERS, play_parameters.PARAMETERS])
def test_defaults_are_within_choices_and_limits(parameters: Parameters) -> None:
    for name, parameter in parameters.items():
        if parameter.choices:
            assert parameter.default in parameter.choices, name
        if parameter.limits:
            low, high = parameter.limits
            assert low <= parameter.default <= high, name
        else:
            assert not isinstance(parameter.default, float), name


def test_a_float_may_be_a_whole_number() -> None:
    for value in (0, 0.0, 0.3, 1, 1.0):
        found = check_value(PARAMETERS, "overlay_alpha", value)
        assert found == value and isinstance(found, float)
    for value in (-1, 2, 1.1, float("nan"), float("inf"), True, "1", None, [1.0]):
        with pytest.raises(ValueError, match="^overlay_alpha is .*: give a number from 0 to 1$"):
            check_value(PARAMETERS, "overlay_alpha", value)
    with pytest.raises(ValueError, match="give a number from 0.1 to 3600"):
        check_value(PARAMETERS, "frame_timeout", 0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("jpeg_quality", 101, "jpeg_quality is 101: give a whole number from 1 to 100"),
        ("jpeg_quality", True, "jpeg_quality is True: give a whole number from 1 to 100"),
        ("jpeg_quality", 80.0, "jpeg_quality is 80.0: give a whole number from 1 to 100"),
        ("autostart", 1, "autostart is 1: give true or false"),
        ("weights", 2024, "weights is 2024: give a text"),
        ("model", "unet", "model is 'unet': give one of egnet, dannet, bimix"),
        ("image_topics", "/a/x", "image_topics '/a/x' is no list of topics"),
    ],
)
def test_what_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        check_value(PARAMETERS, name, value)


def test_types_that_yaml_makes_of_the_players_values() -> None:
    for name, value, wanted in (
        ("input", 2024, "2024"),
        ("topic", 0.5, "0.5"),
        ("wait_for_subscribers", True, 1),
    ):
        found = check_value(play_parameters.PARAMETERS, name, value)
        assert found == wanted and type(found) is type(wanted)


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
