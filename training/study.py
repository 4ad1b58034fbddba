# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg study``: trains variants of methods with several seeds and compares them.

Leaves in its folder: a run per variant and seed, ``results.md`` (mean and deviation of every score),
``results.json``, ``miou.png`` and ``ef1.png`` (EF1 by exposure bin). What is there already is not done
again, so an interrupted study goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentParser
from jsonargparse.typing import Path_fr
from tqdm import tqdm

from night_seg_ros.common.files import write_bytes, write_json
from night_seg_ros.common.tables import markdown_table
from night_seg_ros.inference.preprocess import choose_device
from night_seg_ros.models.checkpoint import load_model
from night_seg_ros.training.data.datasets import LabelledImages
from night_seg_ros.training.data.stream import SourceConfig, build_validation
from night_seg_ros.training.engine.recipe_command import (
    CIRCUMSTANCES,
    check_same,
    flatten,
    recipe_parser,
    training_function,
)
from night_seg_ros.training.evaluation.evaluate import ReadAhead, TestTime, evaluate, respread

Scores = dict[str, dict[str, list[dict[str, Any]]]]  # by row and test, those of each seed
SCORES = {"miou": "mIoU %", "mef1_micro": "mEF1 micro", "mef1_macro": "mEF1 macro"}


@dataclass
class Variant:
    """One row of the study.

    Attributes:
        method: see ``night-seg train``.
        recipes: its recipe; a later file goes before an earlier one. Relative to the study's file.
        starts_from: an earlier variant whose model of the same seed this one starts from, or None.
        values: of the recipe, by their dotted names; they go before the recipes'.
    """

    method: str
    recipes: list[Path_fr]
    starts_from: str | None = None
    values: dict[str, Any] = field(default_factory=dict)

    def options(self) -> list[str]:
        """Of ``night-seg train METHOD``."""
        recipes = [argument for recipe in self.recipes for argument in ("--config", str(recipe.absolute))]
        values = {name: v if isinstance(v, str) else json.dumps(v) for name, v in self.values.items()}
        return recipes + [f"--{name}={value}" for name, value in values.items()]


@dataclass
class Sweep:
    """How the scores depend on one value of a recipe: rows of their own, and a plot.

    Attributes:
        variant: the variant that is trained with other values.
        parameter: dotted name of the value.
        values: the others.
    """

    variant: str
    parameter: str
    values: list[float]


@dataclass
class Rescored:
    """The models of a variant once more, with their prediction re-weighted otherwise: a row of its own.

    It is no other training, so that results also have the difference from the variant, seed by seed.

    Attributes:
        variant: whose models these are.
        std: standard deviation of the class weights, see ``respread``; 0 for no re-weighting.
    """

    variant: str
    std: float


