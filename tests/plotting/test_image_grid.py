"""Behaviour that all Displays of images share."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from dmzrep import DMZEncoder
from dmzrep.data import learn_image_format
from dmzrep.editing import AttributeEditor
from dmzrep.plotting import (
    BitDisplay,
    EditDisplay,
    ImageGridDisplay,
    InterpolationDisplay,
    NeighborsDisplay,
    ReconstructionDisplay,
    SampleDisplay,
)
from dmzrep.plotting._image_grid import take
from tests.plotting.helpers import drawn_images, texts

SEEDED = {"n_steps": 2, "random_state": 0}


def _edit(encoder, X, **options):
    editor = AttributeEditor(encoder)
    if X.ndim > 2:  # Vectors are refused before the editor is used.
        editor.fit(X, np.arange(len(X)) % 2, names=["bold"])
    return EditDisplay.from_estimator(editor, X, "bold", [1.0], max_images=2, **options)


#: Every Display of images from an encoder: a function that draws it, and its rows and columns.
DISPLAYS = {
    SampleDisplay: (lambda e, X, **o: SampleDisplay.from_estimator(e, 4, **SEEDED, **o), (2, 2)),
    ReconstructionDisplay: (
        lambda e, X, **o: ReconstructionDisplay.from_estimator(e, X, max_images=3, **SEEDED, **o),
        (2, 3),
    ),
    NeighborsDisplay: (lambda e, X, **o: NeighborsDisplay.from_estimator(e, X[:2], X[2:], 3, **o), (2, 4)),
    EditDisplay: (lambda e, X, **o: _edit(e, X, **SEEDED, **o), (2, 2)),
    InterpolationDisplay: (
        lambda e, X, **o: InterpolationDisplay.from_estimator(e, X[:2], X[2:4], 3, **SEEDED, **o),
        (2, 5),
    ),
    BitDisplay: (lambda e, X, **o: BitDisplay.from_estimator(e, X[:1], max_bits=2, **SEEDED, **o), (2, 5)),
}
every_display = pytest.mark.parametrize("display", DISPLAYS, ids=lambda display: display.__name__)


@every_display
def test_images_are_drawn_on_the_given_axes(display, colour_encoder, colour_images):
    draw, (n_rows, n_columns) = DISPLAYS[display]
    others = plt.get_fignums()  # Of other tests.
    figure, axes = plt.subplots(1, 2)
    current = plt.figure()
    result = draw(colour_encoder, colour_images, ax=axes[0])
    assert result.ax_ is axes[0] and result.figure_ is figure
    assert drawn_images(result, n_rows).shape == (n_rows, n_columns, 8, 12, 3)
    assert result.plot(axes[1]) is result and result.ax_ is axes[1]
    assert len(axes[0].images) == len(axes[1].images) == n_rows * n_columns
    assert plt.gcf() is current and not current.axes
    assert plt.get_fignums() == [*others, figure.number, current.number]


@every_display
def test_vectors_and_unfitted_encoders_raise(display, vector_encoder, digits):
    draw = DISPLAYS[display][0]
    with pytest.raises(
        ValueError, match=rf"{display.__name__} draws images.*5 features.*image_shape=\(H, W\)"
    ):
        draw(vector_encoder, np.zeros((6, 5)))
    if display is not EditDisplay:
        with pytest.raises(NotFittedError):
            draw(DMZEncoder(), digits)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"images": np.full((1, 2, 8, 8), 255)}, r"pixels in \[0, 1\], got values from 0 to 255"),
        ({"captions": [["a"]]}, "captions must have 2 texts"),
    ],
)
def test_invalid_grids_raise(params, message):
    with pytest.raises(ValueError, match=message):
        ImageGridDisplay(**{"images": np.zeros((1, 2, 8, 8))} | params).plot()


RC = {
    "image.cmap": "jet",
    "image.origin": "lower",
    "image.aspect": "auto",
    "axes.grid": True,
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    "ytick.labelleft": False,
    "figure.dpi": 30,
}


@every_display
def test_images_do_not_depend_on_rcparams(display, encoder, digits):
    draw, (n_rows, _) = DISPLAYS[display]
    default = draw(encoder, digits)
    with mpl.rc_context(RC):
        changed = draw(encoder, digits)
        changed.figure_.canvas.draw()
    assert_array_equal(drawn_images(changed, n_rows), drawn_images(default, n_rows))
    for image, expected in zip(changed.images_, default.images_, strict=True):
        assert image.get_cmap().name == "gray" and image.get_clim() == (0.0, 1.0)
        assert image.origin == "upper" and image.get_extent() == expected.get_extent()
    assert changed.ax_.get_aspect() == 1.0
    lines = [*changed.ax_.get_xgridlines(), *changed.ax_.get_ygridlines()]
    assert not any(line.get_visible() for line in lines)
    assert not len(changed.ax_.xaxis.get_minorticklocs()) and not len(changed.ax_.yaxis.get_minorticklocs())
    assert all(tick.label1.get_visible() for tick in changed.ax_.yaxis.get_major_ticks())


def test_grid_is_drawn_row_by_row_inside_the_axes():
    images = np.random.default_rng(0).random((2, 3, 8, 12))
    images[1, 2] = np.nan  # Left blank.
    labels = {"row_labels": ["a", "b$1"], "column_labels": "xyz", "captions": [["1", "2", "3"]] * 2}
    display = ImageGridDisplay(images, title="$T$", note="n", **labels).plot()
    assert len(display.images_) == len(display.ax_.images) == 5
    (x_low, x_high), (y_high, y_low) = display.ax_.get_xlim(), display.ax_.get_ylim()
    for image, expected in zip(display.images_, images.reshape(6, 8, 12), strict=False):
        assert_allclose(image.get_array(), expected)
        left, right, bottom, top = image.get_extent()
        assert x_low < left < right < x_high and y_low < top < bottom < y_high
        assert (bottom - top) / (right - left) == pytest.approx(8 / 12)
    first, second, below = (display.images_[i].get_extent() for i in (0, 1, 3))
    assert second[0] > first[1] and below[3] > first[2]
    assert display.ax_.get_title() == "$T$" and texts(display.ax_.get_yticklabels()) == ["a", "b$1"]
    assert texts(display.ax_.get_xticklabels()) == ["x", "y", "z"] and display.ax_.get_xlabel() == "n"
    assert texts(display.ax_.texts) == ["1", "2", "3", "1", "2"]
    display.figure_.canvas.draw()  # Dollar signs are not parsed as mathematics.


@pytest.mark.parametrize("title", ["Title", "A title that is much longer than one small image is wide " * 2])
def test_titles_fit_in_the_figure(title):
    display = ImageGridDisplay(np.zeros((1, 1, 8, 8)), title=title, row_labels=["reconstruction"]).plot()
    display.figure_.canvas.draw()
    box = display.ax_.title.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= display.figure_.bbox.x1 and box.y1 <= display.figure_.bbox.y1


def _ramp(shape, dtype):
    values = np.arange(np.prod(shape)).reshape(shape) % 256
    return values.astype(np.uint8) if dtype == "uint8" else (values / 255).astype(dtype)


def _pictures(X, **options):
    return learn_image_format(X, **options).to_pictures(X)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_pictures_do_not_depend_on_layout_and_dtype(dtype):
    last = _ramp((2, 8, 12, 3), dtype)
    flat = _pictures(last.reshape(2, -1), image_shape=(8, 12, 3))
    for pictures in (_pictures(last), _pictures(np.moveaxis(last, -1, 1).copy()), flat):
        assert pictures.dtype == np.float32
        assert_allclose(pictures, _ramp((2, 8, 12, 3), "float32"), atol=1e-7)
    for shape in ((3, 8, 12), (3, 8, 12, 1), (3, 1, 8, 12)):
        assert_allclose(_pictures(_ramp(shape, dtype)), _ramp((3, 8, 12), "float64"), atol=1e-7)


def test_pictures_of_other_channels_and_ranges():
    two = _pictures(_ramp((2, 8, 12, 2), "uint8"))
    assert two.shape == (2, 8, 12, 3) and not two[..., 2].any()
    assert _pictures(_ramp((2, 4, 8, 12), "uint8")).shape == (2, 8, 12, 4)
    pictures = _pictures(np.linspace(-3.0, 5.0, 2 * 64).reshape(2, 8, 8), value_range=(-3.0, 5.0))
    assert pictures.min() == 0.0 and pictures.max() == 1.0


def test_only_the_drawn_samples_of_a_dataset_are_read(encoder):
    class Pairs:
        read = ()

        def __len__(self):
            return 5000

        def __getitem__(self, i):
            self.read += (i,)
            return np.full((8, 8), i % 256, dtype=np.uint8), i

    dataset = Pairs()
    assert_array_equal(take(dataset, np.array([4, 1]))[:, 0, 0], [4, 1])
    ReconstructionDisplay.from_estimator(encoder, dataset, max_images=2, n_steps=2)
    assert set(dataset.read) <= {0, 1, 4}
