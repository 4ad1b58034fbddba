# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What every test may use. ros_fixtures.py imports nothing of ROS."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.ros_fixtures import ros_domain

__all__ = ["ros_domain"]

CHECKOUT = Path(__file__).resolve().parents[1]

# The files that take longest, longest first: parallel workers, each of which takes the next file, then end
# at about the same time.
LONG = [
    "bench/test_bench_node.py",
    "training/test_study.py",
    "commands/test_export.py",
    "training/test_train_dannet.py",
    "nodes/test_segment_node.py",
    "commands/test_demo.py",
    "nodes/test_cameras.py",
    "training/test_train_egnet.py",
    "models/test_dannet.py",
    "commands/test_compare.py",
    "bench/test_bench_commands.py",
    "training/test_distributed.py",
    "nodes/test_play_node.py",
    "models/test_bimix.py",
    "training/test_train_bimix.py",
]


def pytest_configure() -> None:
    """One thread for each of several workers, and for the processes that its tests start."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"  # torch is not imported yet


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(LONG)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings and labelled images beside the checkout; without them the test is skipped."""
    folder = CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small EGNet that has learnt nothing, as a checkpoint."""
    import torch

    from night_seg_ros.models import build_model
    from night_seg_ros.models.checkpoint import save_checkpoint

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "egnet.safetensors"
    save_checkpoint(path, build_model("egnet", backbone="resnet10"), {})
    return path
