"""Random input to what works on pixels and attributes: maps, effects of bits, edits, transfer, lengths."""

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

from dmzrep.attribution import attribute_bits, bit_effects
from dmzrep.domain_transfer import DomainTransfer
from dmzrep.editing import AttributeEditor, edit_summary
from dmzrep.model_selection import latent_dim_report
from dmzrep.probing import LinearProbe

RNG = np.random.default_rng(0)
ROWS = RNG.integers(0, 2, (24, 4)).astype(np.float64)
NAMED = pd.DataFrame({"first": ROWS[:, 0], "last": ROWS[:, 3]})


def some(data, strategies, most=2):
    names = data.draw(st.sets(st.sampled_from(sorted(strategies)), max_size=most))
    return {name: data.draw(strategies[name], label=name) for name in sorted(names)}


SMALL = WHOLE.filter(lambda n: not isinstance(n, (int, np.integer)) or n < 99)


@cases(250)
@given(st.data())
def test_attribute_bits(tiny, images, data):
    X = data.draw(st.one_of(st.just(images[:2]), inputs(images[:2])))
    probe = LinearProbe().fit(RNG.random((24, 8)), ROWS[:, :2].astype(int))
    target = data.draw(
        st.one_of(
            st.integers(0, 7), st.just("distance"), st.just(probe), inputs(np.ones(8)), choices("distance")
        )
    )
    options = some(
        data,
        {
            "method": choices("integrated_gradients", "occlusion", "grad_cam"),
            "attribute": st.one_of(st.integers(0, 1), SCALARS),
            "reference": inputs(images[:1]),
            "baseline": st.one_of(NUMBERS, inputs(images[:1])),
            "n_steps": SMALL,
            "window": WHOLE,
            "stride": WHOLE,
            "layer": WHOLE,
            "batch_size": WHOLE,
        },
        3,
    )
    result = call(attribute_bits, tiny, X, target, **{"n_steps": 2} | options)
    if not refused(result):
        assert result.maps.shape == (len(X), 8, 8) and np.isfinite(result.maps).all()
        assert result.scores.shape == (len(X),) and np.isfinite(result.scores).all()


@cases(250)
@given(
    inputs(ROWS[:3]),
    st.one_of(st.none(), st.lists(st.integers(0, 3), max_size=3), SCALARS, ANYTHING),
    st.data(),
)
def test_bit_effects(pixels, Z, bits, data):
    options = some(data, {"n_pictures": WHOLE, "random_state": SEEDS, "like": inputs(ROWS[:3])})
    result = call(bit_effects, pixels, Z, bits, **options)
    if not refused(result):
        assert np.allclose(result.table["share"].sum(), 1.0)
        assert np.allclose(result.maps[np.arange(len(result.bits)), result.bits], 1.0)


@pytest.fixture(scope="session")
def editor(pixels):
    return AttributeEditor(pixels).fit(ROWS, NAMED)


@cases(250)
@given(inputs(ROWS), st.one_of(inputs(ROWS[:, :2]), inputs(ROWS[:, 0]), st.just(NAMED)), st.data())
def test_fit_of_an_editor(pixels, X, Y, data):
    parameters = some(
        data,
        {
            "mode": choices("flip", "threshold", "soft"),
            "features": choices("bits", "probabilities"),
            "C": NUMBERS,
            "hold_weight": NUMBERS,
            "reach": NUMBERS,
        },
    )
    names = data.draw(st.one_of(st.none(), st.none(), st.just(["a", "b"]), SCALARS))
    editor = AttributeEditor(pixels, **parameters)
    if not refused(call(editor.fit, X, Y, names=names)):
        result = call(editor.predict_proba, X)
        assert accepted(result).to_numpy().min() >= 0 and result.to_numpy().max() <= 1


EDITING = {
    "hold": st.one_of(choices("others", "last"), st.lists(choices("first", "last"), max_size=2), SCALARS),
    "relative": st.booleans(),
    "keep": st.booleans(),
    "noise": choices(None, "random", "inverted"),
    "start": st.one_of(st.none(), NUMBERS),
    "n_steps": st.one_of(st.none(), WHOLE),
    "random_state": SEEDS,
}


@cases(300)
@given(
    st.one_of(st.just(ROWS[:3]), inputs(ROWS[:3])),
    st.one_of(
        choices("first", "last"),
        st.dictionaries(st.sampled_from(("first", "last", "x")), NUMBERS, max_size=2),
    ),
    st.one_of(st.just(4.0), NUMBERS),
    st.data(),
)
def test_edits(editor, X, attribute, strength, data):
    result = call(editor.edit, X, attribute, strength, **some(data, EDITING))
    if not refused(result):
        images, codes = result
        assert images.shape == as_reference(X).shape and set(np.unique(codes)) <= {0, 1}
        report = call(editor.report, X, images, codes, attribute)
        summary = call(edit_summary, accepted(report))
        # A report of no rows has no groups to summarise.
        assert len(accepted(summary)) == (2 if len(images) else 0)


