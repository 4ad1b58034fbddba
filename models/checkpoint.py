# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Checkpoints that rebuild their model by themselves: one safetensors file.

The header's entry ``night_seg_ros`` is a JSON object: ``format``, ``model`` (the arguments of
``build_model``), ``classes``, ``storage`` and ``metadata`` (input size, training data, scores ...).
Nothing in such a file can run code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from night_seg_ros.common.files import write_bytes
from night_seg_ros.models.classes import CLASSES, NUM_CLASSES
from night_seg_ros.models.dannet import CITYSCAPES_SHARES, TEST_STD, DANNet, class_weights
from night_seg_ros.models.factory import build_model
from night_seg_ros.models.released import RELEASED_DEEPLAB_RATES, released_name, unused_names

STORAGES = ("float32", "float16", "int8")

HEADER = "night_seg_ros"
"""Name of the entry that describes the model in every file that this package writes."""

_SCALE = ".scale"  # suffix of the per-channel scales of int8 convolutions
_WEIGHTS_FOLDER = Path(__file__).parent / "weights"


class CheckpointError(ValueError):
    """A checkpoint that can't be used; the message says why and what to do."""


def save_checkpoint(
    path: str | Path, model: nn.Module, metadata: dict[str, Any], storage: str = "float32"
) -> None:
    """Write a model that ``build_model`` made as one ``.safetensors`` file, atomically.

    Args:
        path: the file to write.
        model: a model of ``build_model``.
        metadata: JSON values that travel with the weights, such as ``input_size``.
        storage: ``float32``; ``float16``; or ``int8``, convolutions as 8-bit integers with one
            scale per output channel (scale = largest magnitude / 127), the rest as float32.

    Raises:
        ValueError: unknown storage, or weights that are not finite.
    """
    if storage not in STORAGES:
        raise ValueError(f"unknown storage {storage!r}; known: {', '.join(STORAGES)}")
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{path} is not written: {key!r} holds NaN or infinite values")
    header = {
        "format": 1,
        "model": model.build_arguments,
        "classes": list(CLASSES),
        "storage": storage,
        "metadata": metadata,
    }
    write_bytes(path, save(_pack(state, storage), {HEADER: json.dumps(header)}))


def load_model(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild a model from its file alone.

    Returns:
        The model, float32, on the CPU, in evaluation mode; and its metadata.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: an exported program; not a checkpoint of this package, or damaged: an unknown
            model, a missing, extra or misshapen tensor, values that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}: give the path of a .safetensors checkpoint")
    if path.suffix.lower() in (".onnx", ".pt2"):
        raise CheckpointError(
            f"{path} is an exported program: give the checkpoint (.safetensors) that it was made from"
        )
    header, tensors = _read(path)
    try:
        with torch.device("meta"):  # the file's arguments are untrusted: allocate nothing for them
            model = build_model(**header["model"])
    except (ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    if len(header["classes"]) != header["model"].get("num_classes", len(CLASSES)):
        raise CheckpointError(
            f"{path}: the header names {len(header['classes'])} classes, "
            f"the network has {header['model'].get('num_classes', len(CLASSES))}"
        )
    state = _unpack(tensors, header["storage"])
    _check_tensors(path, model.state_dict(), state)
    model.load_state_dict(state, assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model.eval(), {**header["metadata"], "classes": header["classes"], "model": header["model"]}


def load_weights(path: str | Path, model: nn.Module) -> str:
    """Give a model the weights of a checkpoint, to train it further.

    Returns:
        SHA-256 of the file, by which it is known again.

    Raises:
        FileNotFoundError, CheckpointError: see ``load_model``; or the checkpoint's network is another one.
    """
    source, metadata = load_model(path)
    try:
        _check_tensors(Path(path), model.state_dict(), source.state_dict())
    except CheckpointError as error:
        built = ", ".join(f"{name} {value}" for name, value in metadata["model"].items())
        raise CheckpointError(f"{error}; the checkpoint's network is another one: {built}") from error
    model.load_state_dict(source.state_dict())
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def import_released(
    name: str, segmentation_network: str, segmentation_file: str | Path, relighting_file: str | Path
) -> nn.Module:
    """Build a model from the weights that its authors published: two PyTorch files.

    Args:
        name: ``dannet`` or ``bimix``.
        segmentation_network: ``pspnet``, ``deeplab`` or ``refinenet``.
        segmentation_file: weights of that network.
        relighting_file: weights of the relighting network.

    Returns:
        The model, on the CPU, in evaluation mode, with the re-weighting of the authors' tests.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: a file holds other weights; the message names the tensor.
        ValueError: unknown name or network.
    """
    if name not in ("dannet", "bimix"):
        raise ValueError(f"there are no released weights for {name!r}, only for dannet and bimix")
    network: dict[str, Any] = {"rates": RELEASED_DEEPLAB_RATES} if segmentation_network == "deeplab" else {}
    model = build_model(name, segmentation_network=segmentation_network, reweighting="logits", **network)
    assert isinstance(model, DANNet) and model.relighting_network is not None
    _load_released(segmentation_file, segmentation_network, model.segmentation_network)
    _load_released(relighting_file, name, model.relighting_network)
    model.reweighting.weights = class_weights(CITYSCAPES_SHARES, TEST_STD)
    return model.eval()


def import_espnet(path: str | Path) -> nn.Module:
    """Build ESPNet from weights for Cityscapes that its authors published: one PyTorch file of any depth.

    Returns:
        The model, on the CPU, in evaluation mode, with 19 classes: the release's last, void, is left out.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: the file holds other weights; the message names the tensor.
    """
    tensors = _read_released(Path(path))
    depths: dict[str, Any] = {
        name: sum(key.startswith(f"encoder.level{level}.") and "c1" in key for key in tensors)
        for name, level in (("p", 2), ("q", 3))
    }
    released = build_model("espnet", num_classes=NUM_CLASSES + 1, **depths)
    _load_released(path, "espnet", released)
    state = released.state_dict()
    state["classifier.weight"] = state["classifier.weight"][:, :NUM_CLASSES]
    model = build_model("espnet", normalisation="release", **depths)
    model.load_state_dict(state)
    return model.eval()


def _load_released(path: str | Path, network: str, part: nn.Module) -> None:
    tensors = _read_released(Path(path))
    state = part.state_dict()
    if network == "espnet":  # written by PyTorch 0.3, which did not count batches
        state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    keys = {released_name(network, key): key for key in state}
    expected = {name: state[key] for name, key in keys.items()}
    unused = {name: expected[like] for name, like in unused_names(network, expected).items()}
    _check_tensors(Path(path), {**expected, **unused}, tensors)
    part.load_state_dict({**part.state_dict(), **{key: tensors[name] for name, key in keys.items()}})


def _read_released(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}: give the path of the authors' file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader has many types of error for a file that is not its own
        raise CheckpointError(f"{path} holds no weights that can be read safely ({error})") from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise CheckpointError(f"{path} is not a state dict: expected names of tensors and tensors")
    return state


def check_classes(path: str | Path, metadata: dict[str, Any]) -> None:
    """Refuse a checkpoint whose classes are not those of Cityscapes.

    Raises:
        CheckpointError: other classes; the message names the first ones.
    """
    classes = metadata["classes"]
    if classes != list(CLASSES):
        first = ", ".join(map(str, classes[:3]))
        raise CheckpointError(
            f"{path}: its {len(classes)} classes ({first} ...) are not the {len(CLASSES)} of Cityscapes"
        )


def demonstration_weights(name: str) -> Path:
    """Path of the small weights that ship with the package for trying a model.

    Raises:
        FileNotFoundError: none ship for this model; the message lists those that do.
    """
    path = _WEIGHTS_FOLDER / f"{name}.safetensors"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in _WEIGHTS_FOLDER.glob("*.safetensors"))) or "none"
        raise FileNotFoundError(
            f"no demonstration weights for model {name!r} (shipped: {known}); give weights"
        )
    return path


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(HEADER)
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error})") from error
    expected = {"model": dict, "classes": list, "storage": str, "metadata": dict}
    return parse_header(path, text, expected), tensors


