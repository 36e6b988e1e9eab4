"""One linear layer for all attributes together, as in the evaluations of DiTi and DBAE."""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score
from torch import Tensor

from dmzrep._base._fit_network import fit_network
from dmzrep._base._random import draw_seed, seeded_torch


def joint_layer_scores(
    Z: np.ndarray,
    Y: np.ndarray,
    train: np.ndarray,
    validation: np.ndarray,
    *,
    n_epochs: int = 15,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    random_state: Any = None,
) -> np.ndarray:
    """Train a linear layer on binary attributes and return its logits of all samples.

    Binary cross-entropy and Adam, with the weights of the epoch with the best macro average precision on the
    validation samples. The authors (Yue et al., 2024, arXiv 2401.11430) also mirror images at random, which
    precomputed codes do not allow.
    """
    seed = draw_seed(random_state)
    codes, labels = torch.from_numpy(np.asarray(Z, np.float32)), torch.from_numpy(np.asarray(Y, np.float32))
    known = (~labels.isnan()).float()
    labels = labels.nan_to_num()
    with seeded_torch(seed):
        layer = torch.nn.Linear(codes.shape[1], labels.shape[1])
    samples = torch.from_numpy(train)

    def loss_of(batch: Tensor) -> Tensor:
        chosen = samples[batch]
        return F.binary_cross_entropy_with_logits(layer(codes[chosen]), labels[chosen], weight=known[chosen])

    fit_network(
        layer,
        loss_of,
        len(samples),
        n_steps=n_epochs * math.ceil(len(samples) / batch_size),
        batch_size=batch_size,
        learning_rate=learning_rate,
        generator=torch.Generator().manual_seed(seed),
        validation_loss=lambda: -macro_average_precision(Y[validation], layer(codes[validation]).numpy()),
    )
    with torch.no_grad():
        return layer(codes).numpy()


def macro_average_precision(Y: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean average precision of the attributes with both classes; -inf if none has."""
    precisions = []
    for truth, score in zip(Y.T, scores.T, strict=True):
        known = ~np.isnan(truth)
        if len(np.unique(truth[known])) == 2:
            precisions.append(average_precision_score(truth[known], score[known]))
    return float(np.mean(precisions)) if precisions else -np.inf
