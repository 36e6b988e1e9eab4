"""Values that users hand over: right ones in every layout, nearly right ones, and anything at all."""

from __future__ import annotations

import tempfile

import numpy as np
import pandas as pd
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

#: Numbers at the edges of what types and formulas can take.
EDGES = (0.0, -0.0, 1.0, 0.5, -1.0, 2.0, 5e-324, 1e-300, 1e38, 1e300, -1e300, np.nan, np.inf, -np.inf)

DTYPES = (
    "?", "u1", "i1", "i2", "u4", "i8", "u8", "f2", "f4", "f8", ">f4", ">i2", "c8", "c16",
    "O", "U3", "S2", "M8[s]", "m8[ns]", "V4", "a,b",
)  # fmt: skip


def _structured(shape):
    return np.zeros(shape, dtype=[("a", "i4"), ("b", "f8")])


def _cast(array, dtype):
    """Give an array in a type, whatever its values become."""
    if dtype == "a,b":
        return _structured(array.shape)
    with np.errstate(all="ignore"):
        if dtype == "V4":
            return np.zeros(array.shape, dtype="V4")
        if dtype[0] in "mM":
            whole = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=9.0, neginf=-9.0)
            return np.clip(whole, -1e9, 1e9).astype(np.int64).astype(dtype)
        if np.dtype(dtype).kind in "iu" and array.dtype.kind in "fc":
            array = np.clip(np.nan_to_num(array.real.astype(np.float64)), -100, 100)
        return array.astype(dtype)


