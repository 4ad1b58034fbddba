# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Compares what several networks make of the same frames, for ``night-seg compare``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from night_seg_ros.commands.comparison_report import comparison_page, summary_tables
from night_seg_ros.common.files import InputError, write_bytes, write_json
from night_seg_ros.common.images import resize
from night_seg_ros.common.tables import percent
from night_seg_ros.inference.colours import colourise, overlay
from night_seg_ros.inference.segmenter import Segmentation, Segmenter
from night_seg_ros.media.frame_files import (
    Skipped,
    check_names,
    check_out,
    check_unique,
    write_results,
)
from night_seg_ros.media.sources import Source, SourceFrame, open_source
from night_seg_ros.media.writers import write_image
from night_seg_ros.models import METHODS
from night_seg_ros.models.checkpoint import demonstration_weights
from night_seg_ros.models.classes import IGNORE
from night_seg_ros.pictures.drawing import map_colours, mark_wrong
from night_seg_ros.pictures.tiles import lay_out, legend, tile_size
from night_seg_ros.training.data.datasets import (
    LabelledFiles,
    LabelledImages,
    Sample,
    open_labelled,
)
from night_seg_ros.training.evaluation.metrics import SegmentationMetrics

_RESULT = "compare"


def run(options: argparse.Namespace) -> int:
    """Do what the options of ``night-seg compare`` say; the exit status."""
    segmenters = {
        name: Segmenter(weights, device=options.device, precision=options.precision)
        for name, weights in parse_models(options.models).items()
    }
    comparison = Comparison(segmenters, options.alpha)
    skipped = Skipped()
    if options.dataset:
        inputs = [f"{options.dataset} {options.split}"]
        dataset = open_labelled(options.dataset, options.root, options.split)
        compare_labelled(dataset, comparison, options.out, on_error=skipped)
    else:
        inputs = options.paths
        sources = [open_source(path, topic=options.topic) for path in options.paths]
        compare_files(sources, comparison, options.out, codec=options.codec, on_error=skipped)
    figures = comparison.figures()
    write_json(options.out / "compare.json", {"inputs": inputs, **figures})
    write_bytes(options.out / "compare.md", comparison_page(figures, inputs).encode())
    print(summary_tables(figures))
    return skipped.finish(options.out)


class Comparison:
    """Segments frames with several models, draws the results, and counts pixels by what the models say.

    It keeps counts only, nothing of any frame.

    Args:
        segmenters: by the name to show.
        alpha: weight of the class colours in the overlays, 0..1.
    """

    def __init__(self, segmenters: dict[str, Segmenter], alpha: float = 0.5) -> None:
        self._segmenters = segmenters
        self._alpha = alpha
        self._pairs = {pair: SegmentationMetrics() for pair in combinations(segmenters, 2)}
        self._scores = {name: SegmentationMetrics() for name in segmenters}
        self._frames = 0

    def add(self, bgr: np.ndarray, label: np.ndarray | None = None) -> np.ndarray:
        """Segment one frame with each model.

        Args:
            bgr: (H, W, 3) uint8.
            label: (H', W') uint8 train ids, 255 = ignored. The models then answer at its size, as in
                ``night-seg evaluate``.

        Returns:
            The frame, the label and the results as titled tiles, (H'', W'', 3) uint8 BGR.
        """
        shown = bgr if label is None else resize(bgr, *label.shape)
        results = {
            name: segmenter(bgr, ("labels", "exposure", "relit"), size=(shown.shape[0], shown.shape[1]))
            for name, segmenter in self._segmenters.items()
        }
        self._frames += 1
        value = _batch(shown.max(axis=2))
        labels = {name: _batch(result.labels) for name, result in results.items()}
        for (one, other), metrics in self._pairs.items():
            metrics.update(labels[other], labels[one], value)
        if label is not None:
            for name, metrics in self._scores.items():
                metrics.update(labels[name], _batch(label), value)
        truth = [] if label is None else [("truth", colourise(label))]
        first = [("input", shown), *truth, ("classes", legend(*tile_size(*shown.shape[:2])))]
        columns = (self._column(name, result, shown, label) for name, result in results.items())
        return lay_out([first, *columns])

    def _column(
        self, name: str, result: Segmentation, shown: np.ndarray, label: np.ndarray | None
    ) -> list[tuple[str, np.ndarray]]:
        assert result.labels is not None
        tiles = [(f"overlay: {name}", overlay(shown, result.labels, self._alpha))]
        if label is not None:
            tiles.append(_errors(name, result.labels, label, shown))
        if result.exposure is not None and result.has_own_exposure:
            tiles.append((f"exposure: {name}", map_colours(result.exposure)))
        if result.relit is not None:
            tiles.append((f"relit: {name}", result.relit))
        return tiles

    def figures(self) -> dict[str, Any]:
        """The figures as JSON values; shares and IoU from 0 to 1, None for what no pixel counted for.

        Returns:
            ``frames``: how many were added. ``models``: by name, ``network``, ``weights_hash``, ``device``,
            ``precision`` and, if there were labels, ``miou``, ``pixel_accuracy`` and ``iou`` by class.
            ``pairs``: of each two ``models``, ``same_pixels``, the share of all pixels to which both give
            one class; ``iou`` by class between their labels; ``miou``, its mean over the classes that occur
            in either's labels.

        Raises:
            ValueError: no frame was added.
        """
        if not self._frames:
            raise ValueError("no frame could be read: there is nothing to compare")
        pairs = []
        for pair, metrics in self._pairs.items():
            agreement = metrics.compute()
            pairs.append(
                {
                    "models": list(pair),
                    "same_pixels": agreement["pixel_accuracy"],
                    "miou": agreement["miou"],
                    "iou": agreement["iou"],
                }
            )
        return {"frames": self._frames, "models": self._models(), "pairs": pairs}

    def _models(self) -> dict[str, Any]:
        models: dict[str, Any] = {}
        for name, segmenter in self._segmenters.items():
            models[name] = {
                "network": segmenter.model_name,
                "weights_hash": segmenter.weights_hash,
                "device": str(segmenter.device),
                "precision": segmenter.precision,
            }
            if self._scores[name].images:
                scores = self._scores[name].compute()
                models[name] |= {key: scores[key] for key in ("miou", "pixel_accuracy", "iou")}
        return models


