"""Features of source codes: the inputs of a mapping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

FEATURES = ("logits", "probabilities", "bits")
#: Probabilities are clipped to this distance from 0 and 1, so that logits stay finite.
EPSILON = 1e-4


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
