"""Compares how fast functions are: they take turns, so that other work on the machine slows all of them."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import torch

Measured = TypeVar("Measured")


def take_turns(
    functions: Mapping[str, Callable[[], object]],
    measure: Callable[[Callable[[], object]], Measured],
    rounds: Iterable[object],
) -> dict[str, list[Measured]]:
    """Measure each function once a round, one after the other.

    Args:
        functions: by name, in the order of their turns.
        measure: what is done with a function in its turn.
        rounds: gone through once; such as ``range(5)`` or a progress bar of it.

    Returns:
        What ``measure`` returned, by the function's name, a value for each round.
    """
    measured: dict[str, list[Measured]] = {name: [] for name in functions}
    for _ in rounds:
        for name, function in functions.items():
            measured[name].append(measure(function))
    return measured


def seconds_per_call(function: Callable[[], object], calls: int, device: torch.device) -> float:
    """Mean seconds, with all that the device has to do."""
    wait(device)
    start = time.perf_counter()
    for _ in range(calls):
        function()
    wait(device)
    return (time.perf_counter() - start) / calls


def wait(device: torch.device) -> None:
    """Until the device has done all that it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def speedup(ours: list[float], other: list[float]) -> tuple[float, float, float]:
    """How many times as fast as another function ours is.

    Args:
        ours, other: seconds in each round; as many of both.

    Returns:
        Median, least and most of the ratio other / ours over the rounds.
    """
    ratios = [slow / fast for fast, slow in zip(ours, other, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def peak_memory(device: torch.device) -> int:
    """Bytes since the start: of tensors on the GPU, on the CPU those of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def device_name(device: torch.device) -> str:
    """Such as ``NVIDIA H100``, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
