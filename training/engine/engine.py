# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The training engine that every method shares: steps, schedule, logs, checkpoints, resume.

A method (``train_egnet.py`` ...) brings its networks, its optimisers and what one step does. The engine
does the rest, on Lightning Fabric: one process or many, CPU or GPU, one machine or several that share the
run's folder. Each process takes its part of every batch and of every validation; gradients and losses are
means over the processes, scores come from the sum of their counts, and rank 0 alone writes.
"""

from __future__ import annotations

import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from night_seg_ros.common.files import atomic_path
from night_seg_ros.common.tables import percent
from night_seg_ros.inference.preprocess import computes_in_bf16
from night_seg_ros.models.checkpoint import save_checkpoint
from night_seg_ros.training.data.datasets import SYNTHETIC, DataError
from night_seg_ros.training.data.stream import (
    DataConfig,
    SourceConfig,
    build_validation,
    training_loader,
)
from night_seg_ros.training.engine.launchers import launched_processes, rank_zero_first
from night_seg_ros.training.engine.optimization import ScheduleConfig, moving_average, poly_factor
from night_seg_ros.training.engine.snapshots import Snapshots
from night_seg_ros.training.evaluation.evaluate import TestTime, evaluate

Batch = dict[str, Tensor]


@dataclass
class RunConfig:
    """How a run is carried out.

    Attributes:
        out: folder for everything the run writes.
        seed: of the weights and the data.
        accelerator: ``auto``, ``cpu`` or ``cuda``.
        devices: processes per machine, one per GPU; torchrun and Slurm bring their own number.
        nodes: machines; likewise.
        precision: ``auto`` (bf16 where the device computes in it), ``bf16-mixed`` or ``32-true``.
        ema: decay, after the first steps, of the exponential moving average of the weights, which is what is
            exported; 0 exports the last weights.
        input_size: size at which the exported model sees an image: its shorter side in pixels, or an exact
            height and width.
        storage: of the exported model, see ``save_checkpoint``.
        log_every: steps between two entries of losses in the logs, 0 for never.
        picture_every: steps between two pictures in the logs, 0 for never.
        save_every: steps between two savings; 0 for the end only. A run that is stopped is saved in any case.
        validate_every: steps between two scores, 0 for never.
        keep: how many of the models that were scored stay in the folder ``snapshots``, the latest ones; or
            ``all``.
        best: the score by which the best of all that were scored is kept as ``best.safetensors``, such as
            ``miou/nightcity/val``; None for no such file.
    """

    out: str
    seed: int
    accelerator: str
    devices: int
    nodes: int
    precision: Literal["auto", "bf16-mixed", "32-true"]
    ema: float
    input_size: int | tuple[int, int]
    storage: Literal["float32", "float16", "int8"]
    log_every: int
    picture_every: int
    save_every: int
    validate_every: int
    keep: int | Literal["all"] = 0
    best: str | None = None


class StepReport(NamedTuple):
    """What a step tells.

    Attributes:
        losses: by name, scalars; all must be finite.
        statistics: further numbers to log, by name, scalars.
    """

    losses: dict[str, Tensor]
    statistics: dict[str, Tensor] = {}


class Method(ABC):
    """What a method adds to the engine.

    Attributes:
        networks: by name; ``model``, made by ``build_model``, is the one that is exported.
        losses: modules without parameters, moved to the device with the networks.
        leaves_parameters_unused: whether a loss may not reach all parameters of its network.
        starts_from: SHA-256 of the checkpoint that the network began with, None for no checkpoint.
        forward_methods: names of methods of ``model`` that a step calls beside its ``forward``.
        autocast: the engine's precision, for what a step computes outside of its networks' ``forward``.
    """

    leaves_parameters_unused: bool = False
    starts_from: str | None = None
    forward_methods: tuple[str, ...] = ()
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    networks: dict[str, nn.Module]
    losses: dict[str, nn.Module]

    def check_data(self, data: Any) -> None:  # noqa: B027  # most methods take any
        """Refuse data that the method can't learn from.

        Args:
            data: the recipe's section.

        Raises:
            ValueError: says what does not fit.
        """

    @abstractmethod
    def optimizers(self) -> dict[str, Optimizer]:
        """One optimiser per network, by the same names."""

    @abstractmethod
    def step(self, batch: Batch, backward: Callable[[Tensor], None]) -> StepReport:
        """Leave this batch's gradients in the networks."""

    @abstractmethod
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Pictures to look at, by name, each (3, H, W) uint8; every process calls it at the same step."""


def source_name(source: SourceConfig) -> str:
    """How scores call a source: ``nightcity/val``, ``synthetic/night``, a folder's own name."""
    if source.dataset == SYNTHETIC:
        return f"{SYNTHETIC}/{'night' if source.night > 0 else 'day'}"
    name = Path(source.root).name if source.dataset == "folder" else source.dataset
    return f"{name}/{source.split}{'/night' if source.night > 0 else ''}"


