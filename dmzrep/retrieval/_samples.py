"""Samples as users pass them and as an index stores them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from dmzrep._base._validation import as_array
from dmzrep.codes._checks import check_codes
from dmzrep.codes._packing import pack
from dmzrep.retrieval._binary_index import BinaryIndex
from dmzrep.retrieval._float_index import FloatIndex
from dmzrep.retrieval._index_base import IndexOptions, StoredIndex

METRICS = ("hamming", "asymmetric", "l2", "cosine")


@dataclass(frozen=True)
class SampleFormat:
    """How the samples of a fitted index are stored.

    Parameters
    ----------
    metric : {"hamming", "asymmetric", "l2", "cosine"}
        Distance.
    n_features : int
        Bits, bytes or values of a sample as the user passes it.
    packed : bool
        Whether the user passes bytes.
    offset : ndarray of shape (n_features,), float64, or None
        Subtracted from vectors under "l2": distances stay the same, and float32 keeps more digits of them.
    exact : bool, default=False
        Whether no stored vector was rounded to float32.
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
        if not self.packed:
            return pack(check_codes(X, "X", "bits")), True
        if X.dtype != np.uint8:
            raise ValueError(
                f"With packed=True, X must be uint8 bytes from numpy.packbits, got dtype {X.dtype}. "
                "Pack bits with numpy.packbits(bits, axis=1), or set packed=False."
            )
        return np.ascontiguousarray(X), True

    def _vectors(self, X: np.ndarray) -> tuple[np.ndarray, bool]:
        X = X.astype(np.float64)
        if self.metric == "cosine":
            for length in (np.abs(X).max(axis=1), None):  # First to 1, so that squares do not overflow.
                length = np.linalg.norm(X, axis=1) if length is None else length
                X = np.divide(X, length[:, None], out=X, where=length[:, None] > 0)
        elif self.offset is not None:
            X -= self.offset
        # A squared distance of two samples must be a float32 too.
        if np.abs(X).max(initial=0.0) > 1e18:
            raise ValueError("X has values too large for float32, beyond 1e18; scale it first.")
        vectors = X.astype(np.float32)
        return vectors, bool((vectors == X).all())


def check_training(estimator: Any, X: Any) -> tuple[SampleFormat, np.ndarray]:
    """Check the samples to build an index from; return their format, and what the index stores.

    `estimator` is a `FaissNeighbors`; its `n_features_in_` and `feature_names_in_` are set.
    """
    metric, packed = estimator.metric, bool(estimator.packed)
    if packed and metric != "hamming":
        raise ValueError(
            f"packed=True is for metric='hamming', got metric={metric!r}. "
            "Unpack codes with numpy.unpackbits first."
        )
    X = validate_data(estimator, X, dtype=_dtype(metric))
    formats = [SampleFormat(metric, X.shape[1], packed)]
    if metric == "l2":
        formats = [SampleFormat(metric, X.shape[1], packed, offset) for offset in _offsets(X)]
    for samples in formats:  # The first that needs no rounding, or else the first.
        vectors, exact = samples.checked(X)
        if exact:
            break
    else:
        samples = formats[0]
        vectors, exact = samples.checked(X)
    return SampleFormat(metric, X.shape[1], packed, samples.offset, exact), samples.stored(vectors)


def _offsets(X: np.ndarray) -> list[np.ndarray]:
    """Return offsets for vectors: the mean to a few binary digits of the spread, and none.

    Differences of a few digits are exact in float32 for integers, and for floats far from zero.
    """
    mean = X.mean(axis=0, dtype=np.float64)
    spread = np.abs(X - mean).max(axis=0)
    step = np.exp2(np.floor(np.log2(np.where(spread > 0.0, spread, 1.0))) - 3.0)
    offset = np.where(spread > 0.0, np.rint(mean / step) * step, X[0])
    return [offset, np.zeros_like(offset)]


def check_query(estimator: Any, X: Any) -> tuple[np.ndarray, bool]:
    """Check queries or further samples of a fitted `FaissNeighbors`; return as `SampleFormat.checked`."""
    samples = estimator._samples
    shape = X.shape if hasattr(X, "shape") else as_array(X, "X").shape
    if samples.binary and len(shape) == 2 and shape[1] != samples.n_features:
        _explain_width(samples, shape[1])
    return samples.checked(validate_data(estimator, X, dtype=_dtype(samples.metric), reset=False))


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
