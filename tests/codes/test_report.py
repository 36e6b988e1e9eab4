"""Reports of codes against enumeration of all codes and closed forms."""

import itertools
import math
import warnings

import numpy as np
import pandas as pd
import pytest

from dmzrep.codes import information_bounds
from dmzrep.codes._report import warn_of_poor_code
from dmzrep.errors import CodeWarning
from dmzrep.metrics import code_report, code_summary


def entropy(p):
    return sum(-q * math.log2(q) for q in np.ravel(p) if q > 0.0)


def flip_entropy(p):
    return entropy([p, 1.0 - p])


def exact_information(p):
    """I(x; z) by enumeration of all codes."""
    codes = np.array(list(itertools.product((0, 1), repeat=p.shape[1])))
    given = np.array([np.prod(np.where(codes == 1, q, 1.0 - q), axis=1) for q in p])
    return entropy(given.mean(axis=0)) - np.mean([entropy(q) for q in given])


def posteriors(n_samples, n_bits, sharpness, seed=0):
    logits = sharpness * np.random.default_rng(seed).normal(size=(n_samples, n_bits))
    return 1.0 / (1.0 + np.exp(-logits))


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 3.0, 30.0])
@pytest.mark.parametrize(("n_samples", "n_bits"), [(2, 1), (5, 4), (40, 6), (100, 3), (600, 8)])
def test_information_bounds_hold(n_samples, n_bits, sharpness):
    p = posteriors(n_samples, n_bits, sharpness)
    lower, upper = information_bounds(p)
    exact = exact_information(p)
    assert 0.0 <= lower <= exact + 1e-6 and exact <= upper + 1e-9
    assert upper <= code_report(p)["information"].sum() + 1e-9 and lower <= math.log2(n_samples) + 1e-6


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2, 0.5])
def test_information_of_a_noisy_channel(noise):
    x = np.array(list(itertools.product((0, 1), repeat=4)))
    p = np.abs(x - noise)
    lower, upper = information_bounds(p)
    each = 1.0 - flip_entropy(noise)
    # Samples are all combinations of independent bits, so the upper bound is exact.
    assert upper == pytest.approx(4 * each, abs=1e-9)
    np.testing.assert_allclose(code_report(p)["information"], each, atol=1e-12)
    # Bhattacharyya coefficient of a bit and itself: 1, of a bit and its opposite: 2 sqrt(noise (1 - noise)).
    expected = -4 * math.log2(0.5 + math.sqrt(noise * (1.0 - noise)))
    assert lower == pytest.approx(expected, abs=1e-6)


def test_repeated_bits_add_no_information():
    x = np.array(list(itertools.product((0, 1), repeat=2)))
    p = np.concatenate([x, x[:, :1], 1 - x[:, :1], np.ones((4, 1))], axis=1)
    assert code_report(p)["information"].tolist() == pytest.approx([1, 1, 1, 1, 0])
    assert information_bounds(p) == pytest.approx((2.0, 2.0))
    assert information_bounds(np.eye(100))[0] == pytest.approx(math.log2(100), abs=1e-6)


def test_code_report_matches_definitions():
    p = np.array([[0.9, 0.2, 0.7, 0.4], [0.2, 0.9, 0.6, 0.4], [0.8, 0.4, 0.9, 0.4], [0.4, 0.1, 0.2, 0.4]])
    report = code_report(p)
    bits = p > 0.5
    assert report["mean"].tolist() == [0.5, 0.25, 0.75, 0.0]
    np.testing.assert_allclose(report["entropy"], [flip_entropy(q) for q in (0.5, 0.25, 0.75, 0.0)])
    np.testing.assert_allclose(report["confidence"], np.abs(2 * p - 1).mean(axis=0))
    correlations = np.abs(np.corrcoef(bits[:, :3], rowvar=False) - np.eye(3))
    np.testing.assert_allclose(report["largest_correlation"], [*correlations.max(axis=1), 0.0])
    exact = [exact_information(p[:, [bit]]) for bit in range(4)]
    np.testing.assert_allclose(report["information"], exact, atol=1e-12)
    assert report.index.name == "bit"


def test_code_summary_matches_definitions():
    codes = np.array([[0, 0, 1], [0, 0, 1], [1, 1, 1], [1, 0, 1]])
    history = pd.DataFrame(
        {"validation_loss": [0.9, 0.5, np.nan], "validation_loss_hard": [1.0, 0.6, np.nan]}
    )
    history["validation_loss_shuffled"] = [1.0, 0.8, np.nan]
    summary = code_summary(codes, history)
    assert summary[["n_samples", "dead_bits", "unique_codes"]].tolist() == [4.0, 1.0, 0.75]
    correlation = abs(np.corrcoef(codes[:, 0], codes[:, 1])[0, 1])
    assert summary["mean_correlation"] == pytest.approx(correlation / 3)
    assert summary["information_lower"] == pytest.approx(1.5, abs=1e-6)
    assert summary["information_upper"] == pytest.approx(exact_information(codes), abs=1e-9)
    # The last epoch has no validation losses.
    assert summary[["loss_true", "loss_shuffled"]].tolist() == [0.6, 0.8]
    assert summary["soft_hard_gap"] == pytest.approx(0.1) and np.isnan(summary["loss_no_code"])
    assert code_summary(codes, history.assign(validation_loss_no_code=0.7))["loss_no_code"] == 0.7
    losses = code_summary(codes).filter(regex="loss|gap")
    assert len(losses) == 4 and losses.isna().all()


def test_single_bits_of_single_samples_are_valid():
    assert code_report(np.array([[0.3]])).round(6).values.tolist() == [[0.0, 0.0, 0.4, 0.0, 0.0]]
    summary = code_summary(np.array([[0.3]]))
    assert summary[["unique_codes", "mean_correlation", "information_upper"]].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("function", [code_report, code_summary, information_bounds])
def test_logits_raise(function):
    with pytest.raises(ValueError, match=r"lie in \[0, 1\] .*, got values from 0.5 to 2.*expit"):
        function(np.array([[2.0, 0.5]]))


def test_warnings_name_parameters_to_change():
    history = pd.DataFrame({"validation_loss_hard": [1.0], "validation_loss_shuffled": [1.001]})
    dead = code_report(np.array([[0.1, 0.2], [0.9, 0.2]]))
    with pytest.warns(CodeWarning) as caught:
        warn_of_poor_code(dead, history)
    first, second = (str(warning.message) for warning in caught)
    assert "1 of 2 bits are dead" in first and "marginal_entropy=0.01" in first
    assert "hardly uses the code" in second and "kl_weight" in second and "'high_noise'" in second
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_poor_code(dead[:1], history.assign(validation_loss_hard=0.5))


def test_an_interrupted_epoch_does_not_hide_a_collapse():
    history = pd.DataFrame(
        {"validation_loss_hard": [1.0, np.nan], "validation_loss_shuffled": [1.001, np.nan]}
    )
    with pytest.warns(CodeWarning, match="hardly uses the code"):
        warn_of_poor_code(code_report(np.array([[0.1], [0.9]])), history)
