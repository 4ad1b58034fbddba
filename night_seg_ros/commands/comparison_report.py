"""The figures of a comparison of models, see ``compare.Comparison.figures``, as Markdown."""

from __future__ import annotations

from typing import Any

from night_seg_ros.models.classes import CLASSES


def comparison_page(figures: dict[str, Any], inputs: list[str]) -> str:
    """The figures as a page.

    Args:
        inputs: what was compared, in words.
    """
    by_class = {name: model["iou"] for name, model in figures["models"].items() if "iou" in model}
    by_class |= {" and ".join(pair["models"]): pair["iou"] for pair in figures["pairs"]}
    rows = [
        [name, *(_per_cent(iou.get(name)) for iou in by_class.values())]
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
        [name, *(model[key] for key in facts), *(_per_cent(model[key]) for key in scores)]
        for name, model in figures["models"].items()
    ]
    pairs = [
        [" and ".join(pair["models"]), _per_cent(pair["same_pixels"]), _per_cent(pair["miou"])]
        for pair in figures["pairs"]
    ]
    tables = [_table(["model", *facts.values(), *scores.values()], models)]
    if pairs:
        tables.append(_table(["models", "same pixels", "mean IoU"], pairs))
    return "\n\n".join(tables)


def _table(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in padded)


def _per_cent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
