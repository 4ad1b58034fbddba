"""Latency, throughput, memory and arithmetic of functions that run a network."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from night_seg_ros.models.timing import device_name, peak_memory, seconds_per_call, speedup, take_turns, wait
from night_seg_ros.process_memory import resident_memory

Stages = Sequence[tuple[str, Callable[[Any], Any]]]
"""Names and steps of a way; each step takes what the one before it gave."""

WARM_UP = 3  # calls that don't count: kernels get chosen, caches fill
_MATRIX_SIZE = {"cuda": 8192, "cpu": 2048}  # rows and columns, enough to keep the device busy


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
        tqdm(range(rounds), "rounds", unit="round"),
    )
    return {
        name: {**summary, "memory_mib": memory[name] / 2**20}
        for name, summary in summarise(seconds, images).items()
    }


def summarise(seconds: Mapping[str, list[list[float]]], images: int) -> dict[str, dict[str, Any]]:
    """The figures of functions that took turns.

    Args:
        seconds: of each call, a list for each round, by the function's name; ours is the first.
        images: of a call.

    Returns:
        By the function's name: ``latency``, see ``percentiles``, of all calls; ``images_per_s`` at the
        median. Of the others also ``speedup``, how many times as fast ours is (the median over the rounds of
        the ratio of the two medians of a round), and ``speedup_range``, its least and most.
    """
    medians = {name: [statistics.median(calls) for calls in rounds] for name, rounds in seconds.items()}
    ours = next(iter(seconds))
    result: dict[str, dict[str, Any]] = {}
    for name, rounds in seconds.items():
        latency = percentiles([call for calls in rounds for call in calls])
        result[name] = {"latency": latency, "images_per_s": 1000 * images / latency["median_ms"]}
        if name != ours:
            ratio, least, most = speedup(medians[ours], medians[name])
            result[name] |= {"speedup": ratio, "speedup_range": [least, most]}
    return result


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """``median_ms``, ``p90_ms`` and ``p99_ms`` of latencies in seconds, one or more."""
    values = np.percentile(seconds, (50, 90, 99)) * 1000
    return dict(zip(("median_ms", "p90_ms", "p99_ms"), values.tolist(), strict=True))


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


def count_flop(network: nn.Module, image: Tensor) -> int:
    """Floating-point operations of a pass; a multiplication and an addition are two.

    Matrix products and convolutions count, as they are in the network; folding would take some away.
    """
    with FlopCounterMode(display=False) as counter:
        network(image)
    return int(counter.get_total_flops())


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of a large square matrix product, the best of several."""
    size = _MATRIX_SIZE[device.type]
    factor = torch.randn(size, size, device=device).to(dtype)
    seconds = [seconds_per_call(lambda: factor @ factor, 1, device) for _ in range(WARM_UP + 5)]
    return 2 * size**3 / min(seconds)


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


def format_device(result: Mapping[str, Any]) -> str:
    """The figures of ``describe_device``, and ``precision``, in a line for people."""
    return (
        f"{result['device']}, {result['precision']}, torch {result['torch']}, {result['threads']} threads, "
        f"peak memory of all {result['peak_memory_mib']:.0f} MiB"
    )


def format_speed(result: Mapping[str, dict[str, Any]]) -> str:
    """The figures of ``compare_speed`` as a table for people."""
    lines = [
        f"{'':<10}{'median':>12}{'p90':>12}{'p99':>12}{'images/s':>12}{'memory':>12}   ours is faster by"
    ]
    for name, figures in result.items():
        latency = "".join(f"{value:>9.2f} ms" for value in figures["latency"].values())
        line = f"{name:<10}{latency}{figures['images_per_s']:>12.1f}{figures['memory_mib']:>8.1f} MiB"
        if "speedup" in figures:
            least, most = figures["speedup_range"]
            line += f"   {figures['speedup']:.2f} ({least:.2f} to {most:.2f})"
        lines.append(line)
    return "\n".join(lines)


def format_stages(result: Mapping[str, dict[str, float]]) -> str:
    """The figures of ``measure_stages``, by the name of whose stages they are, a line for each."""
    return "\n".join(
        f"{name:<10}" + ", ".join(f"{stage} {value:.2f} ms" for stage, value in stages.items())
        for name, stages in result.items()
    )
