"""Translation of images from one domain to another, by their codes."""

import os
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import GroupKFold
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._isolation import isolated
from dmzrep._base._random import draw_seed
from dmzrep._base._validation import check_bool, check_choice, check_int
from dmzrep.codes._protocol import decode_codes
from dmzrep.estimator._state import CLASSES
from dmzrep.files._state import read_state, write_state
from dmzrep.transfer._calibration import clipped, fit_calibration
from dmzrep.transfer._checks import check_groups, check_pairs, check_parameters, encoded
from dmzrep.transfer._mappings import CodeFeatures, KernelRidgeMap, NetworkMap, fit_perceptron
from dmzrep.transfer._state import KIND, restore_transfer, transfer_state
from dmzrep.transfer._validation import (
    METRICS,
    cross_entropy,
    partner_ranks,
    validation_table,
    warn_of_poor_mapping,
)

#: Pairs up to which ``mapping="auto"`` is kernel ridge regression, whose matrix grows with their square.
KERNEL_PAIRS = 8000


class DomainTransfer(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Translate images from one domain to another, such as edges to faces.

    Each domain has its own encoder. A mapping, fitted to pairs, predicts the probability of each bit of the
    target code from the source code. The target encoder decodes the most probable bits, or sampled bits.

    Parameters
    ----------
    source, target : DMZEncoder, or any object with `transform` and `inverse_transform`
        Fitted on images of their domains, paired or not. For cross-validation wrap them in scikit-learn's
        `FrozenEstimator`, since `sklearn.base.clone` makes unfitted copies.
    mapping : {"auto", "kernel_ridge", "mlp"}, default="auto"
        ``"kernel_ridge"``: kernel ridge regression of the bits, with a Gaussian kernel of the features.
        ``"mlp"``: multilayer perceptrons, as in the paper, one for each fold, whose logits are averaged.
        ``"auto"`` is kernel ridge regression up to 8,000 pairs (its memory is quadratic), else ``"mlp"``.
    features : {"logits", "probabilities", "bits"}, default="logits"
        Input of the mapping. The paper uses bits.
    alpha : float, default=1.0
        Strength of the L2 penalty, as in scikit-learn's `KernelRidge` or `MLPClassifier`.
    hidden_layer_sizes : tuple of int, default=(256, 256)
        Hidden layers of ``"mlp"``.
    calibration : {"per_bit", "shared"} or None, default="per_bit"
        Logistic curves from scores to probabilities, fitted to held-out pairs: one for each bit, or one
        for all, which needs fewer pairs. None uses uncalibrated scores.
    n_folds : int, default=5
        Number of cross-validation folds for `calibration` and `validation_`.
    random_state : int, RandomState or None, default=None
        Controls the folds and the perceptrons. Pass an int for a reproducible fit.

    Attributes
    ----------
    validation_ : DataFrame
        A row for each target bit, with scores on held-out pairs:

        - mean: fraction of ones
        - accuracy, cross_entropy: of the calibrated probabilities; cross-entropy to base 2, 1 for chance
        - most_frequent_accuracy, most_frequent_cross_entropy: of always predicting the bit's base rate
        - copy_accuracy, copy_cross_entropy: of the source bit at the same position, where both codes have
          the same length
        - nearest_accuracy, nearest_cross_entropy: of copying the target bit of the pair with the nearest
          source code

        The error rates of the last two baselines are estimated for each bit. Each fold is predicted by fits
        to the other folds; ``validation_.mean()`` summarises.
    mapping_ : KernelRidgeMap or NetworkMap
        Fitted to all pairs.
    calibration_ : Calibration or None
        Logistic curves.
    features_ : CodeFeatures
        Features of source codes.
    n_pairs_ : int
        Number of pairs.
    source_dim_, target_dim_ : int
        Number of bits of source and target codes.

    See Also
    --------
    dmzrep.editing.AttributeEditor : Change attributes within one domain.

    References
    ----------
    M. Proszewska and others, arXiv 2506.00136, 2025 (codes to codes by a perceptron).

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep import DomainTransfer
    >>> class Pixels:
    ...     def transform(self, X):
    ...         return X
    ...     def inverse_transform(self, Z):
    ...         return Z
    >>> X = np.random.default_rng(0).integers(0, 2, (200, 4))
    >>> transfer = DomainTransfer(Pixels(), Pixels(), random_state=0).fit(X, 1 - X)
    >>> transfer.transform([[1, 0, 0, 1]])
    array([[0, 1, 1, 0]], dtype=uint8)
    """

    def __init__(
        self,
        source,
        target,
        *,
        mapping="auto",
        features="logits",
        alpha=1.0,
        hidden_layer_sizes=(256, 256),
        calibration="per_bit",
        n_folds=5,
        random_state=None,
    ):
        self.source = source
        self.target = target
        self.mapping = mapping
        self.features = features
        self.alpha = alpha
        self.hidden_layer_sizes = hidden_layer_sizes
        self.calibration = calibration
        self.n_folds = n_folds
        self.random_state = random_state

    @isolated
    def fit(self, X_a: Any, X_b: Any, *, groups: Any = None) -> Self:
        """Fit the mapping from source codes to target codes.

        Parameters
        ----------
        X_a, X_b : array-like, table or map-style dataset of n images
            Pairs: image i of X_a is from the source domain, image i of X_b its partner. At least four per
            fold.
        groups : array-like of shape (n,), optional
            Pairs of the same group, such as variants of one picture, are held out together. None makes
            each pair its own group.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            X_a and X_b differ in length, are too few, or do not fit their encoders, or a parameter is
            invalid.
        NotFittedError
            An encoder is not fitted.

        Warns
        -----
        CodeWarning
            On held-out pairs the mapping is no better than predicting each bit's base rate.
        """
        check_parameters(self)
        check_pairs(X_a, X_b)
        groups = check_groups(groups, len(X_a), self.n_folds)
        codes = encoded(self.source, X_a, "source")
        bits = (encoded(self.target, X_b, "target") > 0.5).astype(np.uint8)
        seed = draw_seed(self.random_state) % 2**32
        extract = CodeFeatures.fitted(codes, self.features)
        features = extract(codes)
        kind = self.mapping
        if kind == "auto":
            kind = "kernel_ridge" if len(bits) <= KERNEL_PAIRS else "mlp"
        folds = GroupKFold(self.n_folds, shuffle=True, random_state=seed)
        splits, parts = list(folds.split(groups, groups=groups)), []
        scores = np.empty(bits.shape)
        for i, (others, held) in enumerate(splits):
            parts.append(
                self._fit_map(kind, features[others], bits[others], groups[others], (seed + i) % 2**32)
            )
            scores[held] = parts[-1].scores(features[held])
        if kind == "mlp":
            mapping = NetworkMap(tuple(part.networks[0] for part in parts))
        else:
            mapping = self._fit_map(kind, features, bits, groups, seed)
        plain = mapping.uncalibrated_probabilities(scores)
        table = validation_table(scores, codes > 0.5, features, bits, splits, self.calibration, plain)
        self.calibration_ = None
        if self.calibration is not None:
            self.calibration_ = fit_calibration(scores, bits, self.calibration)
        self.features_, self.mapping_, self.validation_ = extract, mapping, table
        self.n_pairs_, self.source_dim_, self.target_dim_ = len(bits), codes.shape[1], bits.shape[1]
        warn_of_poor_mapping(table)
        return self

    def _fit_map(
        self, kind: str, features: np.ndarray, bits: np.ndarray, groups: np.ndarray, seed: int
    ) -> Any:
        if kind == "kernel_ridge":
            return KernelRidgeMap.fitted(features, bits, alpha=self.alpha)
        sizes = tuple(self.hidden_layer_sizes)
        return fit_perceptron(features, bits, groups, hidden_layer_sizes=sizes, alpha=self.alpha, seed=seed)

    @isolated
    def predict_proba(self, X_a: Any) -> np.ndarray:
        """Return the probability of a one of each target bit.

        Parameters
        ----------
        X_a : array-like, table or map-style dataset of n images
            Images of the source domain.

        Returns
        -------
        ndarray of shape ``(n, target_dim_)``, float64
            Between 0 and 1, exclusively; batch-invariant.

        Raises
        ------
        ValueError
            X_a does not fit the source, or the source's codes are not those of `fit`.
        """
        check_is_fitted(self, "mapping_")
        codes = encoded(self.source, X_a, "source", self.source_dim_)
        scores = self.mapping_.scores(self.features_(codes))
        if self.calibration_ is None:
            return clipped(self.mapping_.uncalibrated_probabilities(scores))
        return self.calibration_.probabilities(scores)

    def predict_codes(self, X_a: Any) -> np.ndarray:
        """Return the most probable target bits.

        Parameters
        ----------
        X_a : array-like, table or map-style dataset of n images
            Images of the source domain.

        Returns
        -------
        ndarray of shape ``(n, target_dim_)``, uint8
        """
        return (self.predict_proba(X_a) > 0.5).astype(np.uint8)

    @isolated
    def transform(
        self,
        X_a: Any,
        *,
        n_draws: int | None = None,
        sample_bits: bool = False,
        random_state: int | np.random.RandomState | None = None,
        **sampling: Any,
    ) -> np.ndarray:
        """Translate images to the target domain.

        Parameters
        ----------
        X_a : array-like, table or map-style dataset of n images
            Images of the source domain.
        n_draws : int, optional
            Images drawn for each image of X_a, each from its own noise. None draws one, without an axis
            for it.
        sample_bits : bool, default=False
            Whether the bits of each draw are sampled from the probabilities, independently. False decodes
            the most probable bits in all draws.
        random_state : int, RandomState or None, default=None
            Determines noise and bits. Pass an int for reproducible output; then draw j of image i does not
            depend on the numbers of images and draws.
        **sampling
            Further options of the target's `inverse_transform`, such as ``n_steps=10``.

        Returns
        -------
        ndarray of shape ``(n, *image_shape)`` or ``(n, n_draws, *image_shape)``
            In the target's layout, dtype and value range.

        Raises
        ------
        ValueError
            X_a does not fit the source, or an argument is invalid.
        """
        if n_draws is not None:
            n_draws = check_int(n_draws, "n_draws", also=", or None")
        sample_bits = check_bool(sample_bits, "sample_bits")
        probabilities = self.predict_proba(X_a)
        seed, n = draw_seed(random_state), len(probabilities)
        codes, seeds = [], []
        for draw in range(n_draws or 1):
            sequence = np.random.SeedSequence([seed, draw])
            seeds.append(sequence.generate_state(n) >> 1)
            limit = np.random.default_rng(sequence).random(probabilities.shape) if sample_bits else 0.5
            codes.append((probabilities > limit).astype(np.uint8))
        images = decode_codes(
            self.target,
            np.stack(codes, axis=1).reshape(-1, self.target_dim_),
            random_state=np.stack(seeds, axis=1).ravel().tolist(),
            **sampling,
        )
        return images if n_draws is None else images.reshape(n, n_draws, *images.shape[1:])

    @isolated
    def score(self, X_a: Any, X_b: Any) -> float:
        """Return the mean log-likelihood per bit of the true target codes, to base 2; higher is better.

        Parameters
        ----------
        X_a, X_b : array-like, table or map-style dataset of n images
            Pairs.

        Returns
        -------
        float
            0 is perfect, -1 is chance.
        """
        probabilities, bits = self._pairs(X_a, X_b)
        return -float(cross_entropy(probabilities, bits).mean())

    @isolated
    def retrieval_ranks(self, X_a: Any, X_b: Any, *, metric: str = "hamming") -> np.ndarray:
        """Return the rank of each image's partner among all of X_b, by the predicted probabilities.

        Parameters
        ----------
        X_a, X_b : array-like, table or map-style dataset of n images
            Pairs.
        metric : {"hamming", "log_likelihood"}, default="hamming"
            Distance of codes: the expected Hamming distance to a code drawn from the probabilities, or the
            negative log-likelihood.

        Returns
        -------
        ndarray of shape (n,), float64
            From 1 to n; ties get their average rank. By chance a rank is at most k in
            ``k / n`` of the cases.
        """
        check_choice("metric", metric, METRICS)
        probabilities, bits = self._pairs(X_a, X_b)
        return partner_ranks(probabilities, bits, metric)

    def _pairs(self, X_a: Any, X_b: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return predicted probabilities and true bits."""
        check_is_fitted(self, "mapping_")
        check_pairs(X_a, X_b)
        bits = encoded(self.target, X_b, "target", self.target_dim_) > 0.5
        return self.predict_proba(X_a), bits.astype(np.uint8)

    def save(self, path: str | os.PathLike) -> None:
        """Save the fitted `DomainTransfer` to one file, without pickle.

        It includes the encoders if they are `DMZEncoder` instances.

        Parameters
        ----------
        path : path-like
            The file, usually named ``*.safetensors``. Written atomically.
        """
        check_is_fitted(self, "mapping_")
        write_state(path, KIND, transfer_state(self), CLASSES)

    @classmethod
    @isolated
    def load(
        cls,
        path: str | os.PathLike,
        *,
        source: Any = None,
        target: Any = None,
        device: str | torch.device = "auto",
    ) -> Self:
        """Load a transfer from a file; no code from the file is run.

        Parameters
        ----------
        path : path-like
            Written by `save`.
        source, target : object with `transform` and `inverse_transform`, optional
            The encoders of `fit`. None uses the `DMZEncoder` in the file.
        device : str or torch.device, default="auto"
            Device of the encoders in the file.

        Returns
        -------
        DomainTransfer
            Fitted.

        Raises
        ------
        PersistenceError
            The file is damaged, of another kind, or of an unknown version.
        ValueError
            An encoder is neither in the file nor passed.
        """
        encoders = {"source": source, "target": target}
        return restore_transfer(cls, read_state(path, KIND, CLASSES), encoders, device, path)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "mapping_")
