# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""``night-seg submit``: label images of test images without labels, as the archive that a server scores."""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from tqdm import tqdm

from night_seg_ros.common.files import atomic_path
from night_seg_ros.inference.options import add_device_option, add_weights_options, chosen_weights
from night_seg_ros.inference.preprocess import InputSize, choose_device, computes_in_bf16
from night_seg_ros.models.checkpoint import check_classes, load_model
from night_seg_ros.models.classes import NUM_CLASSES
from night_seg_ros.training.data.datasets import DATASETS, LabelledFiles, open_dataset
from night_seg_ros.training.evaluation.evaluate import TestTime, segment


class SubmissionError(ValueError):
    """An archive that a server would refuse; the message says what of it."""


@torch.inference_mode()
def write_submission(
    path: Path,
    model: nn.Module,
    dataset: LabelledFiles,
    *,
    input_size: InputSize,
    device: torch.device,
    dtype: torch.dtype,
) -> None:
    """Segment all images into PNGs of train ids, (H, W) uint8 of each image's name and size, in one zip file.

    The archive is checked before it gets to its place.

    Args:
        path: the archive.
        model: in evaluation mode, on ``device``, in ``dtype``.
        input_size: size at which the network sees an image.

    Raises:
        SubmissionError: see ``check_submission``.
    """
    sizes: dict[str, tuple[int, int]] = {}
    with atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w") as archive:
            for index in tqdm(range(len(dataset)), "segment", unit="image"):
                name = f"{dataset.pairs[index][0].stem}.png"
                rgb = torch.as_tensor(dataset[index]["image"]).unsqueeze(0).to(device)
                size = (rgb.shape[-2], rgb.shape[-1])
                label = segment(model, rgb, size, input_size=input_size, dtype=dtype, test_time=TestTime())
                png = io.BytesIO()
                Image.fromarray(label[0].cpu().numpy()).save(png, "PNG")
                archive.writestr(name, png.getvalue())
                sizes[name] = size
        check_submission(temporary, sizes)


def check_submission(path: Path, sizes: dict[str, tuple[int, int]]) -> None:
    """Check that an archive holds a label image for each name, and nothing else.

    Args:
        path: the archive.
        sizes: (height, width) by name.

    Raises:
        SubmissionError: it is no zip file; a name is missing, not expected, or there twice; an image is not
            8-bit grey, not of its size, or holds an id that no class has.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            wrong = sorted(set(names) ^ set(sizes))
            if wrong:
                what = "missing" if wrong[0] in sizes else "not expected"
                raise SubmissionError(f"{path}: {wrong[0]} is {what}")
            if len(names) != len(set(names)):
                raise SubmissionError(f"{path}: a name is there twice")
            for name, size in sizes.items():
                _check_label(f"{path}: {name}", archive.read(name), size)
    except zipfile.BadZipFile as error:
        raise SubmissionError(f"{path} is no zip file ({error})") from error


def _check_label(what: str, data: bytes, size: tuple[int, int]) -> None:
    try:
        image = Image.open(io.BytesIO(data))
        mode, label = image.mode, np.asarray(image)
    except OSError as error:
        raise SubmissionError(f"{what} can't be read as an image ({error})") from error
    if mode != "L":
        raise SubmissionError(f"{what} has mode {mode}, not 8-bit grey")
    if label.shape != size:
        raise SubmissionError(f"{what} is {label.shape[1]}x{label.shape[0]}, not {size[1]}x{size[0]}")
    if label.max() >= NUM_CLASSES:
        raise SubmissionError(f"{what} holds the id {label.max()}: train ids are 0..{NUM_CLASSES - 1}")


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg submit``."""
    options = _parse(argv)
    dataset = open_dataset(options.dataset, options.root, options.split)
    weights = chosen_weights(options)
    model, metadata = load_model(weights)
    check_classes(weights, metadata)
    device = choose_device(options.device)
    dtype = torch.bfloat16 if computes_in_bf16(device) else torch.float32
    model = model.to(device, dtype).to(memory_format=torch.channels_last)
    write_submission(
        options.out, model, dataset, input_size=metadata.get("input_size"), device=device, dtype=dtype
    )
    print(
        f"{options.out}: {len(dataset)} label images, checked: names, sizes, train ids 0..{NUM_CLASSES - 1}"
    )
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("night-seg submit", description=__doc__)
    parser.add_argument("--dataset", default="dark_zurich", choices=list(DATASETS))
    parser.add_argument("--root", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--split", default="test")
    add_weights_options(parser)
    add_device_option(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="ARCHIVE.zip")
    return parser.parse_args(argv)
