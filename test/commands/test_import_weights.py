# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""night-seg import-weights takes the networks whose weights were published; what it makes: test/models."""

from __future__ import annotations

import pytest

from night_seg_ros.cli import main
from night_seg_ros.commands import import_weights
from night_seg_ros.models.names import SEGMENTATION_NETWORKS


def test_a_network_of_which_nothing_was_published_is_no_choice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(import_weights, "SEGMENTATION_NETWORKS", (*SEGMENTATION_NETWORKS, "ours"))
    files = ["--segmentation=a.pth", "--relighting=b.pth", "--out=c.safetensors"]
    with pytest.raises(SystemExit) as stop:
        main(["import-weights", "dannet", "--segmentation-network=ours", *files])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "invalid choice: 'ours'" in said and all(
        name in said for name in ("pspnet", "deeplab", "refinenet")
    )
