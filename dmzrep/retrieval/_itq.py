"""Binary codes of vectors by a linear map, without training of networks."""

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from dmzrep._base._batching import batches
from dmzrep._base._random import draw_seed
from dmzrep._base._validation import as_array, check_magnitude
from dmzrep.codes._checks import check_codes, pack, unpack
from dmzrep.training.init._linear import MEAN_LOGIT, itq_rotation, principal_directions

METHODS = ("itq", "pca_rotation", "random_rotation")
OUTPUTS = ("bits", "packed", "logits", "probabilities")
#: Largest number of samples to which directions are fitted, and number of samples encoded at a time.
FIT_SAMPLES, _BLOCK = 10_000, 1 << 14
#: Smallest mean size of a projection; smaller ones are rounding errors of constant data.
_SMALLEST = 1e-12


class ITQTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turn vectors, such as embeddings, into binary codes by signs of projections.

    The directions take seconds to fit, on at most 10,000 random samples. ``DMZEncoder(init="itq")`` starts
    from the same rotation.

    Parameters
    ----------
    n_bits : int, default=64
        Length of the codes. At most the number of features, except for "random_rotation".
    method : {"itq", "pca_rotation", "random_rotation"}, default="itq"
        Directions. ``"itq"``: principal components, rotated so that they are closest to their signs;
        ``"pca_rotation"``: principal components in a random rotation; ``"random_rotation"``: random
        directions, orthogonal as far as possible, also known as locality-sensitive hashing.
    output : {"bits", "packed", "logits", "probabilities"}, default="bits"
        What `transform` returns: zeros and ones; bytes of 8 bits, for ``FaissNeighbors(packed=True)``;
        projections, scaled to a mean absolute value of 3, whose signs are the bits; or their logistic
        function. For queries of ``FaissNeighbors(metric="asymmetric")``, use ``expit(logits / 6)``, which is
        nearly linear: it finds more neighbours than bits or probabilities. May be set after fitting.
    random_state : int, RandomState or None, default=None
        Seed of the rotation, and of the samples to fit to.

    Attributes
    ----------
    mean_ : ndarray of shape ``(n_features_in_,)``
        Mean of the samples.
    directions_ : ndarray of shape ``(n_bits, n_features_in_)``
        Unit vectors; a bit is 1 if the projection of ``X - mean_`` is positive.
    scales_ : ndarray of shape (n_bits,)
        Mean absolute projections.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape ``(n_features_in_,)``
        Column names, if X was a table with names.

    See Also
    --------
    DMZEncoder : Codes that can be decoded.
    FaissNeighbors : Search among the codes.

    References
    ----------
    Y. Gong, S. Lazebnik, "Iterative Quantization: A Procrustean Approach to Learning Binary Codes", 2011.
    H. Jegou et al., "Aggregating Local Descriptors into a Compact Image Representation", 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.retrieval import FaissNeighbors, ITQTransformer
    >>> X = np.random.default_rng(0).normal(size=(500, 32))
    >>> itq = ITQTransformer(16, output="packed", random_state=0)
    >>> codes = itq.fit_transform(X)
    >>> codes.shape, codes.dtype.name
    ((500, 2), 'uint8')
    >>> neighbors = FaissNeighbors(1, packed=True, rescore="cosine").fit(codes, vectors=X)
    >>> neighbors.kneighbors(itq.transform(X[7:9]), vectors=X[7:9], return_distance=False).ravel().tolist()
    [7, 8]
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_bits": [Interval(Integral, 1, None, closed="left")],
        "method": [StrOptions(set(METHODS))],
        "output": [StrOptions(set(OUTPUTS))],
        "random_state": ["random_state"],
    }

    mean_: np.ndarray
    directions_: np.ndarray
    scales_: np.ndarray
    n_features_in_: int

    def __init__(self, n_bits=64, *, method="itq", output="bits", random_state=None):
        self.n_bits = n_bits
        self.method = method
        self.output = output
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the directions.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Vectors, compared by Euclidean distance; normalise them first for cosine similarity.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            More bits than features, or values that are not finite.
        """
        self._validate_params()
        X = self._checked(X, reset=True)
        if self.method != "random_rotation" and self.n_bits > X.shape[1]:
            raise ValueError(
                f"n_bits={self.n_bits} exceeds the number of features, n_features = {X.shape[1]}, and "
                f"method={self.method!r} has one bit for each principal component at most. Use "
                "method='random_rotation', which takes any number of bits, or fewer bits."
            )
        generator = torch.Generator().manual_seed(draw_seed(self.random_state))
        chosen = torch.randperm(len(X), generator=generator)[:FIT_SAMPLES].numpy()
        sample = torch.from_numpy(np.ascontiguousarray(X[chosen]))
        mean = sample.double().mean(dim=0)
        centred = sample.double() - mean
        if self.method == "random_rotation":
            directions = _random_directions(self.n_bits, X.shape[1], generator)
        else:
            directions = principal_directions(sample, self.n_bits, generator)
            projected = centred @ directions.T
            start = self.method == "pca_rotation"  # The random rotation that ITQ starts from.
            rotation = itq_rotation(projected, generator, 0) if start else itq_rotation(projected, generator)
            directions = rotation.T @ directions
        scales = (centred @ directions.T).abs().mean(dim=0).clamp(min=_SMALLEST)
        self.mean_, self.directions_, self.scales_ = mean.numpy(), directions.numpy(), scales.numpy()
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Encode vectors.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Vectors.

        Returns
        -------
        ndarray of shape (n, n_bits)
            By `output`: uint8 bits, float32 logits or float32 probabilities; for "packed", uint8 bytes of
            shape (n, ceil(n_bits / 8)).
        """
        check_is_fitted(self)
        self._validate_params()
        X = self._checked(X, reset=False)
        return np.concatenate([self._encoded(X[part]) for part in batches(len(X), _BLOCK)])

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Return the vectors nearest to codes: each bit stands for the mean projection on its side.

        Parameters
        ----------
        Z : array-like of shape (n, n_bits)
            Codes as `transform` returns them, by `output`; for "bits" and "probabilities" either of them.

        Returns
        -------
        ndarray of shape ``(n, n_features_in_)``, float64
            Vectors.

        Raises
        ------
        ValueError
            Codes of another kind or length.
        """
        check_is_fitted(self)
        self._validate_params()
        n_bits = len(self.directions_)
        if self.output == "packed":
            codes = unpack(check_codes(Z, "Z", "packed", n_bits=-(-n_bits // 8)), n_bits)
        else:
            kind = "numbers" if self.output == "logits" else "probabilities"
            codes = check_codes(Z, "Z", kind, n_bits=n_bits)
        values = codes.astype(np.float64)
        values = values / MEAN_LOGIT if self.output == "logits" else 2.0 * values - 1.0
        return self.mean_ + (values * self.scales_) @ np.linalg.pinv(self.directions_).T

    def _encoded(self, X: np.ndarray) -> np.ndarray:
        # In float64, so that the sign of a projection does not depend on the batch.
        projected = (X.astype(np.float64) - self.mean_) @ self.directions_.T
        if self.output in ("bits", "packed"):
            bits = (projected > 0.0).astype(np.uint8)
            return pack(bits) if self.output == "packed" else bits
        logits = projected * (MEAN_LOGIT / self.scales_)
        return (expit(logits) if self.output == "probabilities" else logits).astype(np.float32)

    def _checked(self, X: Any, reset: bool) -> np.ndarray:
        X = as_array(X, "X") if hasattr(X, "requires_grad") else X
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=reset)
        check_magnitude(X, "X", np.float64)
        return X

    @property
    def _n_features_out(self) -> int:
        n_bits = len(self.directions_)
        return -(-n_bits // 8) if self.output == "packed" else n_bits

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _random_directions(n_bits: int, n_features: int, generator: torch.Generator) -> torch.Tensor:
    """Return random unit vectors: orthogonal rows, or more rows than features with orthogonal columns."""
    size = max(n_bits, n_features), min(n_bits, n_features)
    random = torch.randn(*size, generator=generator, dtype=torch.float64)
    orthogonal = torch.linalg.qr(random)[0]
    directions = orthogonal.T if n_bits <= n_features else orthogonal
    return directions / directions.norm(dim=1, keepdim=True)
