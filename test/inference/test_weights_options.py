# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``--model`` and ``--weights`` are the same options in all commands that have them."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from night_seg_ros import cli
from night_seg_ros.inference.options import add_weights_options, chosen_weights
from night_seg_ros.models import METHODS
from night_seg_ros.models.checkpoint import demonstration_weights

COMMANDS = ["segment", "export", "evaluate", "submit", "demo", "bench network", "bench frame", "bench node"]


def chosen(*arguments: str) -> Path:
    parser = argparse.ArgumentParser()
    add_weights_options(parser)
    return chosen_weights(parser.parse_args(arguments))


def test_what_is_chosen() -> None:
    assert chosen() == demonstration_weights("egnet")
    for name in METHODS:
        assert chosen("--model", name) == demonstration_weights(name)
    assert chosen("--weights", "mine.safetensors") == Path("mine.safetensors")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_them(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, status in ((["--model=dannet", "--weights=x"], 2), (["--model=unet"], 2), (["--help"], 0)):
        with pytest.raises(SystemExit) as stop:
            cli.main([*command.split(), *arguments])
        assert stop.value.code == status
    said = capsys.readouterr()
    assert "argument --weights: not allowed with argument --model" in said.err
    assert "invalid choice: 'unet'" in said.err
    assert "whose demonstration weights to take (default: egnet)" in " ".join(said.out.split())
