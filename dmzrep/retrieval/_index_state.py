"""Conversion of FAISS indexes to plain arrays, and back.

A file in FAISS's own format can refer to any other file, which is then memory-mapped for writing, and its
sizes are not checked. Here arrays are checked before they are passed to FAISS. Neither training nor search
is needed to restore an index from them.
"""

from typing import Any

import numpy as np

from dmzrep.retrieval._faiss import load_faiss
from dmzrep.retrieval._mapped import MappedVectors

#: Centroids of a one-byte code of product quantisation, and the largest value in a vector.
PQ_CENTROIDS, LARGEST = 256, 2e18


def index_state(stored: Any) -> dict[str, np.ndarray]:
    """Return the content of a `StoredIndex`: its vectors (with a graph), or centroids and inverted lists."""
    stored.require_memory()
    faiss, index, kind = load_faiss(), stored.faiss_index, stored.options.kind
    if kind in ("flat", "hnsw"):
        state = {"vectors": stored.vectors().copy()}
        if kind == "hnsw":
            graph = index.hnsw
            state |= {name: faiss.vector_to_array(getattr(graph, name)) for name in ("levels", "neighbors")}
            state["entry"] = np.array(graph.entry_point, dtype=np.int64)
        return state
    lists, width = index.invlists, index.code_size
    sizes = np.array([lists.list_size(i) for i in range(index.nlist)], dtype=np.int64)
    indices, codes = [np.empty(0, np.int64)], [np.empty((0, width), np.uint8)]
    for i, found in stored.lists():
        indices.append(found)
        codes.append(faiss.rev_swig_ptr(lists.get_codes(i), len(found) * width).reshape(-1, width))
    state = {"centroids": stored.view(stored.downcast(index.quantizer)).copy(), "sizes": sizes}
    state |= {"indices": np.concatenate(indices), "codes": np.concatenate(codes)}
    if kind == "pq":
        state["pq_centroids"] = faiss.vector_to_array(index.pq.centroids)
    return state


def restore_index(stored: Any, state: dict[str, np.ndarray], mapped: bool = False) -> None:
    """Fill a new `StoredIndex` from `index_state`; raise ValueError or TypeError for other arrays.

    Vectors of "flat" and "ivf" that are `mapped` are not copied.
    """
    restore: Any = {"flat": _restore_flat, "hnsw": _restore_graph}.get(stored.options.kind, _restore_lists)
    restore(stored, **state, **({"mapped": True} if mapped else {}))


def _restore_flat(stored: Any, *, vectors: np.ndarray, mapped: bool = False) -> None:
    vectors = _checked_vectors(stored, vectors)
    index = stored.empty()
    if mapped:
        stored.mapped = MappedVectors(vectors)
    else:
        index.add(vectors)
    stored.faiss_index = index


def _restore_graph(
    stored: Any, *, vectors: np.ndarray, levels: np.ndarray, neighbors: np.ndarray, entry: np.ndarray
) -> None:
    vectors = _checked_vectors(stored, vectors)
    index, n = stored.empty(), len(vectors)
    slots = load_faiss().vector_to_array(index.hnsw.cum_nneighbor_per_level).astype(np.int64)
    _check("levels", levels, np.int32, (n,), 1, len(slots) - 1)
    offsets = np.concatenate([[0], np.cumsum(slots[levels])])
    _check("neighbors", neighbors, np.int32, (int(offsets[-1]),), -1, n - 1)
    _check("entry", entry, np.int64, (), -1, n - 1)
    # A link of a level must lead to a node that is on that level.
    places = np.arange(len(neighbors)) - np.repeat(offsets[:-1], np.diff(offsets))
    level = np.searchsorted(slots, places, side="right") - 1
    linked = neighbors >= 0
    if (levels[neighbors[linked]] <= level[linked]).any():
        raise ValueError("links lead to nodes that are not on their level")
    top = int(levels.max(initial=0))
    if (n > 0) != (entry >= 0) or (n > 0 and levels[entry] != top):
        raise ValueError("the graph does not begin on its top level")
    stored.downcast(index.storage).add(vectors)
    index.ntotal = n
    _fill(index.hnsw.levels, levels)
    _fill(index.hnsw.offsets, offsets.astype(np.uint64))
    _fill(index.hnsw.neighbors, neighbors)
    index.hnsw.entry_point, index.hnsw.max_level = int(entry), top - 1
    stored.faiss_index = index


def _restore_lists(
    stored: Any,
    *,
    centroids: np.ndarray,
    sizes: np.ndarray,
    indices: np.ndarray,
    codes: np.ndarray,
    pq_centroids: np.ndarray | None = None,
    mapped: bool = False,
) -> None:
    faiss, has_pq = load_faiss(), stored.options.kind == "pq"
    centroids = _checked_vectors(stored, centroids)
    n_lists, n = len(centroids), len(indices)
    if not n_lists or has_pq != (pq_centroids is not None):
        raise ValueError("there are no centroids, or too many")
    if pq_centroids is not None:
        _check("pq_centroids", pq_centroids, np.float32, (PQ_CENTROIDS * stored.width,), -LARGEST, LARGEST)
    index = stored.empty(n_lists)
    _check("sizes", sizes, np.int64, (n_lists,), 0, n)
    _check("indices", indices, np.int64, (n,), 0, n - 1)
    _check("codes", codes, np.uint8, (n, index.code_size))
    if sizes.sum() != n or (np.bincount(indices, minlength=n) != 1).any():
        raise ValueError("the lists do not hold each sample once")
    indices, codes = np.ascontiguousarray(indices), np.ascontiguousarray(codes)
    if not has_pq and centroids.dtype == np.float32:
        _checked_vectors(stored, codes.view(np.float32))
    stored.downcast(index.quantizer).add(centroids)
    index.is_trained = True
    if pq_centroids is not None:
        _fill(index.pq.centroids, pq_centroids)
        index.precompute_table()
    end = np.cumsum(sizes)
    if mapped:
        stored.faiss_index, stored.mapped = index, MappedVectors(codes.view(stored.dtype), end, indices)
        return
    for i in np.flatnonzero(sizes).tolist():
        part = slice(int(end[i] - sizes[i]), int(end[i]))
        pointers = faiss.swig_ptr(indices[part]), faiss.swig_ptr(codes[part])
        index.invlists.add_entries(i, int(sizes[i]), *pointers)
    index.ntotal = n
    stored.faiss_index = index


def _fill(vector: Any, array: np.ndarray) -> None:
    """Copy an array into a vector of FAISS."""
    faiss, array = load_faiss(), np.ascontiguousarray(array)
    vector.resize(len(array))
    if len(array):
        faiss.memcpy(vector.data(), faiss.swig_ptr(array), array.nbytes)


def _checked_vectors(stored: Any, vectors: np.ndarray) -> np.ndarray:
    """Return vectors in C order; raise unless their shape, dtype and range are those of an index."""
    # Squared distances must be float32 too.
    limits = (-LARGEST, LARGEST) if stored.dtype == np.float32 else (None, None)
    _check("vectors", vectors, stored.dtype, (len(vectors), stored.width), *limits)
    return np.ascontiguousarray(vectors)


def _check(
    name: str,
    array: Any,
    dtype: Any,
    shape: tuple[int, ...],
    least: float | None = None,
    most: float | None = None,
) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{name} should be {np.dtype(dtype)} of shape {shape}")
    if None not in (least, most) and array.size and not (least <= array.min() and array.max() <= most):
        raise ValueError(f"{name} should be from {least} to {most}")
