# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Scores of a model on labelled images; ``night-seg evaluate``."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from night_seg_ros.common.files import write_json
from night_seg_ros.common.tables import percent
from night_seg_ros.inference.engines.exported import ExportedNetwork, load_network
from night_seg_ros.inference.label_map import predict_labels
from night_seg_ros.inference.options import add_device_option, add_program_options, chosen_weights
from night_seg_ros.inference.preprocess import (
    MIN_SIDE,
    InputSize,
    choose_device,
    computes_in_bf16,
    network_size,
    preprocess,
)
from night_seg_ros.models.checkpoint import check_classes
from night_seg_ros.models.classes import NUM_CLASSES
from night_seg_ros.models.dannet import ClassReweighting, spread
from night_seg_ros.models.output import SegmentationOutput
from night_seg_ros.training.data.datasets import (
    DataError,
    FolderDataset,
    LabelledImages,
    Sample,
    open_labelled,
)
from night_seg_ros.training.data.enhancement import Enhancement, enhance
from night_seg_ros.training.data.options import add_dataset_options, check_input_options
from night_seg_ros.training.evaluation.metrics import EXPOSURE_BIN_NAMES, SegmentationMetrics, WorstImages
from night_seg_ros.training.losses.supervised import upsample

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}

_READERS = 4


@dataclass(frozen=True)
class TestTime:
    """How an image is segmented: as it is, or from several views whose class probabilities are averaged.

    Attributes:
        sliding_window: (height, width) of the windows that each view is cut into, in pixels of the network's
            input, at least 32; neighbours overlap by a third or more, probabilities are averaged there.
            None: no windows.
        scales: a view for each of these multiples of the input size.
        flip: a mirrored view for each of them too.
        enhancement: of the image before all that.

    Raises:
        ValueError: a window under 32 pixels, no scale, or one that is not above 0.
    """

    sliding_window: tuple[int, int] | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    enhancement: Enhancement = "none"

    def __post_init__(self) -> None:
        if self.sliding_window is not None and min(self.sliding_window) < MIN_SIDE:
            raise ValueError(
                f"sliding window {self.sliding_window}: each side takes {MIN_SIDE} pixels or more"
            )
        if not self.scales or not min(self.scales) > 0:
            raise ValueError(f"scales {self.scales}: give one or more numbers above 0")


class ReadAhead:
    """The samples of a data set in order; threads read the next few while the caller works on one."""

    def __init__(self, dataset: LabelledImages) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[Sample]:
        waiting: deque[Future[Sample]] = deque()
        with ThreadPoolExecutor(_READERS) as pool:
            for number in range(len(self.dataset)):
                waiting.append(pool.submit(self.dataset.__getitem__, number))
                if len(waiting) > _READERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    samples: Iterable[Sample],
    *,
    input_size: InputSize,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    test_time: TestTime = TestTime(),
    worst: WorstImages | None = None,
    progress: bool = True,
) -> SegmentationMetrics:
    """Segment images one by one and count their pixels at the size of their labels.

    Args:
        model: on ``device``, in ``dtype``; it is put in evaluation mode for the time being.
        samples: see ``datasets``.
        input_size: size at which the network sees an image.
        test_time: see ``TestTime``.
        worst: is told of every image, by its number in ``samples``.

    Raises:
        DataError: a sample has no label.
    """
    metrics = SegmentationMetrics(device)
    was_training = model.training
    model.eval()
    for number, sample in enumerate(tqdm(samples, "evaluate", unit="image", disable=not progress)):
        rgb, label = _to_device(sample, device)
        size = _size(label)
        prediction = segment(model, rgb, size, input_size=input_size, dtype=dtype, test_time=test_time)
        metrics.update(prediction, label, value_channel(rgb, size))
        if worst is not None:
            worst.update(number, prediction, label)
    model.train(was_training)
    return metrics


