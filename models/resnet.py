# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""ResNet backbones, cut into the parts that networks are put together from."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from night_seg_ros.models.loading import load_part
from night_seg_ros.models.residual import BasicBlock, Block, Bottleneck, initialise, residual_stage
from night_seg_ros.models.stages import OUTPUT_STRIDES, EncoderStages

BACKBONES: dict[str, tuple[Block, list[int]]] = {
    "resnet10": (BasicBlock, [1, 1, 1, 1]),
    "resnet18": (BasicBlock, [2, 2, 2, 2]),
    "resnet34": (BasicBlock, [3, 4, 6, 3]),
    "resnet50": (Bottleneck, [3, 4, 6, 3]),
    "resnet101": (Bottleneck, [3, 4, 23, 3]),
}
"""Name -> (block, blocks per stage)."""

PLANES = (64, 128, 256, 512)
"""Channels in the blocks of each stage."""


class ResNetStages(EncoderStages):
    """A ResNet without its classifier, cut into the parts that networks are put together from.

    Args:
        backbone: a name in ``BACKBONES``.
        output_stride: input pixels per feature of the last stage: 8, 16 or 32. Below 32 the last
            stages keep their resolution and dilate their 3x3 convolutions instead.
        in_channels: channels of the image.
        deep_stem: three 3x3 convolutions (64, 64, 128) in place of one 7x7 of 64.
        stride_first: a bottleneck strides in its first 1x1 convolution, not in its 3x3.
        dilate_first: a dilated stage dilates its first 3x3 like the others; else that one samples as
            densely as the stage before.
        ceil_pool: the pooling of the stem rounds sizes up.

    Attributes:
        stem: (N, in_channels, H, W) -> (N, 64, H/4, W/4); 128 channels if deep.
        stages: the four residual stages.
        out_channels, stage_prefixes: see ``EncoderStages``.

    Raises:
        ValueError: unknown backbone or output stride.
    """

    def __init__(
        self,
        backbone: str,
        output_stride: int = 32,
        in_channels: int = 3,
        *,
        deep_stem: bool = False,
        stride_first: bool = False,
        dilate_first: bool = False,
        ceil_pool: bool = False,
    ) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"unknown backbone {backbone!r}; known: {', '.join(BACKBONES)}")
        if output_stride not in OUTPUT_STRIDES:
            raise ValueError(f"output_stride is {output_stride}; it must be 8, 16 or 32")
        block, layers = BACKBONES[backbone]
        self.out_channels = [planes * block.expansion for planes in PLANES]
        # All of a ResNet is drawn, its classifier too, so that a seed gives the weights that it gives
        # torchvision's.
        stem, stages = _stem(3), _stages(block, layers)
        nn.Linear(self.out_channels[-1], 1000)
        initialise(nn.Sequential(stem))
        initialise(stages)
        if deep_stem:
            stages[0] = residual_stage(block, 128, PLANES[0], layers[0], stride=1)
            stem = _deep_stem(in_channels)
        elif in_channels != 3:
            stem = _stem(in_channels)
        pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1, ceil_mode=ceil_pool)
        self.stem = nn.Sequential(OrderedDict(**stem, maxpool=pool))
        self.stages = stages
        self.stage_prefixes = [f"layer{i + 1}." for i in range(len(stages))]
        if deep_stem or in_channels != 3:
            initialise(self.stem)
            initialise(self.stages[0])
        if stride_first:
            _move_strides(self.stages)
        self._dilate(output_stride, dilate_first)

    def load_pretrained(self, weights: dict[str, Tensor]) -> None:
        """Start from the weights of a ResNet, under torchvision's names.

        A deep stem and the stage after it stay as they are, unless ``weights`` hold such a stem
        (``conv1`` to ``conv3``, ``bn1`` to ``bn3``).

        Raises:
            ValueError: a key is missing or misshapen; the message names it.
        """
        deep_stem = hasattr(self.stem, "conv3")
        first = 1 if deep_stem and "conv3.weight" not in weights else 0
        if first == 0:
            load_part(self.stem, weights, "")
        for stage, prefix in zip(self.stages[first:], self.stage_prefixes[first:], strict=True):
            load_part(stage, weights, prefix)

    def _dilate(self, output_stride: int, dilate_first: bool) -> None:
        """Turn the strides beyond ``output_stride`` into dilation (atrous convolution).

        A strided convolution loses its stride and, without ``dilate_first``, keeps the dilation of its
        input; every 3x3 convolution after it sees the finer grid and dilates by the factor that was saved.
        """
        stride, dilation = 4, 1
        for stage in self.stages[1:]:
            stride *= 2
            before, dilation = dilation, dilation * 2 if stride > output_stride else dilation
            for module in stage.modules():
                if not isinstance(module, nn.Conv2d):
                    continue
                strided = module.stride == (2, 2)
                if strided and stride > output_stride:
                    module.stride = (1, 1)
                if module.kernel_size == (3, 3):
                    # No block has a 3x3 ahead of its strided convolution, so "not strided" always means
                    # "after the stride".
                    rate = before if strided and not dilate_first else dilation
                    module.dilation = module.padding = (rate, rate)


def _stages(block: Block, layers: list[int]) -> nn.ModuleList:
    """The four residual stages, behind a stem of 64 channels."""
    stages, channels = nn.ModuleList(), 64
    for planes, blocks in zip(PLANES, layers, strict=True):
        stages.append(residual_stage(block, channels, planes, blocks, stride=1 if planes == PLANES[0] else 2))
        channels = planes * block.expansion
    return stages


def _stem(in_channels: int) -> OrderedDict[str, nn.Module]:
    """One 7x7 convolution of stride 2."""
    convolution = nn.Conv2d(in_channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return OrderedDict(conv1=convolution, bn1=nn.BatchNorm2d(64), relu=nn.ReLU(inplace=True))


def _deep_stem(in_channels: int) -> OrderedDict[str, nn.Module]:
    """Three 3x3 convolutions, the first of stride 2."""
    channels = [in_channels, 64, 64, 128]
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for i in (1, 2, 3):
        stride = 2 if i == 1 else 1
        parts[f"conv{i}"] = nn.Conv2d(channels[i - 1], channels[i], 3, stride, padding=1, bias=False)
        parts[f"bn{i}"] = nn.BatchNorm2d(channels[i])
        parts[f"relu{i}"] = nn.ReLU(inplace=True)
    return parts


def _move_strides(stages: nn.ModuleList) -> None:
    """From the 3x3 to the first 1x1 convolution of each bottleneck, as in the first ResNet."""
    for module in stages.modules():
        if isinstance(module, Bottleneck):
            module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
