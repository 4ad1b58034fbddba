"""ResNet backbones, built of torchvision's blocks."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

BACKBONES: dict[str, tuple[type[BasicBlock] | type[Bottleneck], list[int]]] = {
    "resnet10": (BasicBlock, [1, 1, 1, 1]),
    "resnet18": (BasicBlock, [2, 2, 2, 2]),
    "resnet34": (BasicBlock, [3, 4, 6, 3]),
    "resnet50": (Bottleneck, [3, 4, 6, 3]),
    "resnet101": (Bottleneck, [3, 4, 23, 3]),
}
"""Name -> (block, blocks per stage)."""

OUTPUT_STRIDES = (8, 16, 32)


class ResNetStages(nn.Module):
    """A ResNet without its classifier, cut into the parts that networks are put together from.

    Args:
        backbone: a name in ``BACKBONES``.
        output_stride: input pixels per feature of the last stage: 8, 16 or 32. Below 32 the last
            stages keep their resolution and dilate their 3x3 convolutions instead.
        in_channels: channels of the image.

    Attributes:
        stem: (N, in_channels, H, W) -> (N, 64, H/4, W/4).
        stages: the four residual stages.
        out_channels: channels after each stage.

    Raises:
        ValueError: unknown backbone or output stride.
    """

    def __init__(self, backbone: str, output_stride: int = 32, in_channels: int = 3) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"unknown backbone {backbone!r}; known: {', '.join(BACKBONES)}")
        if output_stride not in OUTPUT_STRIDES:
            raise ValueError(f"output_stride is {output_stride}; it must be 8, 16 or 32")
        block, layers = BACKBONES[backbone]
        resnet = ResNet(block, layers)
        if in_channels != 3:
            resnet.conv1 = nn.Conv2d(in_channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(resnet.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.stem = nn.Sequential(
            OrderedDict(conv1=resnet.conv1, bn1=resnet.bn1, relu=resnet.relu, maxpool=resnet.maxpool)
        )
        self.stages = nn.ModuleList([resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4])
        self.out_channels = [64 * 2**i * block.expansion for i in range(4)]
        self._dilate(output_stride)

    def _dilate(self, output_stride: int) -> None:
        """Turn the strides beyond ``output_stride`` into dilation (atrous convolution).

        A strided convolution loses its stride and keeps the dilation of its input; every 3x3
        convolution after it sees the finer grid and dilates by the factor that was saved.
        """
        stride, dilation = 4, 1
        for stage in self.stages[1:]:
            stride *= 2
            stage_dilation = dilation * 2 if stride > output_stride else dilation
            for module in stage.modules():
                if not isinstance(module, nn.Conv2d):
                    continue
                strided = module.stride == (2, 2)
                if strided and stride > output_stride:
                    module.stride = (1, 1)
                if module.kernel_size == (3, 3):
                    rate = dilation if strided else stage_dilation
                    # The 3x3 ahead of a stage's strided convolution does not exist in torchvision's
                    # blocks, so "not strided" always means "after the stride".
                    module.dilation = module.padding = (rate, rate)
            dilation = stage_dilation


def read_pretrained(source: str, backbone: str) -> dict[str, Tensor]:
    """Read ImageNet weights under torchvision's names (``conv1.weight``, ``layer1.0...``).

    Args:
        source: ``torchvision`` (downloads from torchvision's model zoo) or the path of a ``.safetensors``
            or PyTorch file (read with ``weights_only=True``).
        backbone: a name in ``BACKBONES``.

    Raises:
        ValueError: torchvision has no weights for this backbone, or the file can't be read.
        FileNotFoundError: no such file.
    """
    if source == "torchvision":
        if backbone == "resnet10":
            raise ValueError("torchvision has no weights for resnet10; give the path of a file")
        weights = torchvision.models.get_model_weights(backbone)["DEFAULT"]
        return dict(weights.get_state_dict(progress=True, check_hash=True))
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"no pretrained weights at {path}: give 'torchvision' or a file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # both readers have many types of error for a file that is not theirs
        raise ValueError(f"{path} holds no weights that can be read safely ({error})") from error
