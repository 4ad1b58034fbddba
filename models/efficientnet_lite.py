# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""EfficientNet-Lite backbones, cut into the parts that networks are put together from.

Source: M. Tan, Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML
2019; Lite is its version without squeeze-and-excitation, with ReLU6, for small devices. Names of tensors are
those of timm's ``tf_efficientnet_lite0`` and ``2``; strided convolutions pad as TensorFlow's do.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from night_seg_ros.models.loading import load_part
from night_seg_ros.models.residual import initialise
from night_seg_ros.models.stages import OUTPUT_STRIDES, EncoderStages

EPSILON = 1e-3  # of the batch norms, as in the published weights


@dataclass(frozen=True)
class _Stage:
    """Blocks of one kind: the first has the stride, and the channels change in it."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    blocks: int


STEM = 32
STAGES = (
    _Stage(3, 1, 1, 16, 1),
    _Stage(3, 2, 6, 24, 2),
    _Stage(5, 2, 6, 40, 2),
    _Stage(3, 2, 6, 80, 3),
    _Stage(5, 1, 6, 112, 3),
    _Stage(5, 2, 6, 192, 4),
    _Stage(3, 1, 6, 320, 1),
)
SCALES = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite2": (1.1, 1.2)}
"""Name -> how many times as wide and as deep as ``STAGES``."""

PARTS = ((1,), (2,), (3, 4), (5, 6))
"""Which of ``STAGES`` make up the four stages that networks know, at strides 4, 8, 16 and 32; the first is
part of the stem."""


class SamePadding(nn.Module):
    """Zeros around an image, so that a convolution of stride 2 gives ceil(H/2) x ceil(W/2), as in TensorFlow.

    An odd number of zeros has one more below and to the right.

    Args:
        kernel: side of the convolution's kernel, odd.

    Shape: (N, C, H, W) -> (N, C, H + kernel - 2 + H % 2, W + kernel - 2 + W % 2).
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, features: Tensor) -> Tensor:
        down = self.kernel - 2 + features.shape[-2] % 2
        right = self.kernel - 2 + features.shape[-1] % 2
        return F.pad(features, (right // 2, right - right // 2, down // 2, down - down // 2))


class InvertedResidual(nn.Module):
    """1x1 to more channels, a depthwise convolution, 1x1 to fewer; beside a shortcut where the shape stays.

    Args:
        in_channels, out_channels: of the block.
        kernel: side of the depthwise convolution's kernel, odd.
        stride: 1 or 2, of the depthwise convolution.
        expansion: how many times the channels between; 1 has no first convolution.
        dilation: of the depthwise convolution; for a stride of 1 only.

    Shape: (N, in_channels, H, W) -> (N, out_channels, ceil(H/stride), ceil(W/stride)).
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int, dilation: int = 1
    ) -> None:
        super().__init__()
        expands = expansion > 1
        wide = expansion * in_channels
        padding = dilation * (kernel // 2)
        names = (
            ("conv_dw", "bn1", "conv_pw", "bn2") if expansion == 1 else ("conv_dw", "bn2", "conv_pwl", "bn3")
        )
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expands:
            layers["conv_pw"] = nn.Conv2d(in_channels, wide, 1, bias=False)
            layers["bn1"] = nn.BatchNorm2d(wide, EPSILON)
            layers["act1"] = nn.ReLU6(inplace=True)
        if stride == 2:
            layers["pad"] = SamePadding(kernel)
        layers[names[0]] = nn.Conv2d(
            wide,
            wide,
            kernel,
            stride,
            padding=0 if stride == 2 else padding,
            dilation=dilation,
            groups=wide,
            bias=False,
        )
        layers[names[1]] = nn.BatchNorm2d(wide, EPSILON)
        layers["act2"] = nn.ReLU6(inplace=True)
        layers[names[2]] = nn.Conv2d(wide, out_channels, 1, bias=False)
        layers[names[3]] = nn.BatchNorm2d(out_channels, EPSILON)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.shortcut = stride == 1 and in_channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        result = features
        for layer in self.children():
            result = layer(result)
        return result + features if self.shortcut else result


class EfficientNetLiteStages(EncoderStages):
    """An EfficientNet-Lite without its classifier, in the parts of ``ResNetStages``.

    Args:
        backbone: a name in ``SCALES``.
        output_stride: input pixels per feature of the last stage: 8, 16 or 32. Below 32 the last stages keep
            their resolution and dilate their depthwise convolutions instead.
        in_channels: channels of the image.

    Attributes:
        stem: (N, in_channels, H, W) -> (N, 16, H/2, W/2).
        stages: four stages, at strides 4, 8, 16 and 32 (or ``output_stride``).
        out_channels, stage_prefixes: see ``EncoderStages``.

    Raises:
        ValueError: unknown backbone or output stride.
    """

    def __init__(self, backbone: str, output_stride: int = 32, in_channels: int = 3) -> None:
        super().__init__()
        if backbone not in SCALES:
            raise ValueError(f"unknown backbone {backbone!r}; known: {', '.join(SCALES)}")
        if output_stride not in OUTPUT_STRIDES:
            raise ValueError(f"output_stride is {output_stride}; it must be 8, 16 or 32")
        width, depth = SCALES[backbone]
        scaled = [_scaled(stage, width, depth, i in (0, len(STAGES) - 1)) for i, stage in enumerate(STAGES)]
        before = [STEM, *(stage.channels for stage in scaled)]
        stride, dilation = 2, 1
        blocks: list[nn.Sequential] = []
        for stage, channels in zip(scaled, before, strict=False):
            own_stride, first_dilation = stage.stride, dilation
            if stage.stride == 2 and stride >= output_stride:
                own_stride, dilation = 1, 2 * dilation
            stride *= own_stride
            blocks.append(_blocks(stage, channels, own_stride, first_dilation, dilation))
        self.stem = nn.Sequential(
            OrderedDict(
                pad=SamePadding(3),
                conv_stem=nn.Conv2d(in_channels, STEM, 3, 2, bias=False),
                bn1=nn.BatchNorm2d(STEM, EPSILON),
                act=nn.ReLU6(inplace=True),
                blocks=nn.Sequential(OrderedDict({"0": blocks[0]})),
            )
        )
        self.stages = nn.ModuleList(
            nn.Sequential(OrderedDict({str(i): blocks[i] for i in part})) for part in PARTS
        )
        self.out_channels = [scaled[part[-1]].channels for part in PARTS]
        self.stage_prefixes = ["blocks."] * len(PARTS)
        initialise(self)

    def load_pretrained(self, weights: dict[str, Tensor]) -> None:
        """Start from weights under timm's names.

        Raises:
            ValueError: a key is missing or misshapen; the message names it.
        """
        load_part(self.stem, weights, "")
        for stage, prefix in zip(self.stages, self.stage_prefixes, strict=True):
            load_part(stage, weights, prefix)

    def published_names(self) -> list[str]:
        """timm's names of all tensors, in the order of every published file."""
        names = list(self.stem.state_dict())
        for stage, prefix in zip(self.stages, self.stage_prefixes, strict=True):
            names += [prefix + key for key in stage.state_dict()]
        return names


def _scaled(stage: _Stage, width: float, depth: float, fixed_depth: bool) -> _Stage:
    """A stage of a wider and deeper network; channels stay multiples of 8."""
    wanted = width * stage.channels
    channels = max(8, int(wanted + 4) // 8 * 8)
    channels += 8 * (channels < 0.9 * wanted)
    blocks = stage.blocks if fixed_depth else math.ceil(depth * stage.blocks)
    return _Stage(stage.kernel, stage.stride, stage.expansion, channels, blocks)


def _blocks(
    stage: _Stage, in_channels: int, stride: int, first_dilation: int, dilation: int
) -> nn.Sequential:
    """The blocks of a stage; one whose stride was taken away samples as densely as the stage before."""
    first = InvertedResidual(
        in_channels, stage.channels, stage.kernel, stride, stage.expansion, first_dilation
    )
    others = [
        InvertedResidual(stage.channels, stage.channels, stage.kernel, 1, stage.expansion, dilation)
        for _ in range(stage.blocks - 1)
    ]
    return nn.Sequential(first, *others)
