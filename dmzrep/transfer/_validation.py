"""Evaluation of predictions on held-out pairs, compared with baselines."""

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.neighbors import NearestNeighbors

from dmzrep._base._batching import in_blocks
from dmzrep._base._warnings import warn
from dmzrep.errors import CodeWarning
from dmzrep.priors._base import smoothed_mean
from dmzrep.transfer._calibration import clipped, fit_calibration

METRICS = ("hamming", "log_likelihood")


def cross_entropy(probabilities: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Return the cross-entropy of each bit, to base 2."""
    return -np.log2(np.where(bits == 1, probabilities, 1.0 - probabilities))


def validation_table(
    scores: np.ndarray,
    source_bits: np.ndarray,
    features: np.ndarray,
    bits: np.ndarray,
    splits: list[tuple[np.ndarray, np.ndarray]],
    calibration: str | None,
    uncalibrated: np.ndarray,
) -> pd.DataFrame:
    """Compare held-out predictions with baselines.

    The mapping, the calibration and the baselines' error rates of each fold are fitted to the other folds.
    """
    shape = bits.shape
    predictions = {name: np.empty(shape) for name in ("", "most_frequent_", "copy_", "nearest_")}
    if source_bits.shape != shape:
        del predictions["copy_"]
    hard = {"nearest_": np.empty(shape), "copy_": source_bits}
    for others, held in splits:
        search = NearestNeighbors(n_neighbors=1).fit(features[others])
        nearest = search.kneighbors(features[held], return_distance=False)[:, 0]
        hard["nearest_"][held] = bits[others][nearest]
    for others, held in splits:
        if calibration is None:
            predictions[""][held] = clipped(uncalibrated[held])
        else:
            curves = fit_calibration(scores[others], bits[others], calibration)
            predictions[""][held] = curves.probabilities(scores[held])
        predictions["most_frequent_"][held] = smoothed_mean(bits[others])
        for name in predictions.keys() & hard.keys():
            right = smoothed_mean(hard[name][others] == bits[others])
            predictions[name][held] = np.where(hard[name][held] == 1, right, 1.0 - right)
    table = pd.DataFrame({"mean": bits.mean(axis=0)})
    for name, probabilities in predictions.items():
        predicted = hard.get(name, probabilities > 0.5)
        table[f"{name}accuracy"] = (predicted == bits).mean(axis=0)
        table[f"{name}cross_entropy"] = cross_entropy(probabilities, bits).mean(axis=0)
    table.index.name = "bit"
    return table


def warn_of_poor_mapping(table: pd.DataFrame) -> None:
    """Warn when held-out predictions are no better than predicting each bit's base rate."""
    means = table.mean()
    if means["cross_entropy"] >= means["most_frequent_cross_entropy"]:
        warn(
            "On held-out pairs the mapping is no better than predicting each bit's base rate: "
            f"its cross-entropy is {means['cross_entropy']:.3f} bits, that of the base rates "
            f"{means['most_frequent_cross_entropy']:.3f}. Check that X_a and X_b are in the same order, or "
            "pass more pairs or a larger alpha.",
            CodeWarning,
        )


def partner_ranks(probabilities: np.ndarray, bits: np.ndarray, metric: str) -> np.ndarray:
    """Return the rank of code i for prediction i among all codes.

    Up to a constant, both distances are the sum of the weights of the bits that are one: ``1 - 2 p`` for the
    expected Hamming distance, and the negative log-odds for the negative log-likelihood.
    """
    weights = -logit(probabilities) if metric == "log_likelihood" else 1.0 - 2.0 * probabilities
    # Equal codes must have exactly equal distances, so each distinct code is compared once.
    codes, places, counts = np.unique(bits, axis=0, return_inverse=True, return_counts=True)
    places = places.reshape(-1)
    distances = in_blocks(lambda block: block @ codes.T.astype(np.float64), weights)
    right = np.take_along_axis(distances, places[:, None], axis=1)
    nearer = ((distances < right) * counts).sum(axis=1)
    tied = ((distances == right) * counts).sum(axis=1) - 1
    return 1.0 + nearer + 0.5 * tied
