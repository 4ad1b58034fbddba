# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frames through the Segmenter, and the way from logits to labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from night_seg_ros import Segmenter
from night_seg_ros.inference.colours import colourise, overlay, overlay_tensors
from night_seg_ros.inference.preprocess import network_size, preprocess
from night_seg_ros.inference.segmenter import OUTPUTS
from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import CheckpointError, save_checkpoint
from night_seg_ros.models.classes import IMAGENET_MEAN, IMAGENET_STD
from night_seg_ros.models.output import SegmentationOutput


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model("egnet", backbone="resnet10", output_stride=16).eval()


def test_preprocess_is_opencv_and_imagenet() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    image = torch.from_numpy(rgb).permute(2, 0, 1)[None]
    expected = (rgb / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(preprocess(image, None)[0].permute(1, 2, 0).numpy(), expected, atol=1e-5)
    larger = preprocess(image, (80, 100))[0].permute(1, 2, 0).numpy()
    expected = cv2.resize(expected.astype(np.float32), (100, 80), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(larger, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("frame", "input_size", "expected"),
    [
        ((720, 1280), 360, (360, 640)),
        ((1280, 720), 360, (640, 360)),
        ((216, 384), None, (216, 384)),
        ((100, 100), (64, 96), (64, 96)),
        ((10, 20), None, (32, 32)),
    ],
)
def test_network_size(frame: tuple[int, int], input_size: object, expected: tuple[int, int]) -> None:
    assert network_size(*frame, input_size) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(48, 64), (37, 53), (5, 7), (1, 1), (200, 31)])
def test_outputs_have_the_size_of_the_frame(model: torch.nn.Module, size: tuple[int, int]) -> None:
    bgr = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    result = Segmenter(model, device="cpu", precision="fp32")(bgr)
    for image in (result.labels, result.exposure, result.confidence):
        assert image is not None and image.shape == size and image.dtype == np.uint8
    assert result.labels is not None and result.labels.max() < 19
    assert result.relit is None


def test_outputs_of_another_size(model: torch.nn.Module) -> None:
    bgr = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    result = Segmenter(model, device="cpu", precision="fp32")(bgr, size=(96, 120))
    answer = model(preprocess(torch.from_numpy(bgr[:, :, ::-1].copy()).permute(2, 0, 1)[None], None))
    expected = F.interpolate(answer.logits, size=(96, 120), mode="bilinear").argmax(dim=1)[0].numpy()
    assert (result.labels == expected).mean() > 0.999
    for image in (result.exposure, result.confidence):
        assert image is not None and image.shape == (96, 120)
    assert result.has_own_exposure


def test_exposure_of_a_network_without_one() -> None:
    torch.manual_seed(0)
    model = build_model("egnet", backbone="resnet10", guidance="none", exposure="none")
    segmenter = Segmenter(model, device="cpu", precision="fp32")
    bgr = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    result = segmenter(bgr)
    assert not result.has_own_exposure
    np.testing.assert_array_equal(result.exposure, bgr.max(axis=2))
    smaller = segmenter(bgr, ("exposure",), size=(24, 32)).exposure
    means = bgr.max(axis=2).reshape(24, 2, 32, 2).mean(axis=(1, 3))
    assert smaller is not None and np.abs(smaller - means).max() <= 0.51


def test_only_what_is_asked_for(model: torch.nn.Module) -> None:
    result = Segmenter(model, device="cpu")(np.zeros((40, 40, 3), np.uint8), outputs=("exposure",))
    assert result.labels is None and result.confidence is None and result.exposure is not None
    with pytest.raises(ValueError, match="depth"):
        Segmenter(model, device="cpu")(np.zeros((40, 40, 3), np.uint8), outputs=("depth",))


def test_attention_maps_on_request(model: torch.nn.Module) -> None:
    segmenter = Segmenter(model, device="cpu", precision="fp32")
    frames = list(np.random.default_rng(0).integers(0, 256, (2, 45, 67, 3)).astype(np.uint8))
    assert segmenter.has_attention and segmenter(frames[0]).attention is None
    results = segmenter(frames, ("attention",), size=(50, 81))
    rgb = torch.from_numpy(np.stack(frames)[..., ::-1].copy()).permute(0, 3, 1, 2)
    with torch.no_grad():
        maps = model(preprocess(rgb, None)).attention
    expected = torch.cat([F.interpolate(each, size=(50, 81), mode="bilinear") for each in maps], dim=1)
    for result, values in zip(results, 255 * expected.numpy(), strict=True):
        assert result.labels is None
        assert result.attention is not None and result.attention.dtype == np.uint8
        assert result.attention.shape == (3, 50, 81)
        assert np.abs(result.attention - values).max() < 0.6


