# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Starts segment_node on a camera, or several; with ``bag`` also a player, with ``rviz`` also RViz.

``ros2 launch night_seg_ros segment.launch.py --show-args`` lists the arguments.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PACKAGE = "night_seg_ros"
SHARE = Path(__file__).resolve().parents[1]  # the package's share folder, or the source tree
# The second from Fast DDS 3 on.
FASTDDS_PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def _node_argument(name: str, description: str, choices: tuple[str, ...] = ()) -> DeclareLaunchArgument:
    """An argument that is a parameter of the node."""
    return DeclareLaunchArgument(
        name,
        default_value="",
        choices=["", *choices] if choices else None,
        description=f"{description}; empty: as params_file says",
    )


NODE_ARGUMENTS = [
    _node_argument("model", "the network, such as egnet"),
    _node_argument("weights", "path of a .safetensors checkpoint or .onnx program"),
    _node_argument("device", "auto, cpu, cuda, cuda:1 ..."),
    _node_argument("precision", "what the network computes in", ("auto", "fp32", "bf16", "fp16")),
    _node_argument("image_transport", "topic IMAGE or IMAGE/compressed", ("raw", "compressed")),
    _node_argument("image_topics", "topics of several cameras: /front/image_raw,/rear/image_raw ..."),
]
OTHER_ARGUMENTS = [
    DeclareLaunchArgument("image", default_value="/camera/image_raw", description="topic of the only camera"),
    DeclareLaunchArgument("namespace", default_value="", description="namespace of the node"),
    DeclareLaunchArgument(
        "params_file",
        default_value=str(SHARE / "config" / "segment.yaml"),
        description="parameters of the node; the arguments above have priority",
    ),
    DeclareLaunchArgument(
        "rviz",
        default_value="false",
        choices=["true", "false"],
        description="show camera and outputs in RViz",
    ),
    DeclareLaunchArgument(
        "bag", default_value="", description="rosbag2, video or image folder to play; none if empty"
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="least severity of messages in the log",
    ),
]


def generate_launch_description() -> LaunchDescription:
    """The arguments, the nodes and RViz."""
    return LaunchDescription([*NODE_ARGUMENTS, *OTHER_ARGUMENTS, OpaqueFunction(function=start_nodes)])


def start_nodes(context: LaunchContext) -> list[Node]:
    """The nodes; a function, so that only the arguments that were given override params_file."""
    values = context.launch_configurations
    given = {argument.name: values[argument.name] for argument in NODE_ARGUMENTS if values[argument.name]}
    image = LaunchConfiguration("image")
    seen, outputs = image, "segment_node"  # what RViz shows: a camera's topic, and where its outputs lie
    if "image_topics" in given:
        given["image_topics"] = [topic.strip() for topic in given["image_topics"].split(",")]
        seen = given["image_topics"][0]
        outputs = f"segment_node/{seen.rpartition('/')[0].lstrip('~/')}"
    log = ["--log-level", LaunchConfiguration("log_level")]
    profiles = str(SHARE / "config" / "fastdds.xml")
    theirs = any(name in context.environment for name in FASTDDS_PROFILES)
    environment = {} if theirs else dict.fromkeys(FASTDDS_PROFILES, profiles)
    segmenter = Node(
        package=PACKAGE,
        executable="segment_node",
        name="segment_node",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), given],
        remappings=[("image", image), ("image/compressed", [image, "/compressed"])],
        ros_arguments=log,
        additional_env=environment,
        output="screen",
    )
    player = Node(
        package=PACKAGE,
        executable="play_node",
        parameters=[{"input": values["bag"]}],
        # Where videos and images go, and most bags: the node listens there, whatever `image` says.
        remappings=[
            ("/camera/image_raw", image),
            ("/camera/image_raw/compressed", [image, "/compressed"]),
        ],
        ros_arguments=log,
        additional_env=environment,
        output="screen",
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=["-d", str(SHARE / "config" / "night_seg.rviz")],
        remappings=[
            ("/camera/image_raw", seen),
            *((f"/segment_node/{name}", f"{outputs}/{name}") for name in ("overlay", "labels", "exposure")),
        ],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return [segmenter, player, rviz] if values["bag"] else [segmenter, rviz]
