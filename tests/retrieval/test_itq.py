"""ITQTransformer: its codes, their inverse, and agreement with the start of DMZEncoder."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from dmzrep.networks._linear_init import LinearInit
from dmzrep.retrieval import FaissNeighbors, ITQTransformer
from dmzrep.training import init_linear

METHODS = pytest.mark.parametrize("method", ["itq", "pca_rotation", "random_rotation"])


@parametrize_with_checks([ITQTransformer(2), ITQTransformer(2, method="random_rotation", output="packed")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_codes_are_those_that_the_encoder_starts_from(clustered):
    X = clustered[0].astype(np.float32)
    generator = torch.Generator().manual_seed(5)
    shuffled = torch.from_numpy(X)[torch.randperm(len(X), generator=generator)]
    branch = LinearInit((24,), 16)
    init_linear(branch, shuffled, "itq", generator)
    expected = branch(torch.from_numpy(X)).detach().numpy()
    itq = ITQTransformer(16, output="logits", random_state=5).fit(X)
    assert_allclose(itq.transform(X), expected, atol=1e-4)
    assert_array_equal(itq.set_params(output="bits").transform(X), expected > 0)


@METHODS
def test_outputs_agree(method, clustered):
    X, queries = clustered
    itq = ITQTransformer(12, method=method, random_state=0).fit(X)
    outputs = {
        name: itq.set_params(output=name).transform(queries)
        for name in ("bits", "packed", "logits", "probabilities")
    }
    bits = outputs["bits"]
    assert bits.shape == (60, 12) and bits.dtype == np.uint8
    assert_array_equal(outputs["packed"], np.packbits(bits, axis=1))
    assert_array_equal(outputs["logits"] > 0, bits)
    assert_array_equal(outputs["probabilities"] > 0.5, bits)
    assert_allclose(np.abs(itq.set_params(output="logits").transform(X)).mean(axis=0), 3.0, rtol=1e-5)
    assert_allclose(np.linalg.norm(itq.directions_, axis=1), 1.0)
    assert len(itq.set_params(output="packed").get_feature_names_out()) == 2


@METHODS
@pytest.mark.parametrize("output", ["bits", "packed", "probabilities"])
def test_inverse_transform_is_nearer_than_the_mean(method, output, clustered):
    X, queries = clustered
    itq = ITQTransformer(24, method=method, output=output, random_state=0).fit(X)
    decoded = itq.inverse_transform(itq.transform(queries))
    assert decoded.shape == queries.shape
    assert ((decoded - queries) ** 2).sum() < 0.5 * ((itq.mean_ - queries) ** 2).sum()


def test_inverse_transform_of_logits_is_the_projection(clustered):
    X, queries = clustered
    itq = ITQTransformer(24, output="logits", random_state=0).fit(X)
    assert_allclose(itq.inverse_transform(itq.transform(queries)), queries, atol=1e-4)
    itq = ITQTransformer(100, method="random_rotation", output="logits", random_state=0).fit(X)
    assert_allclose(itq.inverse_transform(itq.transform(queries)), queries, atol=1e-4)


def test_itq_and_principal_components_are_better_than_random_directions():
    X = np.random.default_rng(0).normal(size=(2060, 64)) * np.geomspace(1.0, 0.05, 64)
    X, queries = X[:2000], X[2000:]
    exact = FaissNeighbors(10, metric="l2").fit(X).kneighbors(queries, return_distance=False)
    shared = {}
    for method in ("itq", "pca_rotation", "random_rotation"):
        chain = make_pipeline(ITQTransformer(16, method=method, random_state=0))
        found = FaissNeighbors(10).fit(chain.fit_transform(X)).kneighbors(chain.transform(queries))[1]
        shared[method] = np.mean([np.isin(*pair).mean() for pair in zip(found, exact, strict=True)])
    assert min(shared["itq"], shared["pca_rotation"]) > shared["random_rotation"] + 0.02


@METHODS
@pytest.mark.parametrize("X", [np.ones((10, 8)), np.eye(8)[:2]], ids=["constant", "two"])
def test_degenerate_data_have_finite_codes(method, X):
    itq = ITQTransformer(8, method=method, output="logits", random_state=0)
    assert np.isfinite(itq.inverse_transform(itq.fit_transform(X))).all()


@pytest.mark.parametrize("make_state", [lambda: 3, lambda: np.random.RandomState(3)])
def test_codes_are_reproducible_with_random_state(make_state, clustered):
    one, two = (ITQTransformer(8, random_state=make_state()).fit_transform(clustered[0]) for _ in range(2))
    assert_array_equal(one, two)


@pytest.mark.parametrize("method", ["itq", "pca_rotation"])
def test_more_bits_than_features_are_refused_with_a_remedy(method):
    with pytest.raises(ValueError, match=r"n_bits=9 exceeds .*n_features = 8.*method='random_rotation'"):
        ITQTransformer(9, method=method).fit(np.eye(8))


def test_vectors_that_overflow_are_refused(clustered):
    with pytest.raises(ValueError, match=r"overflow float64.*Scale them"):
        ITQTransformer(8).fit(clustered[0] * 1e150)