def study(
    variants: dict[str, Variant],
    seeds: list[int],
    tests: dict[str, SourceConfig],
    data_root: str,
    out: str,
    sweeps: dict[str, Sweep] | None = None,
    rescored: dict[str, Rescored] | None = None,
    device: str = "auto",
) -> None:
    """Train every variant with every seed, score each on every test, and write the comparison.

    Args:
        variants: by the name that the table shows.
        seeds: of the weights and the data.
        tests: labelled images, by the name that the table shows.
        data_root: folder that the roots of sources and tests are relative to.
        out: folder for runs and results.
        sweeps: by the name that table and plot show.
        rescored: by the name that the table shows.
        device: for the scores: auto, cpu, cuda, cuda:1 ...
    """
    from night_seg_ros.training.evaluation.score_charts import draw_miou, draw_study, draw_sweeps

    folder = Path(out)
    rescored = rescored or {}
    swept = {name: _swept(name, sweep, variants) for name, sweep in (sweeps or {}).items()}
    for more in swept.values():
        variants = variants | more
    runs = {name: folder / name.replace(" ", "_") for name in variants}
    if len(set(runs.values())) < len(runs):
        raise ValueError(f"two variants would share a folder, give them other names: {', '.join(variants)}")
    _check_starts(variants)
    _check_rescored(rescored, variants)
    rows: dict[str, tuple[str, float | None]] = {name: (name, None) for name in variants}
    rows.update({name: (row.variant, row.std) for name, row in rescored.items()})
    opened = {test: build_validation(source, data_root) for test, source in tests.items()}
    scores: Scores = {name: {} for name in rows}
    for seed in seeds:
        for name, variant in variants.items():
            run = runs[name] / f"seed{seed}"
            options = ["--data.root", data_root, "--run.out", str(run), "--run.seed", str(seed)]
            # Each model is scored when it is trained.
            options += ["--run.validate_every", "0", "--run.keep", "0", "--run.best", "null"]
            if variant.starts_from is not None:
                start = runs[variant.starts_from] / f"seed{seed}" / "model.safetensors"
                options += ["--model.checkpoint", str(start)]
            train_variant(variant, options, run)
        for name, (variant_name, std) in rows.items():
            run = runs[variant_name] / f"seed{seed}"
            for test in tests:
                score = score_run(run, test, tests[test], opened[test], device, std)
                scores[name].setdefault(test, []).append(score)
    differences = format_differences(scores, {name: row.variant for name, row in rescored.items()})
    results = "\n".join([format_table(scores), *([differences] if differences else [])])
    write_json(folder / "results.json", scores)
    write_bytes(folder / "results.md", results.encode())
    draw_study(folder / "ef1.png", scores)
    draw_miou(folder / "miou.png", scores)
    if sweeps:
        points = {
            name: _points(sweep, swept[name], runs[sweep.variant] / f"seed{seeds[0]}")
            for name, sweep in sweeps.items()
        }
        draw_sweeps(folder / "sweeps.png", scores, points)
    print(results)


def _swept(name: str, sweep: Sweep, variants: dict[str, Variant]) -> dict[str, Variant]:
    """The variants of a sweep, by their names."""
    if sweep.variant not in variants:
        raise ValueError(f"sweep {name!r} is of {sweep.variant!r}, which is no variant")
    base = variants[sweep.variant]
    return {
        f"{name} = {value:g}": replace(base, values={**base.values, sweep.parameter: value})
        for value in sweep.values
    }


def _points(sweep: Sweep, swept: dict[str, Variant], run: Path) -> dict[float, str]:
    """The variants of a sweep by their value, with the one that it is of, of which ``run`` is a run."""
    points = {variant.values[sweep.parameter]: name for name, variant in swept.items()}
    points[flatten(yaml.safe_load((run / "recipe.yaml").read_text()))[sweep.parameter]] = sweep.variant
    return dict(sorted(points.items()))


def _check_starts(variants: dict[str, Variant]) -> None:
    names = list(variants)
    for name, variant in variants.items():
        start = variant.starts_from
        if start is not None and start not in names[: names.index(name)]:
            raise ValueError(f"variant {name!r} starts from {start!r}, which is no variant before it")


def _check_rescored(rescored: dict[str, Rescored], variants: dict[str, Variant]) -> None:
    for name, row in rescored.items():
        if row.variant not in variants:
            raise ValueError(f"rescored {name!r} is of {row.variant!r}, which is no variant")
        if name in variants:
            raise ValueError(f"rescored {name!r} has the name of a variant: give it one of its own")


def check_start(run: Path, start: str | None) -> None:
    """Check that a run, if it has begun, began with the checkpoint ``start`` as it is now, or with none.

    Raises:
        ValueError: it began with another one.
    """
    if (run / "model.safetensors").is_file():
        began_with = load_model(run / "model.safetensors")[1].get("starts_from")
        wanted = None if start is None else hashlib.sha256(Path(start).read_bytes()).hexdigest()
        if began_with != wanted:
            now = "without a checkpoint" if start is None else f"with {start} as it is now"
            raise ValueError(f"{run} did not begin {now}: remove {run} to train it anew")


