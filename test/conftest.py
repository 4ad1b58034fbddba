"""What every test may use. ros_fixtures.py imports nothing of ROS."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.ros_fixtures import ros_domain

from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import save_checkpoint

__all__ = ["ros_domain"]

CHECKOUT = Path(__file__).resolve().parents[1]


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
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "egnet.safetensors"
    save_checkpoint(path, build_model("egnet", backbone="resnet10"), {})
    return path
