"""Comparison of two sets of images by their features: distances, precision and recall."""

from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from dmzrep._base._batching import batches
from dmzrep._base._random import draw_seed
from dmzrep._base._validation import check_int
from dmzrep._base._warnings import warn
from dmzrep.metrics._features import (
    DistanceResult,
    Extractor,
    FeatureSet,
    FeatureStatistics,
    check_comparable,
    extract_features,
)

#: Number of samples whose distances to all others are in memory at a time.
BLOCK_SIZE = 256


def frechet_distance(reference: Any, generated: Any, extractor: Extractor | None = None) -> DistanceResult:
    """Return the squared Fréchet distance between Gaussians fitted to the features of two sets of images.

    With `InceptionFeatures` this is the Fréchet inception distance (FID).

    Parameters
    ----------
    reference, generated : array-like, FeatureSet or FeatureStatistics
        Images, their features, or the statistics of these, which can be saved.
    extractor : callable or None, default=None
        Maps images to features of shape (n, n_features); None if the two sets are features.

    Returns
    -------
    DistanceResult
        The score "frechet_distance", at least 0; 0 for equal means and covariances.

    Raises
    ------
    ValueError
        Features are not finite, or have different sources.

    Warns
    -----
    UserWarning
        A set has no more samples than features, so that its covariance is singular.

    See Also
    --------
    kernel_distance : Unbiased, also for few samples.
    precision_recall : Fidelity and diversity separately.

    Notes
    -----
    ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``, in float64. The last trace is computed from the
    eigenvalues of the symmetric matrix C1^(1/2) C2 C1^(1/2). The estimate is biased upwards, the more so
    the fewer samples there are: compare scores only at equal numbers of samples.

    References
    ----------
    Dowson, Landau, "The Fréchet distance between multivariate normal distributions", 1982; Heusel et
    al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import frechet_distance
    >>> features = np.random.default_rng(0).normal(size=(100, 3))
    >>> round(float(frechet_distance(features, features + 2.0)), 6)
    12.0
    """
    one, two = (
        x if isinstance(x, FeatureStatistics) else extract_features(x, extractor, argument=name).statistics
        for x, name in ((reference, "reference"), (generated, "generated"))
    )
    check_comparable(one, two)
    n_features = len(one.mean)
    for name, n_samples in (("reference", one.n_samples), ("generated", two.n_samples)):
        if n_samples <= n_features:
            warn(
                f"{name} has {n_samples} samples for {n_features} features: the covariance is singular, and "
                f"the distance is biased upwards. Use more than {n_features} samples, or compare only "
                "distances at the same number of samples."
            )
    values, vectors = np.linalg.eigh(one.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    eigenvalues = np.linalg.eigvalsh(root @ two.covariance @ root)
    cross = np.sqrt(np.maximum(eigenvalues, 0.0)).sum()
    squared = np.square(one.mean - two.mean).sum() + np.trace(one.covariance) + np.trace(two.covariance)
    scores = {"frechet_distance": max(0.0, float(squared - 2.0 * cross))}
    return DistanceResult(scores, one.source, one.n_samples, two.n_samples)


def kernel_distance(
    reference: Any,
    generated: Any,
    extractor: Extractor | None = None,
    *,
    n_subsets: int = 100,
    subset_size: int = 1000,
    random_state: int | np.random.RandomState | None = None,
) -> DistanceResult:
    """Return the unbiased squared maximum mean discrepancy between the features of two sets of images.

    With `InceptionFeatures` this is the kernel inception distance (KID). Unlike the Fréchet distance
    its expectation does not depend on the number of samples.

    Parameters
    ----------
    reference, generated : array-like or FeatureSet
        Images, or their features.
    extractor : callable or None, default=None
        As in `frechet_distance`.
    n_subsets : int, default=100
        Number of pairs of random subsets over which the estimate is averaged.
    subset_size : int, default=1000
        Samples per subset, at most the size of the smaller set.
    random_state : int, RandomState or None, default=None
        Controls the subsets.

    Returns
    -------
    DistanceResult
        The scores "kernel_distance", the mean over subsets, which can be slightly negative, and
        "kernel_distance_std", the standard deviation over subsets.

    Raises
    ------
    ValueError
        Features are not finite or have different sources, a set has a single sample, or a parameter is
        out of range.

    See Also
    --------
    frechet_distance : The distance that the literature reports.

    Notes
    -----
    The kernel is (x . y / n_features + 1)^3.

    References
    ----------
    Binkowski, Sutherland, Arbel, Gretton, "Demystifying MMD GANs", 2018; Gretton et al., "A Kernel
    Two-Sample Test", 2012, equation 3 (the unbiased estimate).

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import kernel_distance
    >>> features = np.random.default_rng(0).normal(size=(400, 3))
    >>> abs(float(kernel_distance(features[:200], features[200:]))) < 0.1
    True
    >>> float(kernel_distance(features[:200], features[200:] + 1.0)) > 1.0
    True
    """
    one, two = _extract_pair(reference, generated, extractor)
    n_subsets = check_int(n_subsets, "n_subsets")
    size = min(check_int(subset_size, "subset_size", 2), len(one), len(two))
    if size < 2:
        raise ValueError(f"Both sets need at least 2 samples, got {len(one)} and {len(two)}.")
    generator = np.random.default_rng(draw_seed(random_state))
    estimates = []
    for _ in range(n_subsets):
        x = one.features[generator.choice(len(one), size, replace=False)]
        y = two.features[generator.choice(len(two), size, replace=False)]
        estimates.append(_squared_discrepancy(x, y))
    scores = {"kernel_distance": float(np.mean(estimates)), "kernel_distance_std": float(np.std(estimates))}
    settings = {"n_subsets": n_subsets, "subset_size": size}
    return DistanceResult(scores, one.source, len(one), len(two), settings)


def _extract_pair(
    reference: Any, generated: Any, extractor: Extractor | None
) -> tuple[FeatureSet, FeatureSet]:
    one = extract_features(reference, extractor, argument="reference")
    two = extract_features(generated, extractor, argument="generated")
    check_comparable(one, two)
    return one, two


def _squared_discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    """Return the unbiased estimate from two sets of equal size."""
    n, n_features = x.shape
    within = 0.0
    for samples in (x, y):
        kernel = (samples @ samples.T / n_features + 1.0) ** 3
        within += (kernel.sum() - np.trace(kernel)) / (n * (n - 1))
    return float(within - 2.0 * ((x @ y.T / n_features + 1.0) ** 3).mean())


def precision_recall(
    reference: Any, generated: Any, extractor: Extractor | None = None, *, n_neighbors: int = 3
) -> DistanceResult:
    """Return precision, recall, density and coverage: the fidelity and diversity of generated images.

    The support of each set is estimated by balls around its samples, whose radii are the distances to the
    `n_neighbors`-th nearest other sample of the set.

    Parameters
    ----------
    reference, generated : array-like or FeatureSet
        Images, or their features: more than `n_neighbors` each, ideally the same number.
    extractor : callable or None, default=None
        As in `frechet_distance`.
    n_neighbors : int, default=3
        Rank of the neighbour whose distance is the radius of a ball. The papers use 3 (precision, recall)
        and 5 (density, coverage).

    Returns
    -------
    DistanceResult
        The scores

        - precision: fraction of generated images in the ball of any reference image
        - recall: fraction of reference images in the ball of any generated image
        - density: mean number of reference balls that contain a generated image, over `n_neighbors`;
          about 1 for equal distributions, and possibly above 1
        - coverage: fraction of reference images whose ball contains a generated image

    Raises
    ------
    ValueError
        Features are not finite or have different sources, or a set has too few samples.

    See Also
    --------
    frechet_distance : One number for both.

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
    real, fake = _extract_pair(reference, generated, extractor)
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
    return DistanceResult(scores, real.source, len(real), len(fake), {"n_neighbors": n_neighbors})


def _radii(features: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Return the distance of each sample to its `n_neighbors`-th nearest other one."""
    radii = np.empty(len(features))
    for part in batches(len(features), BLOCK_SIZE):
        distances = cdist(features[part], features)
        # The nearest is the sample itself, at distance 0.
        radii[part] = np.partition(distances, n_neighbors, axis=1)[:, n_neighbors]
    return radii
