"""A diffusion model conditioned on k-means labels, as a baseline for learned bits."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from benchmarks.contenders import fit_with
from dmzrep import DMZEncoder
from dmzrep.diffusion._objective import Objective
from dmzrep.networks._model import DiffusionAutoencoder
from dmzrep.priors import CodePrior
from dmzrep.training import Budget, Trainer, TrainingConfig

#: Largest number of samples that k-means is fitted on, as in `benchmarks.rivals`.
FIT_ROWS = 10_000


class ClusterTrainer(Trainer):
    """Trains the denoiser with the one-hot label of the nearest centre as the code; no encoder is trained.

    Parameters
    ----------
    model, objective, config, seed
        As in `Trainer`.
    centres : Tensor of shape (latent_dim, n_numbers)
        Cluster centres, in model units.
    """

    def __init__(
        self,
        model: DiffusionAutoencoder,
        objective: Objective,
        config: TrainingConfig,
        seed: int,
        budget: Budget | None = None,
        *,
        centres: Tensor,
    ):
        super().__init__(model, objective, config, seed, budget)
        self.centres = centres.to(self.device)

    def _code(self, x0: Tensor, n_samples: int) -> tuple[list[Tensor], list[Tensor], Tensor]:
        code = one_hot(nearest(x0, self.centres), len(self.centres))
        return [2.0 * code - 1.0], [], code


def nearest(x0: Tensor, centres: Tensor) -> Tensor:
    """Return the index of the nearest centre of each sample, shape (n,)."""
    return torch.cdist(x0.flatten(1), centres).argmin(dim=1)


def one_hot(labels: Tensor, n_labels: int) -> Tensor:
    """Return labels as float32 columns of zeros and ones."""
    return torch.nn.functional.one_hot(labels, n_labels).float()


class ClusterPrior(CodePrior):
    """One-hot codes: bit k is one with the relative frequency of cluster k.

    Attributes
    ----------
    shares_ : ndarray of shape (latent_dim,)
        Relative frequencies of the clusters.
    """

    name: ClassVar[str] = "clusters"
    state_names: ClassVar[tuple[str, ...]] = ("shares_",)

    def _fit(self, bits: np.ndarray) -> None:
        if not (bits.sum(axis=1) == 1.0).all():
            raise ValueError("bits must be one-hot: a single one in each sample.")
        self.shares_ = bits.mean(axis=0)

    def _log_prob(self, bits: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.where(bits.sum(axis=1) == 1.0, np.log(bits @ self.shares_), -np.inf)

    def _from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        ends = np.cumsum(self.shares_)
        labels = np.searchsorted(ends / ends[-1], uniform[:, 0], side="right")
        return np.eye(self.n_features_in_)[labels]


def fit_clusters(encoder: DMZEncoder, X: np.ndarray) -> tuple[DMZEncoder, ClusterPrior]:
    """Train an encoder's denoiser with clusters as codes.

    Parameters
    ----------
    encoder : DMZEncoder
        Its `latent_dim` is the number of clusters. Its encoder network is not trained.
    X : ndarray of shape (n, ...)
        Images.

    Returns
    -------
    encoder : DMZEncoder
        Fitted, for decoding of one-hot codes.
    prior : ClusterPrior
        Prior of the clusters of X.
    """
    encoder.set_params(init="random", encoder_augment=None, prior="uniform", validation_fraction=0.0)
    found: dict[str, Any] = {}

    def make_trainer(
        model: DiffusionAutoencoder, objective: Objective, config: TrainingConfig, seed: int, budget: Budget
    ) -> ClusterTrainer:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(X))[:FIT_ROWS])
        kmeans = MiniBatchKMeans(encoder.latent_dim, random_state=seed, n_init=3, batch_size=2048)
        kmeans.fit(flat_units(X[chosen]))
        found["centres"] = torch.from_numpy(kmeans.cluster_centers_.astype(np.float32))
        return ClusterTrainer(model, objective, config, seed, budget, centres=found["centres"])

    fit_with(make_trainer, encoder, X)
    parts = [torch.from_numpy(flat_units(X[i : i + 1000])) for i in range(0, len(X), 1000)]
    labels = torch.cat([nearest(part, found["centres"]) for part in parts])
    return encoder, ClusterPrior().fit(one_hot(labels, encoder.latent_dim).numpy())


def flat_units(X: np.ndarray) -> np.ndarray:
    """Return uint8 images as float32 vectors in model units, in the order (channels, height, width)."""
    first = np.moveaxis(X, 3, 1) if X.ndim == 4 else X
    return first.reshape(len(X), -1).astype(np.float32) / 127.5 - 1.0
