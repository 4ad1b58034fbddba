"""Networks that relight an image, so that day and night look alike to the network behind them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ResidualRelighting(nn.Module):
    """DANNet's relighting network: what is to be added to an image.

    Two strided convolutions, three residual blocks, two transposed convolutions; batch norm and ReLU after
    every convolution but the last, tanh after that one (DANNet, section 3.2).

    Args:
        width: channels of the first layer; the paper's is 64.

    Shape: normalised RGB (N, 3, H, W), any size from 8 up -> (N, 3, H, W) in -1..1.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_normalised(nn.Conv2d(3, width, kernel_size=7, bias=False)),
            *_normalised(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)),
            *_normalised(nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1, bias=False)),
            *[ResidualBlock(4 * width) for _ in range(3)],
            *_normalised(_doubling(4 * width, 2 * width)),
            *_normalised(_doubling(2 * width, width)),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 3, kernel_size=7),
            nn.Tanh(),
        )

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % 4, 0, -height % 4), mode="reflect")  # two strides of 2
        return self.layers(padded)[..., :height, :width]


class ResidualBlock(nn.Module):
    """``x + f(x)`` with two 3x3 convolutions.

    Shape: (N, channels, H, W) -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.ReflectionPad2d(1),
            *_normalised(nn.Conv2d(channels, channels, kernel_size=3, bias=False)),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, kernel_size=3, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


def _normalised(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)]


def _doubling(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """A convolution after which height and width are twice as large."""
    return nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1, bias=False)
