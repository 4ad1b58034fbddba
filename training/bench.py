# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg bench train``: speed, as a ratio to a plain baseline that is measured in the same run."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from tqdm import tqdm

from night_seg_ros.common.files import write_json
from night_seg_ros.common.timing import (
    WARM_UP,
    count_flop,
    device_name,
    format_arithmetic,
    format_speed,
    judge_arithmetic,
    matrix_peak,
    peak_memory,
    seconds_per_call,
    summarise,
    take_turns,
)
from night_seg_ros.training.data.stream import DataConfig, training_loader
from night_seg_ros.training.engine.engine import Batch, Engine, Method, RunConfig
from night_seg_ros.training.engine.optimization import ScheduleConfig
from night_seg_ros.training.engine.recipe_command import (
    METHODS,
    method_class,
    recipe_parser,
    training_function,
)


def bench_recipe(
    build: Callable[[], Method],
    schedule: ScheduleConfig,
    data: DataConfig,
    run: RunConfig,
    rounds: int,
    steps: int,
) -> dict[str, Any]:
    """Measure the training of a recipe in one process, see ``bench_training``; writes nothing to run.out.

    Args:
        build: makes the method, each time anew.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = replace(run, out=folder, devices=1, nodes=1)
        schedule = replace(schedule, iterations=10**9)  # more than are measured
        engine = Engine(build(), replace(data, validation=[]), schedule, run, resume=False)
        return bench_training(engine, build(), rounds, steps)


def bench_training(engine: Engine, plain: Method, rounds: int, steps: int) -> dict[str, Any]:
    """Measure the input pipeline, the engine's step, and a plain step of the same networks.

    Plain is PyTorch as it comes: float32, channels first, no moving average, and one backward pass for all
    losses together. The two steps get one batch again and again and take turns, so that other work on the
    machine slows both.

    Args:
        engine: of a recipe; its steps count as training.
        plain: the same method, its networks on the CPU as they were built.
        rounds: how often the two take turns, 1 or more.
        steps: of each per turn, 1 or more.

    Returns:
        JSON values. ``input``: images per second of the pipeline. ``speed``: what ``summarise`` gives of
        ``step`` and ``plain``, and as ``memory_mib`` what each keeps for its backward passes, at most.
        ``slower``: ``input`` or ``step``, for which the other one waits. ``peak_memory_mib`` of training (on
        a GPU its memory, else this process's). What ``judge_arithmetic`` gives of a step. ``device``,
        ``precision``, ``batch_size``, ``crop`` (height, width), ``workers``.

    Raises:
        ValueError: ``rounds`` or ``steps`` are under 1.
    """
    if rounds < 1 or steps < 1:
        raise ValueError(f"rounds and steps are {rounds} and {steps}: give 1 or more")
    device = engine.fabric.device
    input_rate, batch = measure_input(engine, rounds * steps)
    seconds_per_call(lambda: engine.update(batch), WARM_UP, device)
    memory = peak_memory(device)
    plain_batch = {name: value.contiguous() for name, value in batch.items()}
    optimizers = prepare_plain(plain, device)
    turns: dict[str, Callable[[], object]] = {
        "step": lambda: engine.update(batch),
        "plain": lambda: plain_step(plain, optimizers, plain_batch),
    }
    seconds_per_call(turns["plain"], WARM_UP, device)
    saved = {name: peak_saved(turn) for name, turn in turns.items()}
    bar = tqdm(range(rounds), "steps", unit="round")
    seconds = take_turns(turns, lambda turn: [seconds_per_call(turn, 1, device) for _ in range(steps)], bar)
    speed = {
        name: {**figures, "memory_mib": saved[name] / 2**20}
        for name, figures in summarise(seconds, engine.data.batch_size).items()
    }
    # In 32-true, CUDA's convolutions are in TF32, which no product of float32 is: bf16 is an upper limit.
    in_bf16 = engine.precision.startswith("bf16") or device.type == "cuda"
    peak = matrix_peak(device, torch.bfloat16 if in_bf16 else torch.float32)
    step_s = speed["step"]["latency"]["median_ms"] / 1000
    return {
        "device": device_name(device),
        "precision": engine.precision,
        "batch_size": engine.data.batch_size,
        "crop": list(engine.data.crop),
        "workers": engine.data.workers,
        "input": input_rate,
        "speed": speed,
        "slower": "input" if input_rate < speed["step"]["images_per_s"] else "step",
        "peak_memory_mib": memory / 2**20,
        **judge_arithmetic(count_flop(turns["plain"]), step_s, peak),
    }


def measure_input(engine: Engine, batches: int) -> tuple[float, Batch]:
    """Images per second that the recipe's loader alone brings to the device, and its last batch."""
    with training_loader(engine.stream, engine.data, 0, WARM_UP + batches, 0, 1) as loader:
        source = iter(tqdm(engine.fabric.setup_dataloaders(loader, use_distributed_sampler=False), "input"))
        for _ in range(WARM_UP):
            next(source)
        start = time.perf_counter()
        for _ in range(batches):
            batch = next(source)
        seconds = time.perf_counter() - start
    return batches * engine.data.batch_size / seconds, batch


def prepare_plain(method: Method, device: torch.device) -> dict[str, Optimizer]:
    """Move a method to the device; its optimisers."""
    for module in (*method.networks.values(), *method.losses.values()):
        module.train().to(device)
    return method.optimizers()


def plain_step(method: Method, optimizers: dict[str, Optimizer], batch: Batch) -> None:
    """A training step as it is written without an engine: the sum of all losses goes back at once."""
    for optimizer in optimizers.values():
        optimizer.zero_grad()
    losses: list[Tensor] = []
    method.step(batch, losses.append)
    torch.stack(losses).sum().backward()
    for optimizer in optimizers.values():
        optimizer.step()


def peak_saved(function: Callable[[], object]) -> int:
    """Bytes of the tensors that are kept for backward passes, at most at one time; parameters are among them.

    A tensor that two operations keep counts twice.
    """
    held = most = 0

    class Saved:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal held, most
            self.tensor = tensor
            held += tensor.nbytes
            most = max(most, held)

        def __del__(self) -> None:
            nonlocal held
            held -= self.tensor.nbytes

    with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor):
        function()
    return most


