# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the processes of ``night-seg bench node`` have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.utilities import try_shutdown


def run_process(work: Callable[[], object]) -> int:
    """Do the work of a process, with ROS there; its exit status: 130 if it was interrupted."""
    rclpy.init(args=[])
    try:
        work()
    except (KeyboardInterrupt, ExternalShutdownException):
        return 130
    finally:
        try_shutdown()
    return 0


def add_cameras_option(parser: argparse.ArgumentParser) -> None:
    """--camera, one or more pairs of topics."""
    parser.add_argument(
        "--camera",
        nargs=2,
        action="append",
        required=True,
        metavar=("IMAGE", "LABELS"),
        help="topics of a camera's images and of their labels",
    )
