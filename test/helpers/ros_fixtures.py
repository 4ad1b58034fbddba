# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Keeps the ROS traffic of the tests on this machine, apart from every other run."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

DOMAINS = 100  # Fast DDS can have 232, but the ports of the last ones are those of outgoing connections
FIRST_PORT, PORTS = (
    7410,
    250,
)  # of the first participant in domain 0, and from a domain to the next: DDSI-RTPS


@pytest.fixture(scope="session")
def ros_domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A ROS domain id that no other test process on this machine has; child processes inherit it.

    Ask for it before rclpy.init(). It is taken by holding the port of the domain's first participant, so that
    ``free_domain`` does not choose it either; participants then start with the second one's.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as lock, pytest.MonkeyPatch.context() as patch:
        for attempt in range(DOMAINS):
            domain = 1 + (os.getpid() + attempt) % DOMAINS
            try:
                lock.bind(("", FIRST_PORT + PORTS * domain))
                break
            except OSError:
                continue
        else:
            pytest.fail("no free ROS domain: too many test runs at once")
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.setenv("ROS_LOG_DIR", str(tmp_path_factory.mktemp("ros_log")))
        yield domain
