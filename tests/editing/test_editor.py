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


def test_probes_are_logistic_regressions_on_the_labelled_samples(codec, pixels, labels):
    partly = labels.astype(float)
    partly.iloc[50:, 1] = np.nan
    editor = AttributeEditor(codec("probabilities"), C=100.0, features="probabilities").fit(pixels, partly)
    codes = codec("probabilities").transform(pixels)
    for i, n in enumerate([200, 50, 200]):
        expected = LogisticRegression(C=100.0 / n).fit(codes[:n], labels.iloc[:n, i]).coef_[0]
        found = editor.probes_.weights[i]
        assert found @ expected > 0.999 * np.linalg.norm(found) * np.linalg.norm(expected)
    assert editor.labels_["labelled"].tolist() == [200, 50, 200]
    assert editor.labels_["ones"].tolist()[0] == labels["first"].sum()
    assert editor.attributes_ == ["first", "either", "last"]


@pytest.mark.parametrize("C", [0.4, 40.0, 4000.0])
def test_probabilities_are_calibrated_at_every_penalty(codec, C):
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


@pytest.mark.parametrize("output", ["probabilities", "logits"])
def test_every_output_of_an_encoder_has_the_same_edits(codec, editor, pixels, labels, output):
    other = AttributeEditor(codec(output), C=1000.0).fit(pixels, labels)
    assert np.array_equal(other.edit(pixels, "either")[1], editor.edit(pixels, "either")[1])


def test_edit_flips_the_bit_of_the_attribute_only(editor, pixels, labels):
    images, codes = editor.edit(pixels, "first", 1.0)
    assert codes.dtype == np.uint8 and codes.shape == pixels.shape
    assert (codes[:, 0] == 1).all() and np.array_equal(codes[:, 1:], pixels[:, 1:] / 10)
    assert np.array_equal(images, 10.0 * codes)
    assert (editor.edit(pixels, "first", -1.0)[1][:, 0] == 0).all()
    across = editor.edit(pixels, "first", -2.0, relative=True)[1]  # To the other side of the boundary.
    assert np.array_equal(across[:, 0], pixels[:, 0] == 0)


def test_images_at_or_beyond_the_amount_are_unchanged(editor, pixels, labels):
    assert np.array_equal(editor.edit(pixels, "first", 0.0)[0], pixels)
    beyond = pixels[labels["first"]]
    assert np.array_equal(editor.edit(beyond, "first", 0.5)[0], beyond)


@pytest.mark.parametrize("mode", ["flip", "threshold", "soft"])
def test_every_mode_moves_the_probability_towards_the_amount(codec, pixels, labels, mode):
    editor = AttributeEditor(codec("probabilities"), mode=mode).fit(pixels, labels)
    before = editor.predict_proba(pixels)["either"].to_numpy()
    for amount, sign in ((3.0, 1.0), (-3.0, -1.0)):
        codes = editor.edit(pixels, "either", amount)[1]
        after = probability(editor, codes)[:, 1]
        assert (sign * (after - before) >= -1e-9).all()
        assert codes.min() >= 0 and codes.max() <= 1
        if mode == "flip":
            assert (sign * (after - expit(amount)) >= -1e-6).all()
    assert codes.dtype == (np.float64 if mode == "soft" else np.uint8)


def test_edits_are_limited_to_the_log_odds_of_labelled_images(codec):
    random = np.random.default_rng(0)
    X = 10.0 * random.integers(0, 2, (2000, 6))
    # A weak attribute: no code determines it.
    Y = random.random(2000) < expit(0.8 * (X[:, 0] / 5.0 - 1.0) + 0.4 * (X[:, 1] / 5.0 - 1.0))
    without = X[(X[:, :2] == 0.0).all(axis=1)]
    limited = AttributeEditor(codec(), C=1000.0, reach=0.5).fit(X, Y)
    free = AttributeEditor(codec(), C=1000.0, reach=None).fit(X, Y)
    median = np.median(limited.probes_.log_odds(X[Y] / 10.0)[:, 0])
    assert limited.labels_["most"].iloc[0] == pytest.approx(median)
    after = limited.probes_.log_odds(limited.edit(without, "attribute_0", 9.0)[1])[:, 0]
    assert (after >= median - 1e-6).all()
    flips = [(one.edit(without, "attribute_0", 9.0)[1] != without / 10.0).sum() for one in (limited, free)]
    assert flips[0] < flips[1]
    assert np.isinf(free.labels_[["least", "most"]]).all(axis=None)