class Engine:
    """Trains a method to the end of its schedule, or until Ctrl-C.

    Writes into ``run.out``: ``state.pt`` (to resume from), ``model.safetensors`` (the exported model),
    TensorBoard's logs, and what ``Snapshots`` keeps. Resuming continues exactly where ``state.pt`` was
    written.

    Args:
        method: with networks on the CPU.
        data, schedule, run: the recipe.
        resume: go on from ``run.out``/state.pt.

    Raises:
        DataError: see ``DataConfig.open_stream``.
        FileNotFoundError: ``resume`` without a ``state.pt``.
        ValueError: the state belongs to another model.
    """

    def __init__(
        self, method: Method, data: DataConfig, schedule: ScheduleConfig, run: RunConfig, *, resume: bool
    ) -> None:
        # Imported when a run begins: it takes longer than all else that ``--help`` needs.
        from lightning.fabric import Fabric
        from lightning.fabric.loggers import TensorBoardLogger
        from lightning.fabric.strategies import DDPStrategy

        method.check_data(data)
        self.method, self.data, self.schedule, self.run = method, data, schedule, run
        self.out = Path(run.out)
        self.logger = TensorBoardLogger(self.out, name="logs", version="")
        self.precision = _choose_precision(run)
        devices, nodes = launched_processes(run.devices, run.nodes)
        together = devices * nodes > 1
        self.fabric = Fabric(
            accelerator=run.accelerator,
            strategy=DDPStrategy(find_unused_parameters=method.leaves_parameters_unused)
            if together
            else "auto",
            devices=devices,
            num_nodes=nodes,
            precision=self.precision,
            loggers=self.logger,
        )
        self.fabric.launch()
        with rank_zero_first(self.fabric):  # it leaves the class counts for the others
            self.stream = data.open_stream(run.seed, self.out)
        self.validation = {
            source_name(source): build_validation(source, data.root) for source in data.validation
        }
        if len(self.validation) < len(data.validation):
            names = ", ".join(map(source_name, data.validation))
            raise DataError(f"data.validation has sources of one name, whose scores would mix: {names}")
        if (run.keep != 0 or run.best is not None) and run.validate_every == 0:
            raise ValueError("run.keep and run.best keep models that are scored: set run.validate_every, too")
        self.snapshots = Snapshots(self.out, run.keep, run.best, list(self.validation))
        model = method.networks["model"]
        self.optimizers = method.optimizers()
        for name, network in method.networks.items():
            network.train().to(memory_format=torch.channels_last)
            if self.fabric.world_size > 1 and self.fabric.device.type == "cuda":  # it has no CPU version
                network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
            prepared, self.optimizers[name] = self.fabric.setup(network, self.optimizers[name])
            for forward_method in method.forward_methods if name == "model" else ():
                prepared.mark_forward_method(forward_method)
            method.networks[name] = prepared
        method.autocast = self.fabric.autocast
        for loss in method.losses.values():
            loss.to(self.fabric.device)
        self.average = (
            AveragedModel(model, multi_avg_fn=moving_average(run.ema), use_buffers=True) if run.ema else None
        )
        self.model = model
        self.exported = model if self.average is None else self.average.module
        self.step = 0
        self.scores: dict[str, Any] = {}
        self.scored_step = -1
        if resume:
            self._load_state()

    def train(self) -> Path:
        """Run the steps that are left.

        Returns:
            The path of the exported model.

        Raises:
            FloatingPointError: a loss is not finite; what was saved before stays.
        """
        fabric, run = self.fabric, self.run
        last = self.schedule.iterations
        loader = training_loader(
            self.stream, self.data, self.step, last, fabric.global_rank, fabric.world_size
        )
        with stop_on_signal() as stopped, loader as batches:
            progress = tqdm(
                fabric.setup_dataloaders(batches, use_distributed_sampler=False),
                "train",
                total=last,
                initial=self.step,
                unit="step",
                disable=not fabric.is_global_zero,
            )
            for batch in progress:
                report, stop = self.update(batch, stopped)
                if self._is_due(run.log_every):
                    progress.set_postfix(self._log(report))
                if self._is_due(run.picture_every):
                    for name, picture in self.method.pictures(batch).items():
                        self.logger.experiment.add_image(name, picture, self.step)
                if self._is_due(run.validate_every):
                    self._validate()
                if self._is_due(run.save_every):
                    self._save()
                if stop:
                    if fabric.is_global_zero:
                        progress.write(f"stopped after step {self.step}; go on with --resume", sys.stderr)
                    break
        if self.step == last and self.scored_step != last and run.validate_every:
            self._validate()
        self._save()
        return self.out / "model.safetensors"

    def _is_due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def update(self, batch: Batch, stopped: Callable[[], bool] = lambda: False) -> tuple[StepReport, bool]:
        """One training step.

        Args:
            batch: this process's part, on its device.
            stopped: whether this process is asked to stop.

        Returns:
            This process's report, and whether any process is asked to stop.

        Raises:
            FloatingPointError: a loss of any process is not finite; every process raises it.
        """
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
                group["lr"] = group["initial_lr"] * poly_factor(self.step, self.schedule)
            optimizer.zero_grad(set_to_none=True)
        batch = {
            name: value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
            for name, value in batch.items()
        }
        # Dropout draws by seed, step and process, as the data does: also after a resume.
        entropy = (self.run.seed, 7, self.step, self.fabric.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))
        report = self.method.step(batch, self.fabric.backward)
        stop = self._agree(report.losses, stopped())
        for optimizer in self.optimizers.values():
            optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.step += 1
        return report, stop

    def _agree(self, losses: dict[str, Tensor], stop: bool) -> bool:
        """See ``update``; one message between the processes and one wait for the device."""
        values = torch.stack(list(losses.values()))
        flags = torch.cat([~values.isfinite(), values.new_tensor([stop], dtype=torch.bool)]).int()
        *broken, stop_wanted = self._sum(flags).tolist()
        for name, count in zip(losses, broken, strict=True):
            if count:
                raise FloatingPointError(f"loss {name!r} is not finite at step {self.step}; lower the rate?")
        return bool(stop_wanted)

    def _log(self, report: StepReport) -> dict[str, str]:
        """Log losses and statistics, as means over the processes; returns the losses for the progress bar."""
        reported = {f"loss/{name}": value for name, value in report.losses.items()}
        reported |= {f"statistics/{name}": value for name, value in report.statistics.items()}
        values = self._sum(torch.stack(list(reported.values()))) / self.fabric.world_size
        scalars = dict(zip(reported, values.tolist(), strict=True))
        rates = {f"rate/{name}": o.param_groups[0]["lr"] for name, o in self.optimizers.items()}
        self.fabric.log_dict(scalars | rates, self.step)
        return {name: f"{scalars[f'loss/{name}']:.3f}" for name in report.losses}

    def _validate(self) -> None:
        """Score the model that would be exported; each process takes its part of the images."""
        fabric = self.fabric
        self.scored_step = self.step
        self._share_buffers()
        for source, (name, dataset) in zip(self.data.validation, self.validation.items(), strict=True):
            samples = (dataset[i] for i in range(fabric.global_rank, len(dataset), fabric.world_size))
            with fabric.autocast():
                metrics = evaluate(
                    self.exported,
                    samples,
                    input_size=self.run.input_size,
                    device=fabric.device,
                    test_time=TestTime(enhancement=source.enhancement),
                    progress=False,
                )
            metrics.reduce(self._sum)
            scores = metrics.compute()
            self.scores[name] = {"step": self.step, **scores}
            if fabric.is_global_zero and scores["miou"] is not None:
                over_all, over_truth = (percent(scores[key]) for key in ("miou", "miou_truth"))
                told = f"step {self.step}: {name}: mIoU {over_all}, over the truth's classes {over_truth}"
                tqdm.write(told, sys.stderr)
            logged = {f"{key}/{name}": scores[key] for key in ("miou", "miou_truth")}
            fabric.log_dict({key: score for key, score in logged.items() if score is not None}, self.step)
        if fabric.is_global_zero:
            self.snapshots.add(self.step, self.scores, self._export)

    def _sum(self, values: Tensor) -> Tensor:
        """The sum over the processes, in each of them."""
        total = self.fabric.all_reduce(values, reduce_op="sum")
        assert isinstance(total, Tensor)
        return total

    def _share_buffers(self) -> None:
        """Give every process the batch norm statistics of rank 0, with which the model gets exported."""
        if self.fabric.world_size > 1:
            for buffer in self.exported.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def _save(self) -> None:
        if not self.fabric.is_global_zero:
            return
        state = {
            "step": self.step,
            "networks": {name: network.state_dict() for name, network in self.method.networks.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "average": self.average.state_dict() if self.average is not None else None,
            "scores": self.scores,
            "scored_step": self.scored_step,
            "best": self.snapshots.state(),
            "starts_from": self.method.starts_from,
        }
        with atomic_path(self.out / "state.pt") as temporary:
            torch.save(state, temporary)
        self._export(self.out / "model.safetensors")

    def _export(self, path: Path) -> None:
        """Write the model as it is now, with its latest scores."""
        metadata = {
            "input_size": self.run.input_size,
            "training_data": {
                name: value
                for name, value in asdict(self.data).items()
                if name not in ("root", "validation", "workers")
            },
            "starts_from": self.method.starts_from,
            "iterations": self.step,
            "seed": self.run.seed,
            "scores": self.scores,
        }
        save_checkpoint(path, self.exported, metadata, self.run.storage)

    def _load_state(self) -> None:
        """Put everything back as it was."""
        path = self.out / "state.pt"
        if not path.is_file():
            raise FileNotFoundError(f"nothing to resume: no {path}")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file gives errors of any type
            raise ValueError(f"{path} can't be read ({error}): start anew in another --run.out") from error
        try:
            for name, network in self.method.networks.items():
                network.load_state_dict(state["networks"][name])
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict(state["optimizers"][name])
            if self.average is not None:
                self.average.load_state_dict(state["average"])
            started, given = state["starts_from"], self.method.starts_from
            self.snapshots.restore(state["best"], int(state["step"]))
        except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is the state of another model or recipe: {error}") from error
        if given is not None and given != started:
            raise ValueError(f"{path} began with another model.checkpoint: start anew in another --run.out")
        self.method.starts_from = started
        self.step = int(state["step"])
        self.scores, self.scored_step = state["scores"], int(state["scored_step"])
        self.fabric.barrier()  # rank 0 writes the next state when all have read this one


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C (or SIGTERM) into a wish to stop after the step; the second one interrupts.

    One Ctrl-C can arrive twice, from the terminal and from a launcher: what follows within a second is the
    first one still.
    """
    received: list[float] = []

    def handle(number: int, frame: Any) -> None:
        received.append(time.monotonic())
        if received[-1] - received[0] > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _choose_precision(run: RunConfig) -> Literal["bf16-mixed", "32-true"]:
    if run.precision != "auto":
        return run.precision
    on_cuda = run.accelerator != "cpu" and torch.cuda.is_available()
    return "bf16-mixed" if computes_in_bf16(torch.device("cuda" if on_cuda else "cpu")) else "32-true"
