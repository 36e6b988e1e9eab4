import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from dmzrep.codes._protocol import decode_codes
from dmzrep.editing import AttributeEditor, edit_summary


@pytest.fixture(scope="module")
def editor(pixel_codec, pixels, labels):
    return AttributeEditor(pixel_codec, C=1000.0).fit(pixels, labels)


def probability(editor, codes):
    return expit(editor.probes_.log_odds(np.asarray(codes, dtype=float)))


# -- probes ----------------------------------------------------------------------------------------


def test_probes_are_logistic_regressions_on_the_labelled_samples(codec, pixels, labels):
    partly = labels.astype(float)
    partly.iloc[50:, 1] = np.nan
    editor = AttributeEditor(codec("probabilities"), C=100.0, features="probabilities").fit(pixels, partly)
    codes = codec("probabilities").transform(pixels)
    for i, rows in enumerate([200, 50, 200]):
        expected = LogisticRegression(C=100.0 / rows).fit(codes[:rows], labels.iloc[:rows, i]).coef_[0]
        found = editor.probes_.weights[i]
        assert found @ expected > 0.999 * np.linalg.norm(found) * np.linalg.norm(expected)
    assert editor.labels_["labelled"].tolist() == [200, 50, 200]
    assert editor.labels_["ones"].tolist()[0] == labels["first"].sum()
    assert editor.attributes_ == ["first", "either", "last"]


@pytest.mark.parametrize(
    "as_labels",
    [
        lambda labels: labels,
        lambda labels: labels.astype(float),
        lambda labels: labels.astype("boolean"),
        lambda labels: 2 * labels.astype(int) - 1,
        lambda labels: labels.astype(object),
    ],
)
def test_binary_labels_of_every_kind_give_the_same_probes(editor, pixels, labels, pixel_codec, as_labels):
    other = AttributeEditor(pixel_codec, C=1000.0).fit(pixels, as_labels(labels))
    np.testing.assert_allclose(other.probes_.weights, editor.probes_.weights)


@pytest.mark.parametrize("C", [0.4, 40.0, 4000.0])
def test_probabilities_are_calibrated_whatever_the_penalty(codec, C):
    random = np.random.default_rng(0)
    X = 10.0 * random.integers(0, 2, (4000, 6))
    chance = expit((X / 10.0 - 0.5) @ [2.0, -1.0, 1.0, 0.5, 0.0, 0.0])
    editor = AttributeEditor(codec(), C=C).fit(X, random.random(4000) < chance)
    found = editor.predict_proba(X)["attribute_0"].to_numpy()
    assert np.abs(found - chance).mean() < 0.04
    for low in (0.1, 0.3, 0.5, 0.7):
        part = (found > low) & (found < low + 0.2)
        assert found[part].mean() == pytest.approx(chance[part].mean(), abs=0.05)


def test_uninformative_codes_predict_the_share_of_ones(codec):
    editor = AttributeEditor(codec()).fit(np.zeros((40, 6)), np.arange(40) < 10)
    np.testing.assert_allclose(editor.predict_proba(np.zeros((1, 6))), 0.25, atol=0.01)


def test_arrays_and_series_get_names(pixel_codec, pixels, labels):
    assert AttributeEditor(pixel_codec).fit(pixels, labels["last"]).attributes_ == ["last"]
    assert AttributeEditor(pixel_codec).fit(pixels, labels.to_numpy()[:, 0]).attributes_ == ["attribute_0"]
    named = AttributeEditor(pixel_codec).fit(pixels, labels.to_numpy(), names=["a", "b", "c"])
    assert named.attributes_ == ["a", "b", "c"]


@pytest.mark.parametrize("output", ["bits", "probabilities", "logits"])
def test_every_output_of_an_encoder_gives_the_same_bits_and_edits(codec, editor, pixels, labels, output):
    other = AttributeEditor(codec(output), C=1000.0).fit(pixels, labels)
    assert np.array_equal(other.edit(pixels, "either")[1], editor.edit(pixels, "either")[1])


def test_probabilities_are_those_of_the_probes(editor, pixels, labels):
    table = editor.predict_proba(pixels)
    assert list(table.columns) == list(labels.columns)
    assert ((table > 0.5).to_numpy() == labels.to_numpy()).all()


# -- edits -----------------------------------------------------------------------------------------


def test_flips_change_the_attribute_in_code_and_picture_and_nothing_else(editor, pixels, labels):
    images, codes = editor.edit(pixels, "first", 1.0)
    assert codes.dtype == np.uint8 and codes.shape == pixels.shape
    assert (codes[:, 0] == 1).all() and np.array_equal(codes[:, 1:], pixels[:, 1:] / 10)
    assert np.array_equal(images, 10.0 * codes)
    assert (editor.edit(pixels, "first", -1.0)[1][:, 0] == 0).all()


