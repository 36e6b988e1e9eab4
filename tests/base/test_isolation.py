"""Public entry points compute the same whatever state others have set."""

import contextlib
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from dmzrep import DMZEncoder, Network
from dmzrep.errors import CodeWarning


@contextlib.contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def threads(n):
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


STATES = {
    "float64 by default": lambda: default_dtype(torch.float64),
    "bfloat16 by default": lambda: default_dtype(torch.bfloat16),
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "another device by default": lambda: torch.device("meta"),
    "deterministic algorithms": deterministic,
    "NumPy raises": lambda: np.errstate(all="raise"),
    "pandas warns of nothing": lambda: pd.option_context("mode.chained_assignment", None),
    "one thread": lambda: threads(1),
}


def results(X, folder):
    """Outputs of every method that computes, for one seed."""
    encoder = DMZEncoder(
        8, network=Network(width=(8,), encoder_width=8), max_iter=2, device="cpu", random_state=0
    ).fit(X)
    codes = encoder.transform(X)
    encoder.save(folder / "encoder.safetensors")
    loaded = DMZEncoder.load(folder / "encoder.safetensors", device="cpu")
    again = DMZEncoder(8, network=Network(width=(8,), encoder_width=8), device="cpu", random_state=0)
    options = {"n_steps": 2, "random_state": 0}
    return {
        "transform": codes,
        "partial_fit": again.partial_fit(X).transform(X),
        "inverse_transform": encoder.inverse_transform(codes[:2], **options),
        "reconstruct": encoder.reconstruct(X[:2], noise="inverted", **options),
        "sample": encoder.sample(2, **options),
        "score_samples": encoder.score_samples(X[:2], n_terms=3),
        "load": loaded.transform(X),
    }


@pytest.fixture(scope="module")
def expected(digits, tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CodeWarning)
        return results(digits[:80], tmp_path_factory.mktemp("expected"))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")
def test_results_do_not_depend_on_the_state_of_the_process(digits, tmp_path, expected, state):
    with STATES[state]():
        dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
        found = results(digits[:80], tmp_path)
        assert (torch.get_default_dtype(), torch.is_grad_enabled()) == (dtype, grad)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name].astype(float), value, atol=1e-4, rtol=1e-4, err_msg=name)
