"""Faults of old versions of FAISS, and errors when it cannot be imported."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dmzrep.retrieval import FaissNeighbors


def test_lists_of_bits_are_exact_without_reconstruct_n(monkeypatch):
    import faiss

    def fail(*args):
        raise AssertionError("reconstruct_n of binary lists corrupts the heap before FAISS 1.15")

    monkeypatch.setattr(faiss.IndexBinaryIVF, "reconstruct_n", fail)
    for seed in range(4):
        bits = np.random.default_rng(seed).integers(0, 2, (500 + 37 * seed, 16)).astype(np.uint8)
        exact = FaissNeighbors(3).fit(bits)
        lists = FaissNeighbors(3, index="ivf", n_probes=1000).fit(bits)
        assert_array_equal(lists.index_.vectors(), np.packbits(bits, axis=1))
        for neighbors in (exact, lists):
            neighbors.remove([1, 2]).add(bits[:2])
        assert_array_equal(lists.kneighbors()[0], exact.kneighbors()[0])


@pytest.mark.parametrize(
    ("module", "message"),
    [(None, "Search needs FAISS.*pip install faiss-cpu"), ("broken", "is installed but.*libgomp.*Reinstall")],
)
def test_import_error_says_how_to_install_faiss(module, message, monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "faiss", raising=False)
    if module is None:
        monkeypatch.setitem(sys.modules, "faiss", None)
    else:
        (tmp_path / "faiss.py").write_text(
            "raise ImportError('libgomp.so.1: cannot open shared object file')"
        )
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=message):
        FaissNeighbors().fit(np.eye(8))
