"""Codes of the source domain as numbers that a mapping learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

FEATURES = ("logits", "probabilities", "bits")
#: Probabilities nearer to 0 or 1 than this count as that far, so that logits stay finite.
SURE = 1e-4


def raw_features(probabilities: np.ndarray, kind: str) -> np.ndarray:
    """Turn probabilities of a one into logits, probabilities or bits, float64."""
    if kind == "logits":
        return logit(np.clip(probabilities, SURE, 1.0 - SURE))
    return (probabilities > 0.5).astype(np.float64) if kind == "bits" else probabilities.astype(np.float64)


@dataclass(frozen=True)
class CodeFeatures:
    """Features of codes: each bit's mean is taken off, and all are divided by one spread.

    One spread for all keeps the noise of bits that hardly vary small.

    Parameters
    ----------
    kind : {"logits", "probabilities", "bits"}
        What codes are read as.
    mean : ndarray of shape (latent_dim,)
        Of the fitted rows.
    spread : float
        Standard deviation of all features of the fitted rows about their means.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.transfer._features import CodeFeatures
    >>> features = CodeFeatures.fitted(np.array([[0.1, 0.9], [0.9, 0.9]]), "bits")
    >>> features(np.array([[0.2, 0.8]])).round(2).tolist()
    [[-1.41, 0.0]]
    """

    kind: str
    mean: np.ndarray
    spread: float

    @classmethod
    def fitted(cls, probabilities: np.ndarray, kind: str) -> CodeFeatures:
        """Learn means and spread from probabilities of shape (n, latent_dim)."""
        raw = raw_features(probabilities, kind)
        mean = raw.mean(axis=0)
        return cls(kind, mean, float(np.sqrt(((raw - mean) ** 2).mean())) or 1.0)

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Give features of shape (n, latent_dim), float64."""
        return (raw_features(probabilities, self.kind) - self.mean) / self.spread
