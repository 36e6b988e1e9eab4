"""Centring and scaling of vectors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.data import _values as values
from dmzrep.data import learn_vector_format
from dmzrep.errors import CodeWarning


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from(["float32", "float64"]),
    exponent=st.integers(-15, 6),
)
def test_vectors_are_centred_and_scaled_and_restored(seed, dtype, exponent):
    rng = np.random.default_rng(seed)
    scale = 10.0**exponent
    X = (scale * (rng.normal(size=(50, 4)) * [1, 2, 3, 4] + [0, -5, 5, 9])).astype(dtype)
    found = learn_vector_format(X)
    x = found.to_model(torch.tensor(X))
    assert x.dtype == torch.float32 and found.shape == found.sample_shape == (4,) and found.data_bin is None
    np.testing.assert_allclose(x.double().mean(dim=0), 0.0, atol=1e-4)
    assert x.double().square().mean().sqrt() == pytest.approx(1.0, abs=1e-4)
    ratios = x.double().std(dim=0) / torch.from_numpy(X.std(axis=0))
    np.testing.assert_allclose(ratios / ratios[0], 1.0, rtol=1e-4)
    back = found.from_model(x)
    assert back.dtype == np.dtype(dtype)
    np.testing.assert_allclose(back, X, rtol=1e-6, atol=1e-5 * scale)


@pytest.mark.parametrize("value", [0.0, -7.3, 1e6])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constant_features_become_zero(value, dtype):
    X = np.random.default_rng(0).normal(size=(1001, 2)).astype(dtype)
    X[:, 0] = value
    found = learn_vector_format(X)
    x = found.to_model(torch.tensor(X))
    assert x.double().square().mean() == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(x[:, 0], 0.0, atol=1e-6)
    np.testing.assert_allclose(found.from_model(x)[:, 0], X[:, 0], rtol=1e-6)


def test_integer_vectors_become_float64():
    X = np.arange(12).reshape(6, 2)
    found = learn_vector_format(X)
    assert found.from_model(found.to_model(torch.tensor(X))).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mean_and_scale_do_not_depend_on_blocks(dtype, monkeypatch):
    X = np.random.default_rng(0).normal(3.0, [1.0, 5.0, 0.1], (1000, 3)).astype(dtype)
    whole = learn_vector_format(X)
    np.testing.assert_array_equal(whole.mean, X.mean(axis=0, dtype=np.float64))
    np.testing.assert_allclose(whole.scale, np.sqrt(X.var(axis=0, dtype=np.float64).mean()), rtol=1e-13)
    monkeypatch.setattr(values, "_SCAN_BYTES", 7 * X[0].nbytes)
    parts = learn_vector_format(X)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-13)
    np.testing.assert_allclose(parts.scale, whole.scale, rtol=1e-13)


def test_one_feature_of_another_unit_is_warned_of():
    X = np.random.default_rng(0).normal(size=(100, 4)) * [1.0, 100.0, 2.0, 1.0]
    with pytest.warns(CodeWarning, match=r"Feature 1 has 99\.9% of the variance.*StandardScaler"):
        learn_vector_format(X)
