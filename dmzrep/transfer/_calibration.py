"""Calibration of scores to probabilities."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from dmzrep._base._validation import as_numbers, check_int

CALIBRATIONS = ("per_bit", "shared")


@dataclass(frozen=True)
class Calibration:
    """Logistic curves: the log-odds of bit j are ``slopes[j] * score + intercepts[j]``."""

    slopes: np.ndarray
    intercepts: np.ndarray

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Return probabilities of a one, of shape (n, target_dim), clipped."""
        return clipped(expit(self.slopes * scores + self.intercepts))


def fit_calibration(scores: np.ndarray, bits: np.ndarray, kind: str) -> Calibration:
    """Fit logistic curves to scores of held-out pairs, as Platt (1999), section 2.2.

    Targets slightly above 0 and below 1 keep the curves finite where scores separate the bits.
    """
    if kind == "shared":
        slope, intercept = _curve(scores.ravel(), bits.ravel())
        return Calibration(np.full(scores.shape[1], slope), np.full(scores.shape[1], intercept))
    curves = [_curve(scores[:, j], bits[:, j]) for j in range(scores.shape[1])]
    return Calibration(*map(np.array, zip(*curves, strict=True)))


def _curve(scores: np.ndarray, bits: np.ndarray) -> tuple[float, float]:
    """Return slope and intercept of one curve."""
    ones, spread = int(bits.sum()), scores.std()
    zeros = len(bits) - ones
    if spread == 0.0:
        return 0.0, float(logit((ones + 1.0) / (len(bits) + 2.0)))
    target = np.where(bits == 1, (ones + 1.0) / (ones + 2.0), 1.0 / (zeros + 2.0))
    # Each sample is a one and a zero, weighted by its target.
    twice = np.concatenate([scores, scores])[:, None] / spread
    labels = np.repeat([1, 0], len(scores))
    curve = LogisticRegression(C=1e6, max_iter=1000)
    curve.fit(twice, labels, sample_weight=np.concatenate([target, 1.0 - target]))
    return float(curve.coef_[0, 0] / spread), float(curve.intercept_[0])


def expected_calibration_error(probabilities: np.ndarray, bits: np.ndarray, n_bins: int = 10) -> float:
    """Return the distance of probabilities from the fraction of ones, averaged over all bits.

    Parameters
    ----------
    probabilities : ndarray
        Probabilities of a one, of any shape.
    bits : ndarray of the same shape
        Observed bits, 0 or 1.
    n_bins : int, default=10
        Number of equal intervals of probability.

    Returns
    -------
    float
        In [0, 1]; 0 is perfect calibration.

    Raises
    ------
    ValueError
        Shapes differ, or values are not in [0, 1].

    See Also
    --------
    DomainTransfer.predict_proba : The probabilities.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", 2017, equation 3, of the
    probability of a one.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.transfer import expected_calibration_error
    >>> expected_calibration_error(np.full(4, 0.75), np.array([1, 1, 1, 0]))
    0.0
    >>> expected_calibration_error(np.full(4, 1.0), np.array([1, 1, 1, 0]))
    0.25
    """
    n_bins = check_int(n_bins, "n_bins")
    p, z = as_numbers(probabilities, "probabilities"), as_numbers(bits, "bits")
    if p.shape != z.shape or p.size == 0:
        raise ValueError(
            f"probabilities and bits must have the same non-empty shape, got {p.shape} and {z.shape}."
        )
    for name, values in (("probabilities", p), ("bits", z)):
        if not (values.min() >= 0 and values.max() <= 1):
            raise ValueError(
                f"{name} must lie in [0, 1], got values from {values.min():g} to {values.max():g}."
            )
    p, z = p.ravel().astype(np.float64), z.ravel().astype(np.float64)
    interval = np.minimum((p * n_bins).astype(np.int64), n_bins - 1)
    return float(np.abs(np.bincount(interval, weights=p - z)).sum() / len(p))


def clipped(probabilities: np.ndarray) -> np.ndarray:
    """Return probabilities clipped so that every bit has a finite log-likelihood."""
    return np.clip(probabilities, 1e-6, 1.0 - 1e-6)