def test_images_at_or_beyond_the_amount_stay(editor, pixels, labels):
    assert np.array_equal(editor.edit(pixels, "first", 0.0)[0], pixels)
    there = pixels[labels["first"]]
    assert np.array_equal(editor.edit(there, "first", 0.5)[0], there)


@pytest.mark.parametrize("mode", ["flip", "threshold", "soft"])
def test_every_mode_moves_the_probability_the_wanted_way(codec, pixels, labels, mode):
    editor = AttributeEditor(codec("probabilities"), mode=mode).fit(pixels, labels)
    before = editor.predict_proba(pixels)["either"].to_numpy()
    for strength, sign in ((3.0, 1.0), (-3.0, -1.0)):
        codes = editor.edit(pixels, "either", strength)[1]
        after = probability(editor, codes)[:, 1]
        assert (sign * (after - before) >= -1e-9).all()
        assert codes.min() >= 0 and codes.max() <= 1
        if mode == "flip":
            assert (sign * (probability(editor, codes)[:, 1] - expit(strength)) >= -1e-6).all()
    assert codes.dtype == (np.float64 if mode == "soft" else np.uint8)


def test_edits_are_limited_to_the_log_odds_of_labelled_images(codec):
    random = np.random.default_rng(0)
    X = 10.0 * random.integers(0, 2, (2000, 6))
    # A weak attribute: no code is sure of it.
    Y = random.random(2000) < expit(0.8 * (X[:, 0] / 5.0 - 1.0) + 0.4 * (X[:, 1] / 5.0 - 1.0))
    rows = X[(X[:, :2] == 0.0).all(axis=1)]
    limited = AttributeEditor(codec(), C=1000.0, reach=0.5).fit(X, Y)
    free = AttributeEditor(codec(), C=1000.0, reach=None).fit(X, Y)
    ones = limited.probes_.log_odds(X[Y] / 10.0)[:, 0]
    assert limited.labels_["most"].iloc[0] == pytest.approx(np.median(ones))
    after = limited.probes_.log_odds(limited.edit(rows, "attribute_0", 9.0)[1])[:, 0]
    assert (after >= np.median(ones) - 1e-6).all()
    flips = [(editor.edit(rows, "attribute_0", 9.0)[1] != rows / 10.0).sum() for editor in (limited, free)]
    assert flips[0] < flips[1]
    assert np.isinf(free.labels_[["least", "most"]]).all(axis=None)


def test_several_attributes_change_at_once(editor, pixels):
    codes = editor.edit(pixels, {"first": 2.0, "last": -2.0})[1]
    assert (codes[:, 0] == 1).all() and (codes[:, 5] == 0).all()
    assert np.array_equal(codes[:, 1:5], pixels[:, 1:5] / 10)


def test_held_attributes_stay(pixel_codec, pixels):
    # The second attribute goes with the first; only bits 0 and 1 tell them apart.
    bits = pixels > 5.0
    Y = pd.DataFrame({"pair": (bits[:, 0].astype(int) + bits[:, 1] + bits[:, 2]) >= 2, "one": bits[:, 0]})
    rows = pixels[~bits[:, 0] & ~bits[:, 1] & ~bits[:, 2]]
    editor = AttributeEditor(pixel_codec, C=1000.0).fit(pixels, Y)
    for hold in (["one"], "one", "others"):
        codes = editor.edit(rows, "pair", 1.0, hold=hold)[1]
        assert (codes[:, 0] == 0).all() and (codes[:, 1] == 1).all()
    soft = AttributeEditor(pixel_codec, mode="soft", C=1000.0).fit(pixels, Y)
    moved = soft.edit(rows, "pair", 0.5, hold="others")[1]
    free = soft.edit(rows, "pair", 0.5)[1]
    before = probability(soft, rows / 10)
    held, loose = (np.abs(probability(soft, z) - before)[:, 1].mean() for z in (moved, free))
    assert held < loose


def test_relative_amounts_are_multiples_of_the_distance(codec, pixels, labels):
    editor = AttributeEditor(codec("probabilities"), mode="soft", features="probabilities").fit(
        pixels, labels
    )
    codes = codec("probabilities").transform(pixels)
    before = editor.probes_.log_odds(codes)[:, 0]
    after = editor.probes_.log_odds(editor.edit(pixels, "first", -1.0, relative=True)[1])[:, 0]
    assert np.abs(after).max() < 0.35 * np.abs(before).min()


# -- noise -----------------------------------------------------------------------------------------


