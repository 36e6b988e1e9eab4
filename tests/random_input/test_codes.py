"""Random input to what is made of codes: priors, reports of bits, probes."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_calls import accepted, call, cases, refused
from random_values import (
    ANYTHING,
    NUMBERS,
    SCALARS,
    SEEDS,
    WHOLE,
    as_reference,
    choices,
    inputs,
    near,
    same_values,
)
from sklearn.metrics import roc_auc_score

from dmzrep.attribution import bit_table
from dmzrep.domain_transfer import expected_calibration_error
from dmzrep.inference import information_bounds
from dmzrep.metrics import code_report, code_summary
from dmzrep.priors import (
    AutoregressivePrior,
    ChowLiuPrior,
    CodePrior,
    DatasetPrior,
    IndependentPrior,
    MixturePrior,
    UniformPrior,
    fit_prior,
    prior_gap,
    two_sample_auc,
)
from dmzrep.probing import (
    LinearProbe,
    average_folds,
    label_efficiency,
    probe_report,
    probe_scores,
    probe_summary,
)

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (24, 4)).astype(np.uint8)
CODES = RNG.random((24, 4))
CLASSES = (CODES[:, 0] > 0.5).astype(int)
LABELS = pd.DataFrame({"hat": CODES[:, 0] > 0.5, "age": CODES[:, 1] * 9.5})
KINDS = (UniformPrior, IndependentPrior, ChowLiuPrior, MixturePrior, DatasetPrior, AutoregressivePrior)
PRIORS = [kind().fit(BITS) for kind in KINDS]
ALL_CODES = np.unpackbits(np.arange(16, dtype=np.uint8)[:, None], axis=1)[:, 4:]


@cases(250)
@given(st.sampled_from(KINDS[:5]), inputs(BITS))
def test_fit_of_priors(kind, bits):
    """A fitted prior is a distribution: over all codes its probabilities sum to 1."""
    prior = kind()
    if not refused(call(prior.fit, bits)) and prior.n_features_in_ <= 12:
        width = prior.n_features_in_
        every = np.unpackbits(
            np.arange(2**width, dtype=np.uint16).byteswap().view(np.uint8).reshape(-1, 2), axis=1
        )
        assert np.exp(prior.log_prob(every[:, 16 - width :])).sum() == pytest.approx(1.0)


@cases(60)
@given(
    st.sampled_from((MixturePrior, DatasetPrior, AutoregressivePrior)),
    st.data(),
)
def test_parameters_of_priors(kind, data):
    name = data.draw(st.sampled_from(sorted(kind().get_params())))
    value = data.draw(st.one_of(WHOLE, NUMBERS, choices("auto"), SEEDS))
    if (
        name in ("n_hidden", "n_layers", "n_components", "max_iter")
        and isinstance(value, (int, np.integer))
        and value > 99
    ):
        value = 3
    prior = kind(**{name: value})
    if not refused(call(prior.fit, BITS)):
        assert np.exp(prior.log_prob(ALL_CODES)).sum() == pytest.approx(1.0)


@cases(300)
@given(st.sampled_from(PRIORS), inputs(BITS[:5]), st.booleans())
def test_probabilities_of_priors(prior, bits, mean):
    result = call(prior.score if mean else prior.log_prob, bits)
    if not refused(result):
        right = [prior.log_prob(row[None])[0] for row in as_reference(bits)]
        assert np.array_equal(result, np.mean(right) if mean else right) or np.allclose(
            result, np.mean(right)
        )
        assert np.max(result) <= 1e-12


@cases(250)
@given(st.sampled_from(PRIORS), st.one_of(WHOLE.filter(lambda n: not isinstance(n, int) or n < 99)), SEEDS)
def test_draws_of_priors(prior, n_samples, random_state):
    result = call(prior.sample, n_samples, random_state)
    if not refused(result):
        assert result.shape == (int(n_samples), 4) and result.dtype == np.uint8 and result.max() <= 1


@cases(60)
@given(
    st.one_of(choices("uniform", "independent", "chow_liu", "mixture"), st.sampled_from(PRIORS[:4])),
    inputs(BITS),
    WHOLE,
)
def test_fit_prior(prior, bits, seed):
    result = call(fit_prior, prior, bits, seed)
    assert refused(result) or isinstance(result, CodePrior)


@cases(60)
@given(
    inputs(BITS),
    st.one_of(
        choices("uniform", "independent"),
        st.lists(choices("uniform", "mixture"), max_size=2),
        st.just({"a": "uniform"}),
    ),
    st.one_of(st.just(0.25), NUMBERS),
    SEEDS,
)
def test_prior_gap(codes, priors, test_size, random_state):
    result = call(prior_gap, codes, priors, test_size=test_size, random_state=random_state)
    if not refused(result):
        assert np.isfinite(result.to_numpy()).all() and result["auc"].between(0, 1).all()


@cases(60)
@given(inputs(BITS), st.one_of(inputs(1 - BITS), st.just(BITS)), SEEDS)
def test_two_sample_auc(codes, draws, random_state):
    result = call(two_sample_auc, codes, draws, random_state=random_state)
    assert refused(result) or 0.0 <= result <= 1.0


@cases(300)
@given(st.one_of(inputs(CODES), inputs(BITS)))
def test_reports_of_codes(codes):
    report, summary = call(code_report, codes), call(code_summary, codes)
    bounds = call(information_bounds, codes)
    assert refused(report) == refused(summary) == refused(bounds)
    if not refused(report):
        right = as_reference(codes)
        assert np.allclose(report["mean"], (right > 0.5).mean(axis=0))
        assert np.allclose(report["confidence"], np.abs(2 * right - 1).mean(axis=0))
        assert report.to_numpy().min() >= -1e-9 and report.to_numpy().max() <= 1 + 1e-9
        assert summary["rows"] == len(right) and bounds[0] <= bounds[1] + 1e-6
        assert summary["unique_codes"] == len({tuple(row) for row in (right > 0.5).tolist()}) / len(right)


HISTORY = pd.DataFrame({"validation_loss": [0.5, np.nan], "validation_loss_hard": [0.5, 0.25]})


@cases(80)
@given(st.one_of(st.none(), st.just(HISTORY), SCALARS, ANYTHING))
def test_history_of_code_summary(history):
    result = call(code_summary, CODES, history)
    assert refused(result) or result["rows"] == 24


@cases(250)
@given(st.one_of(st.just(CODES), inputs(CODES)), st.one_of(inputs(CLASSES), st.just(LABELS), inputs(BITS)))
def test_bit_table(Z, Y):
    result = call(bit_table, Z, Y)
    if not refused(result):
        bits, labels = as_reference(Z) > 0.5, as_reference(Y).reshape(len(as_reference(Z)), -1)
        for place, row in enumerate(result.itertuples()):
            label = labels[:, place % labels.shape[1]]
            known = ~np.isnan(label)
            right = roc_auc_score(label[known], bits[known, row.bit])
            assert row.auroc == pytest.approx(max(right, 1 - right)) and 0 <= row.mutual_information <= 1


@cases(150)
@given(
    inputs(CODES),
    inputs(BITS),
    st.one_of(st.just(10), WHOLE.filter(lambda n: not isinstance(n, int) or n < 99)),
)
def test_expected_calibration_error(probabilities, bits, n_bins):
    result = call(expected_calibration_error, probabilities, bits, n_bins)
    assert refused(result) or -1e-9 <= result <= 1.0 + 1e-9


@cases(300)
@given(
    st.one_of(st.just(CODES), inputs(CODES)),
    st.one_of(st.just(LABELS), inputs(CLASSES), inputs(BITS)),
    st.data(),
)
def test_linear_probe(Z, y, data):
    task = data.draw(choices("auto", "classification", "regression"))
    probe = LinearProbe(task, scale=data.draw(st.booleans()))
    if refused(call(probe.fit, Z, y)):
        return
    queries = data.draw(st.one_of(st.just(Z), inputs(CODES[:3])))
    for method in ("predict", "predict_proba", "decision_function"):
        result = call(getattr(probe, method), queries) if hasattr(probe, method) else []
        if not refused(result) and method == "predict":
            assert len(result) == len(queries)
        if not refused(result) and method == "predict_proba" and isinstance(result, np.ndarray):
            assert result.min() >= 0 and result.max() <= 1
    result = call(
        probe.score,
        data.draw(st.one_of(st.just(Z), inputs(CODES))),
        data.draw(st.one_of(st.just(y), inputs(CLASSES))),
    )
    assert refused(result) or result <= 1.0
    direction = call(
        probe.direction, data.draw(choices(None, "hat", "age", 0, 1)), data.draw(choices(None, True, 0, 1))
    )
    assert refused(direction) or np.linalg.norm(direction) == pytest.approx(1.0) or not direction.any()


@cases(60)
@given(same_values(CODES), same_values(CLASSES, tables=False))
def test_linear_probe_takes_right_codes_in_any_form(Z, y):
    probe = LinearProbe()
    accepted(call(probe.fit, Z, y))
    assert np.allclose(probe.coef_, LinearProbe().fit(CODES, CLASSES).coef_)


@cases(150)
@given(
    st.sampled_from(("task", "C", "scale", "class_weight", "max_iter")),
    st.one_of(WHOLE, NUMBERS, choices("auto", "balanced")),
)
def test_parameters_of_linear_probe(name, value):
    if name == "max_iter" and isinstance(value, (int, np.integer)) and value > 99:
        value = 99
    probe = LinearProbe(**{name: value})
    if not refused(call(probe.fit, CODES, CLASSES)):
        assert np.isfinite(probe.coef_).all()


SETTINGS = {
    "cv": st.one_of(st.integers(2, 3), WHOLE, st.just([(np.arange(12), np.arange(12, 24))])),
    "scoring": st.one_of(
        choices("roc_auc", "accuracy", "r2", "average_precision"),
        st.lists(choices("accuracy", "r2"), max_size=2),
    ),
    "baselines": st.one_of(
        st.none(), st.just({"noise": CODES}), st.builds(dict, other=inputs(CODES)), SCALARS
    ),
    "protocol": choices(None, "dmz", "holdout", "infodiffusion"),
    "split": st.one_of(st.none(), st.just(np.array(["train", "test"] * 12)), inputs(CLASSES)),
    "task": choices("auto", "classification", "regression"),
    "name": choices("codes", "noise"),
    "random_state": SEEDS,
    "verbose": st.sampled_from((0, False)),
}


def options_of(data, strategies, most=2):
    names = data.draw(st.sets(st.sampled_from(sorted(strategies)), max_size=most))
    return {name: data.draw(strategies[name], label=name) for name in sorted(names)}


@cases(250)
@given(
    st.one_of(st.just(CODES), inputs(CODES)),
    st.one_of(st.just(LABELS), inputs(CLASSES), inputs(BITS)),
    st.data(),
)
def test_scores_of_probes(Z, Y, data):
    options = {"cv": 2, "scoring": None} | options_of(data, SETTINGS)
    if options.get("protocol") is not None:
        options["cv"] = 5
    scores = call(probe_scores, Z, Y, **options)
    if refused(scores):
        assert refused(call(probe_report, Z, Y, **options)) or not isinstance(
            options.get("random_state", 0), int
        )
        return
    for table in (call(probe_summary, scores), call(average_folds, scores)):
        for name in ("accuracy", "roc_auc", "average_precision", "balanced_accuracy"):
            if name in accepted(table):
                assert table[name].dropna().between(0, 1).all()


@cases(80)
@given(
    st.one_of(near(np.zeros((2, 2))), ANYTHING, st.just(LABELS)),
    st.one_of(choices("representation"), st.just(["fold"])),
)
def test_summaries_of_what_are_no_scores(scores, by):
    assert refused(call(probe_summary, scores, by=by))
    assert refused(call(average_folds, scores, by=by))


@cases(100)
@given(st.one_of(st.just(CODES), inputs(CODES)), st.one_of(st.just(CLASSES), inputs(CLASSES)), st.data())
def test_label_efficiency(Z, y, data):
    options = options_of(
        data,
        {
            "fractions": st.one_of(st.lists(NUMBERS, max_size=3), st.lists(WHOLE, max_size=2), SCALARS),
            "n_repeats": st.one_of(
                st.integers(1, 3), SCALARS.filter(lambda n: not isinstance(n, int) or n < 99)
            ),
            "baselines": st.one_of(
                st.none(), st.just({"noise": (CODES, CODES)}), st.builds(dict, other=inputs(CODES)), SCALARS
            ),
            "by_attribute": st.booleans(),
        }
        | {name: SETTINGS[name] for name in ("scoring", "task", "name", "random_state")},
    )
    result = call(
        label_efficiency, Z, y, CODES, CLASSES, **{"fractions": (0.5, 1.0), "n_repeats": 1} | options
    )
    if not refused(result):
        assert result["n_train"].between(1, len(as_reference(Z))).all()
        assert "accuracy" not in result or result["accuracy"].dropna().between(0, 1).all()
    assert refused(result) or math.isfinite(len(result))
