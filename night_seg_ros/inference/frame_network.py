# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The stages of a frame on its device: what lies between upload and download."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from night_seg_ros.inference.label_map import predict_labels
from night_seg_ros.inference.preprocess import InputSize, preprocess
from night_seg_ros.models.classes import IMAGENET_MEAN, IMAGENET_STD
from night_seg_ros.models.output import SegmentationOutput

FIELDS = ("labels", "exposure", "confidence", "relit", "attention")
"""What a network can say of a frame."""


@dataclass(frozen=True)
class FrameOutputs:
    """Images of a batch, on its device.

    Attributes:
        images: by field, those that were asked for and can be had: (N, H, W) uint8, ``relit``
            (N, H, W, 3) uint8 BGR, ``attention`` (N, layers, H, W) uint8.
        own_exposure: whether the network has an exposure map; else ``exposure`` is V of HSV.
    """

    images: dict[str, Tensor]
    own_exposure: bool


class FrameNetwork:
    """A network with what frames need before and after it; no stage waits for the device.

    Args:
        model: in evaluation mode, on its device, in ``dtype`` and channels last.
        dtype: of the network's input.
        input_size: at which the network sees a frame, see ``inference.preprocess.InputSize``.

    Attributes:
        network: the model: normalised RGB (N, 3, h, w) -> ``SegmentationOutput``.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype, input_size: InputSize) -> None:
        self.network = model
        self._dtype = dtype
        self._input_size = input_size

    def __call__(self, bgr: Tensor, fields: frozenset[str], size: tuple[int, int]) -> FrameOutputs:
        """All stages.

        Args:
            bgr: (N, H, W, 3) uint8.
            fields: some of ``FIELDS``.
            size: (height, width) of the images that come out.
        """
        return self.finish(self.network(self.prepare(bgr)), bgr, fields, size)

    def prepare(self, bgr: Tensor) -> Tensor:
        """The network's input (N, 3, h, w): colour order, scale, size, normalisation."""
        return preprocess(bgr.permute(0, 3, 1, 2).flip(1), self._input_size, self._dtype)

    def finish(
        self, answer: SegmentationOutput, bgr: Tensor, fields: frozenset[str], size: tuple[int, int]
    ) -> FrameOutputs:
        """From the network's answer to images."""
        images: dict[str, Tensor] = {}
        if fields & {"labels", "confidence"}:
            labels, confidence = predict_labels(
                answer.logits,
                size,
                align_corners=answer.align_corners,
                confidence="confidence" in fields,
            )
            images["labels"] = labels
            if confidence is not None:
                images["confidence"] = confidence
        if "exposure" in fields:
            own = answer.exposure
            exposure = bgr.amax(dim=3).unsqueeze(1) / 255 if own is None else own
            images["exposure"] = _to_uint8(_resize(exposure, size))[:, 0]
        if "relit" in fields and answer.relit is not None:
            images["relit"] = _to_uint8(_denormalise(_resize(answer.relit, size))).flip(1).permute(0, 2, 3, 1)
        if "attention" in fields and answer.attention is not None:
            maps = [_resize(attention, size) for attention in answer.attention]
            images["attention"] = _to_uint8(torch.cat(maps, dim=1))
        return FrameOutputs(
            {name: image.contiguous() for name, image in images.items() if name in fields},
            own_exposure=answer.exposure is not None,
        )


def fields_of(outputs: frozenset[str]) -> frozenset[str]:
    """The fields that outputs are made of: themselves, and ``overlay`` of labels."""
    return outputs - {"overlay"} | {"labels"} if "overlay" in outputs else outputs


def _resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image.float(), size=size, mode="bilinear", align_corners=False)


def _denormalise(rgb: Tensor) -> Tensor:
    channels = zip(rgb.unbind(1), IMAGENET_MEAN, IMAGENET_STD, strict=True)
    return torch.stack([channel * std + mean for channel, mean, std in channels], dim=1)


def _to_uint8(image: Tensor) -> Tensor:
    return image.mul(255).round_().clamp_(0, 255).to(torch.uint8)