def test_a_sweep_is_the_edits_from_the_same_noise(codec, pixels, labels):
    editor = AttributeEditor(codec(noisy=True)).fit(pixels, labels)
    images, codes = editor.sweep(pixels[:7], "either", [-2.0, 0.0, 2.0], random_state=3, keep=False)
    assert images.shape == codes.shape == (3, 7, 6)
    for i, strength in enumerate([-2.0, 0.0, 2.0]):
        one = editor.edit(pixels[:7], "either", strength, random_state=3, keep=False)
        assert np.array_equal(images[i], one[0]) and np.array_equal(codes[i], one[1])
    noise = images - 10.0 * codes
    assert np.allclose(noise, noise[0]) and not np.allclose(noise[0, 0], noise[0, 1])
    assert not np.array_equal(
        editor.edit(pixels[:7], "either", 2.0, random_state=4, keep=False)[0], images[2]
    )


#: Every option of sampling, and values other than the defaults.
SAMPLING = [
    {"n_steps": 3},
    {"n_steps": 4, "sampler": "dpm++", "spacing": "uniform"},
    {"n_steps": 3, "sampler": "ddim", "eta": 0.5, "match_perturbation": False, "progress": False},
    {"n_steps": 3, "return_trajectory": True, "callback": lambda step, n_steps, samples: None},
    {"n_steps": 3, "noise": "inverted"},
    {"n_steps": 3, "strength": 0.3},
    {"n_steps": 3, "strength": 0.5, "noise": "inverted", "guidance": 1.0},
]


@pytest.mark.parametrize("options", SAMPLING, ids=lambda options: "-".join(options))
def test_every_sampling_option_reaches_the_encoder(options, encoder, digits, digit_labels):
    editor = AttributeEditor(encoder).fit(digits, digit_labels == 0, names=["zero"])
    X = digits[:4]
    images, codes = editor.edit(X, "zero", keep=False, **options)
    seeds = np.random.SeedSequence(0).generate_state(4) >> 1
    expected = decode_codes(encoder, codes, like=X, random_state=seeds, **options)
    assert np.array_equal(images, expected)
    swept, kept = (editor.sweep(X, "zero", [4.0, 0.0], keep=keep, **options)[0] for keep in (False, True))
    assert np.array_equal(swept[0], images) and kept.shape == swept.shape
    assert (kept[1] == X).all()


def test_a_real_edit_moves_the_picture_towards_the_attribute(encoder, digits, digit_labels):
    editor = AttributeEditor(encoder).fit(digits[:500], digit_labels[:500] == 0, names=["zero"])
    others = digits[500:][digit_labels[500:] != 0][:30]
    report = editor.report(others, *editor.edit(others, "zero", n_steps=5), "zero")
    assert (report["after"] > expit(3.0) - 1e-3).all()
    assert report["reencoded"].mean() > report["before"].mean() + 0.1


def test_what_the_edit_does_not_change_stays(codec, pixels, labels):
    editor = AttributeEditor(codec(noisy=True), C=1000.0).fit(pixels, labels)
    images = editor.edit(pixels[:9], "first", 1.0)[0]
    assert np.array_equal(images[:, 1:], pixels[:9, 1:])
    plain = editor.edit(pixels[:9], "first", 1.0, keep=False)[0]
    turned = pixels[:9, 0] == 0.0
    assert turned.any() and np.array_equal(images[turned, 0], plain[turned, 0])
    assert np.array_equal(editor.sweep(pixels[:9], "first", [0.0])[0][0], pixels[:9])


def test_a_real_edit_keeps_the_pixels_that_it_does_not_change(encoder, digits, digit_labels):
    editor = AttributeEditor(encoder).fit(digits, digit_labels == 0, names=["zero"])
    others = digits[digit_labels != 0][:10]
    kept = editor.edit(others, "zero", n_steps=3)[0].astype(float)
    plain = editor.edit(others, "zero", n_steps=3, keep=False)[0].astype(float)
    assert kept.dtype == float and np.abs(kept - others).mean() < np.abs(plain - others).mean()
    low, high = np.minimum(plain, others), np.maximum(plain, others)
    assert ((kept >= low) & (kept <= high)).all()


# -- reports ---------------------------------------------------------------------------------------


def test_a_report_has_every_image_and_attribute(editor, pixels, labels):
    X = pixels[:5]
    images, codes = editor.edit(X, "first", 1.0, hold=["last"])
    report = editor.report(X, images, codes, "first", hold=["last"])
    assert len(report) == 15
    assert report["role"][:3].tolist() == ["edited", "other", "held"]
    first = report[report["attribute"] == "first"]
    before = editor.predict_proba(X)["first"]
    np.testing.assert_allclose(first["before"], before)
    np.testing.assert_allclose(first["after"], probability(editor, codes)[:, 0])
    # These pictures are their codes.
    np.testing.assert_allclose(first["reencoded"], first["after"])
    moved = (X[:, 0] == 0.0).astype(int)
    assert first["changed"].tolist() == first["changed_reencoded"].tolist() == moved.astype(bool).tolist()
    assert first["bits_flipped"].tolist() == moved.tolist()
    assert (first["bits_returned"] == 1.0).all()
    np.testing.assert_allclose(first["distance"], 10.0 * np.sqrt(moved / 6))
    assert not report[report["role"] == "held"]["changed"].any()


