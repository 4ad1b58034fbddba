"""EGNet: night-time scene parsing guided by exposure.

Source: Tan et al., "Night-time Scene Parsing with a Large Real Dataset" (NightCity).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from night_seg_ros.models.output import SegmentationOutput
from night_seg_ros.models.resnet import ResNetStages


class ExposureGuidance(nn.Module):
    """Exposure guidance layer (EGL), Eq. 1: ``w1 f_S + w2 f_S * W_r``, ``W_r = sigmoid(W f_E + b)``.

    ``W_r`` is a soft spatial attention map: one channel, by a 1x1 convolution (the paper does not
    give the kernel).

    Args:
        channels: channels of both feature maps.
        w1, w2: weights of the plain and of the attended features.

    Shape: f_S and f_E (N, channels, H, W) -> (N, channels, H, W).
    """

    def __init__(self, channels: int, w1: float, w2: float) -> None:
        super().__init__()
        self.w1 = w1
        self.w2 = w2
        self.attention = nn.Conv2d(channels, 1, kernel_size=1)

    def forward(self, segmentation: Tensor, exposure: Tensor) -> Tensor:
        attention = self.attention(exposure).sigmoid()  # N x 1 x H x W
        return segmentation * (self.w1 + self.w2 * attention)


class EGNet(nn.Module):
    """Two-stream network: the exposure stream guides the segmentation stream.

    The stem and stage 1 are shared. Stages 2, 3 and 4 exist twice. Before each of them, an exposure
    guidance layer re-weights what the previous stage gives to the segmentation stream.

    Args:
        backbone: ``resnet10``, ``resnet18``, ``resnet34``, ``resnet50`` or ``resnet101`` (the paper's).
        num_classes: channels of the logits.
        output_stride: 8, 16 or 32, the stride of the logits.
        w1, w2: weights of Eq. 1.

    Shape: normalised RGB (N, 3, H, W), H and W from 32 up ->
        ``SegmentationOutput`` with logits (N, num_classes, ceil(H/s), ceil(W/s)) and
        exposure (N, 1, H, W) in [0, 1].

    Raises:
        ValueError: unknown backbone or output stride.
    """

    def __init__(
        self,
        backbone: str = "resnet101",
        num_classes: int = 19,
        output_stride: int = 8,
        w1: float = 1.0,
        w2: float = 0.3,
    ) -> None:
        super().__init__()
        segmentation = ResNetStages(backbone, output_stride)
        exposure = ResNetStages(backbone, output_stride)
        channels = segmentation.out_channels
        self.stem = segmentation.stem
        self.stage1 = segmentation.stages[0]
        self.segmentation_stages = segmentation.stages[1:]
        self.exposure_stages = exposure.stages[1:]
        self.guidance = nn.ModuleList(ExposureGuidance(c, w1, w2) for c in channels[:3])
        # 3x3 output layers: the paper gives the channels, not the kernel.
        self.segmentation_head = nn.Conv2d(channels[3], num_classes, kernel_size=3, padding=1)
        self.exposure_head = nn.Conv2d(channels[3], 1, kernel_size=3, padding=1)

    def load_backbone(self, weights: dict[str, Tensor]) -> None:
        """Start both streams from one ResNet's weights, under torchvision's names.

        Raises:
            ValueError: a key is missing or misshapen; the message names it.
        """
        _load_part(self.stem, weights, "")
        _load_part(self.stage1, weights, "layer1.")
        for stream in (self.segmentation_stages, self.exposure_stages):
            for i, stage in enumerate(stream):
                _load_part(stage, weights, f"layer{i + 2}.")

    def forward(self, image: Tensor) -> SegmentationOutput:
        shared = self.stage1(self.stem(image))
        segmentation = exposure = shared
        for guidance, segmentation_stage, exposure_stage in zip(
            self.guidance, self.segmentation_stages, self.exposure_stages, strict=True
        ):
            segmentation = segmentation_stage(guidance(segmentation, exposure))
            exposure = exposure_stage(exposure)
        exposure_logits = F.interpolate(
            self.exposure_head(exposure), size=image.shape[-2:], mode="bilinear", align_corners=False
        )
        return SegmentationOutput(self.segmentation_head(segmentation), exposure_logits.sigmoid())


def _load_part(part: nn.Module, weights: dict[str, Tensor], prefix: str) -> None:
    """Load the entries of ``weights`` under ``prefix`` that ``part`` has."""
    missing = [prefix + key for key in part.state_dict() if prefix + key not in weights]
    if missing:
        raise ValueError(f"pretrained weights lack {len(missing)} entries, first {missing[0]!r}")
    for key, value in part.state_dict().items():
        shape = tuple(weights[prefix + key].shape)
        if shape != tuple(value.shape):
            raise ValueError(f"pretrained {prefix + key!r} has shape {shape}, not {tuple(value.shape)}")
    part.load_state_dict({key: weights[prefix + key] for key in part.state_dict()})
