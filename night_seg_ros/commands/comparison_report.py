# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The figures of a comparison of models, see ``comparison.Comparison.figures``, as Markdown."""

from __future__ import annotations

from typing import Any

from night_seg_ros.common.tables import align_columns, markdown_table, percent
from night_seg_ros.models.classes import CLASSES


def comparison_page(figures: dict[str, Any], inputs: list[str]) -> str:
    """The figures as a page.

    Args:
        inputs: what was compared, in words.
    """
    by_class = {name: model["iou"] for name, model in figures["models"].items() if "iou" in model}
    by_class |= {" and ".join(pair["models"]): pair["iou"] for pair in figures["pairs"]}
    rows = [
        [name, *(percent(iou.get(name)) for iou in by_class.values())]
        for name in CLASSES
        if any(name in iou for iou in by_class.values())
    ]
    lines = [
        f"# Comparison of {', '.join(figures['models'])}",
        "",
        f"Frames: {figures['frames']}, of {', '.join(inputs)}",
        "",
        summary_tables(figures),
        "",
        "Same pixels: the share of all pixels to which both models give the same class. Mean IoU: between",
        "the labels of the two models, over the classes that occur in either's.",
    ]
    if by_class:
        lines += ["", "## IoU by class", "", _table(["class", *by_class], rows)]
    return "\n".join(lines) + "\n"


def summary_tables(figures: dict[str, Any]) -> str:
    """The models and the pairs of models as Markdown tables, whose cells are padded for a terminal."""
    facts = {"network": "network", "weights_hash": "weights (SHA-256)", "precision": "precision"}
    has_labels = any("miou" in model for model in figures["models"].values())
    scores = {"miou": "mIoU", "pixel_accuracy": "pixel accuracy"} if has_labels else {}
    models = [
        [name, *(model[key] for key in facts), *(percent(model[key]) for key in scores)]
        for name, model in figures["models"].items()
    ]
    pairs = [
        [" and ".join(pair["models"]), percent(pair["same_pixels"]), percent(pair["miou"])]
        for pair in figures["pairs"]
    ]
    tables = [_table(["model", *facts.values(), *scores.values()], models)]
    if pairs:
        tables.append(_table(["models", "same pixels", "mean IoU"], pairs))
    return "\n\n".join(tables)


def _table(head: list[str], rows: list[list[str]]) -> str:
    head, *rows = align_columns([head, *rows])
    return markdown_table(head, rows)
