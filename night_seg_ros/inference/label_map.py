# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""From a network's small logits to labels of an image's size, without ever holding full-size logits.

On CUDA one Triton kernel does it (``label_map_triton``), if it can be had. On the CPU, labels alone are found
cell by cell, a cell being what lies between four neighbouring logits: bilinear interpolation only mixes its
four corners, so a class that leads at all four leads everywhere between them, and the others need looking at
only in the cells where borders run. All else is computed in bands of rows: confidence, which takes the whole
softmax, and labels on CUDA without Triton.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

_CANDIDATES = (3, 6)  # cells are grouped by how many classes can lead in them; the rest look at all
_CELL_ELEMENTS = 1 << 17  # scores that are interpolated at once: 0.5 MiB, small enough for the caches
_BAND_ELEMENTS = 1 << 19  # likewise in bands, at most: where the result is a lot larger than the logits


def predict_labels(
    logits: Tensor, size: tuple[int, int], *, align_corners: bool = False, confidence: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Argmax of bilinearly upsampled logits.

    Args:
        logits: (N, C, h, w), any floating type, C up to 255.
        size: height and width of the result.
        align_corners: see ``SegmentationOutput``.
        confidence: also give the softmax probability of the label.

    Returns:
        labels (N, H, W) uint8; confidence (N, H, W) uint8, 0..255 = 0..1, or None.
    """
    if logits.device.type == "cuda" and (labels_on_cuda := _triton_function(logits.device)):
        return labels_on_cuda(logits, size, align_corners, confidence)
    # Cells differ from image to image: a device would have to tell the host how many there are.
    by_cells = logits.device.type == "cpu" and min(logits.shape[-2:]) > 1
    if by_cells:
        labels = _labels_by_cells(logits.float(), size, align_corners)
        if not confidence:
            return labels, None
    else:
        labels = torch.empty((len(logits), *size), dtype=torch.uint8, device=logits.device)
    probability = torch.empty_like(labels) if confidence else None
    for part, scores in _bands(logits, size, align_corners):
        if not by_cells:
            labels[:, part] = scores.argmax(dim=1)
        if probability is not None:
            # exp(best) / sum(exp) = 1 / sum(exp(scores - best))
            total = scores.sub_(scores.amax(dim=1, keepdim=True)).exp_().sum(dim=1)
            probability[:, part] = total.reciprocal_().mul_(255).round_()
    return labels, probability


@lru_cache
def _triton_function(device: torch.device) -> Callable[..., tuple[Tensor, Tensor | None]] | None:
    """The Triton kernel, if it can be had: it is compiled on the machine, which takes a C compiler."""
    try:
        from night_seg_ros.inference.label_map_triton import labels_on_cuda

        for confidence in (False, True):  # compiles both
            labels_on_cuda(torch.zeros(1, 2, 2, 2, device=device), (4, 4), False, confidence)
    except Exception as error:  # Triton is missing, too old for the GPU, or finds no compiler
        warnings.warn(f"labels are found more slowly, without Triton: {error!r}", stacklevel=3)
        return None
    return labels_on_cuda


@dataclass(frozen=True)
class _Axis:
    """How one axis of the result lies on that of the logits.

    Attributes:
        below: (length,), the logit below each position.
        weight: (length,), of the next logit; what is left is that of ``below``.
        positions: (cells, most), the positions in each cell; short ones repeat their first.
        weights: (cells, most), their weights.
        lengths: of each cell, how many positions it has: in a smaller result, some have none.
        used: (cells,) bool, whether it has any.
    """

    below: Tensor
    weight: Tensor
    positions: Tensor
    weights: Tensor
    lengths: list[int]
    used: Tensor


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # an inference tensor could not be used outside of inference mode later
def _axis(count: int, length: int, align_corners: bool, device: torch.device) -> _Axis:
    """Lay ``length`` positions over ``count`` logits, two or more, as ``F.interpolate`` does."""
    position = torch.arange(length, dtype=torch.float32)
    if align_corners:
        source = position * ((count - 1) / max(1, length - 1))
    else:
        source = ((position + 0.5) * (count / length) - 0.5).clamp_(0, count - 1)
    below = source.long().clamp_(max=count - 2)
    weight = source - below
    sizes = torch.bincount(below, minlength=count - 1)
    first = sizes.cumsum(0) - sizes
    step = torch.arange(max(1, int(sizes.max())))
    positions = torch.where(step < sizes.unsqueeze(1), first.unsqueeze(1) + step, first.unsqueeze(1))
    positions.clamp_(max=length - 1)
    used = (sizes > 0).to(device)
    below, weight, positions, weights = (
        each.to(device) for each in (below, weight, positions, weight[positions])
    )
    return _Axis(below, weight, positions, weights, sizes.tolist(), used)


def _labels_by_cells(logits: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    vertical, horizontal = (
        _axis(count, length, align_corners, logits.device)
        for count, length in zip(logits.shape[-2:], size, strict=True)
    )
    leader = logits.argmax(dim=1)
    first = leader[:, :-1, :-1]
    uniform = (first == leader[:, :-1, 1:]) & (first == leader[:, 1:, :-1]) & (first == leader[:, 1:, 1:])
    labels = first.to(torch.uint8)
    labels = labels.index_select(1, vertical.below).index_select(2, horizontal.below)
    mixed = ~uniform & vertical.used.unsqueeze(1) & horizontal.used
    for scores, cells, out in zip(logits, mixed, labels, strict=True):
        _fill_cells(scores, cells, vertical, horizontal, out)
    return labels


def _fill_cells(scores: Tensor, mixed: Tensor, vertical: _Axis, horizontal: _Axis, out: Tensor) -> None:
    """Write the labels of the cells in which no class leads at all four corners.

    Args:
        scores: logits (C, h, w) of one image.
        mixed: (h - 1, w - 1) bool, the cells.
        out: (H, W) uint8, contiguous.
    """
    rows, columns = mixed.nonzero(as_tuple=True)
    width = scores.shape[-1]
    by_place = scores.flatten(1).t().contiguous()
    place = rows * width + columns
    corners = torch.stack([by_place[place + offset] for offset in (0, 1, width, width + 1)])
    # A class whose best corner is under another's worst one leads nowhere in the cell.
    best = corners.amax(dim=0)
    can_lead = best >= corners.amin(dim=0).amax(dim=1, keepdim=True)
    count = can_lead.sum(dim=1)
    flat, least = out.view(-1), 0
    pixels = vertical.positions.shape[1] * horizontal.positions.shape[1]
    for most in (*_CANDIDATES, len(scores)):
        chosen = ((count > least) & (count <= most)).nonzero().squeeze(1)
        least = most
        for cells in chosen.split(max(1, _CELL_ELEMENTS // pixels)):
            classes = best[cells].topk(min(most, len(scores)), dim=1).indices.sort(dim=1).values
            row, column = rows[cells], columns[cells]
            found = _leader_in_cells(
                corners[:, cells].gather(2, classes.expand(4, -1, -1)),
                classes.to(torch.uint8),
                vertical.weights[row].unsqueeze(2),
                horizontal.weights[column].unsqueeze(1),
            )
            at = vertical.positions[row].unsqueeze(2) * out.shape[1] + horizontal.positions[column].unsqueeze(
                1
            )
            flat[at.view(-1)] = found.view(-1)


def _leader_in_cells(corners: Tensor, classes: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """The class with the highest interpolated score; of equal ones the first.

    Args:
        corners: scores (4, cells, K) at the upper left, upper right, lower left and lower right corner.
        classes: (cells, K) uint8, whose scores these are, ascending.
        vertical, horizontal: weights (cells, I, 1) and (cells, 1, J) of the lower and the right corners.

    Returns:
        (cells, I, J) uint8.
    """
    upper = torch.lerp(corners[0].unsqueeze(2), corners[1].unsqueeze(2), horizontal)
    lower = torch.lerp(corners[2].unsqueeze(2), corners[3].unsqueeze(2), horizontal)
    best = torch.lerp(upper[:, :1], lower[:, :1], vertical)
    leader = classes[:, :1, None].expand(best.shape)
    for k in range(1, classes.shape[1]):
        score = torch.lerp(upper[:, k : k + 1], lower[:, k : k + 1], vertical)
        leader = torch.where(score > best, classes[:, k, None, None], leader)
        best = torch.maximum(best, score)
    return leader


def _bands(logits: Tensor, size: tuple[int, int], align_corners: bool) -> Iterator[tuple[slice, Tensor]]:
    """Some rows of the result, and their scores (N, C, rows, W) float32, which may be overwritten.

    These lie between two rows of logits, whose width is interpolated first.
    """
    height, width = size
    if logits.shape[2] == 1:
        logits = logits.expand(-1, -1, 2, -1)
    count, channels, rows, _ = logits.shape
    axis = _axis(rows, height, align_corners, logits.device)
    most = max(1, _BAND_ELEMENTS // (count * channels * width))

    def widen(row: int) -> Tensor:
        narrow = logits[:, :, row : row + 1].float().contiguous()
        return F.interpolate(narrow, (1, width), mode="bilinear", align_corners=align_corners)

    wide: dict[int, Tensor] = {}
    end = 0
    for row, length in enumerate(axis.lengths):
        if not length:
            continue
        wide = {each: wide[each] if each in wide else widen(each) for each in (row, row + 1)}
        start, end = end, end + length
        for first in range(start, end, most):
            part = slice(first, min(first + most, end))
            yield part, torch.lerp(wide[row], wide[row + 1], axis.weight[part].view(1, 1, -1, 1))
