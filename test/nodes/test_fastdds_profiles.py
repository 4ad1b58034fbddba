# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""config/fastdds.xml, as Fast DDS takes it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is missing: source ROS 2 or install .[ros]")

PROFILES = Path(__file__).resolve().parents[2] / "config" / "fastdds.xml"
SHARED_MEMORY = Path("/dev/shm")
SEGMENT = 64 << 20  # bytes
NODE = """
import rclpy
rclpy.init()
node = rclpy.create_node("node")
print(rclpy.get_rmw_implementation_identifier(), flush=True)
input()
"""


@pytest.mark.parametrize("profiles", [{}, {"FASTRTPS_DEFAULT_PROFILES_FILE": str(PROFILES)}])
def test_a_node_gets_so_much_shared_memory(
    ros_domain: int, monkeypatch: pytest.MonkeyPatch, profiles: dict[str, str]
) -> None:
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE", raising=False)
    if not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free < 2 * SEGMENT:
        pytest.skip("128 MB of /dev/shm are missing")

    node = subprocess.Popen(
        [sys.executable, "-c", NODE],
        env={**os.environ, **profiles},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        identifier = node.stdout.readline().strip()
        if identifier.startswith("rmw_") and identifier != "rmw_fastrtps_cpp":
            pytest.skip(f"rmw_fastrtps_cpp is missing: {identifier} runs")
        assert identifier == "rmw_fastrtps_cpp"  # not what Fast DDS has against the file
        # Lines such as "7f3c00000000-7f3c04000000 rw-s 00000000 00:18 41 /dev/shm/fastrtps_2a..."
        mapped = [line.split() for line in Path(f"/proc/{node.pid}/maps").read_text().splitlines()]
        ranges = [line[0].split("-") for line in mapped if line[-1].startswith("/dev/shm/fastrtps_")]
        sizes = [int(end, 16) - int(start, 16) for start, end in ranges]
        assert sizes and (max(sizes) >= SEGMENT) == bool(profiles)
    finally:
        said, _ = node.communicate("\n")
    assert said == ""
