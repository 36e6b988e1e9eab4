"""Dask workers return the results of a single process."""

import copy
import os
import threading

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from tests.encoders import make_encoder

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("dask.distributed")

#: Seconds after which the cluster is closed, so that a waiting test fails instead of hanging.
TIMEOUT = 240


@pytest.fixture(scope="module")
def client():
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, death_timeout=TIMEOUT
    )
    watch = threading.Timer(TIMEOUT, cluster.close)
    watch.daemon = True
    watch.start()
    with cluster, distributed.Client(cluster) as client:
        client.wait_for_workers(2, timeout=TIMEOUT)
        yield client
        watch.cancel()


@pytest.fixture(autouse=True)
def _one_thread():
    """Compute on one thread, as workers do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def encode(samples, encoder):
    return encoder.transform(samples)


def test_workers_compute_on_one_thread(client):
    assert set(client.run(torch.get_num_threads).values()) == {1}


@pytest.mark.parametrize(("output", "size"), [("probabilities", 77), ("logits", 600), ("bits", 250)])
def test_codes_of_chunks_equal_those_of_the_whole_array(output, size, client, encoder, digits):
    encoder = copy.copy(encoder).set_params(output=output)
    expected = encoder.transform(digits)
    X = da.from_array(digits, chunks=(size, -1, -1))
    codes = X.map_blocks(
        encode,
        client.scatter(encoder, broadcast=True),
        drop_axis=[1, 2],
        new_axis=1,
        chunks=(X.chunks[0], (encoder.latent_dim,)),
        dtype=expected.dtype,
        meta=np.empty((0, 0), expected.dtype),
    )
    assert codes.shape == expected.shape
    found = client.compute(codes).result(timeout=TIMEOUT)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=0 if output == "bits" else 1e-5)


def test_an_encoder_is_unchanged_by_a_worker(client, encoder, vector_encoder, digits, vectors):
    for sent, X in ((encoder, digits), (vector_encoder, vectors)):
        received = client.submit(copy.copy, sent).result(timeout=TIMEOUT)
        np.testing.assert_array_equal(received.transform(X), sent.transform(X))
        for one, other in zip(received.model_.parameters(), sent.model_.parameters(), strict=True):
            assert torch.equal(one, other)
        draws = [fitted.sample(3, n_steps=3, random_state=0) for fitted in (received, sent)]
        np.testing.assert_array_equal(*draws)


def accuracy_and_process(pipeline, X, y):
    return {"accuracy": pipeline.score(X, y), "process": os.getpid()}


def test_grid_search_on_workers_equals_grid_search_in_one_process(client, digits, digit_labels):
    small = {"width": (8, 16), "encoder_width": 8, "init": "random", "prior": "uniform"}
    encoder = make_encoder(max_iter=1, random_state=0, **small)
    pipeline = make_pipeline(encoder, LogisticRegression(max_iter=1000))
    grid = {"dmzencoder__latent_dim": [8, 16]}
    local = GridSearchCV(pipeline, grid, cv=2, scoring=accuracy_and_process, refit="accuracy")
    distributed_search = clone(local)
    X, y = digits[:200], digit_labels[:200]
    local.fit(X, y)
    with joblib.parallel_config(backend="dask", client=client):
        distributed_search.fit(X, y)
    for split in range(2):
        assert os.getpid() not in distributed_search.cv_results_[f"split{split}_test_process"]
        name = f"split{split}_test_accuracy"
        np.testing.assert_array_equal(distributed_search.cv_results_[name], local.cv_results_[name])
    assert distributed_search.best_params_ == local.best_params_
    codes = [search.best_estimator_[0].transform(X) for search in (distributed_search, local)]
    np.testing.assert_array_equal(*codes)
