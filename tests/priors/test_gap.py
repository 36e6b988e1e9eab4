import numpy as np
import pytest

from dmzrep.priors import PRIORS, ChowLiuPrior, MixturePrior, fit_prior, prior_gap, two_sample_auc


def uniform(seed, n=2000, latent_dim=16):
    return np.random.default_rng(seed).integers(0, 2, (n, latent_dim))


def test_equal_distributions_have_an_auc_of_one_half():
    aucs = [two_sample_auc(uniform(2 * i, 400), uniform(2 * i + 1, 400), random_state=i) for i in range(4)]
    # Each has a standard deviation of 0.029.
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.05)


def test_one_pair_of_equal_bits_is_detected():
    codes = uniform(0)
    codes[:, 11] = codes[:, 4]
    # Half of the draws never occur among the codes, so the optimum is 0.75.
    assert 0.7 < two_sample_auc(codes, uniform(1), random_state=0) < 0.79


def test_gap_of_priors_to_a_known_distribution():
    codes = np.repeat(uniform(0, 4000, 3), 2, axis=1)
    table = prior_gap(codes, ["uniform", "independent", "chow_liu", "dataset"], random_state=0)
    assert list(table.columns) == ["cross_entropy", "cross_entropy_per_bit", "auc"]
    np.testing.assert_allclose(table["cross_entropy"], [6, 6, 3, 3], atol=0.02)
    np.testing.assert_allclose(table["cross_entropy_per_bit"], table["cross_entropy"] / 6)
    # Seven of eight independent draws never occur in the data.
    assert (table["auc"].iloc[:2] > 0.9).all()
    np.testing.assert_allclose(table["auc"].iloc[2:], 0.5, atol=0.06)


def test_cross_entropy_is_that_of_held_out_codes():
    # Codes do not repeat, so a prior fitted to the held-out codes would have a low cross-entropy.
    codes = uniform(1, 300, 32)
    table = prior_gap(
        codes, {"raw": fit_prior("dataset", codes).set_params(flip_rate=1e-3)}, test_size=0.3, random_state=0
    )
    assert table.loc["raw", "cross_entropy"] > 32


def test_all_priors_are_compared_by_default_and_reproducibly():
    codes = uniform(2, 60, 3)
    first = prior_gap(codes)
    assert list(first.index) == list(PRIORS) and first.index.name == "prior"
    assert np.isfinite(first).all(axis=None)
    one, two, other = (prior_gap(codes, "mixture", random_state=seed) for seed in (3, 3, 4))
    assert one.equals(two) and not one.equals(other)


def test_priors_may_be_named_instances():
    given = MixturePrior(2)
    table = prior_gap(uniform(3, 100, 4), {"two": given, "tree": "chow_liu"})
    assert list(table.index) == ["two", "tree"] and not hasattr(given, "n_features_in_")
    assert list(prior_gap(uniform(3, 100, 4), ChowLiuPrior()).index) == ["chow_liu"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"codes": np.full((50, 2), 1.5)}, r"must lie in \[0, 1\]"),
        ({"codes": uniform(0, 19, 2)}, "at least 20 codes.* got 19"),
        ({"test_size": 0.01}, "at least 4 are held out"),
        ({"priors": ["gaussian"]}, "prior must be one of .* or a CodePrior, got 'gaussian'"),
        ({"priors": [MixturePrior(2), MixturePrior(3)]}, "must differ in name.*mapping"),
    ],
)
def test_invalid_arguments_raise(params, message):
    with pytest.raises(ValueError, match=message):
        prior_gap(**({"codes": uniform(0, 50, 2)} | params))
