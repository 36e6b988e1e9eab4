"""Code cycles of a codec with known answers, and the report against its parts."""

import numpy as np
import pytest

from dmzrep.metrics import code_cycle_accuracy, mse, psnr, reconstruction_report, ssim
from tests.encoders import make_encoder


class Codec:
    """Bits are pixels; decoding loses the second bit."""

    output = "probabilities"

    def transform(self, X):
        return 0.2 + 0.6 * (np.asarray(X)[:, 0, :4] > 0.5)

    def inverse_transform(self, Z):
        X = np.zeros((len(Z), 8, 8))
        X[:, 0, :4] = Z
        X[:, 0, 1] = 0.0
        return X


def test_code_cycle_accuracy_counts_unchanged_bits():
    codes = np.array([[0, 1, 0, 1], [1, 0, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1]])
    assert code_cycle_accuracy(Codec(), codes, per_bit=True).tolist() == [1.0, 0.25, 1.0, 1.0]
    assert code_cycle_accuracy(Codec(), codes) == 13 / 16
    # Probabilities are thresholded before they are decoded.
    assert code_cycle_accuracy(Codec(), 0.4 + 0.2 * codes) == 13 / 16


@pytest.fixture(scope="module")
def encoder(digits):
    small = {"width": (8, 16), "encoder_width": 8, "max_iter": 2, "n_timesteps": 50}
    return make_encoder(8, **small, random_state=0).fit(digits[:200])


def test_report_agrees_with_its_parts(encoder, digits):
    X, options = digits[:20], {"n_steps": 10, "random_state": 3}
    report = reconstruction_report(encoder, X, **options).set_index("noise")
    bits = encoder.transform(X) > 0.5
    for noise in ("zero", "random", "inverted"):
        rebuilt = encoder.reconstruct(X, noise=noise, **options)
        row = report.loc[noise]
        assert row["mse"] == pytest.approx(mse(X, rebuilt).mean(), rel=1e-5)
        assert row["psnr"] == pytest.approx(psnr(X, rebuilt).mean(), rel=1e-4)
        assert row["ssim"] == pytest.approx(ssim(X, rebuilt, window_size=7).mean(), rel=1e-4)
        assert row["code_cycle_accuracy"] == ((encoder.transform(rebuilt) > 0.5) == bits).mean()
        assert row["n_samples"] == 20
    assert report.loc["inverted", "mse"] < report.loc["zero", "mse"] < report.loc["random", "mse"]
    assert 0.4 < code_cycle_accuracy(encoder, bits, **options) <= 1.0


def test_report_of_vectors_is_in_units_of_their_scale(vectors):
    encoder = make_encoder(8, width=16, encoder_width=16, max_iter=1, random_state=0).fit(vectors)
    X, options = vectors[:30], {"n_steps": 3, "random_state": 0}
    report = reconstruction_report(encoder, X, noises=["zero"], **options)
    rebuilt = encoder.reconstruct(X, **options)
    expected = np.mean((X - rebuilt) ** 2) / vectors.var(axis=0).mean()
    assert report["mse"].item() == pytest.approx(expected, rel=1e-6)
    assert report.columns.tolist() == ["noise", "n_samples", "mse", "code_cycle_accuracy"]
