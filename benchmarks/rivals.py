"""Baseline representations of images, with the same number of bits as the learned codes.

Each has `fit(X)` and `transform(X)`; `transform` returns a dict of named representations of shape
(n, n_columns): floats or probabilities, and bits as float32 zeros and ones. Images are uint8 or floats
in [0, 1], and are converted to float32 vectors in [0, 1]. Labels are not used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Self

import numpy as np
from scipy.stats import ortho_group
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA as SklearnPCA
from sklearn.neural_network import BernoulliRBM as SklearnBernoulliRBM

from dmzrep import DMZEncoder
from dmzrep.retrieval import ITQTransformer

#: Maximum number of images to which k-means is fitted, as ITQ is.
FIT_ROWS = 10_000


def flat(X: np.ndarray) -> np.ndarray:
    """Return images as float32 vectors in [0, 1]."""
    X = np.asarray(X)
    rows = X.reshape(len(X), -1).astype(np.float32)
    return rows / np.float32(255.0) if X.dtype == np.uint8 else rows


def signs(values: np.ndarray, threshold: float = 0.0) -> np.ndarray:
    """Return ones where a value is above the threshold, else zeros."""
    return (values > threshold).astype(np.float32)


def some_rows(X: np.ndarray, seed: int) -> np.ndarray:
    """Return at most `FIT_ROWS` random samples."""
    chosen = np.random.default_rng(seed).permutation(len(X))[:FIT_ROWS]
    return X[np.sort(chosen)]


class Pixels:
    """Raw pixels."""

    def __init__(self, n_bits: int = 64, seed: int = 0):
        self.n_bits, self.seed = n_bits, seed

    def fit(self, X: np.ndarray) -> Self:
        """Do nothing."""
        return self

    def transform(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"floats"}."""
        return {"floats": flat(X)}


class PCA:
    """Principal components, and their signs."""

    def __init__(self, n_bits: int = 64, seed: int = 0):
        self.n_bits, self.seed = n_bits, seed

    def fit(self, X: np.ndarray) -> Self:
        """Fit on all images."""
        self.model = SklearnPCA(self.n_bits, random_state=self.seed).fit(flat(X))
        return self

    def transform(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"floats", "bits"}."""
        floats = self.model.transform(flat(X)).astype(np.float32)
        return {"floats": floats, "bits": signs(floats)}


class RotatedPCA:
    """Principal components in a random rotation, which spreads their variance over the bits, and their signs.

    Jegou, Douze, Schmid, Perez, "Aggregating Local Descriptors into a Compact Image Representation", 2010.
    """

    def __init__(self, n_bits: int = 64, seed: int = 0):
        self.pca, self.seed = PCA(n_bits, seed), seed

    def fit(self, X: np.ndarray) -> Self:
        """Fit on all images; draw the rotation."""
        self.pca.fit(X)
        self.rotation = ortho_group.rvs(self.pca.n_bits, random_state=self.seed).astype(np.float32)
        return self

    def transform(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"floats", "bits"}."""
        floats = self.pca.transform(X)["floats"] @ self.rotation
        return {"floats": floats, "bits": signs(floats)}


class ITQ:
    """Iterative quantisation, as in the encoder's data-dependent initialisation."""

    def __init__(self, n_bits: int = 64, seed: int = 0):
        self.model = ITQTransformer(n_bits, output="logits", random_state=seed)

    def fit(self, X: np.ndarray) -> Self:
        """Fit on 10,000 random images, as the encoder does."""
        self.model.fit(flat(X))
        return self

    def transform(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"floats", "bits"}: signed distances to the bits' hyperplanes, and their signs."""
        floats = self.model.transform(flat(X))
        return {"floats": floats, "bits": signs(floats)}


class Initialisation:
    """Our encoder after its initialisation from data, without any training (``max_iter=0``)."""

    def __init__(self, n_bits: int = 64, seed: int = 0, **params: Any):
        chosen = {"max_iter": 0, "prior": "uniform", "output": "logits", "random_state": seed}
        self.encoder = DMZEncoder(n_bits, **chosen, **params)

    def fit(self, X: np.ndarray) -> Self:
        """Initialise the encoder."""
        self.encoder.fit(X)
        return self

    def transform(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"logits", "bits"}."""
        return encoded(self.encoder, X)


class LSH:
    """Locality-sensitive hashing: random projections of centred pixels, and their signs."""

    def __init__(self, n_bits: int = 64, seed: int = 0):
        self.n_bits, self.seed = n_bits, seed

    def fit(self, X: np.ndarray) -> Self:
        """Compute the mean and draw the projections."""
        rows = flat(X)
        self.mean = rows.mean(axis=0)
        self.directions = np.random.default_rng(self.seed).normal(size=(rows.shape[1], self.n_bits))
        return self

    def transform(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"floats", "bits"}."""
        floats = (flat(X) - self.mean) @ self.directions.astype(np.float32)
        return {"floats": floats, "bits": signs(floats)}


