# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg bench NAME``: measures speed and memory, always against a plain baseline in the same run."""

from __future__ import annotations

from night_seg_ros.common.subcommands import run_command

BENCHES = {
    "network": ("bench.network", "the network alone, from its input to its logits"),
    "labels": ("bench.labels", "from logits to labels of a frame's size"),
    "messages": ("bench.messages", "between image messages and pixels, for each encoding"),
    "frame": ("bench.frame", "from a frame in memory to its labels"),
    "node": ("bench.node", "from a camera's topic to the labels, between processes"),
    "train": ("training.bench", "training: input against step, step against a plain loop"),
}


def main(argv: list[str]) -> int:
    """Entry of ``night-seg bench``."""
    return run_command("night-seg bench", BENCHES, argv)
