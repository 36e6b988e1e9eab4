import numpy as np
import pytest
from numpy.testing import assert_allclose

from dmzrep.editing import AttributeEditor
from dmzrep.plotting import EditDisplay


@pytest.fixture(scope="module")
def editor(encoder, digits):
    return AttributeEditor(encoder).fit(digits, digits.mean(axis=(1, 2)) > 80, names=["bold"])


def short_repr(display):
    return np.stack([np.asarray(image.get_array()) for image in display.images_])


def test_each_original_is_followed_by_its_edits(editor, digits):
    strengths = [-2.0, 0.0, 3.0]
    display = EditDisplay.from_estimator(editor, digits, "bold", strengths, max_images=2, n_steps=2)
    pictures = short_repr(display).reshape(2, 4, 8, 8)
    assert_allclose(pictures[:, 0], digits[:2] / 255, atol=1e-6)
    edits, _ = editor.sweep(digits[:2], "bold", strengths, n_steps=2)
    assert_allclose(pictures[:, 1:], edits.swapaxes(0, 1) / 255, atol=1e-6)
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == [
        "original",
        "-2",
        "no edit",
        "+3",
    ]
    assert '"bold"' in display.ax_.get_title()


def test_captions_are_the_probes_probabilities_of_what_is_shown(editor, digits):
    display = EditDisplay.from_estimator(editor, digits, "bold", [4.0], max_images=3, n_steps=2, keep=False)
    edited = editor.edit(digits[:3], "bold", 4.0, n_steps=2, keep=False)[0]
    expected = [editor.predict_proba(images)["bold"] for images in (digits[:3], edited)]
    assert_allclose(display.probabilities, expected)
    texts = [text.get_text() for text in display.ax_.texts]
    assert texts == [f"{value:.2f}" for value in np.transpose(expected).ravel()]


def test_colour_images_and_other_axes(colour_encoder, colour_images):
    import matplotlib.pyplot as plt

    editor = AttributeEditor(colour_encoder).fit(colour_images, np.arange(24) % 2)
    ax = plt.subplots()[1]
    display = EditDisplay.from_estimator(editor, colour_images, "attribute_0", [1.0], ax=ax, n_steps=2)
    assert display.ax_ is ax and short_repr(display).shape == (12, 8, 12, 3)


def test_vectors_and_no_images_are_refused(editor, vector_encoder, digits):
    with pytest.raises(ValueError, match="max_images must be an integer of at least 1, got 0"):
        EditDisplay.from_estimator(editor, digits, "bold", max_images=0)
    with pytest.raises(ValueError, match="EditDisplay draws images"):
        EditDisplay.from_estimator(AttributeEditor(vector_encoder), np.zeros((2, 5)), "bold")
    with pytest.raises(ValueError, match=r"'blod' is not an attribute passed to fit. Did you mean 'bold'"):
        EditDisplay.from_estimator(editor, digits, "blod")