def test_a_summary_lists_edited_attributes_first(editor, pixels):
    images, codes = editor.edit(pixels, {"last": 2.0}, hold=["first"])
    summary = edit_summary(editor.report(pixels, images, codes, {"last": 2.0}, hold=["first"]))
    assert summary.index.tolist() == ["last", "first", "either"]
    assert summary.loc["last", "changed"] == pytest.approx((pixels[:, 5] == 0).mean())
    assert summary.loc["first", "changed"] == 0.0


# -- bad input -------------------------------------------------------------------------------------


def broken(labels, **columns):
    return labels.astype(float).assign(**columns)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda Y: Y[:199], r"one row per sample of X, 200, got 199"),
        (lambda Y: broken(Y, bad=1.0), r"'bad' has only 1; a probe needs samples with 0"),
        (lambda Y: broken(Y, bad=np.nan), r"'bad' has no label"),
        (
            lambda Y: broken(Y, bad=np.arange(200) % 3),
            r"'bad' must be binary.*\[0.0, 1.0, 2.0\].*get_dummies",
        ),
        (lambda Y: Y.assign(bad="yes"), r"'bad' must be binary.*get_dummies"),
        (lambda Y: Y[[]], "no columns"),
        (lambda Y: pd.concat([Y, Y[["first"]]], axis=1), r"twice: \['first'\]"),
        (lambda Y: Y.to_numpy()[None], r"shape \(n,\) or \(n, n_attributes\), got \(1, 200, 3\)"),
    ],
)
def test_bad_labels_are_refused(pixel_codec, pixels, labels, make, message):
    with pytest.raises(ValueError, match=message):
        AttributeEditor(pixel_codec).fit(pixels, make(labels))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"mode": "flips"}, r"mode must be one of .*got 'flips'. Did you mean 'flip'"),
        ({"C": 0.0}, "C must be a number above 0, got 0.0"),
        ({"reach": 1.5}, r"reach must be in \[0, 1\] or None, got 1.5"),
    ],
)
def test_bad_parameters_are_refused(pixel_codec, pixels, labels, parameters, message):
    with pytest.raises(ValueError, match=message):
        AttributeEditor(pixel_codec, **parameters).fit(pixels, labels)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["frist"], {}, r"attribute 'frist' is not an attribute passed to fit. Did you mean 'first'"),
        (["zebra"], {}, r"There are \['first', 'either', 'last'\]"),
        (
            ["first"],
            {"hold": ["lats"]},
            r"hold 'lats' is not an attribute passed to fit. Did you mean 'last'",
        ),
        (["first"], {"hold": ["first"]}, r"\['first'\] cannot be both edited and held"),
        (["first", np.nan], {}, r"amount must be a finite number, got nan for 'first'"),
        (["first"], {"strength": 4.0}, r"strength must be .*\(0, 1\], got 4.0.*How far to edit is `amount`"),
        (["first"], {"noise": "inverted"}, r"PixelCodec.inverse_transform does not take 'noise'"),
        (["first"], {"n_steps": 3}, "does not take 'n_steps'"),
    ],
)
def test_bad_edits_are_refused(editor, pixels, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        editor.edit(pixels, *arguments, **options)


def test_bad_sweeps_and_reports_are_refused(editor, pixels):
    with pytest.raises(ValueError, match=r"amounts must be a list of at least one number, got \[\]"):
        editor.sweep(pixels, "first", [])
    with pytest.raises(ValueError, match="got nan"):
        editor.sweep(pixels, "first", [0.0, np.nan])
    images, codes = editor.edit(pixels, "first")
    with pytest.raises(ValueError, match="must have as many samples"):
        editor.report(pixels[:5], images, codes, "first")


def test_encoders_that_cannot_do_both_or_changed_are_refused(codec, pixels, labels):
    with pytest.raises(TypeError, match="has no transform and no inverse_transform"):
        AttributeEditor(None).fit(pixels, labels)
    with pytest.raises(TypeError, match="is a class"):
        AttributeEditor(codec).fit(pixels, labels)
    editor = AttributeEditor(codec()).fit(pixels, labels)
    with pytest.raises(ValueError, match="codes of 5 bits, but the probes were fitted to 6"):
        editor.edit(pixels[:, :5], "first")


def test_an_unfitted_editor_is_refused(pixel_codec, pixels):
    for call in (lambda e: e.edit(pixels, "a"), lambda e: e.predict_proba(pixels)):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            call(AttributeEditor(pixel_codec))
