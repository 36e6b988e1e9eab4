"""Saved encoders with each prior."""

import numpy as np
import pytest

from dmzrep import DMZEncoder
from dmzrep.priors import PRIORS, AutoregressivePrior, DatasetPrior, fit_prior
from tests.encoders import make_encoder


@pytest.fixture(scope="module")
def small(digits):
    tiny = {"width": (8,), "encoder_width": 8, "max_iter": 1, "n_timesteps": 50, "prior": "uniform"}
    return make_encoder(8, **tiny, random_state=0).fit(digits[:200])


CHOICES = [*PRIORS, DatasetPrior(0.2, n_neighbors=3, max_codes=50), AutoregressivePrior(0)]


@pytest.mark.parametrize("prior", CHOICES, ids=str)
def test_files_restore_priors(small, digits, tmp_path, prior):
    bits = small.transform(digits) > 0.5
    small.prior_ = fit_prior(prior, bits)
    small.save(tmp_path / "encoder")
    prior, copied = small.prior_, DMZEncoder.load(tmp_path / "encoder").prior_
    assert type(copied) is type(prior) and copied.get_params() == prior.get_params()
    every = (np.arange(256)[:, None] >> np.arange(8)) & 1
    assert np.array_equal(copied.log_prob(every), prior.log_prob(every))
    assert np.array_equal(copied.sample(50, 1), prior.sample(50, 1))
    for name, array in prior.state().items():
        assert copied.state()[name].dtype == array.dtype and copied.state()[name].shape == array.shape