def test_attention_of_a_network_without_it() -> None:
    model = build_model("dannet", backbone="resnet10", relighting="none")
    segmenter = Segmenter(model, device="cpu", precision="fp32")
    assert not segmenter.has_attention
    assert segmenter(np.zeros((40, 40, 3), np.uint8), OUTPUTS).attention is None


def test_colour_order() -> None:
    """A BGR frame goes in; the network must see RGB: here its colours are the scores of three classes."""

    class Colours(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> SegmentationOutput:
            return SegmentationOutput(image)

    for channel, seen_as in ((0, 2), (1, 1), (2, 0)):
        frame = np.zeros((32, 32, 3), np.uint8)
        frame[..., channel] = 255
        result = Segmenter(Colours(), device="cpu", precision="fp32")(frame, ("labels", "confidence"))
        assert (result.labels == seen_as).all()
        low, high = np.array([[0, 0, 0], [1, 1, 1]]) - IMAGENET_MEAN
        scores = np.exp(np.where(np.arange(3) == seen_as, high, low) / IMAGENET_STD)
        assert abs(int(result.confidence[0, 0]) - 255 * scores[seen_as] / scores.sum()) <= 1


def test_views_and_strides_of_a_frame(model: torch.nn.Module) -> None:
    segmenter = Segmenter(model, device="cpu", precision="fp32")
    padded = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    padded.flags.writeable = False
    view = padded[:, 4:52]
    np.testing.assert_array_equal(segmenter(view).labels, segmenter(view.copy()).labels)
    flipped = view[::-1]
    np.testing.assert_array_equal(segmenter(flipped).labels, segmenter(flipped.copy()).labels)


@pytest.mark.parametrize("input_size", [None, 40])
@pytest.mark.parametrize(
    "sizes",
    [
        [(48, 64)],
        [(37, 53), (37, 53), (37, 53)],
        [(48, 64), (33, 47), (48, 64), (5, 7)],  # in turn; the answers keep the order of the frames
    ],
)
def test_a_batch_says_what_each_frame_alone_says(
    model: torch.nn.Module, sizes: list[tuple[int, int]], input_size: int | None
) -> None:
    segmenter = Segmenter(model, device="cpu", precision="fp32", input_size=input_size)
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    results = segmenter(frames)
    assert len(results) == len(frames)
    for frame, result in zip(frames, results, strict=True):
        alone = segmenter(frame)
        assert result.labels is not None and alone.labels is not None
        # A batch may be summed up in another order: a hair's breadth, which can turn a tie between classes.
        assert result.labels.shape == frame.shape[:2]
        assert (result.labels == alone.labels).mean() > 0.999
        for field in ("exposure", "confidence"):
            difference = getattr(result, field).astype(int) - getattr(alone, field)
            assert np.abs(difference).max() <= 1, field
        assert result.relit is None


def test_frames_of_one_size_go_through_the_network_together(
    model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = []

    def watched(rgb: torch.Tensor, *rest: Any) -> torch.Tensor:
        batches.append(len(rgb))
        return preprocess(rgb, *rest)

    monkeypatch.setattr("night_seg_ros.inference.frame_network.preprocess", watched)
    small, large = np.zeros((40, 48, 3), np.uint8), np.zeros((48, 64, 3), np.uint8)
    segmenter = Segmenter(model, device="cpu", precision="fp32")
    assert segmenter([small, large, small, small], ("labels",))[1].labels.shape == (48, 64)
    assert batches == [3, 1]
    assert segmenter([]) == []


def test_a_batch_with_relit_frames() -> None:
    torch.manual_seed(0)
    relighting = build_model("dannet", backbone="resnet18", segmentation_network="pspnet").eval()
    segmenter = Segmenter(relighting, device="cpu", precision="fp32")
    frames = list(np.random.default_rng(0).integers(0, 256, (2, 40, 56, 3)).astype(np.uint8))
    for frame, result in zip(frames, segmenter(frames, ("relit", "exposure")), strict=True):
        alone = segmenter(frame, ("relit", "exposure"))
        assert result.relit.shape == frame.shape and result.labels is None
        assert np.abs(result.relit.astype(int) - alone.relit).max() <= 1
        np.testing.assert_array_equal(result.exposure, frame.max(axis=2))


def test_a_later_call_leaves_earlier_answers_as_they_are(model: torch.nn.Module) -> None:
    """They are published while the next frame is computed."""
    segmenter = Segmenter(model, device="cpu", precision="fp32")
    frames = list(np.random.default_rng(0).integers(0, 256, (2, 40, 48, 3)).astype(np.uint8))
    first = segmenter(frames[0])
    kept = {field: getattr(first, field).copy() for field in ("labels", "exposure", "confidence")}
    segmenter(frames[1])
    for field, image in kept.items():
        np.testing.assert_array_equal(getattr(first, field), image)


def test_a_bad_frame_in_a_batch(model: torch.nn.Module) -> None:
    with pytest.raises(ValueError, match="a frame must"):
        Segmenter(model, device="cpu")([np.zeros((40, 48, 3), np.uint8), np.zeros((40, 48), np.uint8)])


def test_overlay_by_hand(model: torch.nn.Module) -> None:
    frame = np.full((32, 48, 3), 100, np.uint8)
    segmenter = Segmenter(model, device="cpu")
    result = segmenter(frame, OUTPUTS, alpha=0.75)
    assert result.labels is not None and result.overlay is not None
    expected = 0.25 * 100 + 0.75 * colourise(result.labels).astype(float)
    assert np.abs(result.overlay - expected).max() <= 0.51
    alone = segmenter(frame, ("overlay",), alpha=0.75)
    np.testing.assert_array_equal(alone.overlay, result.overlay)
    assert alone.labels is None
    with pytest.raises(ValueError, match="size of its frame"):
        segmenter(frame, ("overlay",), size=(16, 24))


def test_overlay_on_the_device_is_that_of_opencv() -> None:
    random = np.random.default_rng(0)
    bgr = random.integers(0, 256, (2, 9, 13, 3)).astype(np.uint8)
    labels = random.integers(0, 19, (2, 9, 13)).astype(np.uint8)
    labels[0, 0] = 255
    drawn = overlay_tensors(torch.from_numpy(bgr), torch.from_numpy(labels), 0.3).numpy()
    for index in range(2):
        expected = overlay(bgr[index], labels[index], 0.3)
        assert np.abs(drawn[index].astype(int) - expected).max() <= 1  # halves are rounded differently


def test_colours_of_the_classes() -> None:
    labels = np.array([[0, 13, 255]], np.uint8)
    assert colourise(labels).tolist() == [[[128, 64, 128], [142, 0, 0], [0, 0, 0]]]


@pytest.mark.parametrize(
    "frame",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8), "frame"],
)
def test_bad_frames(model: torch.nn.Module, frame: object) -> None:
    with pytest.raises(ValueError, match="a frame must"):
        Segmenter(model, device="cpu")(frame)  # type: ignore[arg-type]


def test_checkpoints(tmp_path: Path, model: torch.nn.Module) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, {"input_size": 48})
    segmenter = Segmenter(path, device="cpu", precision="fp32")
    assert (
        segmenter.model_name == "egnet" and len(segmenter.weights_hash) == 12 and segmenter.input_size == 48
    )
    frame = np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype(np.uint8)
    same = Segmenter(model, device="cpu", precision="fp32", input_size=48)
    np.testing.assert_array_equal(segmenter(frame).labels, same(frame).labels)


def test_unsuitable_weights(tmp_path: Path) -> None:
    path = tmp_path / "three.safetensors"
    with pytest.raises(FileNotFoundError):
        Segmenter(path)
    save_checkpoint(path, build_model("egnet", backbone="resnet10", num_classes=3), {})
    with pytest.raises(CheckpointError, match="3"):
        Segmenter(path)


@pytest.mark.parametrize(
    ("argument", "value"), [("device", "tpu9"), ("device", "cuda:99"), ("precision", "fp8")]
)
def test_bad_choices(model: torch.nn.Module, argument: str, value: str) -> None:
    with pytest.raises(ValueError, match=value):
        Segmenter(model, **{argument: value})
