"""Features of source codes, and mappings from them to a score for each target bit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import expit, logit
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GroupShuffleSplit
from torch import Tensor, nn

from dmzrep._base._batching import in_blocks
from dmzrep._base._fit_network import fit_network
from dmzrep._base._random import seeded_torch

FEATURES = ("logits", "probabilities", "bits")
#: Probabilities are clipped to this distance from 0 and 1, so that logits stay finite.
EPSILON = 1e-4
MAPPINGS = ("kernel_ridge", "mlp")
#: For perceptrons: fraction of pairs for early stopping, its patience, and maximum number of epochs.
VALIDATION_SHARE, PATIENCE, MAX_EPOCHS = 0.1, 5, 200
BATCH_SIZE = 64


def raw_features(probabilities: np.ndarray, kind: str) -> np.ndarray:
    """Return probabilities of a one as logits, probabilities or bits, float64."""
    if kind == "logits":
        return logit(np.clip(probabilities, EPSILON, 1.0 - EPSILON))
    return (probabilities > 0.5).astype(np.float64) if kind == "bits" else probabilities.astype(np.float64)


@dataclass(frozen=True)
class CodeFeatures:
    """Features of codes, centred per bit and divided by one standard deviation.

    One standard deviation for all bits keeps the noise of nearly constant bits small.
    """

    kind: str
    mean: np.ndarray
    spread: float

    @classmethod
    def fitted(cls, probabilities: np.ndarray, kind: str) -> CodeFeatures:
        """Fit mean and standard deviation to probabilities of shape (n, latent_dim)."""
        raw = raw_features(probabilities, kind)
        mean = raw.mean(axis=0)
        return cls(kind, mean, float(np.sqrt(((raw - mean) ** 2).mean())) or 1.0)

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Return features of shape (n, latent_dim), float64."""
        return (raw_features(probabilities, self.kind) - self.mean) / self.spread


@dataclass(frozen=True)
class KernelRidgeMap:
    """Kernel ridge regression of bits, as -1 and +1, with a Gaussian kernel.

    `weights` are the dual coefficients of the fitted `pairs`, and `mean` is the score far from all pairs.
    """

    pairs: np.ndarray
    weights: np.ndarray
    mean: np.ndarray

    name = "kernel_ridge"

    @classmethod
    def fitted(cls, features: np.ndarray, bits: np.ndarray, *, alpha: float) -> KernelRidgeMap:
        """Fit to features of shape (n, source_dim) and bits of shape (n, target_dim)."""
        signs = 2.0 * bits - 1.0
        mean = signs.mean(axis=0)
        # Features have unit variance, so this is scikit-learn's gamma="scale".
        ridge = KernelRidge(alpha=alpha, kernel="rbf", gamma=1.0 / features.shape[1])
        ridge.fit(features, signs - mean)
        return cls(features, ridge.dual_coef_.reshape(signs.shape), mean)

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return scores of shape (n, target_dim), -1 for a certain zero and +1 for a certain one."""
        gamma = 1.0 / self.pairs.shape[1]
        return in_blocks(
            lambda x: rbf_kernel(x, self.pairs, gamma=gamma) @ self.weights + self.mean, features, 256
        )

    @staticmethod
    def uncalibrated_probabilities(scores: np.ndarray) -> np.ndarray:
        return np.clip((scores + 1.0) / 2.0, 0.0, 1.0)


@dataclass(frozen=True)
class NetworkMap:
    """Multilayer perceptrons, each a tuple of layers (weights, biases), whose logits are averaged."""

    networks: tuple[tuple[tuple[np.ndarray, np.ndarray], ...], ...]

    name = "mlp"

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return logits of shape (n, target_dim)."""
        return in_blocks(
            lambda x: np.mean([_logits(layers, x) for layers in self.networks], axis=0), features, 256
        )

    @staticmethod
    def uncalibrated_probabilities(scores: np.ndarray) -> np.ndarray:
        return expit(scores)


def _logits(layers: tuple[tuple[np.ndarray, np.ndarray], ...], x: np.ndarray) -> np.ndarray:
    for weights, biases in layers[:-1]:
        x = np.maximum(x @ weights + biases, 0.0)
    weights, biases = layers[-1]
    return x @ weights + biases


def fit_perceptron(
    features: np.ndarray,
    bits: np.ndarray,
    groups: np.ndarray,
    *,
    hidden_layer_sizes: tuple[int, ...],
    alpha: float,
    seed: int,
) -> NetworkMap:
    """Train one perceptron with early stopping on a part of the pairs."""
    split = GroupShuffleSplit(1, test_size=VALIDATION_SHARE, random_state=seed)
    kept, held_out = next(split.split(features, groups=groups))
    x, z = (torch.from_numpy(a.astype(np.float64)) for a in (features, bits))
    sizes = [x.shape[1], *map(int, hidden_layer_sizes), z.shape[1]]
    with seeded_torch(seed):
        linear = [nn.Linear(before, after, dtype=torch.float64) for before, after in pairwise(sizes)]
        for layer in linear:
            nn.init.xavier_uniform_(layer.weight)
    network = nn.Sequential(*(part for layer in linear for part in (layer, nn.ReLU())))[:-1]

    def loss_of(batch: Tensor) -> Tensor:
        chosen = torch.from_numpy(kept)[batch]
        loss = F.binary_cross_entropy_with_logits(network(x[chosen]), z[chosen], reduction="sum")
        penalty = sum(layer.weight.square().sum() for layer in linear)
        return (loss + 0.5 * alpha * penalty) / len(chosen)

    best = fit_network(
        network,
        loss_of,
        len(kept),
        n_steps=MAX_EPOCHS * math.ceil(len(kept) / BATCH_SIZE),
        batch_size=BATCH_SIZE,
        learning_rate=1e-3,
        generator=torch.Generator().manual_seed(seed),
        validation_loss=lambda: float(F.binary_cross_entropy_with_logits(network(x[held_out]), z[held_out])),
        patience=PATIENCE,
        tol=1e-5,
    )
    if not math.isfinite(best):
        raise ArithmeticError(
            "The loss of the network is not finite. Use a larger alpha, or mapping='kernel_ridge'."
        )
    layers = tuple(
        (layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy()) for layer in linear
    )
    return NetworkMap((layers,))
