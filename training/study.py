"""``night-seg study``: trains variants of methods with several seeds and compares them.

Leaves in its folder: a run per variant and seed, ``results.md`` (mean and deviation of every score),
``results.json`` and ``ef1.png`` (EF1 by exposure bin). What is there already is not done again, so an
interrupted study goes on where it was.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import torch
import yaml
from jsonargparse import ArgumentParser
from jsonargparse.typing import Path_fr
from tqdm import tqdm

from night_seg_ros.models.checkpoint import load_model
from night_seg_ros.models.files import atomic_path, write_bytes
from night_seg_ros.models.inference import choose_device
from night_seg_ros.training.data import SourceConfig, build_validation
from night_seg_ros.training.evaluate import evaluate, write_json

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  the choice of the backend comes first

SCORES = {"miou": "mIoU %", "mef1_micro": "mEF1 micro", "mef1_macro": "mEF1 macro"}


@dataclass
class Variant:
    """One row of the study.

    Attributes:
        method: see ``night-seg train``.
        recipes: its recipe; a later file goes before an earlier one. Relative to the study's file.
    """

    method: str
    recipes: list[Path_fr]


def study(
    variants: dict[str, Variant],
    seeds: list[int],
    tests: dict[str, SourceConfig],
    data_root: str,
    out: str,
    device: str = "auto",
) -> None:
    """Train every variant with every seed, score each on every test, and write the comparison.

    Args:
        variants: by the name that the table shows.
        seeds: of the weights and the data.
        tests: labelled images, by the name that the table shows.
        data_root: folder that the roots of sources and tests are relative to.
        out: folder for runs and results.
        device: for the scores: auto, cpu, cuda, cuda:1 ...
    """
    folder = Path(out)
    scores: dict[str, dict[str, list[dict[str, Any]]]] = {name: {} for name in variants}
    for seed in seeds:
        for name, variant in variants.items():
            run = folder / name.replace(" ", "_") / f"seed{seed}"
            train_variant(variant, seed, data_root, run)
            for test, values in score_run(run, tests, data_root, device).items():
                scores[name].setdefault(test, []).append(values)
    write_json(folder / "results.json", scores)
    write_bytes(folder / "results.md", format_table(scores).encode())
    draw_ef1(scores, folder / "ef1.png")
    print(format_table(scores))


def train_variant(variant: Variant, seed: int, data_root: str, run: Path) -> None:
    """Train to the end, in a process of its own; does nothing for a run that is complete.

    Raises:
        ValueError: the training failed.
        KeyboardInterrupt: it was stopped.
    """
    if is_complete(run):
        return
    command = [sys.executable, "-m", "night_seg_ros.cli", "train", variant.method]
    for recipe in variant.recipes:
        command += ["--config", str(recipe.absolute)]
    command += ["--data.root", data_root, "--run.out", str(run), "--run.seed", str(seed)]
    if (run / "state.pt").is_file():
        command.append("--resume")
    print(f"{run}: training", file=sys.stderr)
    if subprocess.run(command, check=False).returncode:
        raise ValueError(f"{run}: the training failed, see above")
    if not is_complete(run):
        raise KeyboardInterrupt


def is_complete(run: Path) -> bool:
    """Whether a run's model has seen all steps of its recipe."""
    if not (run / "model.safetensors").is_file():
        return False
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    _, metadata = load_model(run / "model.safetensors")
    return bool(metadata["iterations"] == recipe["schedule"]["iterations"])


def score_run(
    run: Path, tests: dict[str, SourceConfig], data_root: str, device_name: str
) -> dict[str, dict[str, Any]]:
    """Scores of a run's model by test, see ``SegmentationMetrics.compute``; kept in ``scores.json``."""
    path = run / "scores.json"
    scores: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}
    if set(tests) <= set(scores):
        return {test: scores[test] for test in tests}
    device = choose_device(device_name)
    model, metadata = load_model(run / "model.safetensors")
    model = model.to(device).to(memory_format=torch.channels_last)
    for test in tqdm(sorted(set(tests) - set(scores)), f"score {run}"):
        dataset = build_validation(tests[test], data_root)
        samples = (dataset[i] for i in range(len(dataset)))
        metrics = evaluate(model, samples, input_size=metadata["input_size"], device=device, progress=False)
        scores[test] = metrics.compute()
    write_json(path, scores)
    return {test: scores[test] for test in tests}


def format_table(scores: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """The scores as a Markdown table: mean and sample deviation over the seeds.

    Args:
        scores: by variant and test, the scores of each seed.
    """
    tests = list(next(iter(scores.values())))
    heads = [f"{test}: {title}" for test in tests for title in SCORES.values()]
    lines = [" | ".join(["| variant", *heads]) + " |", "| --- " * (1 + len(heads)) + "|"]
    for name, by_test in scores.items():
        cells = [_mean_and_deviation(by_test[test], key) for test in tests for key in SCORES]
        lines.append(" | ".join([f"| {name}", *cells]) + " |")
    return "\n".join(lines) + "\n"


def _mean_and_deviation(runs: list[dict[str, Any]], key: str) -> str:
    factor, digits = (100, 1) if key == "miou" else (1, 3)
    values = [factor * run[key] for run in runs]
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{deviation}"


def draw_ef1(scores: dict[str, dict[str, list[dict[str, Any]]]], path: Path) -> None:
    """EF1 by exposure bin: a column per test, a row per averaging, a line per variant (mean of the seeds)."""
    tests = list(next(iter(scores.values())))
    figure, axes = plt.subplots(
        2, len(tests), figsize=(5 * len(tests), 8), sharex=True, squeeze=False, layout="constrained"
    )
    centres = [0.05 + 0.1 * i for i in range(10)]
    for column, test in enumerate(tests):
        for row, key in enumerate(("ef1_micro", "ef1_macro")):
            axis = axes[row][column]
            for name, by_test in scores.items():
                bins = zip(*(run[key] for run in by_test[test]), strict=True)
                means = [statistics.fmean(values) if None not in values else float("nan") for values in bins]
                axis.plot(centres, means, marker="o", markersize=3, label=name)
            axis.set_title(f"{test}, {key.removeprefix('ef1_')}")
            axis.set_ylabel("EF1")
            axis.grid(alpha=0.3)
        axes[1][column].set_xlabel("exposure (V)")
    axes[0][0].legend(fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg study``."""
    parser = ArgumentParser(prog="night-seg study", description=study.__doc__)
    parser.add_argument("--config", action="config", help="the study, such as config/studies/egnet.yaml")
    parser.add_function_arguments(study)
    arguments = parser.parse_args(argv)
    values = parser.instantiate(arguments)
    del values["config"]
    study(**values)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
