# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Runs exported programs: ONNX and PT2 files that hold a network and its weights.

``exporting`` writes them. Their header is a checkpoint's without ``storage``, and with ``outputs`` (names, in
order), ``align_corners``, ``size`` ([height, width] of the one input that the program takes; null: any) and
``weights_sha256``.

Nothing in an ONNX file can run code: onnxruntime knows operators, and files that hold other ones are refused.
A PT2 file is another matter. ``torch.export.load`` reads pickles in it, evaluates text of it as Python and
calls whatever function of torch it names, so that a foreign file can do all that its reader may do. It is
therefore read only when the caller says that the file can be trusted.
"""

from __future__ import annotations

import importlib
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from night_seg_ros.inference.preprocess import MIN_SIDE, InputSize
from night_seg_ros.models.checkpoint import HEADER, CheckpointError, load_model, parse_header
from night_seg_ros.models.output import SegmentationOutput

INPUT = "image"
"""Name of a program's one input, (N, 3, H, W) float32, normalised."""

OUTPUTS = ("logits", "exposure", "relit")
"""Names of the outputs that a program may have, in their order; see ``SegmentationOutput``."""

PT2_HEADER = f"{HEADER}.json"
"""Name of the header among the extra files of a PT2 file."""

Program = tuple[Callable[[Tensor], list[Tensor]], dict[str, Any], torch.device]
"""What ``ExportedNetwork`` is made of."""

_ENTRIES = {
    "model": dict,
    "classes": list,
    "metadata": dict,
    "outputs": list,
    "align_corners": bool,
    "weights_sha256": str,
}


class ExportedNetwork(nn.Module):
    """An exported program in the place of the model that it was made from.

    It has no parameters: it stays on the device that it was loaded for, and computes in float32 whatever its
    input is.

    Args:
        run: (N, 3, H, W) float32 -> the outputs that the header names, on the same device.
        header: checked, see above.
        device: where ``run`` computes.

    Attributes:
        build_arguments: of the model, see ``build_model``.
        device: where it computes; that may be the CPU although its inputs are on CUDA.
        size: (height, width) of the one input that it takes, one image at a time; None: takes any.

    Shape: as the model's; without ``aux_logits``.

    Raises:
        ValueError: in ``forward``, for an input of another size.
    """

    def __init__(
        self, run: Callable[[Tensor], Sequence[Tensor]], header: dict[str, Any], device: torch.device
    ) -> None:
        super().__init__()
        self.device = device
        self.build_arguments: dict[str, Any] = header["model"]
        self.size: tuple[int, int] | None = None if header["size"] is None else tuple(header["size"])
        self._run = run
        self._outputs: list[str] = header["outputs"]
        self._align_corners: bool = header["align_corners"]

    def check_use(self, precision: str, input_size: InputSize) -> None:
        """See that the program can be used so.

        Args:
            precision: what it shall compute in: ``fp32`` or ``auto``.
            input_size: what images shall be resized to before.

        Raises:
            ValueError: another precision; or a size that is not the only one that the program takes.
        """
        if precision not in ("auto", "fp32"):
            raise ValueError(f"precision is {precision!r}, but an exported program has fp32 only")
        if self.size is not None and input_size != self.size:
            raise ValueError(
                f"input_size is {input_size}, but this program was exported for {self.size} only"
            )

    def forward(self, image: Tensor) -> SegmentationOutput:
        count, _, height, width = image.shape
        if self.size is not None and (count, height, width) != (1, *self.size):
            raise ValueError(
                f"this program takes 1 image of {self.size[1]}x{self.size[0]}, "
                f"not {count} of {width}x{height}: export it for that size, or with --dynamic"
            )
        outputs: dict[str, Any] = dict(zip(self._outputs, self._run(image.float()), strict=True))
        return SegmentationOutput(**outputs, align_corners=self._align_corners)


def load_network(
    path: str | Path, device: torch.device, *, trust_pt2: bool = False
) -> tuple[nn.Module, dict[str, Any]]:
    """Load a network from a file of any kind, by its suffix.

    Args:
        path: ``.onnx``, ``.pt2``, or else a checkpoint.
        device: where an exported program shall run. A checkpoint's model comes on the CPU.
        trust_pt2: a ``.pt2`` file may be read, though it could run code.

    Returns:
        The network, and its metadata: the checkpoint's, with ``classes`` and ``model``; a program's also has
        ``weights_sha256``, and its own ``input_size`` if it takes one size only.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: not a file of this package, damaged or not trusted; or a Python package is missing.
    """
    path = Path(path)
    load = {".onnx": _load_onnx, ".pt2": _load_pt2}.get(path.suffix.lower())
    if load is None:
        return load_model(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}: give the path of an exported program")
    if load is _load_pt2 and not trust_pt2:
        raise CheckpointError(
            f"{path}: a .pt2 file can run code when it is loaded; if you trust it, say so (--trust-pt2, or "
            "trust_pt2=True in Python), else take the .onnx file or the checkpoint"
        )
    run, header, runs_on = load(path, device)
    metadata = {key: header[key] for key in ("classes", "model", "weights_sha256")}
    if header["size"] is not None:
        metadata["input_size"] = tuple(header["size"])
    return ExportedNetwork(run, header, runs_on).eval(), {**header["metadata"], **metadata}


