"""Warnings point at the call outside the package."""

import numpy as np
import pytest

from dmzrep.errors import CodeWarning
from dmzrep.probing import probe_report
from tests.encoders import make_encoder


def binary(digits):
    return (digits > 127).astype(np.uint8)


CALLS = {
    "fit": lambda X: make_encoder(latent_dim=8, max_iter=1, gaussian_denoiser=False).fit(binary(X)),
    "partial_fit": lambda X: make_encoder(latent_dim=8, gaussian_denoiser=False).partial_fit(X),
    "probe_report": lambda X: probe_report(X.reshape(len(X), -1), np.eye(len(X))[:2].T, cv=2),
}


@pytest.mark.parametrize("call", CALLS)
def test_warnings_point_at_the_users_call(call, digits):
    with pytest.warns() as caught:
        CALLS[call](digits[:60])
    assert {warning.filename for warning in caught} == {__file__}
    assert any(issubclass(w.category, CodeWarning) for w in caught) or call == "probe_report"
