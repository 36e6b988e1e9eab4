"""Precision, recall, density and coverage of generated images, by nearest neighbours of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from dmzrep._base._batching import batches
from dmzrep._base._validation import check_int
from dmzrep.metrics._features import Extractor, check_comparable, extract_features
from dmzrep.metrics._results import DistanceResult

#: Samples whose distances to all others are in memory at a time.
BLOCK_SIZE = 256


def precision_recall(
    reference: Any,
    generated: Any,
    extractor: Extractor | None = None,
    *,
    n_neighbors: int = 3,
    about: Mapping[str, Any] | None = None,
) -> DistanceResult:
    """Return precision, recall, density and coverage: the fidelity and diversity of generated images.

    The support of each set is estimated by balls around its samples, whose radii are the distances to the
    `n_neighbors`-th nearest other sample of the set.

    Parameters
    ----------
    reference, generated : array-like or FeatureSet
        Images, or their features: more than `n_neighbors` each, ideally equally many.
    extractor : callable or None, default=None
        As in `frechet_distance`.
    n_neighbors : int, default=3
        Neighbour whose distance is the radius of a ball. The papers use 3 (precision, recall) and 5
        (density, coverage).
    about : dict, optional
        Metadata to store in the result.

    Returns
    -------
    DistanceResult
        The scores

        precision : fraction of generated images in the ball of any reference image
        recall : fraction of reference images in the ball of any generated image
        density : mean number of reference balls that contain a generated image, over `n_neighbors`;
            about 1 for equal distributions, and possibly above 1
        coverage : fraction of reference images whose ball contains a generated image

    Raises
    ------
    ValueError
        Features are not finite or have different sources, or a set has too few samples.
    TypeError
        The extractor is not callable.

    Notes
    -----
    Distances are exact, in float64, and balls are closed.

    References
    ----------
    Kynkaanniemi, Karras, Laine, Lehtinen, Aila, "Improved Precision and Recall Metric for Assessing
    Generative Models", 2019; Naeem, Oh, Uh, Choi, Yoo, "Reliable Fidelity and Diversity Metrics for
    Generative Models", 2020 (density, coverage).

    Examples
    --------
    Generated points cover one of two clusters of real ones:

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
    real_radii, fake_radii = (_radii(x.features, n_neighbors) for x in (real, fake))
    covered, recalled = np.empty((2, len(real)), dtype=bool)
    balls = np.zeros(len(fake), dtype=np.int64)
    for part in batches(len(real), BLOCK_SIZE):
        distances = cdist(real.features[part], fake.features)
        inside = distances <= real_radii[part, None]
        balls += inside.sum(axis=0)
        covered[part] = inside.any(axis=1)
        recalled[part] = (distances <= fake_radii).any(axis=1)
    scores = {
        "precision": float((balls > 0).mean()),
        "recall": float(recalled.mean()),
        "density": float(balls.mean() / n_neighbors),
        "coverage": float(covered.mean()),
    }
    return DistanceResult(
        scores, real.source, len(real), len(fake), {"n_neighbors": n_neighbors}, about or {}
    )


def _radii(features: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Return the distance of each sample to its `n_neighbors`-th nearest other one."""
    radii = np.empty(len(features))
    for part in batches(len(features), BLOCK_SIZE):
        distances = cdist(features[part], features)
        # The nearest is the sample itself, at distance 0.
        radii[part] = np.partition(distances, n_neighbors, axis=1)[:, n_neighbors]
    return radii