def parse_header(path: Path, text: str | None, expected: Mapping[str, type]) -> dict[str, Any]:
    """The JSON object that travels in a file of this package, as untrusted as the file.

    Args:
        path: of the file, for messages.
        text: what the file has under ``HEADER``; None if nothing.
        expected: names of the entries that must be there, and their types.

    Raises:
        CheckpointError: it is missing, no JSON, of another format, or an entry is missing or of another type.
    """
    if text is None:
        raise CheckpointError(f"{path} has no {HEADER!r} header: it was not written by this package")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: the header is not JSON ({error})") from error
    for key, kind in expected.items():
        if not isinstance(header, dict) or not isinstance(header.get(key), kind):
            raise CheckpointError(f"{path}: the header lacks a {kind.__name__} {key!r}")
    if header.get("format") != 1:
        raise CheckpointError(f"{path}: format {header.get('format')!r}, this version reads format 1")
    return header


def _pack(state: dict[str, Tensor], storage: str) -> dict[str, Tensor]:
    packed = {}
    for key, value in state.items():
        if storage == "int8" and value.dim() == 4:
            scale = value.abs().amax(dim=(1, 2, 3)).clamp(min=1e-12) / 127
            packed[key] = (value / scale[:, None, None, None]).round().to(torch.int8)
            packed[key + _SCALE] = scale
        elif storage == "float16" and value.is_floating_point():
            packed[key] = value.half()
        else:
            packed[key] = value
    return packed


def _unpack(tensors: dict[str, Tensor], storage: str) -> dict[str, Tensor]:
    state = {}
    for key, value in tensors.items():
        if storage == "int8" and key.endswith(_SCALE):
            continue
        if value.dtype == torch.int8 and (scale := tensors.get(key + _SCALE)) is not None:
            value = value.float() * scale.view(-1, *[1] * (value.dim() - 1))
        state[key] = value.float() if value.is_floating_point() else value
    return state


def _check_tensors(path: Path, expected: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    for key, value in expected.items():
        if key not in state:
            raise CheckpointError(f"{path}: tensor {key!r} is missing")
        if state[key].shape != value.shape:
            raise CheckpointError(
                f"{path}: tensor {key!r} has shape {tuple(state[key].shape)}, "
                f"the model needs {tuple(value.shape)}"
            )
        if not torch.isfinite(state[key]).all():
            raise CheckpointError(f"{path}: tensor {key!r} holds NaN or infinite values")
    extra = sorted(state.keys() - expected.keys())
    if extra:
        raise CheckpointError(f"{path}: tensor {extra[0]!r} does not belong to the model")
