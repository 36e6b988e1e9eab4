"""Random input to the measures of images, of features and of factors, against plain NumPy and SciPy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_calls import accepted, call, cases, refused
from random_values import ANYTHING, NUMBERS, SCALARS, SEEDS, WHOLE, as_reference, choices, inputs, same_values
from scipy.linalg import sqrtm

from dmzrep.metrics import (
    ClassifierFeatures,
    DistanceResult,
    FeatureSet,
    FeatureSource,
    FeatureStatistics,
    code_cycle_accuracy,
    dci,
    extract_features,
    frechet_distance,
    kernel_distance,
    mig,
    mse,
    mutual_information_over_time,
    precision_recall,
    psnr,
    reconstruction_report,
    ssim,
    tad,
)

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, 12, 12)).astype(np.uint8)
COLOURS = RNG.random((2, 3, 12, 12))
FEATURES = RNG.normal(size=(12, 2))
CODES = RNG.random((24, 3))
FACTORS = pd.DataFrame({"hat": CODES[:, 0] > 0.5, "age": CODES[:, 1]})
SMALL_WHOLE = WHOLE.filter(lambda n: not isinstance(n, (int, np.integer)) or n < 99)


@cases(500)
@given(
    st.sampled_from((mse, psnr, ssim)),
    st.one_of(st.just(IMAGES), inputs(IMAGES), inputs(COLOURS)),
    st.one_of(st.just(IMAGES[::-1]), inputs(IMAGES), inputs(COLOURS)),
    choices("auto", "first", "last"),
    st.one_of(st.just("auto"), st.just((0, 255)), st.tuples(NUMBERS, NUMBERS), SCALARS),
)
def test_errors_of_images(measure, X, Y, channels, value_range):
    result = call(measure, X, Y, channels=channels, value_range=value_range)
    if not refused(result):
        one, two = as_reference(X), as_reference(Y)
        assert result.shape == (len(one),) and not np.isnan(result).any()
        if measure is ssim:
            assert (result <= 1 + 1e-9).all()
        elif value_range == "auto":
            span = 255.0 if np.asarray(X).dtype == np.uint8 else 1.0
            right = np.square((one - two) / span).reshape(len(one), -1).mean(axis=1)
            with np.errstate(divide="ignore"):
                assert np.allclose(result, right if measure is mse else -10 * np.log10(right))


@cases(100)
@given(same_values(IMAGES, lists=False))
def test_right_images_are_taken_in_any_form(X):
    assert np.allclose(accepted(call(mse, X, IMAGES)), 0.0)


@cases(100)
@given(st.one_of(st.integers(1, 13), WHOLE))
def test_window_of_ssim(window_size):
    result = call(ssim, IMAGES, IMAGES, window_size=window_size)
    assert refused(result) or np.allclose(result, 1.0)


@cases(250)
@given(inputs(FEATURES), st.one_of(st.just(FEATURES), inputs(FEATURES)))
def test_frechet_distance(reference, generated):
    result = call(frechet_distance, reference, generated)
    if not refused(result):
        one, two = as_reference(reference), as_reference(generated)
        assert np.isfinite(float(result)) and float(result) >= 0
        if max(np.abs(one).max(), np.abs(two).max()) < 1e3 and min(len(one), len(two)) > one.shape[1]:
            covariances = [np.atleast_2d(np.cov(x, rowvar=False)) for x in (one, two)]
            if min(np.linalg.eigvalsh(c).min() for c in covariances) > 1e-6:
                root = sqrtm(covariances[0] @ covariances[1]).real
                right = np.square(one.mean(0) - two.mean(0)).sum() + np.trace(sum(covariances) - 2 * root)
                assert float(result) == pytest.approx(max(right, 0.0), rel=1e-6, abs=1e-6)


@cases(200)
@given(
    inputs(FEATURES),
    st.one_of(st.just(FEATURES), inputs(FEATURES)),
    st.one_of(st.just(3), SMALL_WHOLE),
    st.one_of(st.just(5), WHOLE),
    SEEDS,
)
def test_kernel_distance(reference, generated, n_subsets, subset_size, random_state):
    result = call(
        kernel_distance,
        reference,
        generated,
        n_subsets=n_subsets,
        subset_size=subset_size,
        random_state=random_state,
    )
    assert refused(result) or np.isfinite(list(result.scores.values())).all()


@cases(200)
@given(inputs(FEATURES), st.one_of(st.just(FEATURES), inputs(FEATURES)), st.one_of(st.just(3), WHOLE))
def test_precision_recall(reference, generated, n_neighbors):
    result = call(precision_recall, reference, generated, n_neighbors=n_neighbors)
    if not refused(result):
        assert all(0 <= result.scores[name] <= 1 for name in ("precision", "recall", "coverage"))
        assert np.isfinite(result.scores["density"]) and result.scores["density"] >= 0


@cases(200)
@given(
    st.one_of(inputs(FEATURES), inputs(IMAGES)),
    st.sampled_from((None, lambda X: np.ones((len(X), 2)), lambda X: X)),
)
def test_extract_features(images, extractor):
    if extractor is not None and not (isinstance(images, np.ndarray) and images.ndim):
        return  # An extractor of the user's raises what it likes.
    result = call(extract_features, images, extractor)
    if not refused(result):
        assert np.isfinite(result.features).all() and result.features.dtype == np.float64


@cases(60)
@given(st.one_of(st.none(), st.builds(dict, seed=SCALARS), st.just({"resize": 1}), SCALARS))
def test_notes_of_results(about):
    result = call(frechet_distance, FEATURES, FEATURES, about=about)
    assert refused(result) or result.to_dict()["frechet_distance"] == pytest.approx(0.0, abs=1e-9)


@cases(300)
@given(
    st.sampled_from((mig, tad)),
    st.one_of(st.just(CODES), inputs(CODES)),
    st.one_of(inputs(CODES[:, :2] > 0.5), st.just(FACTORS), inputs(CODES[:, 0])),
    st.data(),
)
def test_gaps(measure, Z, factors, data):
    names = ("n_bins",) if measure is mig else ("min_auroc", "max_redundancy")
    options = {name: data.draw(st.one_of(WHOLE, NUMBERS)) for name in names if data.draw(st.booleans())}
    result = call(measure, Z, factors, **options)
    if not refused(result):
        assert np.isfinite(result.score) and result.score >= -1e-9
        assert result.table["gap"].between(-1e-9, 1 + 1e-9).all()


@cases(60)
@given(
    st.one_of(st.just(CODES), inputs(CODES)),
    st.one_of(st.just(FACTORS), inputs(CODES[:, :2] > 0.5)),
    choices("gradient_boosting", "lasso"),
    st.one_of(st.just(0.25), NUMBERS),
    SEEDS,
)
def test_dci(Z, factors, model, test_size, random_state):
    result = call(dci, Z, factors, model=model, test_size=test_size, random_state=random_state)
    if not refused(result):
        assert 0 <= result.disentanglement <= 1 + 1e-9 and 0 <= result.completeness <= 1 + 1e-9


@cases(150)
@given(
    st.one_of(inputs(np.eye(8)[:2]), ANYTHING),
    st.one_of(st.just(1), WHOLE),
    choices("auto", "ddim"),
    SEEDS,
    st.booleans(),
)
def test_code_cycle_accuracy(tiny, Z, n_steps, sampler, random_state, per_bit):
    result = call(
        code_cycle_accuracy,
        tiny,
        Z,
        per_bit=per_bit,
        n_steps=n_steps,
        sampler=sampler,
        random_state=random_state,
    )
    assert refused(result) or ((np.asarray(result) >= 0).all() and (np.asarray(result) <= 1).all())


@cases(120)
@given(st.data())
def test_reconstruction_report(tiny, images, data):
    X = data.draw(inputs(images[:2]))
    noises = data.draw(
        st.one_of(st.just(("random",)), st.lists(choices("random", "inverted"), max_size=2), SCALARS)
    )
    n_steps = data.draw(st.one_of(st.just(1), WHOLE))
    result = call(reconstruction_report, tiny, X, noises=noises, n_steps=n_steps)
    assert refused(result) or result.empty or (result["mse"] >= 0).all()


@cases(40)
@given(st.data())
def test_mutual_information_over_time(tiny, images, data):
    X = data.draw(st.one_of(st.just(images), inputs(images)))
    options = {
        "timesteps": data.draw(st.one_of(st.just([0]), st.lists(WHOLE, max_size=2), SCALARS)),
        "test_size": data.draw(st.one_of(st.just(0.3), NUMBERS)),
        "batch_size": data.draw(st.one_of(st.just(8), SMALL_WHOLE)),
        "learning_rate": data.draw(st.one_of(st.just(1e-3), NUMBERS)),
    }
    chosen = {
        name: options[name] for name in data.draw(st.sets(st.sampled_from(sorted(options)), max_size=2))
    }
    result = call(
        mutual_information_over_time, tiny, X, **{"timesteps": [0]} | chosen, width=4, training_steps=1
    )
    assert refused(result) or np.isfinite(result.to_numpy()).all()


@pytest.fixture(scope="session")
def classifier(images):
    return ClassifierFeatures(4, width=4, max_iter=1).fit(images, np.arange(40) % 2)


@cases(150)
@given(st.sampled_from(("transform", "predict", "score", "__call__")), st.data())
def test_classifier_features(classifier, images, method, data):
    X = data.draw(inputs(images[:4]))
    y = [data.draw(st.one_of(st.just([0, 1, 0, 1]), inputs(np.arange(4) % 2)))] if method == "score" else []
    result = call(getattr(classifier, method), X, *y)
    if not refused(result):
        assert np.isfinite(result).all()
        assert method == "score" or len(result) == len(X)


@cases(100)
@given(st.data())
def test_fit_of_classifier_features(images, data):
    X = data.draw(st.one_of(st.just(images[:8]), inputs(images[:8])))
    y = data.draw(
        st.one_of(
            st.just(np.arange(8) % 3),
            inputs(np.arange(8) % 2),
            inputs(np.eye(2, dtype=int)[np.arange(8) % 2]),
        )
    )
    name = data.draw(
        st.sampled_from(
            ("n_features", "width", "max_iter", "batch_size", "learning_rate", "random_state", "channels")
        )
    )
    value = data.draw(
        st.one_of(SMALL_WHOLE, NUMBERS.filter(lambda v: not isinstance(v, (int, float)) or not v > 99))
    )
    settings = {"n_features": 4, "width": 2, "max_iter": 1}
    settings |= {name: value} if data.draw(st.booleans()) else {}
    features = ClassifierFeatures(**settings)
    if not refused(call(features.fit, X, y)):
        assert np.isfinite(features.transform(X)).all()


def test_containers_of_results_are_made_by_measures():
    """The dataclasses hold what measures give and check only what could clash."""
    result = call(DistanceResult, {"a": 1.0}, FeatureSource("pixels"), 1, 1, {}, {"a": 2})
    assert refused(result) and "rename" in result.message
    statistics = call(FeatureSet, FEATURES).statistics
    assert (
        float(
            call(
                frechet_distance,
                call(FeatureStatistics, statistics.mean, statistics.covariance, 12),
                FEATURES,
            )
        )
        < 1e-9
    )