def test_an_infinite_amount_is_as_far_as_edits_reach(codec, pixels, labels):
    editor = AttributeEditor(codec()).fit(pixels, labels)
    least, most = editor.labels_.loc["either", ["least", "most"]]
    default = editor.edit(pixels, "either")[1]
    assert np.array_equal(default, editor.edit(pixels, "either", most)[1])
    removed = editor.edit(pixels, {"either": -np.inf})[1]
    assert np.array_equal(removed, editor.edit(pixels, "either", least)[1])
    assert not np.array_equal(default, removed)
    with pytest.raises(ValueError, match="reach=None, or relative=True"):
        editor.edit(pixels, "either", relative=True)
    with pytest.raises(ValueError, match="reach=None, or relative=True"):
        editor.set_params(reach=None).fit(pixels, labels).sweep(pixels, "either", [0.0, np.inf])


def test_several_attributes_are_edited_at_once(editor, pixels):
    codes = editor.edit(pixels, {"first": 2.0, "last": -2.0})[1]
    assert (codes[:, 0] == 1).all() and (codes[:, 5] == 0).all()
    assert np.array_equal(codes[:, 1:5], pixels[:, 1:5] / 10)


def test_held_attributes_are_kept(pixel_codec, pixels):
    # The second attribute correlates with the first; only bits 0 and 1 distinguish them.
    bits = pixels > 5.0
    Y = pd.DataFrame({"pair": (bits[:, 0].astype(int) + bits[:, 1] + bits[:, 2]) >= 2, "one": bits[:, 0]})
    X = pixels[~bits[:, 0] & ~bits[:, 1] & ~bits[:, 2]]
    editor = AttributeEditor(pixel_codec, C=1000.0).fit(pixels, Y)
    for hold in (["one"], "one", "others"):
        codes = editor.edit(X, "pair", 1.0, hold=hold)[1]
        assert (codes[:, 0] == 0).all() and (codes[:, 1] == 1).all()
    soft = AttributeEditor(pixel_codec, mode="soft", C=1000.0).fit(pixels, Y)
    before = probability(soft, X / 10)
    held, free = (soft.edit(X, "pair", 0.5, hold=hold)[1] for hold in ("others", ()))
    changes = [np.abs(probability(soft, codes) - before)[:, 1].mean() for codes in (held, free)]
    assert changes[0] < changes[1]


def test_sweep_is_a_series_of_edits_from_the_same_noise(codec, pixels, labels):
    editor, X = AttributeEditor(codec(noisy=True)).fit(pixels, labels), pixels[:7]
    images, codes = editor.sweep(X, "either", [-2.0, 0.0, 2.0], random_state=3, keep=False)
    assert images.shape == codes.shape == (3, 7, 6)
    for i, amount in enumerate([-2.0, 0.0, 2.0]):
        one = editor.edit(X, "either", amount, random_state=3, keep=False)
        assert np.array_equal(images[i], one[0]) and np.array_equal(codes[i], one[1])
    noise = images - 10.0 * codes
    assert np.allclose(noise, noise[0]) and not np.allclose(noise[0, 0], noise[0, 1])
    assert not np.array_equal(editor.edit(X, "either", 2.0, random_state=4, keep=False)[0], images[2])


def test_sweep_refuses_amounts_of_its_own_for_several_attributes(codec, pixels, labels):
    editor = AttributeEditor(codec()).fit(pixels, labels)
    with pytest.raises(ValueError, match="attribute must be one name"):
        editor.sweep(pixels[:2], {"either": 1.0}, [0.0, 2.0])


#: Every option of sampling, with values other than the defaults.
SAMPLING = [
    {"n_steps": 4, "sampler": "dpm++", "spacing": "uniform"},
    {"n_steps": 3, "sampler": "ddim", "eta": 0.5, "match_perturbation": False, "progress": False},
    {"n_steps": 3, "return_trajectory": True, "callback": lambda step, n_steps, samples: None},
    {"n_steps": 3, "noise": "inverted"},
    {"n_steps": 3, "strength": 0.3},
    {"n_steps": 3, "strength": 0.5, "noise": "inverted", "guidance": 1.0},
]


