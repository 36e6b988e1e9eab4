"""Random input to displays and data sets."""

import matplotlib
import matplotlib.pyplot
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_calls import call, cases, refused
from random_values import ANYTHING, NUMBERS, SCALARS, SEEDS, WHOLE, choices, inputs

from dmzrep import plotting
from dmzrep.datasets import ImageColumn, load_digits_images, load_images, make_sprites
from dmzrep.editing import AttributeEditor
from dmzrep.retrieval import ImageRetriever

matplotlib.use("Agg")
COUNTS = WHOLE.filter(lambda n: not isinstance(n, (int, np.integer)) or n < 99)


@pytest.fixture(autouse=True, scope="module")
def no_figures_left():
    yield
    matplotlib.pyplot.close("all")


@pytest.fixture(scope="session")
def axes():
    """One axes for all cases: a figure takes longer than all else."""
    from matplotlib.figure import Figure

    return Figure().subplots()


def drawn(display, axes):
    """A display that was made shows something."""
    if not refused(display):
        assert display.figure_ is axes.figure
        axes.figure.clear()
        axes.figure.add_axes(axes)
        axes.clear()


@cases(60)
@given(st.data())
def test_pictures_of_an_encoder(tiny, images, axes, data):
    X = data.draw(st.one_of(st.just(images[:3]), inputs(images[:3])))
    n = data.draw(st.one_of(st.just(1), COUNTS))
    kind = data.draw(st.sampled_from(("rebuilt", "drawn", "near", "walk", "edit", "bits")))
    if kind == "rebuilt":
        result = call(
            plotting.ReconstructionDisplay.from_estimator, tiny, X, max_images=n, n_steps=1, ax=axes,
            n_draws=data.draw(st.one_of(st.just(1), COUNTS)), noise=data.draw(choices("random", "inverted")),
        )  # fmt: skip
    elif kind == "drawn":
        result = call(
            plotting.SampleDisplay.from_estimator, tiny, n, n_steps=1, ax=axes, random_state=data.draw(SEEDS)
        )
    elif kind == "near":
        result = call(
            plotting.NeighborsDisplay.from_estimator,
            tiny,
            X,
            images,
            n,
            ax=axes,
            max_queries=data.draw(COUNTS),
        )
    elif kind == "walk":
        result = call(
            plotting.InterpolationDisplay.from_estimator, tiny, X, images[1:4], ax=axes, n_steps=2,
            denoising_steps=1, max_walks=n,
        )  # fmt: skip
    elif kind == "edit":
        editor = AttributeEditor(tiny).fit(images, np.arange(40) % 2, names=["odd"])
        strengths = data.draw(st.one_of(st.just((1.0,)), st.lists(NUMBERS, max_size=2), SCALARS))
        result = call(
            plotting.EditDisplay.from_estimator, editor, X, data.draw(choices("odd")), strengths,
            max_images=n, n_steps=1, ax=axes,
        )  # fmt: skip
    else:
        image = X[0] if isinstance(X, np.ndarray) and X.ndim and len(X) else X
        result = call(plotting.BitDisplay.from_estimator, tiny, image, max_bits=n, n_steps=1, ax=axes)
    drawn(result, axes)


@cases(60)
@given(st.data())
def test_pictures_of_tables(tiny, axes, data):
    codes = np.random.default_rng(0).integers(0, 2, (12, 3))
    kind = data.draw(st.sampled_from(("history", "bits", "probes", "curve")))
    if kind == "history":
        result = call(
            plotting.HistoryDisplay.from_estimator,
            tiny,
            x=data.draw(choices("seconds", "epoch", "images")),
            ax=axes,
        )
    elif kind == "bits":
        result = call(
            plotting.BitTableDisplay.from_codes, data.draw(inputs(codes)), codes[:, :2], ax=axes,
            max_bits=data.draw(st.one_of(st.none(), COUNTS)),
        )  # fmt: skip
    elif kind == "probes":
        report = data.draw(
            st.one_of(ANYTHING, st.just(pd.DataFrame({"attribute": ["a"], "representation": ["b"]})))
        )
        result = call(
            plotting.ProbeDisplay.from_report, report, metric=data.draw(choices("roc_auc")), ax=axes
        )
        assert refused(result)
    else:
        curve = data.draw(
            st.one_of(ANYTHING, st.just(pd.DataFrame({"representation": ["a"], "n_train": [1]})))
        )
        result = call(
            plotting.LabelEfficiencyDisplay.from_curve, curve, metric=data.draw(choices("roc_auc")), ax=axes
        )
        assert refused(result)
    drawn(result, axes)


@cases(60)
@given(st.data())
def test_pictures_of_a_retriever(tiny, images, axes, data):
    retriever = ImageRetriever(tiny).fit(images)
    X = data.draw(st.one_of(st.just(images[:2]), inputs(images[:2])))
    result = call(
        plotting.NeighborsDisplay.from_retriever, retriever, X,
        data.draw(st.one_of(st.just(images), inputs(images))),
        data.draw(st.one_of(st.just(2), COUNTS)), ax=axes,
    )  # fmt: skip
    drawn(result, axes)


@cases(150)
@given(
    st.one_of(st.integers(1, 4), SCALARS.filter(lambda n: not isinstance(n, int) or n < 99)),
    st.one_of(st.integers(8, 12), SCALARS.filter(lambda n: not isinstance(n, int) or n < 99)),
    st.booleans(),
    SEEDS,
)
def test_make_sprites(n_samples, side, return_X_y, random_state):
    result = call(make_sprites, n_samples, side=side, return_X_y=return_X_y, random_state=random_state)
    if not refused(result):
        images, attributes = result if return_X_y else (result.images, result.attributes)
        assert images.shape == (n_samples, side, side, 3) and images.dtype == np.uint8
        assert set(np.unique(attributes)) <= {0, 1}


@cases(100)
@given(st.one_of(st.just(8), st.tuples(WHOLE, WHOLE), SCALARS), choices("RGB", "L", "RGBA"))
def test_load_images(tmp_path_factory, size, mode):
    """A folder without pictures is refused, and so is what is no size or mode."""
    result = call(load_images, tmp_path_factory.getbasetemp(), size, mode=mode)
    assert refused(result)


@cases(60)
@given(st.one_of(ANYTHING, SCALARS), st.one_of(st.none(), SCALARS))
def test_columns_of_what_are_no_data_sets(dataset, column):
    assert refused(call(ImageColumn, dataset, column))


@cases(10)
@given(st.booleans())
def test_load_digits_images(return_X_y):
    result = call(load_digits_images, return_X_y=return_X_y)
    assert (result[0] if return_X_y else result.images).shape == (1797, 8, 8)


@cases(40)
@given(st.one_of(NUMBERS, ANYTHING))
def test_history_of_no_table(history):
    assert refused(call(plotting.HistoryDisplay(history).plot))
