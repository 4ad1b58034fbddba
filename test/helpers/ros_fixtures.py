"""Keeps the ROS traffic of the tests on this machine, apart from every other run."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

DOMAINS = 100  # Fast DDS can have 232, but the ports of the last ones are those of outgoing connections
LOCK_PORT = 17300


@pytest.fixture(scope="session")
def ros_domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A ROS domain id that no other test run on this machine has; child processes inherit it.

    Ask for it before rclpy.init(). It is taken by listening on a port of its own.
    """
    with socket.socket() as lock, pytest.MonkeyPatch.context() as patch:
        for attempt in range(DOMAINS):
            domain = 1 + (os.getpid() + attempt) % DOMAINS
            try:
                lock.bind(("127.0.0.1", LOCK_PORT + domain))
                break
            except OSError:
                continue
        else:
            pytest.fail("no free ROS domain: too many test runs at once")
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.setenv("ROS_LOG_DIR", str(tmp_path_factory.mktemp("ros_log")))
        yield domain