@pytest.mark.parametrize("options", SAMPLING, ids=lambda options: "-".join(options))
def test_sampling_options_reach_the_encoder(options, encoder, digits, digit_labels):
    editor = AttributeEditor(encoder).fit(digits, digit_labels == 0, names=["zero"])
    X, params = digits[:4], {"random_state": 0, **options}
    images, codes = editor.edit(X, "zero", keep=False, **params)
    seeds = np.random.SeedSequence(0).generate_state(4) >> 1
    noise = {"noise": "random" if "strength" in options else "zero"}
    expected = decode_codes(encoder, codes, like=X, random_state=seeds, **noise | options)
    np.testing.assert_allclose(images.astype(float), expected, atol=1)
    swept, kept = (editor.sweep(X, "zero", [4.0, 0.0], keep=keep, **params)[0] for keep in (False, True))
    np.testing.assert_allclose(swept[0].astype(float), images, atol=1)
    assert kept.shape == swept.shape and (kept[1] == X).all()


def test_edited_images_move_towards_the_attribute(encoder, digits, digit_labels):
    editor = AttributeEditor(encoder).fit(digits[:500], digit_labels[:500] == 0, names=["zero"])
    others = digits[500:][digit_labels[500:] != 0][:30]
    report = editor.report(others, *editor.edit(others, "zero", n_steps=5, random_state=0), "zero")
    assert (report["after"] > expit(3.0) - 1e-3).all()
    assert report["reencoded"].mean() > report["before"].mean() + 0.1


def test_keep_leaves_unchanged_pixels_as_they_are(codec, pixels, labels):
    editor, X = AttributeEditor(codec(noisy=True), C=1000.0).fit(pixels, labels), pixels[:9]
    images, plain = (editor.edit(X, "first", 1.0, keep=keep, random_state=0)[0] for keep in (True, False))
    assert np.array_equal(images[:, 1:], X[:, 1:])
    changed = X[:, 0] == 0.0
    assert changed.any() and np.array_equal(images[changed, 0], plain[changed, 0])


def test_report_has_a_row_per_image_and_attribute(editor, pixels, labels):
    X = pixels[:5]
    images, codes = editor.edit(X, "first", 1.0, hold=["last"])
    report = editor.report(X, images, codes, "first", hold=["last"])
    assert len(report) == 15
    assert report["role"][:3].tolist() == ["edited", "other", "held"]
    first = report[report["attribute"] == "first"]
    np.testing.assert_allclose(first["before"], editor.predict_proba(X)["first"])
    np.testing.assert_allclose(first["after"], probability(editor, codes)[:, 0])
    # These images are their codes.
    np.testing.assert_allclose(first["reencoded"], first["after"])
    moved = X[:, 0] == 0.0
    assert first["changed"].tolist() == first["changed_reencoded"].tolist() == moved.tolist()
    assert first["bits_flipped"].tolist() == moved.astype(int).tolist()
    assert (first["bits_returned"] == 1.0).all()
    np.testing.assert_allclose(first["distance"], 10.0 * np.sqrt(moved / 6))
    assert not report[report["role"] == "held"]["changed"].any()


def test_summary_lists_edited_attributes_first(editor, pixels):
    images, codes = editor.edit(pixels, {"last": 2.0}, hold=["first"])
    summary = edit_summary(editor.report(pixels, images, codes, {"last": 2.0}, hold=["first"]))
    assert summary.index.tolist() == ["last", "first", "either"]
    assert summary.loc["last", "changed"] == pytest.approx((pixels[:, 5] == 0).mean())
    assert summary.loc["first", "changed"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["frist"], {}, r"no attribute 'frist' among the 3 .*Did you mean 'first'"),
        (["first"], {"hold": ["first"]}, r"\['first'\] cannot be both edited and held"),
        (["first"], {"strength": 4.0}, r"strength must be .*\(0.0, 1.0\]"),
        (["first"], {"noise": "inverted"}, r"PixelCodec.inverse_transform does not take 'noise'"),
    ],
)
def test_invalid_edits_are_refused(editor, pixels, arguments, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        editor.edit(pixels, *arguments, **options)


def test_invalid_encoders_are_refused(codec, pixel_codec, pixels, labels):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        AttributeEditor(pixel_codec).edit(pixels, "a")
    editor = AttributeEditor(codec()).fit(pixels, labels)
    with pytest.raises(ValueError, match="codes of 5 bits, but the probes were fitted to 6"):
        editor.edit(pixels[:, :5], "first")
