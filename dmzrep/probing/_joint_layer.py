"""One linear layer for all attributes at once, as DiTi and DBAE evaluate codes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score

from dmzrep._base._random import draw_seed


def joint_layer_scores(
    Z: np.ndarray,
    Y: np.ndarray,
    train: np.ndarray,
    validation: np.ndarray,
    *,
    n_epochs: int = 15,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    random_state: Any = 0,
) -> np.ndarray:
    """Train a linear layer on binary attributes and give its logits of all rows.

    Binary cross-entropy, Adam; kept are the weights of the epoch with the best macro average
    precision on the validation rows.

    Parameters
    ----------
    Z : ndarray of shape (n, latent_dim)
        Codes.
    Y : ndarray of shape (n, n_attributes)
        Zeros and ones; NaN where not known.
    train, validation : ndarray of int
        Rows to learn from and rows to choose the epoch by.
    n_epochs, batch_size, learning_rate : int, int, float
        The protocol's.
    random_state : int, RandomState or None, default=0
        Decides the first weights and the order of rows.

    Returns
    -------
    ndarray of shape (n, n_attributes), float32

    Notes
    -----
    The authors also mirror the images at random while they train, which codes that are there already
    do not allow.

    References
    ----------
    Z. Yue and others, "Exploring Diffusion Time-steps for Unsupervised Representation Learning", 2024,
    arXiv 2401.11430.
    """
    generator = torch.Generator().manual_seed(draw_seed(random_state))
    codes, labels = torch.from_numpy(np.asarray(Z, np.float32)), torch.from_numpy(np.asarray(Y, np.float32))
    known = ~labels.isnan()
    labels = labels.nan_to_num()
    bound = codes.shape[1] ** -0.5
    weight = torch.empty(labels.shape[1], codes.shape[1]).uniform_(-bound, bound, generator=generator)
    bias = torch.empty(labels.shape[1]).uniform_(-bound, bound, generator=generator)
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    optimiser = torch.optim.Adam(parameters, lr=learning_rate)
    best, kept = -np.inf, copy.deepcopy(parameters)
    rows = torch.from_numpy(train)
    for _ in range(n_epochs):
        for batch in rows[torch.randperm(len(rows), generator=generator)].split(batch_size):
            loss = F.binary_cross_entropy_with_logits(
                F.linear(codes[batch], weight, bias), labels[batch], weight=known[batch].float()
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            found = F.linear(codes[validation], weight, bias).numpy()
        reached = macro_average_precision(Y[validation], found)
        if reached > best:
            best, kept = reached, copy.deepcopy(parameters)
    with torch.no_grad():
        return F.linear(codes, *kept).numpy()


def macro_average_precision(Y: np.ndarray, scores: np.ndarray) -> float:
    """Mean average precision over the attributes that show both classes; minus infinity if none does."""
    precisions = []
    for truth, score in zip(Y.T, scores.T, strict=True):
        known = ~np.isnan(truth)
        if len(np.unique(truth[known])) == 2:
            precisions.append(average_precision_score(truth[known], score[known]))
    return float(np.mean(precisions)) if precisions else -np.inf
