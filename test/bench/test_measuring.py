# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the benchmarks measure with: turns, figures, memory, arithmetic."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from night_seg_ros.bench.measuring import compare_speed, measure_stages, warm_up
from night_seg_ros.common import timing
from night_seg_ros.common.latency import percentiles
from night_seg_ros.common.timing import (
    WARM_UP,
    count_flop,
    count_network_flop,
    format_arithmetic,
    format_speed,
    judge_arithmetic,
    matrix_peak,
    speedup,
    summarise,
    take_turns,
)

CPU = torch.device("cpu")


def test_turns_are_interleaved() -> None:
    calls: list[str] = []
    functions = {name: lambda name=name: calls.append(name) for name in ("ours", "plain", "authors")}
    result = take_turns(functions, lambda function: [function(), function(), len(calls)][2], range(2))
    assert calls == ["ours", "ours", "plain", "plain", "authors", "authors"] * 2
    assert result == {"ours": [2, 8], "plain": [4, 10], "authors": [6, 12]}


def test_speedup_is_the_median_of_the_ratios_not_the_ratio_of_the_medians() -> None:
    assert speedup([1.0, 2.0, 4.0], [3.0, 2.0, 8.0]) == (2.0, 1.0, 3.0)


def test_figures_of_hand_made_durations() -> None:
    seconds = {
        "ours": [[0.010, 0.020, 0.900], [0.030, 0.020, 0.030]],  # medians 20 and 30 ms
        "plain": [[0.050, 0.040, 0.030], [0.090, 0.090, 0.010]],  # 40 and 90 ms
    }
    result = summarise(seconds, images=2)
    assert result["ours"]["latency"]["median_ms"] == pytest.approx(25)
    assert result["ours"]["images_per_s"] == pytest.approx(2 / 0.025)
    assert "speedup" not in result["ours"]
    assert result["plain"]["speedup"] == pytest.approx(2.5)  # of 2 and 3
    assert result["plain"]["speedup_range"] == pytest.approx([2, 3])


def test_percentiles() -> None:
    figures = percentiles([number / 1000 for number in range(101)])
    assert figures == pytest.approx({"median_ms": 50, "p90_ms": 90, "p99_ms": 99})


def test_calls_and_table() -> None:
    calls = {"ours": 0, "plain": 0}

    def called(name: str) -> None:
        calls[name] += 1

    functions = {name: lambda name=name: called(name) for name in calls}
    speed = compare_speed(functions, images=1, rounds=3, repeats=4, device=CPU)
    assert calls == dict.fromkeys(calls, WARM_UP + 1 + 3 * 4)  # one more for the memory
    table = format_speed(speed).splitlines()
    assert table[0].startswith("12 calls")
    assert table[1].startswith("ours") and "(" not in table[1]
    least, most = speed["plain"]["speedup_range"]
    assert f"{speed['plain']['speedup']:.2f} ({least:.2f} to {most:.2f})" in table[2]


def test_memory_of_a_call() -> None:
    keep = np.ones(32 << 20, np.uint8)  # what is held before does not count
    taken = warm_up(lambda: np.ones(64 << 20, np.uint8).sum() + keep[0], CPU)
    assert 63 << 20 < taken < 80 << 20
    assert warm_up(lambda: None, CPU) < 8 << 20


def test_operations_of_a_convolution_and_a_product() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.Flatten(), nn.Linear(8 * 5 * 6, 7))
    by_hand = 2 * (8 * 5 * 6) * (3 * 3 * 3) + 2 * (8 * 5 * 6) * 7
    one, four = torch.zeros(1, 3, 10, 12), torch.zeros(4, 3, 10, 12)
    assert count_flop(lambda: network(one)) == by_hand
    assert count_flop(lambda: network(four)) == count_network_flop(network, 4, 10, 12) == 4 * by_hand
    # Backward, a product for the gradient of each factor; nobody wants that of the image.
    convolution = 2 * (8 * 5 * 6) * (3 * 3 * 3)
    assert count_flop(lambda: network(one).sum().backward()) == 3 * by_hand - convolution


def test_peak_is_that_of_the_fastest_product(monkeypatch) -> None:
    seconds = iter([4.0, 3.0, 0.5, *[2.0] * 100])
    products: list[Any] = []

    def timed(function: Callable[[], Any], calls: int, device: torch.device) -> float:
        products.append(function())
        return next(seconds)

    monkeypatch.setattr(timing, "_MATRIX_SIZE", {"cpu": 64})
    monkeypatch.setattr(timing, "seconds_per_call", timed)
    assert matrix_peak(CPU, torch.float32) == 2 * 64**3 / 0.5
    assert torch.allclose(products[0], products[-1].view(64, 64), atol=1e-3)  # as a convolution


def test_share_of_the_peak_by_hand() -> None:
    """30 GFLOP in 20 ms are 1.5 TFLOP/s, half of 3; at 3 it would be 10 ms."""
    result = judge_arithmetic(30 * 10**9, 0.02, 3e12)
    assert result == pytest.approx(
        {"gflop": 30, "tflop_per_s": 1.5, "peak_tflop_per_s": 3, "share_of_peak": 0.5}
    )
    line = format_arithmetic(result)
    assert line.startswith("30.0 GFLOP; a matrix product reaches 3.00 TFLOP/s, so 10.00 ms at that speed")
    assert line.endswith("; ours: 1.50 TFLOP/s, 50.0 %")


def test_each_stage_gets_what_the_one_before_gave() -> None:
    seen: list[Any] = []

    def double(value: int) -> int:
        seen.append(value)
        time.sleep(0.01)
        return 2 * value

    result = measure_stages([("first", double), ("second", double)], 3, 2, CPU)
    assert seen == [3, 6, 3, 6]
    assert list(result) == ["first", "second"] and all(value >= 10 for value in result.values())
