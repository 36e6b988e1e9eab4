"""The encoder on a custom or pretrained feature extractor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from dmzrep.networks._encoders import BitHead, LogitNorm
from dmzrep.networks._feature_cache import FeatureCache
from dmzrep.networks._linear_init import LinearInit

#: Hidden features of the nonlinear branch.
HIDDEN = 512
#: Samples from which features are extracted at a time.
EXTRACTED_AT_A_TIME = 64


class FeatureEncoder(nn.Module):
    """Logits from centred and scaled features of an extractor: a linear map plus a small nonlinear branch.

    The linear map is initialised from data, the nonlinear branch is initialised to zero. Feature maps
    (n, n_features, h, w) are averaged over positions. A `frozen` extractor stays in eval mode and computes
    in float32; while `cache` is set, each sample passes through it only once.
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        extractor: nn.Module,
        n_features: int,
        latent_dim: int,
        *,
        frozen: bool,
        normalize_logits: bool = False,
    ):
        super().__init__()
        self.extractor = extractor
        self.frozen = frozen
        self.cache: FeatureCache | None = None
        self.register_buffer("centre", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(()))
        self.linear_init = LinearInit((n_features,), latent_dim)
        self.layers = nn.Sequential(nn.Linear(n_features, HIDDEN), nn.LayerNorm(HIDDEN), nn.SiLU())
        self.head = BitHead(HIDDEN, latent_dim, zero=True)
        self.norm = LogitNorm(latent_dim) if normalize_logits else nn.Identity()
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a frozen extractor stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.extractor.eval()
        return self

    def extract(self, x: Tensor) -> Tensor:
        """Map data in model units to the extractor's features, of shape (n, n_features)."""
        return self._extract(x) if self.cache is None else self.cache.features(x, self._extract)

    def _extract(self, x: Tensor) -> Tensor:
        kind = x.device.type
        if self.frozen and torch.is_autocast_enabled(kind):
            # Features must not depend on the precision of training.
            with torch.autocast(kind, enabled=False):
                return pooled(self.extractor(x)).float()
        return pooled(self.extractor(x)).float()

    @torch.no_grad()
    def learn_scale(self, features: Tensor) -> None:
        """Set centre and scale from features that `extract` has returned.

        All features have one scale: their own would raise those of little variance.
        """
        self.centre.copy_(features.mean(dim=0))
        scale = (features - self.centre).square().mean().sqrt()
        if not bool(scale > 1e-6 * features.abs().max()):
            raise ValueError(
                "encoder returns the same features for all samples, so that there is nothing to learn from "
                "them. Check its weights, and the scale of its input: images are in [-1, 1]."
            )
        self.scale.copy_(scale)

    def features(self, x: Tensor) -> Tensor:
        """Map data in model units to centred and scaled features of shape (n, n_features)."""
        return (self.extract(x) - self.centre) / self.scale

    def forward(self, x: Tensor) -> Tensor:
        """Map data in model units to logits of shape (n, latent_dim)."""
        return self.with_initial(x)[0]

    def with_initial(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits, and those of the linear map that was initialised from data."""
        features = self.features(x)
        initial = self.linear_init(features)
        return self.norm(initial + self.head(self.layers(features))), initial


def pooled(features: Tensor) -> Tensor:
    """Average feature maps over positions; return vectors unchanged."""
    return features.mean(dim=(2, 3)) if features.dim() == 4 else features


@torch.no_grad()
def extract_features(encoder: FeatureEncoder, x: Tensor, time_left: Callable[[], float]) -> Tensor:
    """Return the features of samples in model units; of fewer, at least one batch, if time is short."""
    was_training = encoder.training
    encoder.eval()
    parts = []
    for part in x.split(EXTRACTED_AT_A_TIME):
        parts.append(encoder.extract(part.to(encoder.centre.device)))
        if time_left() <= 0:
            break
    encoder.train(was_training)
    return torch.cat(parts)
