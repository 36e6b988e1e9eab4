"""Fits on an emulated GPU, where moves between devices replace the tensors of a model."""

import contextlib

import numpy as np
import pytest
import torch

from dmzrep import DMZEncoder, Training
from tests.emulated_devices import emulated

pytestmark = [
    pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning"),
    # Of the emulation.
    pytest.mark.filterwarnings("ignore:at..frobenius_norm is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter:UserWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """Load the parts of torch that the first fit loads, before they can see the patches below."""
    fit(np.eye(8, dtype=np.float32), "cpu", max_iter=1)


@contextlib.contextmanager
def emulated_gpu(monkeypatch):
    """Emulate a GPU for training; its random numbers are those of the CPU.

    Fits on the CPU are compared within this context, which splits some operations: the initialisation of few
    samples amplifies differences in rounding.
    """
    generator = torch.Generator
    with emulated(monkeypatch, mps=True), monkeypatch.context() as patch:
        patch.setattr(torch, "Generator", lambda device=None: generator())
        patch.setattr("dmzrep.training._data.free_memory", lambda device: 0)
        patch.setattr(torch.mps, "get_rng_state", torch.get_rng_state)
        for name in ("set_rng_state", "manual_seed"):
            patch.setattr(torch.mps, name, lambda *args: None)
        yield


def fit(X, device, **parameters):
    # Some CPUs would compute in bf16.
    return DMZEncoder(8, device=device, precision="float32", random_state=0, **parameters).fit(X)


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_iter": 2},
        {"max_iter": 0},
        # The emulation does not differentiate a copy to the CPU, which the coding rate makes on MPS.
        {"max_iter": 1, "init": "contrast_pca", "training": Training(agreement=0.0)},
        {"max_iter": 1, "encoder": torch.nn.Conv2d(1, 8, 3), "init": "neighbours"},
        {"max_iter": 1, "encoder": torch.nn.Conv2d(1, 8, 3), "init": "cca"},
    ],
    ids=["images", "initialisation", "aligned images", "extractor, neighbours", "extractor, cca"],
)
def test_a_fit_on_a_gpu_is_that_on_the_cpu(monkeypatch, digits, parameters):
    X = digits[:128]
    with emulated_gpu(monkeypatch):
        expected = fit(X, "cpu", **parameters)
        encoder = fit(X, "mps", **parameters)
        assert encoder.device_.type == "mps"
        codes = encoder.transform(X)
        if parameters["max_iter"]:
            samples, scores = encoder.sample(2, n_steps=3, random_state=0), encoder.score_samples(X[:2])
    np.testing.assert_allclose(codes, expected.transform(X), atol=1e-4)
    if parameters["max_iter"]:
        losses = [e.history_["validation_loss"] for e in (encoder, expected)]
        np.testing.assert_allclose(*losses, rtol=1e-3)
        assert np.abs(samples.astype(int) - expected.sample(2, n_steps=3, random_state=0)).max() <= 1
        np.testing.assert_allclose(scores, expected.score_samples(X[:2]), rtol=1e-2)


def test_a_run_that_is_continued_on_a_gpu_is_that_on_the_cpu(monkeypatch, digits, tmp_path):
    X = digits[:96]

    def codes(device):
        warm = fit(X, device, max_iter=1, warm_start=True).fit(X)
        folder = tmp_path / device
        fit(X, device, max_iter=1, checkpoint_dir=folder)
        resumed = fit(X, device, max_iter=2, checkpoint_dir=folder)
        return [warm.transform(X), warm.partial_fit(X).transform(X), resumed.transform(X)]

    with emulated_gpu(monkeypatch):
        expected, found = codes("cpu"), codes("mps")
    assert not np.allclose(expected[0], expected[1], atol=1e-2)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_fit_of_vectors_on_a_gpu_is_that_on_the_cpu(monkeypatch):
    X = np.random.default_rng(0).normal(size=(200, 12)).astype(np.float32)
    with emulated_gpu(monkeypatch):
        expected = fit(X, "cpu", max_iter=1)
        codes = fit(X, "mps", max_iter=1).transform(X)
    np.testing.assert_allclose(codes, expected.transform(X), atol=1e-4)
