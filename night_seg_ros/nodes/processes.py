# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Runs ROS nodes as processes of their own, in a ROS domain of their own, and never leaves one behind."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

START_S = 180.0  # that a node may take until it runs: importing torch from a cold, slow disk takes its time


class NodeError(RuntimeError):
    """A node failed or hung; the message says which, and what it said."""


class NodeProcesses:
    """Nodes of this package, each a process of its own; none of them outlives the ``with`` block."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **os.environ,
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "ROS_DOMAIN_ID": str(free_domain()),
        }

    def __enter__(self) -> NodeProcesses:
        return self

    def start(self, name: str, arguments: list[str], show: bool = False) -> None:
        """Start a node module; with ``show`` its stderr (progress, warnings) goes to the terminal."""
        with self._log(name).open("wb") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", f"night_seg_ros.{name}", *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=None if show else subprocess.STDOUT,
            )

    def wait(self, name: str, timeout: float) -> None:
        """Wait until this process has ended well, while the others run."""
        give_up = time.monotonic() + timeout
        while name in self.running:
            for other, process in list(self.running.items()):
                status = process.poll()
                if status is None:
                    continue
                del self.running[other]
                if status != 0 or other != name:
                    raise NodeError(f"{other} ended with status {status}. It said:\n{self._said(other)}")
            if time.monotonic() > give_up:
                said = "\n".join(f"{other}:\n{self._said(other)}" for other in self.running)
                raise NodeError(f"{name} did not end within {timeout:.0f} s. The nodes said:\n{said}")
            time.sleep(0.1)

    def _log(self, name: str) -> Path:
        return self._work / f"{name}.log"

    def _said(self, name: str) -> str:
        lines = self._log(name).read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-30:]) or "    (nothing)"

    def __exit__(self, *_: object) -> None:
        for ask, patience in ((signal.SIGINT, 10), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            for process in self.running.values():
                if process.poll() is None:
                    process.send_signal(ask)
            give_up = time.monotonic() + patience
            while any(p.poll() is None for p in self.running.values()) and time.monotonic() < give_up:
                time.sleep(0.05)


def segment_node_arguments(work: Path, parameters: dict[str, Any]) -> list[str]:
    """The arguments that give segment_node these parameters, by a file in the folder ``work``."""
    path = work / "segment_node.yaml"
    # JSON is YAML, too, and quotes any path.
    path.write_text(json.dumps({"/segment_node": {"ros__parameters": parameters}}))
    return ["--ros-args", "--params-file", str(path)]


def free_domain() -> int:
    """A ROS domain that no one on this machine seems to use: the port of its first participant is free."""
    domains = random.sample(range(1, 102), 20)
    for domain in domains:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7400 + 250 * domain + 10))  # of the DDSI-RTPS standard
                return domain
            except OSError:
                continue
    return domains[0]