def train_variant(variant: Variant, options: list[str], run: Path) -> None:
    """Train to the end, in a process of its own; does nothing for a run that is complete.

    Args:
        options: that go before the recipe's values.
        run: folder of the run.

    Raises:
        ValueError: the training failed, or the folder holds the run of another recipe.
        KeyboardInterrupt: it was stopped.
    """
    options = variant.options() + options
    parser = recipe_parser(training_function(variant.method), "night-seg study")
    recipe = yaml.safe_load(parser.dump(parser.parse_args(options)))
    check_same(run / "recipe.yaml", recipe, CIRCUMSTANCES | {"model.checkpoint"})
    check_start(run, recipe["model"].get("checkpoint"))
    if is_complete(run, recipe["schedule"]["iterations"]):
        return
    if (run / "state.pt").is_file():
        options.append("--resume")
    print(f"{run}: training", file=sys.stderr)
    if run_to_the_end([sys.executable, "-m", "night_seg_ros.cli", "train", variant.method, *options]):
        raise ValueError(f"{run}: the training failed, see above")
    if not is_complete(run, recipe["schedule"]["iterations"]):
        raise KeyboardInterrupt


def run_to_the_end(command: list[str]) -> int:
    """The exit status of a command, which gets the time it needs to end after a Ctrl-C, too."""
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal sent it to the command as well
            process.wait()
            raise


def is_complete(run: Path, iterations: int) -> bool:
    """Whether a run's model has seen all steps."""
    if not (run / "model.safetensors").is_file():
        return False
    return bool(load_model(run / "model.safetensors")[1]["iterations"] == iterations)


def score_run(
    run: Path, test: str, source: SourceConfig, dataset: LabelledImages, device_name: str, std: float | None
) -> dict[str, Any]:
    """Scores of a run's model on a test, see ``SegmentationMetrics.compute``.

    ``scores.json`` in the run's folder keeps them, by test, with the source that they are of.

    Args:
        std: of the re-weighting of the prediction; None for the model's own.
    """
    path = run / "scores.json"
    kept: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}
    key = test if std is None else f"{test}, std {std:g}"
    if key not in kept or kept[key]["source"] != asdict(source):
        device = choose_device(device_name)
        model, metadata = load_model(run / "model.safetensors")
        if std is not None:
            respread(model, std, None)
        model = model.to(device).to(memory_format=torch.channels_last)
        samples = tqdm(ReadAhead(dataset), f"score {run}, {test}")
        metrics = evaluate(
            model,
            samples,
            input_size=metadata["input_size"],
            device=device,
            test_time=TestTime(enhancement=source.enhancement),
            progress=False,
        )
        kept[key] = {"source": asdict(source), "scores": metrics.compute()}
        write_json(path, kept)
    scores: dict[str, Any] = kept[key]["scores"]
    return scores


def format_table(scores: Scores) -> str:
    """The scores as a Markdown table: mean and sample deviation over the seeds.

    Args:
        scores: by variant and test, the scores of each seed.
    """
    tests = list(next(iter(scores.values())))
    heads = [f"{test}: {title}" for test in tests for title in SCORES.values()]
    rows = [
        [name, *(_mean_and_deviation(by_test[test], key) for test in tests for key in SCORES)]
        for name, by_test in scores.items()
    ]
    return markdown_table(["variant", *heads], rows) + "\n"


def format_differences(scores: Scores, rescored: dict[str, str]) -> str:
    """How rescored rows differ from the variants whose models they are, in mIoU, as Markdown; or nothing.

    Args:
        scores: see ``format_table``.
        rescored: the variant of each rescored row.
    """
    lines = []
    for name, variant in rescored.items():
        for test, runs in scores[name].items():
            pairs = zip(runs, scores[variant][test], strict=True)
            told = ", ".join(
                f"{100 * (new['miou'] - old['miou']):+.2f}"
                for new, old in pairs
                if new["miou"] is not None and old["miou"] is not None
            )
            lines.append(f"- {name}, less {variant}, {test}, seed by seed: {told} points of mIoU")
    return "\n".join([*lines, ""]) if lines else ""


def _mean_and_deviation(runs: list[dict[str, Any]], key: str) -> str:
    factor, digits = (100, 1) if key == "miou" else (1, 3)
    if any(run[key] is None for run in runs):
        return "-"  # no pixel of this test counts
    values = [factor * run[key] for run in runs]
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{deviation}"


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg study``."""
    parser = ArgumentParser(prog="night-seg study", description=(study.__doc__ or "").split("\n\n")[0])
    parser.add_argument("--config", action="config", help="the study, such as config/studies/egnet.yaml")
    parser.add_function_arguments(study)
    arguments = parser.parse_args(argv)
    values = parser.instantiate(arguments)
    del values["config"]
    study(**values)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
