"""What every test may use. ros_fixtures.py imports nothing of ROS."""

from __future__ import annotations

from pathlib import Path

import pytest
from ros_fixtures import ros_domain

__all__ = ["ros_domain"]

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings and labelled images beside the checkout; without them the test is skipped."""
    folder = CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder
