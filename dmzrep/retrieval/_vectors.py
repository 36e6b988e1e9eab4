"""What users hand to a search, checked, and as an index stores it."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from dmzrep._base._validation import as_array
from dmzrep.codes._checks import check_codes
from dmzrep.codes._packing import pack
from dmzrep.retrieval._binary_index import BinaryIndex
from dmzrep.retrieval._float_index import FloatIndex
from dmzrep.retrieval._stored_index import IndexOptions, StoredIndex

METRICS = ("hamming", "asymmetric", "l2", "cosine")


class IndexedRows:
    """How the rows of one fitted index are stored.

    Parameters
    ----------
    metric : {"hamming", "asymmetric", "l2", "cosine"}
        Distance.
    n_features : int
        Bits, bytes or numbers of a row as the user gives it.
    packed : bool
        Whether the user gives bytes.
    offset : ndarray of shape (n_features,), float64, or None
        Taken from vectors under "l2": distances are the same, and float32 keeps more of them.
    """

    def __init__(self, metric: str, n_features: int, packed: bool, offset: np.ndarray | None = None):
        self.metric = metric
        self.n_features = n_features
        self.packed = packed
        self.offset = offset

    @property
    def binary(self) -> bool:
        """Whether bits are stored."""
        return self.metric in ("hamming", "asymmetric")

    def new_index(self, options: IndexOptions) -> StoredIndex:
        """Give an index for such rows, not built yet."""
        if not self.binary:
            return FloatIndex(self.n_features, self.metric, options)
        if options.kind == "pq":
            raise ValueError(
                f"index='pq' compresses vectors of metric='l2' or 'cosine', not bits of metric="
                f"{self.metric!r}. Use index='flat', 'ivf' or 'hnsw'."
            )
        return BinaryIndex(self.n_features if self.packed else -(-self.n_features // 8), options)

    def stored(self, rows: np.ndarray) -> np.ndarray:
        """Give checked rows as the index keeps them."""
        if self.binary:
            if rows.dtype == np.uint8:
                return rows
            return pack(rows > 0.5)
        return rows

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """Give vectors in float32, less the offset, or of length 1."""
        rows = rows.astype(np.float64)
        if self.metric == "cosine":
            largest = np.abs(rows).max(axis=1, keepdims=True)
            rows = np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0)
            length = np.linalg.norm(rows, axis=1, keepdims=True)
            rows = np.divide(rows, length, out=rows, where=length > 0)
        else:
            rows -= self.offset
        # A squared distance of two rows must be a float32 too.
        if np.abs(rows).max(initial=0.0) > 1e18:
            raise ValueError("X has values too large for float32, beyond 1e18; scale it first.")
        return rows.astype(np.float32)


def check_training(estimator: Any, X: Any) -> tuple[IndexedRows, np.ndarray]:
    """Check the rows to build an index from.

    Parameters
    ----------
    estimator : FaissNeighbors
        Gives `metric` and `packed`; takes `n_features_in_` and, from tables, `feature_names_in_`.
    X : array-like of shape (n, n_features)
        Codes or vectors.

    Returns
    -------
    rows : IndexedRows
    vectors : ndarray
        Rows as the index keeps them.
    """
    metric, packed = estimator.metric, bool(estimator.packed)
    if packed and metric != "hamming":
        raise ValueError(
            f"packed=True is for metric='hamming', got metric={metric!r}. "
            "Unpack codes with numpy.unpackbits first."
        )
    X = validate_data(estimator, X, dtype=_dtype(metric))
    offset = X.mean(axis=0, dtype=np.float64) if metric == "l2" else None
    rows = IndexedRows(metric, X.shape[1], packed, offset)
    return rows, rows.stored(_checked(rows, X))


def check_query(estimator: Any, X: Any) -> np.ndarray:
    """Check queries or further rows.

    Returns
    -------
    ndarray
        uint8 packed codes, float32 vectors, or, under "asymmetric", float probabilities.
    """
    rows = estimator._rows
    if rows.binary and (width := _shape(X)[1:]) != (rows.n_features,) and len(width) == 1:
        _explain_width(rows, width[0])
    return _checked(rows, validate_data(estimator, X, dtype=_dtype(rows.metric), reset=False))


def _shape(X: Any) -> tuple[int, ...]:
    return X.shape if hasattr(X, "shape") else as_array(X, "X").shape


def _dtype(metric: str) -> Any:
    return "numeric" if metric == "hamming" else (np.float64, np.float32)


def _checked(rows: IndexedRows, X: np.ndarray) -> np.ndarray:
    if rows.metric == "asymmetric":
        return check_codes(X, "X")
    if not rows.binary:
        return rows.vectors(X)
    if not rows.packed:
        return pack(check_codes(X, "X", "bits"))
    return check_codes(X, "X", "packed")


def _explain_width(rows: IndexedRows, width: int) -> None:
    """Raise for codes whose width tells of a mistake with packing."""
    wanted = rows.n_features
    if rows.packed and width in range(8 * wanted - 7, 8 * wanted + 1):
        raise ValueError(
            f"X has {width} columns, but the index holds packed codes of {wanted} bytes. "
            "Pack bits with numpy.packbits(bits, axis=1)."
        )
    if not rows.packed and width == -(-wanted // 8):
        raise ValueError(
            f"X has {width} columns, but the index holds codes of {wanted} bits. If X is packed, unpack it "
            f"with numpy.unpackbits(X, axis=1, count={wanted}), or fit with packed=True."
        )
