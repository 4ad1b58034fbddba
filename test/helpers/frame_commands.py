# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What every command that turns frames into files has to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.bag_files import pictures

from night_seg_ros.media.writers import write_image


def check_that_nothing_is_overwritten(
    run: Callable[..., int], result: str, frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two images of one name are refused, and so is a folder of images to write into.

    Args:
        run: the command; takes the folder of the results and the inputs, returns the exit status.
        result: what its files are called behind the name of an image.
        frames: a folder of images, ``frame1.png`` among them.
    """
    before = sorted(frames.iterdir())
    other, out = frames.parent / "other" / "frame1.jpg", frames.parent / "out"
    write_image(other, pictures(1)[0])
    assert run(out, frames, other) == 1
    message = capsys.readouterr().err
    assert f"{frames / 'frame1.png'} and {other} would both become {out / f'frame1_{result}.png'}" in message
    assert not out.exists()
    assert run(frames, frames) == 1
    assert "is an input folder" in capsys.readouterr().err
    assert sorted(frames.iterdir()) == before