def format_training(result: dict[str, Any]) -> str:
    """The result of ``bench_training`` as a table for people."""
    height, width = result["crop"]
    waits = {
        "input": "the step waits for the input pipeline",
        "step": "the input pipeline waits for the step",
    }
    return "\n".join(
        [
            f"{result['device']}, {result['precision']}, batches of {result['batch_size']} crops of "
            f"{height}x{width}, {result['workers']} workers, peak memory {result['peak_memory_mib']:.0f} MiB",
            f"input pipeline {result['input']:.1f} images/s: {waits[result['slower']]}",
            "a training step, against a plain loop's (float32, channels first); memory: kept for backward",
            format_speed(result["speed"]),
            format_arithmetic(result),
        ]
    )


def main(argv: list[str]) -> int:
    """Entry of ``night-seg bench train``."""
    if not argv or argv[0] not in METHODS:
        print(
            f"usage: night-seg bench train METHOD --config RECIPE ...\nmethods: {', '.join(METHODS)}",
            file=sys.stderr,
        )
        return 0 if argv[-1:] in (["-h"], ["--help"]) else 2
    method, *rest = argv
    parser = recipe_parser(training_function(method), f"night-seg bench train {method}")
    parser.add_argument("--rounds", type=int, default=5, help="how often training and plain step take turns")
    parser.add_argument("--steps", type=int, default=5, help="of each per turn")
    parser.add_argument("--json", help="also write the result to this file")
    arguments = parser.parse_args(rest)
    sections = vars(parser.instantiate(arguments))
    for name in ("config", "rounds", "steps", "json"):
        del sections[name]
    schedule, data, run = (sections.pop(name) for name in ("schedule", "data", "run"))
    result = bench_recipe(
        lambda: method_class(method)(**sections), schedule, data, run, arguments.rounds, arguments.steps
    )
    print(format_training(result))
    if arguments.json is not None:
        write_json(arguments.json, result)
    return 0
