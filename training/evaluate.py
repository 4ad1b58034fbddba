"""Scores of a model on labelled images; ``night-seg evaluate``."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from night_seg_ros.models.checkpoint import check_classes, demonstration_weights, load_model
from night_seg_ros.models.inference import InputSize, choose_device, predict_labels, preprocess
from night_seg_ros.training.datasets import DataError, FolderDataset, Sample
from night_seg_ros.training.metrics import SegmentationMetrics


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    samples: Iterable[Sample],
    *,
    input_size: InputSize,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: bool = True,
) -> dict[str, Any]:
    """Segment images one by one and score them at the size of their labels.

    Args:
        model: on ``device``, in ``dtype``; it is put in evaluation mode for the time being.
        samples: see ``datasets``.
        input_size: size at which the network sees an image.

    Returns:
        See ``SegmentationMetrics.compute``.
    """
    metrics = SegmentationMetrics(device)
    was_training = model.training
    model.eval()
    for sample in tqdm(samples, "evaluate", unit="image", disable=not progress, leave=False):
        rgb = sample["image"].as_subclass(torch.Tensor).unsqueeze(0).to(device)
        label = sample["label"].as_subclass(torch.Tensor).unsqueeze(0).to(device)
        output = model(preprocess(rgb, input_size, dtype))
        prediction, _ = predict_labels(output.logits, label.shape[-2:])
        metrics.update(prediction, label)
    model.train(was_training)
    return metrics.compute()


def format_scores(scores: dict[str, Any]) -> str:
    """The scores as a table for people, in per cent."""
    lines = [f"{name:<14}{100 * iou:6.1f}" for name, iou in scores["iou"].items()]
    lines += [
        "-" * 20,
        f"{'mIoU':<14}{100 * scores['miou']:6.1f}  classes in truth or prediction",
        f"{'mIoU (truth)':<14}{100 * scores['miou_truth']:6.1f}  classes in the truth",
        f"{'pixel accuracy':<14}{100 * scores['pixel_accuracy']:6.1f}",
        f"{'images':<14}{scores['images']:6d}",
    ]
    return "\n".join(lines)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(temporary, path)


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg evaluate``."""
    parser = argparse.ArgumentParser("night-seg evaluate", description="Score a model on labelled images.")
    parser.add_argument("--model", default="egnet", help="whose demonstration weights to take")
    parser.add_argument("--weights", help="checkpoint (.safetensors); default: the demonstration weights")
    parser.add_argument("--images", required=True, help="folder of images")
    parser.add_argument("--labels", required=True, help="folder of label PNGs of the same names, train ids")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: auto)")
    parser.add_argument("--json", metavar="OUT", help="also write the scores here")
    arguments = parser.parse_args(argv)
    dataset = FolderDataset(arguments.images, arguments.labels)
    weights = arguments.weights or demonstration_weights(arguments.model)
    device = choose_device(arguments.device)
    model, metadata = load_model(weights)
    check_classes(weights, metadata)
    model = model.to(device).to(memory_format=torch.channels_last)
    scores = evaluate(
        model,
        (dataset[i] for i in tqdm(range(len(dataset)), "evaluate", unit="image")),
        input_size=metadata.get("input_size"),
        device=device,
        progress=False,
    )
    if math.isnan(scores["miou"]):
        raise DataError(f"{arguments.labels}: every pixel of these labels is ignored (255)")
    print(f"{weights}\n{format_scores(scores)}")
    if arguments.json:
        write_json(arguments.json, scores)
    return 0
