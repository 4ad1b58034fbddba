# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg bench node``: counts and latencies of real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

pytest.importorskip("rclpy", reason="rclpy is missing: source ROS 2 or install .[ros]")

from night_seg_ros.bench.node_figures import format_nodes, summarise
from night_seg_ros.cli import main
from night_seg_ros.nodes.processes import NodeError

CHECKOUT = Path(__file__).resolve().parents[2]
TIMEOUT = 120.0  # seconds to wait for what must happen
MS = 10**6  # ns


@pytest.fixture
def command(weights: Path, ros_domain: int) -> list[str]:
    """Command line of a small bench."""
    options = ["--weights", str(weights), "--frame-size", "64", "96", "--device=cpu", "--precision=fp32"]
    return ["bench", "node", *options, "--rate=10", "--threads=1"]


def report(processed: int, dropped: int, rejected: int, frames_in: int) -> dict[str, str]:
    counts = {"in": frames_in, "processed": processed, "dropped": dropped, "rejected": rejected}
    stages = {
        "wait_median_ms": "0.5",
        "convert_median_ms": "1.5",
        "segment_median_ms": "9",
        "publish_median_ms": "2",
    }
    return {f"frames_{name}": str(count) for name, count in counts.items()} | {"rate_hz": "9.9", **stages}


def test_figures_of_hand_made_stamps() -> None:
    """Two to warm up, then eight at 10 Hz, of which one is lost on the way, one dropped and one rejected."""
    start = 1_700_000_000 * 10**9
    stamps = [start + 100 * MS * number for number in range(8)]
    waits = {0: 50, 1: 10, 2: 20, 4: 30, 7: 80}  # ms
    answers = [[stamps[number], stamps[number] + wait * MS] for number, wait in waits.items()]
    answers.append([start - 100 * MS, start])  # of no frame that was sent
    received = {
        "answers": {"/a/image_raw": answers},
        "reports": {"/a/image_raw": report(7, 1, 1, 9)},
        "memory": [[start - 1, 100 << 20], [stamps[3], 200 << 20], [stamps[7], 300 << 20]],
    }
    sent = {"warm_up": 2, "stamps": {"/a/image_raw": stamps}}
    result = summarise(sent, received)
    camera = result["cameras"]["/a/image_raw"]
    assert (camera["sent"], camera["answered"], result["answered"]) == (8, 5, 5)
    assert camera["report"] == {
        "in": 9,
        "processed": 7,
        "dropped": 1,
        "rejected": 1,
        "lost_on_the_way": 1,
        "adds_up": True,
        "stages_ms": {"wait": 0.5, "convert": 1.5, "segment": 9.0, "publish": 2.0},
        "device_memory_mib": None,
    }
    assert camera["latency"]["median_ms"] == pytest.approx(30)
    assert result["latency"] == camera["latency"]
    assert result["rate_hz"] == pytest.approx(10)
    assert result["answered_hz"] == pytest.approx(5 / 0.7)  # from the first stamp to the last
    assert [quarter["median_ms"] for quarter in result["quarters"]] == pytest.approx([30, 20, 30, 80])
    assert [quarter["resident_mib"] for quarter in result["quarters"]] == [100, 200, 200, 300]

    received["reports"]["/a/image_raw"] = report(7, 0, 1, 9)
    received["reports"]["/a/image_raw"]["device_memory_mib"] = "812"
    camera = summarise(sent, received)["cameras"]["/a/image_raw"]
    assert not camera["report"]["adds_up"] and camera["report"]["device_memory_mib"] == 812


def test_a_silent_node_is_an_error() -> None:
    received: dict[str, Any] = {"answers": {"/a": []}, "reports": {}, "memory": []}
    with pytest.raises(NodeError, match="not one frame"):
        summarise({"warm_up": 0, "stamps": {"/a": [1, 2]}}, received)


def test_counts_of_real_processes_add_up(command: list[str], tmp_path: Path, capfd) -> None:
    path, picture = tmp_path / "bench.json", tmp_path / "sweep.png"
    options = ["--cameras=2", "--seconds=3", "--json", str(path), "--sweep", str(picture)]
    assert main([*command, *options]) == 0
    alone, result = json.loads(path.read_text())["sweep"]
    table = capfd.readouterr().out
    assert alone["cameras"] == len(alone["ours"]["cameras"]) == 1
    assert cv2.imread(str(picture)).shape[1] > 300
    assert result["device"] == "cpu" and result["precision"] == "fp32"
    for name in ("ours", "plain"):
        assert list(result[name]["cameras"]) == ["/camera0/image_raw", "/camera1/image_raw"]
        for camera in result[name]["cameras"].values():
            assert 1 <= camera["answered"] <= camera["sent"] <= 30
            latency = camera["latency"]
            assert 0 < latency["median_ms"] <= latency["p90_ms"] <= latency["p99_ms"] < 1000 * TIMEOUT
        assert len(result[name]["quarters"]) == 4
        assert all(50 < quarter["resident_mib"] < 20_000 for quarter in result[name]["quarters"])
    for camera in result["ours"]["cameras"].values():
        counts = camera["report"]
        assert counts["adds_up"] and "ADD UP" not in table
        assert counts["in"] == counts["processed"] + counts["dropped"] + counts["rejected"]
        assert result["ours"]["warm_up"] + camera["sent"] == counts["in"] + counts["lost_on_the_way"]
        assert counts["rejected"] == 0 and counts["lost_on_the_way"] >= 0
        assert list(counts["stages_ms"]) == ["wait", "convert", "segment", "publish"]
        assert all(0 <= value < 1000 * TIMEOUT for value in counts["stages_ms"].values())
        assert camera["answered"] <= counts["processed"] <= result["ours"]["warm_up"] + camera["answered"]
    medians = [result[name]["latency"]["median_ms"] for name in ("plain", "ours")]
    assert result["speedup"] == pytest.approx(medians[0] / medians[1])
    assert result["agreement"] > 0.999 and 1 <= result["agreement_frames"] <= 4
    rate = 1e-3 * result["gflop"] * result["ours"]["answered_hz"]
    assert result["tflop_per_s"] == pytest.approx(rate)
    assert result["share_of_peak"] == pytest.approx(rate / result["peak_tflop_per_s"])
    assert all(camera["report"] is None for camera in result["plain"]["cameras"].values())
    assert table.strip() == f"{format_nodes(alone)}\n{format_nodes(result)}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_no_process_behind(command: list[str], number: int, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "TMPDIR": str(tmp_path)}
    bench = subprocess.Popen(
        [sys.executable, "-m", "night_seg_ros.cli", *command, "--seconds=600"],
        env=environment,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A shell that runs the tests in the background lets them ignore Ctrl-C; a terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert bench.stderr is not None
        said = b""
        while b"publishing" not in said:  # the bar of the publisher
            said += os.read(bench.stderr.fileno(), 1000)
            assert bench.poll() is None, said.decode()
        if number == signal.SIGINT:
            os.killpg(bench.pid, number)  # as a terminal does at Ctrl-C
        else:
            bench.send_signal(number)
        said += bench.communicate(timeout=TIMEOUT)[1]
        assert bench.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number], said.decode()
        with pytest.raises(ProcessLookupError):
            for _ in range(50):  # who has ended may still have to be buried
                os.killpg(bench.pid, 0)
                time.sleep(0.1)
        assert not list(tmp_path.iterdir())
    finally:
        if bench.poll() is None:
            os.killpg(bench.pid, signal.SIGKILL)