def _to_device(sample: Sample, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Image (1, 3, H, W) and label (1, H', W') of a sample, uint8."""
    if "label" not in sample:
        raise DataError(f"image {sample['name']} has no label: it can't be scored")
    image, label = (sample[key].as_subclass(Tensor).unsqueeze(0).to(device) for key in ("image", "label"))
    return image, label


def value_channel(rgb: Tensor, size: tuple[int, int]) -> Tensor:
    """Exposure of the pixels of a label: V of HSV = max(R, G, B) of the image, resized to the label's size.

    Args:
        rgb: (N, 3, h, w) uint8.
        size: (H, W) of the label; an image of another size is resized (bilinear, antialiased).

    Returns:
        (N, H, W) uint8, 0..255 = 0..1.
    """
    if _size(rgb) != size:
        from torchvision.transforms.v2.functional import resize

        rgb = resize(rgb, list(size), antialias=True)
    return rgb.amax(dim=1)


def segment(
    model: nn.Module,
    rgb: Tensor,
    size: tuple[int, int],
    *,
    input_size: InputSize,
    dtype: torch.dtype,
    test_time: TestTime,
) -> Tensor:
    """Labels of one image.

    Without a window, other scales and flip, full-size scores are never held: see ``predict_labels``. With
    them, the probabilities of all classes are, for this one image.

    Args:
        model: in evaluation mode, on the image's device, in ``dtype``.
        rgb: (1, 3, h, w) uint8.
        size: (H, W) of the result.
        input_size, test_time: as for ``evaluate``.

    Returns:
        (1, H, W) uint8 train ids.
    """
    rgb = enhance(rgb[0], test_time.enhancement)[None]
    if replace(test_time, enhancement="none") == TestTime():
        output: SegmentationOutput = model(preprocess(rgb, input_size, dtype))
        return predict_labels(output.logits, size, align_corners=output.align_corners)[0]
    height, width = network_size(*_size(rgb), input_size)
    total = torch.zeros(1, NUM_CLASSES, *size, device=rgb.device)
    for scale in test_time.scales:
        view = preprocess(rgb, (round(scale * height), round(scale * width)), dtype)
        total += _resized(_probabilities(model, view, test_time.sliding_window), size)
        if test_time.flip:
            mirrored = _probabilities(model, view.flip(-1), test_time.sliding_window).flip(-1)
            total += _resized(mirrored, size)
    return total.argmax(dim=1).to(torch.uint8)


def _probabilities(model: nn.Module, view: Tensor, window: tuple[int, int] | None) -> Tensor:
    """Class probabilities of each pixel of a view, (1, 3, h, w) -> (1, 19, h, w) float32."""
    height, width = _size(view)
    window_height, window_width = window or (height, width)
    total = torch.zeros(1, NUM_CLASSES, height, width, device=view.device)
    count = torch.zeros(1, 1, height, width, device=view.device)
    for top in _window_starts(height, window_height):
        for left in _window_starts(width, window_width):
            part = (..., slice(top, top + window_height), slice(left, left + window_width))
            total[part] += upsample(model(view[part]), _size(view[part])).softmax(dim=1)
            count[part] += 1
    return total.div_(count)


def _window_starts(length: int, window: int) -> list[int]:
    """Where windows start that cover a length evenly, neighbours overlapping by a third or more."""
    rest = max(0, length - window)
    steps = -(-rest // (2 * window // 3))
    return [round(i * rest / steps) for i in range(steps)] + [rest]


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)


def format_scores(scores: dict[str, Any]) -> str:
    """The scores as a table for people: IoU and pixels in per cent, EF1 from 0 to 1."""
    lines = [f"{name:<14}{100 * iou:6.1f}" for name, iou in scores["iou"].items()]
    lines += [
        "-" * 20,
        f"{'mIoU':<14}{100 * scores['miou']:6.1f}  classes in truth or prediction",
        f"{'mIoU (truth)':<14}{100 * scores['miou_truth']:6.1f}  classes in the truth",
        f"{'pixel accuracy':<14}{100 * scores['pixel_accuracy']:6.1f}",
        f"{'images':<14}{scores['images']:6d}",
        "",
        f"{'exposure':<14}{'pixels':>6}{'EF1 micro':>12}{'EF1 macro':>12}",
    ]
    total = sum(scores["exposure_pixels"])
    for k, name in enumerate(EXPOSURE_BIN_NAMES):
        f1 = [scores[key][k] for key in ("ef1_micro", "ef1_macro")]
        columns = "".join(f"{'-' if value is None else f'{value:.3f}':>12}" for value in f1)
        lines.append(f"{name:<14}{100 * scores['exposure_pixels'][k] / total:6.1f}{columns}")
    lines += ["-" * 44, f"{'mEF1':<20}{scores['mef1_micro']:12.3f}{scores['mef1_macro']:12.3f}"]
    return "\n".join(lines)


def draw_worst(
    folder: Path,
    worst: list[tuple[int, float]],
    dataset: LabelledImages,
    model: nn.Module,
    *,
    device: torch.device,
    **how: Any,
) -> None:
    """Segment the worst images once more and draw them into a folder; those of an earlier run go.

    Args:
        worst: see ``WorstImages.compute``.
        device: of the model.
        how: as for ``segment``.
    """
    from night_seg_ros.training.evaluation.score_charts import draw_comparison

    for old in folder.glob("worst_[0-9]*_*.png"):
        old.unlink()
    for rank, (number, accuracy) in enumerate(tqdm(worst, "draw", unit="image"), start=1):
        sample = dataset[number]
        rgb, label = _to_device(sample, device)
        with torch.inference_mode():
            prediction = segment(model, rgb, _size(label), **how)
        name = f"worst_{rank:02d}_{100 * accuracy:.1f}_{sample['name']}.png"
        image = rgb[0].permute(1, 2, 0)
        draw_comparison(
            folder / name,
            f"{sample['name']}: {percent(accuracy)} of the pixels right",
            *(part.cpu().numpy() for part in (image, label[0], prediction[0])),
        )


def respread(model: nn.Module, std: float | None, average: float | None) -> None:
    """Give the class weights of a model's re-weighting another deviation or mean (DANNet, Eq. 2).

    Args:
        model: DANNet or Bi-Mix.
        std, average: see ``spread``; None leaves what there is.

    Raises:
        ValueError: the model does not re-weight its prediction, its weights are all the same, or see
            ``spread``.
    """
    reweighting = getattr(model, "reweighting", None)
    if not isinstance(reweighting, ClassReweighting) or reweighting.kind == "none":
        raise ValueError("--std and --avg: this model does not re-weight its prediction by class")
    weights = reweighting.weights.double()
    if weights.max() == weights.min():
        raise ValueError("--std and --avg: the class weights of this model are all the same")
    std = weights.std().item() if std is None else std
    reweighting.weights = spread(weights, std, weights.mean().item() if average is None else average)


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg evaluate``."""
    options = _parse(argv)
    if options.charts:
        from night_seg_ros.training.evaluation.score_charts import draw_ef1  # what is missing shows at once
    test_time = TestTime(options.sliding_window, tuple(options.scales), options.flip, options.enhance)
    dataset, name = _open(options)
    weights = chosen_weights(options)
    device = choose_device(options.device)
    model, metadata = load_network(weights, device, trust_pt2=options.trust_pt2)
    check_classes(weights, metadata)
    if options.std is not None or options.avg is not None:
        respread(model, options.std, options.avg)
    input_size = options.input_size or metadata.get("input_size")
    precision = options.precision
    if isinstance(model, ExportedNetwork):
        model.check_use(precision, input_size)
        precision = "fp32"
    elif precision == "auto":
        precision = "bf16" if computes_in_bf16(device) else "fp32"
    model = model.to(device, PRECISIONS[precision]).to(memory_format=torch.channels_last)
    how: dict[str, Any] = {
        "input_size": input_size,
        "dtype": PRECISIONS[precision],
        "test_time": test_time,
    }
    worst = WorstImages(options.worst, device)
    scores = evaluate(model, ReadAhead(dataset), device=device, worst=worst, **how).compute()
    if scores["miou"] is None:
        raise DataError(f"{name}: every pixel of these labels is ignored (255)")
    print(f"{weights} on {name}, {precision}\n{format_scores(scores)}")
    if options.json:
        write_json(options.json, scores)
    if options.charts:
        draw_ef1(options.charts / "ef1.png", f"{weights.stem} on {name}", scores)
        draw_worst(options.charts, worst.compute(), dataset, model, device=device, **how)
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "night-seg evaluate",
        description="Score a model on labelled images: --dataset NAME --root DIR --split SPLIT, "
        "--dataset synthetic --split night|day, or --images DIR --labels DIR.",
    )
    add_program_options(parser)
    add_dataset_options(parser)
    parser.add_argument("--images", metavar="DIR", help="folder of images")
    parser.add_argument("--labels", metavar="DIR", help="folder of label PNGs of the same names")
    parser.add_argument(
        "--input-size",
        type=int,
        nargs="+",
        metavar="PIXELS",
        help="at which the network sees an image: its shorter side, or height and width; "
        "default: the checkpoint's",
    )
    parser.add_argument(
        "--sliding-window", type=int, nargs=2, metavar=("H", "W"), help="segment in overlapping windows"
    )
    parser.add_argument(
        "--scales", type=float, nargs="+", default=[1.0], help="average over them, such as 0.75 1 1.25"
    )
    parser.add_argument("--flip", action="store_true", help="average with the mirrored image")
    parser.add_argument(
        "--enhance",
        default="none",
        choices=get_args(Enhancement),
        help="of an image before the network sees it (default: none); EF1 goes by the image as it was",
    )
    parser.add_argument(
        "--std",
        type=float,
        help="standard deviation of the class weights of DANNet's re-weighting, such as 0.16",
    )
    parser.add_argument("--avg", type=float, help="mean of these weights; both default to the checkpoint's")
    add_device_option(parser)
    parser.add_argument(
        "--precision", default="auto", choices=["auto", *PRECISIONS], help="auto: bf16 where it is fast"
    )
    parser.add_argument("--json", metavar="OUT", help="also write the scores here")
    parser.add_argument(
        "--charts", type=Path, metavar="DIR", help="draw EF1 by exposure and the worst images into DIR"
    )
    parser.add_argument("--worst", type=int, default=8, help="how many images --charts draws (default: 8)")
    options = parser.parse_args(argv)
    check_input_options(parser, options, {"--images and --labels": {"images", "labels"}})
    if options.input_size:
        if len(options.input_size) > 2 or min(options.input_size) < MIN_SIDE:
            parser.error(f"--input-size: give one or two numbers from {MIN_SIDE} up")
        options.input_size = (
            tuple(options.input_size) if len(options.input_size) == 2 else options.input_size[0]
        )
    if options.sliding_window:
        options.sliding_window = tuple(options.sliding_window)
    if options.worst < 0:
        parser.error(f"--worst is {options.worst}: give 0 or more")
    return options


def _open(options: argparse.Namespace) -> tuple[LabelledImages, str]:
    """The images to score, and what to call them."""
    if options.images:
        return FolderDataset(options.images, options.labels), options.images
    dataset = open_labelled(options.dataset, options.root, options.split)
    return dataset, f"{options.dataset} {options.split}"