@cases(120)
@given(
    st.one_of(st.just(ROWS[:3]), inputs(ROWS[:3])),
    choices("first"),
    st.one_of(st.lists(NUMBERS, max_size=3), SCALARS, ANYTHING),
    st.data(),
)
def test_sweeps(editor, X, attribute, strengths, data):
    result = call(editor.sweep, X, attribute, strengths, **some(data, EDITING))
    assert refused(result) or result[0].shape == (len(strengths), *as_reference(X).shape)


@cases(120)
@given(inputs(ROWS[:3]), inputs(ROWS[:3]), inputs(ROWS[:3]), choices("first"))
def test_reports_of_edits(editor, X, images, codes, attribute):
    result = call(editor.report, X, images, codes, attribute)
    assert refused(result) or (len(result) == 6 and result["before"].between(0, 1).all())


@cases(60)
@given(st.one_of(ANYTHING, SCALARS, st.just(NAMED)))
def test_summaries_of_what_are_no_reports(report):
    assert refused(call(edit_summary, report))


@cases(80)
@given(st.one_of(st.just(ROWS), inputs(ROWS)), st.one_of(st.just(1 - ROWS), inputs(ROWS)), st.data())
def test_fit_of_a_transfer(pixels, X_a, X_b, data):
    parameters = some(
        data,
        {
            "mapping": choices("auto", "kernel_ridge"),
            "features": choices("logits", "probabilities", "bits"),
            "alpha": NUMBERS,
            "calibration": choices("per_bit", "shared", None),
            "n_folds": SMALL,
            "random_state": SEEDS,
        },
    )
    groups = data.draw(st.one_of(st.none(), st.none(), inputs(np.arange(24)), SCALARS))
    transfer = DomainTransfer(pixels, pixels, **{"n_folds": 2, "random_state": 0} | parameters)
    if not refused(call(transfer.fit, X_a, X_b, groups=groups)):
        probabilities = accepted(call(transfer.predict_proba, X_a))
        assert probabilities.min() > 0 and probabilities.max() < 1


@pytest.fixture(scope="session")
def transfer(pixels):
    return DomainTransfer(pixels, pixels, n_folds=2, random_state=0).fit(ROWS, 1 - ROWS)


@cases(300)
@given(
    st.sampled_from(("predict_proba", "predict_codes", "transform", "score", "retrieval_ranks")),
    st.one_of(st.just(ROWS[:5]), inputs(ROWS[:5])),
    st.data(),
)
def test_a_fitted_transfer(transfer, method, X, data):
    pair = (
        [data.draw(st.one_of(st.just(1 - ROWS[:5]), inputs(ROWS[:5])))]
        if method in ("score", "retrieval_ranks")
        else []
    )
    options = {}
    if method == "transform":
        options = some(
            data, {"n_draws": SMALL, "sample_bits": st.booleans(), "n_steps": WHOLE, "random_state": SEEDS}
        )
    if method == "retrieval_ranks":
        options = {"metric": data.draw(choices("hamming", "log_likelihood"))}
    result = call(getattr(transfer, method), X, *pair, **options)
    if refused(result):
        return
    if method == "retrieval_ranks":
        assert ((result >= 1) & (result <= len(X))).all()
    elif method == "predict_codes":
        assert np.array_equal(result, transfer.predict_proba(X) > 0.5)
    else:
        assert np.isfinite(result).all()


@cases(60)
@given(same_values(ROWS[:5]))
def test_a_transfer_takes_right_rows_in_any_form(transfer, X):
    assert np.array_equal(accepted(call(transfer.predict_proba, X)), transfer.predict_proba(ROWS[:5]))


@cases(60)
@given(st.data())
def test_latent_dim_report(tiny, images, data):
    """All but the lengths is refused before anything is trained; training itself is tested elsewhere."""
    wrong = {
        "latent_dims": st.one_of(st.just([4, 4]), st.just([]), st.just([0]), st.just([2.5]), st.just("a")),
        "test_size": NUMBERS.filter(lambda share: not isinstance(share, float) or not 0 < share < 1),
        "max_rows": st.sampled_from((0, -1, 2.5, "a", None)),
        "scoring": st.just("nothing"),
        "objectives": st.sampled_from((["nothing"], [], "ab", 3)),
        "encoder": st.sampled_from((3, "a", object())),
    }
    name = data.draw(st.sampled_from(sorted(wrong)))
    value = data.draw(wrong[name])
    Y = data.draw(st.one_of(near(np.arange(12) % 2), ANYTHING))
    if name == "test_size" and getattr(value, "dtype", None) == np.float32:
        value = -value
    assert refused(call(latent_dim_report, images[:12], Y, **{name: value}))
