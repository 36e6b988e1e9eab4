import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dmzrep.plotting import NeighborsDisplay
from dmzrep.retrieval import FaissNeighbors, ImageRetriever


def test_queries_are_followed_by_their_neighbors_with_distances(encoder, digits):
    display = NeighborsDisplay.from_estimator(encoder, digits[:3], digits[3:], 4)

    assert len(display.images_) == len(display.ax_.images) == 3 * 5
    pictures = np.stack([image.get_array() for image in display.images_]).reshape(3, 5, 8, 8)
    assert_allclose(pictures[:, 0], digits[:3] / 255, atol=1e-6)
    assert_allclose(pictures[:, 1:], digits[3:][display.indices] / 255, atol=1e-6)

    bits = encoder.transform(digits) > 0.5
    for query, (indices, distances) in enumerate(zip(display.indices, display.distances, strict=True)):
        assert_array_equal((bits[query] != bits[3:][indices]).sum(axis=1), distances)
        assert (np.diff(distances) >= 0).all()

    captions = [text.get_text() for text in display.ax_.texts]
    expected = [["", *("1 bit" if d == 1 else f"{d} bits" for d in row)] for row in display.distances]
    assert captions == [caption for row in expected for caption in row]
    assert display.ax_.get_title() == "Nearest neighbors by Hamming distance over 8 bits"
    columns = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert columns == ["query", "1", "2", "3", "4"]


def test_an_image_finds_itself_first_when_it_is_in_the_index(encoder, digits):
    display = NeighborsDisplay.from_estimator(encoder, digits[:4], digits, 1)
    assert_array_equal(display.distances, 0)


@pytest.mark.parametrize("output", ["logits", "bits"])
def test_the_search_is_the_same_whatever_the_encoder_gives(encoder, digits, output):
    expected = NeighborsDisplay.from_estimator(encoder, digits[:2], digits, 5)
    before = encoder.output
    try:
        encoder.set_params(output=output)
        display = NeighborsDisplay.from_estimator(encoder, digits[:2], digits, 5)
    finally:
        encoder.set_params(output=before)
    assert_array_equal(display.indices, expected.indices)


def test_only_the_first_queries_are_shown(encoder, digits):
    display = NeighborsDisplay.from_estimator(encoder, digits, digits, 2, max_queries=3)
    assert display.queries.shape == (3, 8, 8)
    assert display.neighbors.shape == (3, 2, 8, 8)


def test_colour_neighbors_and_the_given_axes(colour_encoder, colour_images):
    figure, ax = plt.subplots()
    display = NeighborsDisplay.from_estimator(colour_encoder, colour_images[:2], colour_images, 3, ax=ax)
    assert display.neighbors.shape == (2, 3, 8, 12, 3)
    assert display.ax_ is ax and display.figure_ is figure


@pytest.mark.parametrize("k", [0, 11])
def test_an_impossible_k_is_named_with_the_limit(encoder, digits, k):
    with pytest.raises(
        ValueError, match=f"k must be an integer from 1 to 10, the number of images in X_index, got {k}"
    ):
        NeighborsDisplay.from_estimator(encoder, digits[:2], digits[:10], k)


def test_impossible_max_queries_are_named(encoder, digits):
    with pytest.raises(ValueError, match="max_queries must be an integer of at least 1, got 0"):
        NeighborsDisplay.from_estimator(encoder, digits, digits, max_queries=0)


def test_what_a_retriever_found(encoder, digits):
    odd = np.arange(len(digits)) % 2 == 1
    retriever = ImageRetriever(encoder).fit(digits, ids=np.arange(len(digits)) + 500)
    display = NeighborsDisplay.from_retriever(retriever, digits[:3], digits, 4, where=odd)
    assert (display.indices % 2 == 1).all()
    bits = encoder.transform(digits) > 0.5
    assert_array_equal((bits[:3, None] != bits[display.indices]).sum(axis=2), display.distances)
    assert_allclose(display.neighbors, digits[display.indices] / 255, atol=1e-6)
    assert display.ax_.get_title() == f"Nearest neighbors among {len(digits)} images by 8 bits"
    with pytest.raises(ValueError, match=f"must hold the {len(digits)} images of the index"):
        NeighborsDisplay.from_retriever(retriever, digits[:3], digits[:9], 4)


def test_other_distances_than_bits_have_plain_captions(encoder, digits):
    retriever = ImageRetriever(encoder, FaissNeighbors(metric="l2")).fit(digits)
    display = NeighborsDisplay.from_retriever(retriever, digits[:2], digits, 3)
    captions = [text.get_text() for text in display.ax_.texts]
    assert captions == [c for row in display.distances for c in ["", *(f"{d:.3g}" for d in row)]]
