"""Validation of codes and packing."""

import numpy as np
import pandas as pd
import pytest
import torch

from dmzrep.codes._checks import check_codes, pack, unpack

BITS = np.random.default_rng(0).integers(0, 2, (5, 12))


@pytest.mark.parametrize(
    "convert",
    [
        np.asfortranarray,
        lambda Z: Z.astype(bool),
        lambda Z: Z.astype(np.float16),
        lambda Z: Z.astype(">f8"),
        lambda Z: np.repeat(Z, 2, axis=1)[:, ::2],
        lambda Z: Z.astype(object),
        np.ndarray.tolist,
        torch.from_numpy,
        pd.DataFrame,
        lambda Z: pd.DataFrame(Z).astype("Int64"),
        lambda Z: pd.DataFrame(Z).astype("float[pyarrow]"),
    ],
)
@pytest.mark.parametrize("kind", ["probabilities", "bits", "numbers"])
def test_codes_may_be_any_container(convert, kind):
    Z = convert(BITS)
    assert np.array_equal(check_codes(Z, kind=kind), BITS)


def test_dtypes():
    assert check_codes(BITS).dtype == check_codes(BITS, kind="numbers").dtype == np.float64
    assert check_codes(BITS.astype(np.float32)).dtype == np.float32
    assert check_codes(BITS, kind="bits").dtype == bool
    assert check_codes(BITS.astype(np.uint8), kind="bits").dtype == np.uint8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_beyond_the_range_is_clipped(dtype):
    Z = np.array([[1.0, 0.5], [0.0, 1.0]], dtype)
    rounded = Z + np.array([[5e-7, 0.0], [-5e-7, 0.0]], dtype)
    before = rounded.copy()
    assert np.array_equal(check_codes(rounded), Z) and np.array_equal(rounded, before)
    with pytest.raises(ValueError, match="must lie in"):
        check_codes(Z + 5e-6)


def with_value(value):
    Z = BITS.astype(float)
    Z[3, 4] = value
    return Z


@pytest.mark.parametrize(
    ("Z", "options", "message"),
    [
        (BITS[0], {}, r"Z must be a non-empty array of shape \(n, latent_dim\), got \(12,\)"),
        (BITS[:0], {"n_bits": 12}, r"non-empty array of shape \(n, 12\), got \(0, 12\)"),
        (with_value(1.5), {}, r"Z must lie in \[0, 1\] .*, got values from 0 to 1.5.*expit"),
        (with_value(np.nan), {}, "Z contains NaN or infinity, first in sample 3"),
        (with_value(np.inf), {"kind": "numbers"}, "NaN or infinity, first in sample 3"),
        (with_value(0.5), {"kind": "bits"}, "threshold probabilities with Z > 0.5 first"),
        (pack(BITS), {"kind": "bits"}, "packed by numpy.packbits, unpack them with numpy.unpackbits"),
        (BITS, {"n_bits": 16}, r"shape \(n, 16\), one column for each bit, got \(5, 12\).*ordered=True"),
        (BITS, {"n_bits": 8}, r"shape \(n, 8\), one column for each bit, got \(5, 12\)\.$"),
        (BITS[:, :7], {"n_bits": 12, "ordered": True}, r"first k bits of codes, k >= 8, got \(5, 7\)"),
        (BITS, {"n_samples": 6}, "Z has 5 samples, but there are 6 codes"),
    ],
)
def test_invalid_codes_raise(Z, options, message):
    with pytest.raises(ValueError, match=message):
        check_codes(Z, **options)


@pytest.mark.parametrize("n_bits", [1, 8, 12])
def test_unpack_inverts_pack(n_bits):
    packed = pack(np.asfortranarray(BITS[:, :n_bits]))
    assert packed.dtype == np.uint8 and packed.shape == (5, -(-n_bits // 8)) and packed.flags.c_contiguous
    assert np.array_equal(unpack(packed, n_bits), BITS[:, :n_bits])
