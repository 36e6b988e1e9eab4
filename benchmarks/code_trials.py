"""Trials with the code: what the denoiser is given in training, and terms that ask more of the bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dmzrep.diffusion.objective import Objective
from dmzrep.networks.model import DiffusionAutoencoder
from dmzrep.training import Trainer, TrainingConfig
from dmzrep.training.encoder_start import MEAN_LOGIT

#: A relaxed bit that says nothing: signed input shows the denoiser zero.
NOTHING = 0.5
#: Bits of the shortest beginning of an ordered code.
SHORTEST = 8
#: Share of the loss that a term without a weight has at the start.
START_SHARE = 0.1


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


class CodeDropout(Trainer):
    """A share of the images is denoised without a code."""

    def __init__(self, *arguments: Any, share: float = 0.1):
        super().__init__(*arguments)
        self.share = share

    def _relaxed_code(self, x0: Tensor, n_rows: int) -> Tensor:
        z = super()._relaxed_code(x0, n_rows)
        dropped = torch.rand(len(z), 1, generator=self.noise, device=z.device) < self.share
        return torch.where(dropped, NOTHING, z)


class OrderedCode(Trainer):
    """Nested dropout: a share of the images keeps the first 8, 16, 32, ... or all of its bits.

    References
    ----------
    Rippel, Gelbart, Adams, "Learning Ordered Representations with Nested Dropout", 2014.
    """

    def __init__(self, *arguments: Any, share: float = 0.5):
        super().__init__(*arguments)
        self.share = share
        self.lengths = beginnings(self.model.config.latent_dim)

    def _relaxed_code(self, x0: Tensor, n_rows: int) -> Tensor:
        z = super()._relaxed_code(x0, n_rows)
        drawn = torch.rand(2, len(z), generator=self.noise, device=z.device)
        lengths = torch.tensor(self.lengths, device=z.device)
        kept = lengths[(drawn[0] * len(lengths)).long().clamp_(max=len(lengths) - 1)]
        kept = torch.where(drawn[1] < self.share, kept, z.shape[1])
        return torch.where(torch.arange(z.shape[1], device=z.device) < kept[:, None], z, NOTHING)


def beginnings(latent_dim: int) -> list[int]:
    """Lengths of the beginnings of a code: powers of two from 8 on, and the whole."""
    lengths = []
    length = SHORTEST
    while length < latent_dim:
        lengths.append(length)
        length *= 2
    return [*lengths, latent_dim]


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


class KeptLogits(Trainer):
    """Keeps the latest batch's logits, for what needs more of them than relaxed bits."""

    def _logits(self, x0: Tensor, n_rows: int) -> Tensor:
        self.logits = super()._logits(x0, n_rows)
        return self.logits


class CodeTerm(KeptLogits):
    """Adds a term of the probabilities of a batch's bits to the loss.

    Without a weight, the first batch sets it: the term is to start at a tenth of the loss, whatever size the
    objective and the images give that.
    """

    def __init__(self, *arguments: Any, term: Callable[[Tensor], Tensor], weight: float | None = None):
        super().__init__(*arguments)
        self.term, self.weight = term, weight

    def _batch_loss(self, x0: Tensor, n_rows: int) -> Tensor:
        loss = super()._batch_loss(x0, n_rows)
        term = self.term(torch.sigmoid(self.logits))
        if self.weight is None:
            self.weight = START_SHARE * loss.item() / max(term.item(), 1e-6)
        return loss + self.weight * term


def missing_entropy(probabilities: Tensor) -> Tensor:
    """How many bits of entropy the bits' mean probabilities lack, in all: sum of 1 - H."""
    # Away from 0 and 1, where the gradient of the entropy is infinite.
    p = probabilities.mean(dim=0).clamp(1e-6, 1.0 - 1e-6)
    return (1.0 + p * p.log2() + (1.0 - p) * (1.0 - p).log2()).sum()


def squared_correlation(probabilities: Tensor) -> Tensor:
    """Mean squared correlation over a batch, of two different bits' probabilities; 0 for a single bit."""
    centred = probabilities - probabilities.mean(dim=0)
    # A bit that does not vary is correlated with none.
    standard = centred / centred.square().sum(dim=0).clamp(min=1e-8).sqrt()
    squares = (standard.T @ standard).square()
    n_bits = squares.shape[0]
    return (squares.sum() - squares.diagonal().sum()) / max(n_bits * (n_bits - 1), 1)
