"""Validation of samples, and their conversion to the vectors of an index."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils.validation import validate_data

from dmzrep._base._validation import as_array
from dmzrep.codes._checks import check_codes, pack
from dmzrep.retrieval._binary_index import BinaryIndex
from dmzrep.retrieval._float_index import FloatIndex
from dmzrep.retrieval._index_base import IndexOptions, StoredIndex

METRICS = ("hamming", "asymmetric", "l2", "cosine")


@dataclass(frozen=True)
class SampleFormat:
    """How the samples of a fitted index are stored.

    `n_features` counts bits, bytes (if `packed`) or values of a sample as it is passed. `offset` is
    subtracted from vectors under "l2": distances stay the same, and float32 keeps more digits of them.
    `exact` is whether no stored vector was rounded to float32.
    """

    metric: str
    n_features: int
    packed: bool
    offset: np.ndarray | None = None
    exact: bool = False

    @property
    def binary(self) -> bool:
        """Whether bits are stored."""
        return self.metric in ("hamming", "asymmetric")

    def new_index(self, options: IndexOptions) -> StoredIndex:
        """Return an index for such samples, not built yet."""
        if not self.binary:
            return FloatIndex(self.n_features, self.metric, options)
        if options.kind == "pq":
            raise ValueError(
                f"index='pq' compresses vectors of metric='l2' or 'cosine', not bits of metric="
                f"{self.metric!r}. Use index='flat', 'ivf' or 'hnsw'."
            )
        return BinaryIndex(self.n_features if self.packed else -(-self.n_features // 8), options)

    def stored(self, X: np.ndarray) -> np.ndarray:
        """Return checked samples as the index stores them: probabilities become packed bits."""
        return pack(X > 0.5) if self.binary and X.dtype != np.uint8 else X

    def checked(self, X: np.ndarray) -> tuple[np.ndarray, bool]:
        """Check samples; return codes, probabilities or float32 vectors, and whether these are exact."""
        if self.metric == "asymmetric":
            return check_codes(X, "X"), True
        if not self.binary:
            return self._vectors(X)
        return check_codes(X, "X", "packed") if self.packed else pack(check_codes(X, "X", "bits")), True

    def _vectors(self, X: np.ndarray) -> tuple[np.ndarray, bool]:
        X = X.astype(np.float64)
        if self.metric == "cosine":
            # First by the maximum, so that squares do not overflow.
            X = normalize(normalize(X, norm="max", copy=False), copy=False)
        elif self.offset is not None:
            X -= self.offset
        # A squared distance of two samples must be a float32 too.
        if np.abs(X).max(initial=0.0) > 1e18:
            raise ValueError("X has values too large for float32, beyond 1e18; scale it first.")
        vectors = X.astype(np.float32)
        return vectors, bool((vectors == X).all())


def check_training(estimator: Any, X: Any) -> tuple[SampleFormat, np.ndarray]:
    """Check the samples to build the index of a `FaissNeighbors` from; return their format and stored values.

    The estimator's `n_features_in_` and `feature_names_in_` are set.
    """
    metric, packed = estimator.metric, bool(estimator.packed)
    if packed and metric != "hamming":
        raise ValueError(
            f"packed=True is for metric='hamming', got metric={metric!r}. "
            "Unpack codes with numpy.unpackbits first."
        )
    X = validate_data(estimator, _without_torch(X), dtype=_dtype(metric))
    samples = SampleFormat(metric, X.shape[1], packed)
    if metric != "l2":
        vectors, exact = samples.checked(X)
        return replace(samples, exact=exact), samples.stored(vectors)
    offset = _offset(X)
    centred, plain = replace(samples, offset=offset), replace(samples, offset=np.zeros_like(offset))
    vectors, exact = centred.checked(X)
    if not exact:
        uncentred, exact = plain.checked(X)
        if exact:
            centred, vectors = plain, uncentred
    return replace(centred, exact=exact), vectors


def _offset(X: np.ndarray) -> np.ndarray:
    """Return the mean of vectors, rounded to a few binary digits of their spread.

    Differences from such a mean are exact in float32 for integers, and for floats far from zero.
    """
    mean = X.mean(axis=0, dtype=np.float64)
    spread = np.abs(X - mean).max(axis=0)
    step = np.exp2(np.floor(np.log2(np.where(spread > 0.0, spread, 1.0))) - 3.0)
    return np.where(spread > 0.0, np.rint(mean / step) * step, X[0])


def check_query(estimator: Any, X: Any) -> tuple[np.ndarray, bool]:
    """Check queries or new samples of a fitted `FaissNeighbors`; return as `SampleFormat.checked`."""
    samples, X = estimator._samples, _without_torch(X)
    shape = X.shape if hasattr(X, "shape") else as_array(X, "X").shape
    if samples.binary and len(shape) == 2 and shape[1] != samples.n_features:
        _explain_width(samples, shape[1])
    return samples.checked(validate_data(estimator, X, dtype=_dtype(samples.metric), reset=False))


def _without_torch(X: Any) -> Any:
    """Return a tensor as an array; scikit-learn's validation takes neither bfloat16 nor gradients."""
    return as_array(X, "X") if hasattr(X, "requires_grad") else X


def _dtype(metric: str) -> Any:
    return "numeric" if metric == "hamming" else (np.float64, np.float32)


def _explain_width(samples: SampleFormat, width: int) -> None:
    """Raise for codes whose width shows that packed and unpacked codes were confused."""
    expected = samples.n_features
    if samples.packed and width in range(8 * expected - 7, 8 * expected + 1):
        raise ValueError(
            f"X has {width} columns, but the index holds packed codes of {expected} bytes. "
            "Pack bits with numpy.packbits(bits, axis=1)."
        )
    if not samples.packed and width == -(-expected // 8):
        raise ValueError(
            f"X has {width} columns, but the index holds codes of {expected} bits. If X is packed, unpack it "
            f"with numpy.unpackbits(X, axis=1, count={expected}), or fit with packed=True."
        )