@st.composite
def arrays(draw, max_dims=5, max_side=4):
    """Arrays of any type and shape, axes of no or one entry included, with values at the edges."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=max_dims, min_side=0, max_side=max_side))
    values = draw(st.sampled_from(("zeros", "bits", "edges", "whole")))
    size = int(np.prod(shape))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    flat = {
        "zeros": np.zeros(size),
        "bits": rng.integers(0, 2, size).astype(float),
        "edges": rng.choice(EDGES, size),
        "whole": rng.integers(-5, 300, size).astype(float),
    }[values]
    return in_layout(_cast(flat.reshape(shape), draw(st.sampled_from(DTYPES))), draw(LAYOUTS))


LAYOUTS = st.sampled_from(("C", "F", "reversed", "strided", "read-only", "memmap"))


def in_layout(array, layout):
    """Give the same values in another layout of the memory."""
    array = np.asarray(array)
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "reversed" and array.ndim:
        return array[::-1].copy()[::-1]
    if layout == "strided" and array.ndim:
        wide = np.repeat(array, 2, axis=-1)
        return wide[..., ::2]
    if layout == "read-only":
        array = array.copy()
        array.flags.writeable = False
    if layout == "memmap" and array.size and array.dtype.kind != "O":
        with tempfile.TemporaryFile() as file:
            mapped = np.memmap(file, array.dtype, mode="w+", shape=array.shape or (1,))
        mapped[...] = array
        return mapped
    return array


@st.composite
def same_values(draw, array, *, lists=True, tables=True, casts=()):
    """The same numbers in another layout, byte order or container."""
    forms = ["layout", "bytes", "tensor"]
    forms += ["list", "tuples"] if lists else []
    forms += ["table"] if tables and array.ndim == 2 else []
    form = draw(st.sampled_from([*forms, *casts]))
    if form in casts:
        return array.astype(form)
    if form == "layout":
        return in_layout(array, draw(LAYOUTS))
    if form == "bytes":
        return array.astype(array.dtype.newbyteorder(">"))
    if form == "tensor":
        return torch.from_numpy(np.array(array))
    if form == "table":
        return pd.DataFrame(array)
    return (
        array.tolist()
        if form == "list"
        else tuple(map(tuple, array.tolist()))
        if array.ndim == 2
        else array.tolist()
    )


#: Whatever may stand where an array or a parameter is expected.
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from((2**31, 2**63, -(2**63), 2**70, 10**400)),
    st.sampled_from(EDGES),
    st.sampled_from((np.int64(3), np.uint8(2), np.float32(0.5), np.bool_(True), np.float64("nan"), 1j)),
    st.sampled_from(("", "auto", "random", "abc", "0", "é\x00")),
    st.sampled_from((b"abc", ..., object, np.array(2), np.array([1, 2]), [], (), {}, {1}, [1, "a"], (0, 1))),
    st.builds(object),
)

WHOLE = st.one_of(st.integers(1, 5), st.integers(-2, 12), SCALARS)
NUMBERS = st.one_of(st.floats(0.0, 1.0), st.floats(allow_nan=True), SCALARS)
SEEDS = st.one_of(
    st.integers(0, 5), SCALARS, st.builds(np.random.RandomState, st.integers(0, 3)),
    st.builds(np.random.default_rng, st.integers(0, 3)),
)  # fmt: skip


def choices(*right):
    """Right words, nearly right ones, and anything."""
    near = [word[:-1] for word in right if isinstance(word, str)] + [
        word.upper() for word in right if isinstance(word, str)
    ]
    return st.one_of(st.sampled_from(right), st.sampled_from(right), st.sampled_from(near or right), SCALARS)


def _tensors():
    return st.sampled_from((
        torch.zeros(2, 4, requires_grad=True),
        torch.zeros(2, 4, dtype=torch.bfloat16),
        torch.eye(4).to_sparse(),
        torch.zeros(3, 8, 8),
        torch.tensor(1.0),
    ))  # fmt: skip


def _containers():
    return st.sampled_from((
        [[0, 1], [1]],
        [[0, 1], [1, "a"]],
        [["0", "1"], ["1", "0"]],
        [[None, 1], [0, 1]],
        [[[0, 1], [1, 0]], [[0, 1]]],
        [np.zeros(3), np.zeros(4)],
        sparse.csr_matrix(np.eye(4)),
        sparse.coo_array(np.eye(4)),
        pd.DataFrame({"a": [0, 1], "b": ["x", "y"]}),
        pd.DataFrame({"a": [0, 1], "b": [1, None]}),
        pd.DataFrame({"a": pd.array([0, None], dtype="Int64")}),
        pd.DataFrame({"a": pd.Categorical(["u", "v"])}),
        pd.DataFrame(),
        pd.Series([0, 1, 1]),
        pd.Series(["a", None]),
        np.ma.masked_array(np.eye(4), np.eye(4)),
        np.array([[0, 1], [1, "a"]], dtype=object),
        np.array([[1, 10**30]], dtype=object),
        {"a": 1},
        range(4),
        iter(()),
    ))  # fmt: skip


#: Anything at all where an array is expected.
ANYTHING = st.one_of(arrays(), arrays(), SCALARS, _tensors(), _containers())


@st.composite
def near(draw, array):
    """A right array, or one that is wrong in a value, its shape or its type."""
    array = np.array(array)
    for change in draw(st.lists(st.sampled_from(("value", "shape", "type", "layout")), max_size=2)):
        if change == "value" and array.size and array.dtype.kind in "fiu?bc":
            wrong = draw(st.sampled_from(EDGES))
            if array.dtype.kind != "f" and not draw(st.booleans()):
                wrong = draw(st.sampled_from((0, 1, 2, 3)))
            else:
                array = array.astype(np.float64)
            array = array.copy()
            array.flat[draw(st.integers(0, array.size - 1))] = wrong
        elif change == "shape":
            array = _reshaped(
                array, draw(st.sampled_from(("first", "none", "one", "last", "more", "less", "turn")))
            )
        elif change == "type":
            array = _cast(array, draw(st.sampled_from(DTYPES))) if array.dtype.kind in "fiu?b" else array
        elif change == "layout":
            array = in_layout(array, draw(LAYOUTS))
    return array


def _reshaped(array, how):
    if how == "more" or not array.ndim:
        return array[None]
    if how == "none":
        return array[:0]
    if how == "one":
        return array[:1]
    if how == "first":
        return array[0] if len(array) else array
    if how == "last":
        return array[..., :-1]
    return array.ravel() if how == "less" else array.T


def inputs(array):
    """Arrays as they should be, nearly so, and anything: a third of each."""
    return st.one_of(same_values(array, casts=(">f8",)), near(array), ANYTHING)


def as_reference(value):
    """Give what a call accepted as float64, by way of its own container."""
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    return np.asarray(value).astype(np.float64)
