"""Trials with the code that are no parameters of the package."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from dmzrep.diffusion.objective import Objective
from dmzrep.networks.model import DiffusionAutoencoder
from dmzrep.training import Trainer, TrainingConfig
from dmzrep.training.encoder_start import MEAN_LOGIT


class FallingTemperature(Trainer):
    """The temperature falls exponentially with the progress of the run."""

    def __init__(
        self,
        model: DiffusionAutoencoder,
        objective: Objective,
        config: TrainingConfig,
        seed: int,
        *,
        first: float = 4.0,
        last: float = 1.0,
    ):
        # Validation takes relaxed bits as they are in the end.
        super().__init__(model, objective, replace(config, temperature=last), seed)
        self.first, self.last = first, last

    def _temperature(self, n_rows: int) -> float:
        return self.first * (self.last / self.first) ** self.progress(n_rows)


class NormalisedEncoder(nn.Module):
    """An encoder whose logits have mean zero and one deviation, over a batch or, in use, all images."""

    def __init__(self, encoder: nn.Module, latent_dim: int, scale: float):
        super().__init__()
        self.encoder = encoder
        self.norm = nn.BatchNorm1d(latent_dim, affine=False).to(next(encoder.parameters()).device)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.norm(self.encoder(x).float())


class NormalisedLogits(Trainer):
    """Logits are batch normalised, so that no bit can come to say the same of all images."""

    def __init__(
        self,
        model: DiffusionAutoencoder,
        objective: Objective,
        config: TrainingConfig,
        seed: int,
        *,
        scale: float = MEAN_LOGIT,
    ):
        # Before the weights' average copies the model.
        model.encoder = NormalisedEncoder(model.encoder, model.config.latent_dim, scale)
        super().__init__(model, objective, config, seed)
