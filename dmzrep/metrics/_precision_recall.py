"""Precision and recall of generated images by nearest neighbours of their features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from dmzrep._base._batching import batches
from dmzrep._base._validation import check_int
from dmzrep.metrics._features import Extractor, check_comparable, extract_features
from dmzrep.metrics._results import DistanceResult

#: Rows whose distances to all others are held at a time.
BLOCK_ROWS = 256


def precision_recall(
    reference: Any,
    generated: Any,
    extractor: Extractor | None = None,
    *,
    n_neighbors: int = 3,
    about: Mapping[str, Any] | None = None,
) -> DistanceResult:
    """Tell how real generated images look, and how much of the real variety they show.

    Each set is taken to fill balls around its samples, which reach as far as the `n_neighbors`-th
    nearest other sample of the set.

    Parameters
    ----------
    reference, generated : array-like or FeatureSet
        Images; more than `n_neighbors` of each. Best as many of one as of the other.
    extractor : callable or None, default=None
        Images to features of shape (n, n_features); None takes the two sets as features.
    n_neighbors : int, default=3
        Reach of a ball. The papers have 3 (precision, recall) and 5 (density, coverage).
    about : dict, optional
        Kept with the result.

    Returns
    -------
    DistanceResult
        The scores

        precision : share of generated images in some reference image's ball
        recall : share of reference images in some generated image's ball
        density : number of reference balls that a generated image lies in, over `n_neighbors`; about 1
            where the sets are alike, and can be above
        coverage : share of reference images whose own ball holds a generated image

    Raises
    ------
    ValueError
        Features are not finite or of different kinds, or a set has too few samples.
    TypeError
        The extractor is no function.

    Notes
    -----
    Distances are exact, in float64, and a ball holds its surface. Time grows with the product of the
    counts and with the number of features.

    References
    ----------
    Kynkaanniemi, Karras, Laine, Lehtinen, Aila, "Improved Precision and Recall Metric for Assessing
    Generative Models", 2019; Naeem, Oh, Uh, Choi, Yoo, "Reliable Fidelity and Diversity Metrics for
    Generative Models", 2020 (density, coverage).

    Examples
    --------
    Two generated points among the real ones at one end, and nothing at the other:

    >>> import numpy as np
    >>> from dmzrep.metrics import precision_recall
    >>> real, fake = np.array([[0.0], [1.0], [8.0], [9.0]]), np.array([[0.4], [0.6]])
    >>> precision_recall(real, fake, n_neighbors=1).scores
    {'precision': 1.0, 'recall': 0.0, 'density': 2.0, 'coverage': 0.5}
    """
    real = extract_features(reference, extractor, argument="reference")
    fake = extract_features(generated, extractor, argument="generated")
    check_comparable(real, fake)
    least = min(len(real), len(fake))
    also = f", less than the number of samples of either set ({len(real)} and {len(fake)})"
    n_neighbors = check_int(n_neighbors, "n_neighbors", 1, least - 1, also)
    real_reach, fake_reach = (_reach(x.features, n_neighbors) for x in (real, fake))
    covered = np.empty(len(real), dtype=bool)
    recalled = np.empty(len(real), dtype=bool)
    balls = np.zeros(len(fake), dtype=np.int64)
    for rows in batches(len(real), BLOCK_ROWS):
        distances = cdist(real.features[rows], fake.features)
        inside = distances <= real_reach[rows, None]
        balls += inside.sum(axis=0)
        covered[rows] = inside.any(axis=1)
        recalled[rows] = (distances <= fake_reach).any(axis=1)
    scores = {
        "precision": float((balls > 0).mean()),
        "recall": float(recalled.mean()),
        "density": float(balls.mean() / n_neighbors),
        "coverage": float(covered.mean()),
    }
    settings = {"n_neighbors": int(n_neighbors)}
    return DistanceResult(scores, real.source, len(real), len(fake), settings, {} if about is None else about)


def _reach(features: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Distance of each row to its `n_neighbors`-th nearest other row."""
    reach = np.empty(len(features))
    for rows in batches(len(features), BLOCK_ROWS):
        distances = cdist(features[rows], features)
        # A row is its own nearest, at distance zero, and takes the first place.
        reach[rows] = np.partition(distances, n_neighbors, axis=1)[:, n_neighbors]
    return reach