def _errors(name: str, labels: np.ndarray, truth: np.ndarray, shown: np.ndarray) -> tuple[str, np.ndarray]:
    """The tile that marks a model's wrong pixels; its title has their share of those that count."""
    ignored = truth == IGNORE
    wrong = ~ignored & (labels != truth)
    counted = truth.size - np.count_nonzero(ignored)
    share = np.count_nonzero(wrong) / counted if counted else None
    return f"{percent(share)} wrong: {name}", mark_wrong(shown, wrong, ignored)


def _batch(image: np.ndarray | None) -> torch.Tensor:
    assert image is not None
    return torch.from_numpy(image)[None]


def parse_models(text: str) -> dict[str, Path]:
    """The weights of each model of ``--models``, by name.

    Args:
        text: methods (their demonstration weights) and ``NAME=PATH`` (a checkpoint), with commas between.

    Raises:
        ValueError: a name is unknown or there twice.
        FileNotFoundError: a method has no demonstration weights.
    """
    models: dict[str, Path] = {}
    for entry in text.split(","):
        name, is_own, path = entry.strip().partition("=")
        if not name or (is_own and not path) or (not is_own and name not in METHODS):
            raise ValueError(
                f"--models has {entry.strip()!r}: give {', '.join(METHODS)} or NAME=PATH.safetensors"
            )
        if name in models:
            raise ValueError(f"--models has the name {name!r} twice: name one of them NAME=PATH.safetensors")
        models[name] = Path(path).expanduser() if is_own else _demonstration_weights(name)
    return models


def _demonstration_weights(name: str) -> Path:
    try:
        return demonstration_weights(name)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}: in --models, {name}=PATH.safetensors, or leave it out") from error


def compare_files(
    sources: list[Source],
    comparison: Comparison,
    out: Path,
    *,
    codec: str = "mp4v",
    on_error: Callable[[str], None],
) -> None:
    """Compare on all frames of the sources, and write the pictures into ``out``.

    Args:
        codec: of the videos, see ``media.options.CODECS``.
        on_error: gets a message for each frame or source that cannot be read; the others are done.

    Raises:
        ValueError: two inputs would give results of one name, or results would land among the inputs.
    """

    def draw(frame: SourceFrame) -> list[np.ndarray]:
        return [comparison.add(frame.image)]

    def write(frame: SourceFrame) -> None:
        _write_picture(out, frame.name, comparison.add(frame.image))

    check_names(sources, out, _RESULT)
    write_results(sources, out, [_RESULT], write=write, draw=draw, codec=codec, on_error=on_error)


def compare_labelled(
    dataset: LabelledImages, comparison: Comparison, out: Path, *, on_error: Callable[[str], None]
) -> None:
    """Compare on labelled images, and write the pictures into ``out``.

    Args:
        on_error: gets a message for each image or label that cannot be read; the others are done.

    Raises:
        ValueError: two images would give results of one name, or results would land among the images.
    """
    if isinstance(dataset, LabelledFiles):
        images = [image for image, _ in dataset.pairs]
        check_out(out, {image.parent for image in images})
        check_unique([(_picture_name(image.stem), image) for image in images], out)
    samples = _readable(dataset, on_error)
    for sample in tqdm(samples, _RESULT, total=len(dataset), unit="frame"):
        bgr = np.ascontiguousarray(sample["image"].permute(1, 2, 0).numpy()[:, :, ::-1])
        _write_picture(out, sample["name"], comparison.add(bgr, sample["label"].numpy()))


def _readable(dataset: LabelledImages, on_error: Callable[[str], None]) -> Iterator[Sample]:
    for index in range(len(dataset)):
        try:
            yield dataset[index]
        except InputError as error:
            on_error(str(error))


def _write_picture(out: Path, name: str, picture: np.ndarray) -> None:
    write_image(out / _picture_name(name), picture)


def _picture_name(name: str) -> str:
    return f"{name}_{_RESULT}.png"
