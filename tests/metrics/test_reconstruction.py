"""Code cycles of codecs whose answers are known, and the report against its parts."""

import numpy as np
import pytest

from dmzrep import DMZEncoder, Network
from dmzrep.datasets import load_digits_images
from dmzrep.metrics import code_cycle_accuracy, mse, psnr, reconstruction_report, ssim
from tests.encoders import make_encoder

pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")


class Codec:
    """Bits are pixels; decoding forgets the second bit."""

    output = "probabilities"

    def transform(self, X):
        return 0.2 + 0.6 * (np.asarray(X)[:, 0, :4] > 0.5)

    def inverse_transform(self, Z):
        X = np.zeros((len(Z), 8, 8))
        X[:, 0, :4] = Z
        X[:, 0, 1] = 0.0
        return X


def test_cycles_are_counted_bit_by_bit():
    codes = np.array([[0, 1, 0, 1], [1, 0, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1]])
    assert code_cycle_accuracy(Codec(), codes, per_bit=True).tolist() == [1.0, 0.25, 1.0, 1.0]
    assert code_cycle_accuracy(Codec(), codes) == 13 / 16
    # Probabilities are taken as bits before they are decoded.
    assert code_cycle_accuracy(Codec(), 0.4 + 0.2 * codes) == 13 / 16


def test_bad_codes_are_refused():
    with pytest.raises(ValueError, match="must lie in"):
        code_cycle_accuracy(Codec(), np.full((2, 4), 3.0))
    with pytest.raises(TypeError, match="encoder must be a fitted DMZEncoder"):
        code_cycle_accuracy(object(), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="does not take 'n_steps'"):
        code_cycle_accuracy(Codec(), np.zeros((2, 4)), n_steps=3)


@pytest.fixture(scope="module")
def digits():
    return load_digits_images().images[:200]


@pytest.fixture(scope="module")
def encoder(digits):
    small = {"width": (8, 16), "encoder_width": 8, "max_iter": 2, "n_timesteps": 50}
    return make_encoder(8, **small, random_state=0).fit(digits)


def test_the_report_is_made_of_its_parts(encoder, digits):
    X = digits[:20]
    report = reconstruction_report(encoder, X, n_steps=10, random_state=3).set_index("noise")
    bits = encoder.transform(X) > 0.5
    for noise in ("random", "inverted"):
        rebuilt = encoder.reconstruct(X, noise=noise, n_steps=10, random_state=3)
        row = report.loc[noise]
        assert row["mse"] == pytest.approx(mse(X, rebuilt).mean(), rel=1e-5)
        assert row["psnr"] == pytest.approx(psnr(X, rebuilt).mean(), rel=1e-4)
        assert row["ssim"] == pytest.approx(ssim(X, rebuilt, window_size=7).mean(), rel=1e-4)
        assert row["code_cycle_accuracy"] == ((encoder.transform(rebuilt) > 0.5) == bits).mean()
        assert row["n_rows"] == 20
    assert report.loc["inverted", "mse"] < report.loc["random", "mse"]
    assert 0.4 < code_cycle_accuracy(encoder, bits, n_steps=10, random_state=3) <= 1.0


def test_the_report_of_vectors_is_standardised(vectors):
    encoder = DMZEncoder(8, network=Network(width=16, encoder_width=16), max_iter=1, random_state=0).fit(
        vectors
    )
    X = vectors[:30]
    report = reconstruction_report(encoder, X, noises=["random"], n_steps=3)
    rebuilt = encoder.reconstruct(X, n_steps=3)
    expected = np.mean(((X - rebuilt) / vectors.std(axis=0)) ** 2)
    assert report["mse"].item() == pytest.approx(expected, rel=1e-6)
    assert report.columns.tolist() == ["noise", "n_rows", "mse", "code_cycle_accuracy"]