def need_package(name: str) -> ModuleType:
    """Import an optional package.

    Raises:
        CheckpointError: it is missing; the message says what to install.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"the Python package {error.name!r} is missing; install it with: "
            "pip install onnx onnxscript onnxruntime"
        ) from error


def _load_onnx(path: Path, device: torch.device) -> Program:
    """A program in onnxruntime: on CUDA if that is the device and onnxruntime can, else on the CPU."""
    onnxruntime = need_package("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # its errors come as exceptions; they need not be printed too
    options.add_session_config_entry("session.load_model_format", "ONNX")
    providers: list[Any] = ["CPUExecutionProvider"]
    cuda = "CUDAExecutionProvider"
    if device.type == "cuda" and cuda in onnxruntime.get_available_providers():
        # Its own default, TF32, would round the inputs of convolutions.
        providers.insert(0, (cuda, {"device_id": device.index or 0, "use_tf32": 0}))
    try:
        # Bytes, not a path: a file that is not whole by itself cannot have others read.
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=providers)
    except Exception as error:  # onnxruntime's have no common class of their own
        raise CheckpointError(f"{path} is not a program that onnxruntime can run ({error})") from error
    if device.type == "cuda" and cuda not in session.get_providers():
        warnings.warn(
            "onnxruntime can't use CUDA here, so the network runs on the CPU: install onnxruntime-gpu in "
            "place of onnxruntime, and the CUDA libraries of its version",
            stacklevel=2,
        )
        device = torch.device("cpu")
    text = session.get_modelmeta().custom_metadata_map.get(HEADER)
    header = _checked(path, parse_header(path, text, _ENTRIES))
    _check_signature(path, session, header)

    def run(image: Tensor) -> list[Tensor]:
        outputs = session.run(header["outputs"], {INPUT: image.cpu().numpy()})
        return [torch.from_numpy(output).to(image.device) for output in outputs]

    return run, header, device


def _check_signature(path: Path, session: Any, header: dict[str, Any]) -> None:
    """See that a program takes and gives what its header says."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    height, width = header["size"] or (None, None)
    expected = [1 if height else None, 3, height, width]
    if (
        [value.name for value in inputs] != [INPUT]
        or [size if isinstance(size, int) else None for size in inputs[0].shape] != expected
        or [value.name for value in outputs] != header["outputs"]
        or outputs[0].shape[1:2] != [len(header["classes"])]
        or any(value.type != "tensor(float)" for value in [*inputs, *outputs])
    ):
        raise CheckpointError(f"{path}: its inputs and outputs are not those that its header tells of")


def _load_pt2(path: Path, device: torch.device) -> Program:
    """A program of torch.export. It can run code: for trusted files only."""
    from torch.export.passes import move_to_device_pass

    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(f"/extra/{PT2_HEADER}")]
            text = archive.read(names[0]).decode() if names else None
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not a program of torch.export ({error})") from error
    header = _checked(path, parse_header(path, text, _ENTRIES))
    try:
        program = torch.export.load(path)
    except Exception as error:  # it lets the errors of all its parts through
        raise CheckpointError(f"{path} is not a program that this torch can load ({error})") from error
    if device.type != "cpu":
        program = move_to_device_pass(program, device)
    # In a list, the module is no child: .eval() and .to() of the network must not reach it.
    modules = [program.module()]
    return lambda image: list(modules[0](image)), header, device


def _checked(path: Path, header: dict[str, Any]) -> dict[str, Any]:
    """The header, if also the contents of its entries are as they must be."""
    size, outputs = header.get("size"), header["outputs"]
    if outputs != [name for name in OUTPUTS if name in outputs] or "logits" not in outputs:
        raise CheckpointError(
            f"{path}: the header names the outputs {outputs}, known are {', '.join(OUTPUTS)}"
        )
    if size is not None and not (
        isinstance(size, list)
        and len(size) == 2
        and all(type(side) is int and side >= MIN_SIDE for side in size)
    ):
        raise CheckpointError(f"{path}: the header has the size {size}, not [height, width] or null")
    return {**header, "size": size}