class BernoulliRBM:
    """Hidden units of a restricted Boltzmann machine.

    Pixels are inverted if their mean is above one half, and the learning rate is the one with the best
    pseudo-likelihood, as units die on bright or coloured images otherwise. Neither choice uses labels.
    """

    def __init__(
        self, n_bits: int = 64, seed: int = 0, learning_rates: tuple[float, ...] = (0.1, 0.03, 0.01)
    ):
        self.n_bits, self.seed, self.learning_rates = n_bits, seed, learning_rates

    def fit(self, X: np.ndarray) -> Self:
        """Select the learning rate on a random subset of the images, then fit to all."""
        rows = flat(X)
        self.bright = bool(rows.mean() > 0.5)
        rows = 1.0 - rows if self.bright else rows
        self.learning_rate = self.learning_rates[0]
        if len(self.learning_rates) > 1:
            sample = some_rows(rows, self.seed)
            likelihoods = {
                rate: self._model(rate).fit(sample).score_samples(sample[:2000]).mean()
                for rate in self.learning_rates
            }
            self.learning_rate = max(likelihoods, key=likelihoods.__getitem__)
        self.model = self._model(self.learning_rate).fit(rows)
        return self

    def _model(self, learning_rate: float) -> SklearnBernoulliRBM:
        return SklearnBernoulliRBM(self.n_bits, learning_rate=learning_rate, random_state=self.seed)

    def transform(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"probabilities", "bits"}."""
        rows = 1.0 - flat(X) if self.bright else flat(X)
        probabilities = self.model.transform(rows).astype(np.float32)
        return {"probabilities": probabilities, "bits": signs(probabilities, 0.5)}


class KMeansLabel:
    """One-hot label of the nearest k-means centre; there are as many centres as bits."""

    def __init__(self, n_bits: int = 64, seed: int = 0):
        self.n_bits, self.seed = n_bits, seed

    def fit(self, X: np.ndarray) -> Self:
        """Fit to a random subset of the images."""
        self.model = MiniBatchKMeans(self.n_bits, random_state=self.seed, n_init=3, batch_size=2048)
        self.model.fit(some_rows(flat(X), self.seed))
        return self

    def transform(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"bits"}."""
        return {"bits": np.eye(self.n_bits, dtype=np.float32)[self.model.predict(flat(X))]}


class UntrainedEncoder:
    """The networks of `DMZEncoder` with random weights, after one step with a negligible learning rate."""

    def __init__(self, n_bits: int = 64, seed: int = 0):
        self.n_bits, self.seed = n_bits, seed

    def fit(self, X: np.ndarray) -> Self:
        """Determine the format of the images."""
        rows = some_rows(np.asarray(X), self.seed)[:64]
        self.encoder = DMZEncoder(
            self.n_bits,
            init="random",
            max_iter=1,
            batch_size=64,
            learning_rate=1e-12,
            validation_fraction=0.0,
            prior="uniform",
            output="logits",
            random_state=self.seed,
        ).fit(rows)
        return self

    def transform(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"logits", "bits"}."""
        return encoded(self.encoder, X)


def encoded(encoder: Any, X: np.ndarray) -> dict[str, np.ndarray]:
    """Return {"logits", "bits"} of an encoder with `output="logits"`."""
    logits = np.asarray(encoder.transform(X))
    return {"logits": logits, "bits": signs(logits)}


#: Baselines by name; each takes the number of bits and a seed.
RIVALS: dict[str, Callable[..., Any]] = {
    "PCA": PCA,
    "PCA, random rotation": RotatedPCA,
    "ITQ": ITQ,
    "initialisation": Initialisation,
    "initialisation, mirrored views": partial(Initialisation, encoder_augment="affine_flip"),
    "LSH": LSH,
    "BernoulliRBM": BernoulliRBM,
    "k-means label": KMeansLabel,
    "untrained encoder": UntrainedEncoder,
    "pixels": Pixels,
}
