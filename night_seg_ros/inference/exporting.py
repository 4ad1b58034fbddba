# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Writes models as programs that run without this package: ONNX and PT2 (torch.export) files.

A program is the network alone: normalised image -> logits and, where the model has them, exposure and relit.
What goes before and after, resizing, normalisation and upsampling, stays in ``inference``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config

from night_seg_ros.inference.engines.exported import HEADER, INPUT, OUTPUTS, PT2_HEADER, need_package
from night_seg_ros.inference.preprocess import MIN_SIDE

OPSET = 18  # of ONNX; known to onnxruntime since its version 1.14

_EXAMPLE = (66, 98)  # no side is a multiple of a stride: nothing that holds for one may be taken for a rule


def export_model(
    path: Path,
    file_format: str,
    model: nn.Module,
    metadata: dict[str, Any],
    *,
    size: tuple[int, int] | None,
    weights_sha256: str,
) -> None:
    """Write a model as a program in float32, see ``exported``.

    Args:
        path: the file; it is not written atomically.
        file_format: a key of ``FORMATS``.
        model: of ``build_model``, float32, on the CPU, in evaluation mode.
        metadata: as ``load_model`` gives it.
        size: (height, width) of the one input that the program takes, one image at a time; None: any
            number of images of any size from 32x32 up.
        weights_sha256: of the checkpoint.

    Raises:
        CheckpointError: a Python package that this format needs is missing.
    """
    with torch.no_grad():
        example = model(torch.zeros(1, 3, *_EXAMPLE))
    header = {
        "format": 1,
        "model": metadata["model"],
        "classes": metadata["classes"],
        "metadata": {key: value for key, value in metadata.items() if key not in ("model", "classes")},
        "outputs": [name for name in OUTPUTS if getattr(example, name) is not None],
        "align_corners": example.align_corners,
        "size": size,
        "weights_sha256": weights_sha256,
    }
    FORMATS[file_format](path, _NamedOutputs(model, header["outputs"]), header)


class _NamedOutputs(nn.Module):
    """A model whose answer is a tuple of the outputs of these names."""

    def __init__(self, model: nn.Module, outputs: list[str]) -> None:
        super().__init__()
        self.model = model
        self.outputs = outputs

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        output = self.model(image)
        return tuple(getattr(output, name) for name in self.outputs)


def _write_onnx(path: Path, network: _NamedOutputs, header: dict[str, Any]) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):  # the last one for the check that has to follow
        need_package(package)
    program = torch.onnx.export(
        _trace(network, header["size"]),
        dynamo=True,
        input_names=[INPUT],
        output_names=header["outputs"],
        opset_version=OPSET,
        dynamic_shapes={INPUT: {0: "batch", 2: "height", 3: "width"}},
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props[HEADER] = json.dumps(header)
    program.save(path, external_data=False)


def _write_pt2(path: Path, network: _NamedOutputs, header: dict[str, Any]) -> None:
    program = _trace(network, header["size"])
    program.example_inputs = None  # an image of zeros, which would travel in the file
    data = io.BytesIO()  # into a file, torch would write that file's name too
    torch.export.save(program, data, extra_files={PT2_HEADER: json.dumps(header)})
    path.write_bytes(data.getvalue())


FORMATS: dict[str, Callable[[Path, _NamedOutputs, dict[str, Any]], None]] = {
    "onnx": _write_onnx,
    "pt2": _write_pt2,
}
"""Name, which is also the file's suffix -> what writes it."""


@torch.no_grad()
def _trace(network: _NamedOutputs, size: tuple[int, int] | None) -> ExportedProgram:
    """The network as a graph of operators, for one size or for all of them."""
    network.eval()
    if size is not None:
        program = torch.export.export(network, (torch.zeros(1, 3, *size),))
    else:
        # DYNAMIC, not named dimensions: for those, torch wants to prove more than it can.
        free = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC(min=MIN_SIDE), 3: Dim.DYNAMIC(min=MIN_SIDE)}
        # Else torch takes what holds for most sizes for a rule, and refuses the others: sides that are
        # multiples of 4 (no padding to relight them), features of height 1, ...
        with _config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
            program = torch.export.export(
                network, (torch.zeros(2, 3, *_EXAMPLE),), dynamic_shapes={INPUT: free}
            )
    for node in program.graph.nodes:  # the paths of source files on this machine are no one's business
        node.meta.pop("stack_trace", None)
    return program
