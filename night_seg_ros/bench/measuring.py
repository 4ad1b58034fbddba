# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Latency, throughput and memory of functions that run a network."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from night_seg_ros.bench.process_memory import resident_memory
from night_seg_ros.common.timing import (
    WARM_UP,
    count_network_flop,
    device_name,
    judge_arithmetic,
    matrix_peak,
    peak_memory,
    seconds_per_call,
    summarise,
    take_turns,
    wait,
)

Stages = Sequence[tuple[str, Callable[[Any], Any]]]
"""Names and steps of a way; each step takes what the one before it gave."""


def compare_speed(
    functions: Mapping[str, Callable[[], object]],
    *,
    images: int,
    rounds: int,
    repeats: int,
    device: torch.device,
) -> dict[str, dict[str, Any]]:
    """Measure functions that do the same, call by call, in turns.

    Args:
        functions: by name; the first is ours, the others are what it is compared with.
        images: how many a call takes.
        rounds: how often they take turns.
        repeats: calls of each per turn.
        device: what they compute on.

    Returns:
        By the function's name, what ``summarise`` gives, and ``memory_mib``: what it takes at most, see
        ``warm_up``.

    Raises:
        OSError: on the CPU, where the system does not tell a process its memory (it is not Linux).
    """
    memory = {name: warm_up(function, device) for name, function in functions.items()}
    seconds = take_turns(
        functions,
        lambda function: [seconds_per_call(function, 1, device) for _ in range(repeats)],
        tqdm(range(rounds), "rounds", unit="round", leave=False),
    )
    return {
        name: {**summary, "memory_mib": memory[name] / 2**20}
        for name, summary in summarise(seconds, images).items()
    }


def measure_stages(stages: Stages, first: Any, rounds: int, device: torch.device) -> dict[str, float]:
    """Median milliseconds of each stage, by its name, with all that the device has to do in it.

    Args:
        stages: one or more.
        first: what the first one takes.
        rounds: how often all of them run.
        device: what they compute on.
    """
    seconds: dict[str, list[float]] = {name: [] for name, _ in stages}
    for _ in range(rounds):
        value = first
        for name, stage in stages:
            wait(device)
            start = time.perf_counter()
            value = stage(value)
            wait(device)
            seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}


def warm_up(function: Callable[[], object], device: torch.device) -> int:
    """Call a function until it has made its choices; the bytes that it takes at most.

    On the GPU those of tensors in all these calls: what a captured graph works on is taken while it is
    captured. On the CPU those that a later call takes beyond what the process, as Linux tells, held before.
    """
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    for _ in range(WARM_UP):
        function()
    if cuda:
        wait(device)
        return torch.cuda.max_memory_allocated(device) - before
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # else what was freed is there to be taken again unseen
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak, VmHWM, to the present value
    before = resident_memory("self", "VmRSS")
    function()
    return max(0, resident_memory("self", "VmHWM") - before)


def describe_device(device: torch.device) -> dict[str, Any]:
    """What a speed depends on besides the function, and the memory of all that was measured: JSON values.

    ``device``, ``torch``, ``threads``, ``peak_memory_mib`` since the start, see ``peak_memory``.
    """
    return {
        "device": device_name(device),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "peak_memory_mib": peak_memory(device) / 2**20,
    }


def measure_arithmetic(
    network: nn.Module,
    shape: tuple[int, int, int],
    milliseconds: float,
    device: torch.device,
    dtype: torch.dtype,
) -> dict[str, float]:
    """What ``judge_arithmetic`` gives of a network's operations, by a matrix product on the device.

    Args:
        shape: images, height and width of a call.
        milliseconds: of a call.
        dtype: of the matrix product.
    """
    flop = count_network_flop(network, *shape)
    return judge_arithmetic(flop, milliseconds / 1000, matrix_peak(device, dtype))


def format_device(result: Mapping[str, Any]) -> str:
    """The figures of ``describe_device``, and ``precision``, in a line for people."""
    return (
        f"{result['device']}, {result['precision']}, torch {result['torch']}, {result['threads']} threads, "
        f"peak memory of all {result['peak_memory_mib']:.0f} MiB"
    )


def format_stages(result: Mapping[str, dict[str, float]]) -> str:
    """The figures of ``measure_stages``, by the name of whose stages they are, a line for each."""
    return "\n".join(
        f"{name:<10}" + ", ".join(f"{stage} {value:.2f} ms" for stage, value in stages.items())
        for name, stages in result.items()
    )
