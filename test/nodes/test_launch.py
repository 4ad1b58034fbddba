# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""launch/segment.launch.py with the real launch system, which comes with a ROS distribution only."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is missing: source ROS 2 or install .[ros]")
pytest.importorskip("launch_ros", reason="launch and launch_ros are missing: source a ROS 2 distribution")

import rclpy
from launch import LaunchContext
from launch.actions import DeclareLaunchArgument
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import save_checkpoint

CHECKOUT = Path(__file__).resolve().parents[2]
LAUNCH_FILE = CHECKOUT / "launch" / "segment.launch.py"
FASTDDS_PROFILES = CHECKOUT / "config" / "fastdds.xml"
WEIGHTS = CHECKOUT / "models" / "weights"
TIMEOUT = 120.0

RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
file, *arguments = sys.argv[1:]
include = IncludeLaunchDescription(file, launch_arguments=[a.split(":=") for a in arguments])
service = LaunchService()
service.include_launch_description(LaunchDescription([include]))
sys.exit(service.run())
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prefix where the launch system finds the package's nodes: those of this checkout."""
    prefix = tmp_path / "prefix"
    for folder in ("share/ament_index/resource_index/packages", "lib/night_seg_ros", "share/night_seg_ros"):
        (prefix / folder).mkdir(parents=True)
    (prefix / "share/ament_index/resource_index/packages/night_seg_ros").touch()
    for name in ("segment_node", "play_node"):
        script = prefix / "lib/night_seg_ros" / name
        script.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m night_seg_ros.nodes.{name} \"$@\"\n")
        script.chmod(0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{prefix}:{os.environ.get('AMENT_PREFIX_PATH', '')}")
    monkeypatch.setenv("PYTHONPATH", f"{CHECKOUT}:{os.environ.get('PYTHONPATH', '')}")
    return prefix


def test_arguments_are_declared_at_the_top() -> None:
    spec = importlib.util.spec_from_file_location("segment_launch", LAUNCH_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    entities = module.generate_launch_description().entities
    arguments = {entity.name: entity for entity in entities if isinstance(entity, DeclareLaunchArgument)}
    assert list(arguments) == [
        "model", "weights", "device", "precision", "image_transport", "image_topics", "image", "namespace",
        "params_file", "rviz", "bag", "log_level",
    ]  # fmt: skip
    for argument in arguments.values():
        assert argument.description
    context = LaunchContext()
    default = "".join(part.perform(context) for part in arguments["params_file"].default_value)
    assert Path(default) == CHECKOUT / "config" / "segment.yaml"


@contextmanager
def launched(arguments: list[str], log: Path, active: str) -> Iterator[subprocess.Popen[bytes]]:
    """The launch file with arguments, once its node says that it is active."""
    arguments = [*arguments, f"sigterm_timeout:={TIMEOUT:g}"]  # a busy machine may take long to end a process
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(LAUNCH_FILE), *arguments],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + TIMEOUT
        while active not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def environment_of_node(log: Path) -> dict[str, str]:
    pid = re.search(r"\[segment_node-1\]: process started with pid \[(\d+)\]", log.read_text())[1]
    lines = Path(f"/proc/{pid}/environ").read_bytes().decode().rstrip("\0").split("\0")
    return dict(line.split("=", 1) for line in lines)


def end_with_ctrl_c(process: subprocess.Popen[bytes], log: Path) -> None:
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(TIMEOUT) == 0, log.read_text()
    assert "process has finished cleanly" in log.read_text()


@pytest.mark.parametrize("model", [path.stem for path in sorted(WEIGHTS.glob("*.safetensors"))])
def test_a_model_needs_nothing_but_its_name(
    model: str, ros_domain: int, installed: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with launched([f"model:={model}", "device:=cpu"], log, "active: segmenting /camera/image_raw") as process:
        assert f"using the demonstration weights of {model}" in log.read_text()
        assert environment_of_node(log)["FASTRTPS_DEFAULT_PROFILES_FILE"] == str(FASTDDS_PROFILES)
        end_with_ctrl_c(process, log)


def test_profiles_of_the_users_own_stay(
    ros_domain: int, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = tmp_path / "mine.xml"
    shutil.copy(FASTDDS_PROFILES, profiles)
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(profiles))
    log = tmp_path / "log"
    with launched(["device:=cpu"], log, "active: segmenting /camera/image_raw") as process:
        assert environment_of_node(log)["FASTRTPS_DEFAULT_PROFILES_FILE"] == str(profiles)
        end_with_ctrl_c(process, log)


def test_given_arguments_go_before_the_parameters_file_and_the_others_do_not(
    ros_domain: int, installed: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "egnet.safetensors"
    save_checkpoint(weights, build_model("egnet", backbone="resnet10"), {})
    file = tmp_path / "my.yaml"
    mine = {"image_transport": "compressed", "overlay_alpha": 0.25, "precision": "bf16", "device": "cpu"}
    file.write_text(yaml.safe_dump({"/car/segment_node": {"ros__parameters": mine}}))
    arguments = ["namespace:=car", "image:=/front/image_raw", "model:=egnet", f"weights:={weights}"]
    arguments += ["precision:=fp32", f"params_file:={file}"]
    context = Context()
    rclpy.init(context=context)
    peer = Node("peer", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(peer)
    log = tmp_path / "log"
    try:
        with launched(arguments, log, "active: segmenting /front/image_raw/compressed") as process:
            expected = {
                **mine,
                "precision": "fp32",
                "model": "egnet",
                "weights": str(weights),
                "jpeg_quality": 80,
            }
            client = peer.create_client(GetParameters, "/car/segment_node/get_parameters")
            assert client.wait_for_service(TIMEOUT)
            time.sleep(0.5)  # discovery is not symmetric: an answer may miss a young client
            future = client.call_async(GetParameters.Request(names=list(expected)))
            executor.spin_until_future_complete(future, timeout_sec=TIMEOUT)
            values = [rclpy.parameter.parameter_value_to_python(value) for value in future.result().values]
            assert dict(zip(expected, values, strict=True)) == expected
            end_with_ctrl_c(process, log)
    finally:
        peer.destroy_node()
        context.shutdown()
