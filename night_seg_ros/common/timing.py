# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Compares how fast functions are: they take turns, so that other work on the machine slows all of them.

Also says how near that is to what the device can do.
"""

from __future__ import annotations

import copy
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from night_seg_ros.common.latency import percentiles
from night_seg_ros.common.tables import percent

Measured = TypeVar("Measured")

WARM_UP = 3  # calls that don't count: kernels get chosen, caches fill
_MATRIX_SIZE = {"cuda": 8192, "cpu": 2048}  # rows and columns, enough to keep the device busy


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


def summarise(seconds: Mapping[str, list[list[float]]], images: int) -> dict[str, dict[str, Any]]:
    """The figures of functions that took turns.

    Args:
        seconds: of each call, a list for each round, by the function's name; ours is the first.
        images: of a call.

    Returns:
        By the function's name: ``calls``, how many; ``latency``, see ``percentiles``, of all of them;
        ``images_per_s`` at the median. Of the others also ``speedup``, how many times as fast ours is (the
        median over the rounds of the ratio of the two medians of a round), and ``speedup_range``, its least
        and most.
    """
    medians = {name: [statistics.median(calls) for calls in rounds] for name, rounds in seconds.items()}
    ours = next(iter(seconds))
    result: dict[str, dict[str, Any]] = {}
    for name, rounds in seconds.items():
        calls = [call for each in rounds for call in each]
        latency = percentiles(calls)
        images_per_s = 1000 * images / latency["median_ms"]
        result[name] = {"calls": len(calls), "latency": latency, "images_per_s": images_per_s}
        if name != ours:
            ratio, least, most = speedup(medians[ours], medians[name])
            result[name] |= {"speedup": ratio, "speedup_range": [least, most]}
    return result


def count_flop(function: Callable[[], object]) -> int:
    """Floating-point operations of a call; a multiplication and an addition are two.

    Matrix products and convolutions count, as they are there; folding would take some away.
    """
    with FlopCounterMode(display=False) as counter:
        function()
    return int(counter.get_total_flops())


def count_network_flop(network: nn.Module, batch: int, height: int, width: int) -> int:
    """``count_flop`` of a network on so many images of a size, without computing anything."""
    on_meta = copy.deepcopy(network).to("meta")
    image = torch.empty(batch, 3, height, width, device="meta")
    return count_flop(lambda: on_meta(image))


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of a large square matrix product, the best of several."""
    size = _MATRIX_SIZE[device.type]
    factor = torch.randn(size, size, device=device).to(dtype)
    products: list[Callable[[], object]] = [lambda: factor @ factor]
    if device.type == "cpu":
        # As a convolution, too: the library of products may not use all that this processor can do.
        image = factor.view(1, size, size, 1).contiguous(memory_format=torch.channels_last)
        products.append(lambda: F.conv2d(image, factor.view(size, size, 1, 1)))
    calls = WARM_UP + 5
    return 2 * size**3 / min(seconds_per_call(p, 1, device) for p in products for _ in range(calls))


def judge_arithmetic(flop: int, seconds: float, peak: float) -> dict[str, float]:
    """How near a function comes to what the device can do.

    Args:
        flop: of a call, see ``count_flop``.
        seconds: of a call.
        peak: see ``matrix_peak``.

    Returns:
        ``gflop`` of a call; ``tflop_per_s``; ``peak_tflop_per_s``; ``share_of_peak``.
    """
    flop_per_s = flop / seconds
    return {
        "gflop": flop / 1e9,
        "tflop_per_s": flop_per_s / 1e12,
        "peak_tflop_per_s": peak / 1e12,
        "share_of_peak": flop_per_s / peak,
    }


def format_speed(result: Mapping[str, dict[str, Any]]) -> str:
    """The figures of ``summarise``, with ``memory_mib`` of each, as a table for people."""
    calls = f"{next(iter(result.values()))['calls']} calls"
    lines = [
        f"{calls:<10}{'median':>12}{'p90':>12}{'p99':>12}{'images/s':>12}{'memory':>12}   ours is faster by"
    ]
    for name, figures in result.items():
        latency = "".join(f"{value:>9.2f} ms" for value in figures["latency"].values())
        line = f"{name:<10}{latency}{figures['images_per_s']:>12.1f}{figures['memory_mib']:>8.1f} MiB"
        if "speedup" in figures:
            least, most = figures["speedup_range"]
            line += f"   {figures['speedup']:.2f} ({least:.2f} to {most:.2f})"
        lines.append(line)
    return "\n".join(lines)


def format_arithmetic(result: Mapping[str, Any]) -> str:
    """The figures of ``judge_arithmetic`` in a line for people."""
    return (
        f"{result['gflop']:.1f} GFLOP; a matrix product reaches {result['peak_tflop_per_s']:.2f} TFLOP/s, so "
        f"{result['gflop'] / result['peak_tflop_per_s']:.2f} ms at that speed; ours: "
        f"{result['tflop_per_s']:.2f} TFLOP/s, {percent(result['share_of_peak'])}"
    )
