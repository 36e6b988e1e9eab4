"""What each Display of images draws."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from dmzrep.attribution import attribute_bits, bit_effects
from dmzrep.data import as_rgb
from dmzrep.datasets import ImageReader
from dmzrep.editing import AttributeEditor, interpolate
from dmzrep.plotting import (
    BitDisplay,
    EditDisplay,
    InterpolationDisplay,
    NeighborsDisplay,
    ReconstructionDisplay,
    SampleDisplay,
)
from dmzrep.plotting._bits import MAGNITUDE, NEGATIVE, POSITIVE, overlay
from dmzrep.retrieval import FaissNeighbors, ImageRetriever, ITQTransformer
from tests.plotting.helpers import drawn_images, texts

SEEDED = {"n_steps": 2, "random_state": 0}
#: Options that Displays forward to the encoder.
SAMPLING = {
    "n_steps": 3,
    "sampler": "ddim",
    "spacing": "quadratic",
    "match_perturbation": False,
    "progress": False,
    "random_state": 1,
}


def assert_pixels(images, expected):
    """Compare drawn images with 8-bit ones, up to a level."""
    assert_allclose(images, np.asarray(expected) / 255, atol=1.01 / 255)


def test_samples_fill_a_nearly_square_grid(encoder):
    display = SampleDisplay.from_estimator(encoder, 7, **SEEDED)
    assert_pixels(drawn_images(display, 1)[0], encoder.sample(7, **SEEDED))
    extents = [image.get_extent() for image in display.images_]
    assert len({extent[0] for extent in extents}) == len({extent[3] for extent in extents}) == 3
    assert display.ax_.get_title() == "Samples from 8 bits"
    column = SampleDisplay.from_estimator(encoder, 3, n_columns=1, n_steps=2)
    assert len({image.get_extent()[0] for image in column.images_}) == 1
    with pytest.raises(ValueError, match="n_columns must be an integer of at least 1, or None, got 0"):
        SampleDisplay.from_estimator(encoder, 3, n_columns=0)


def test_sampling_options_are_forwarded(encoder, digits):
    calls = []
    options = SAMPLING | {"callback": lambda *step: calls.append(step)}
    sampled = SampleDisplay.from_estimator(encoder, 2, eta=0.5, prior="uniform", **options)
    assert_pixels(drawn_images(sampled, 1)[0], encoder.sample(2, eta=0.5, prior="uniform", **SAMPLING))
    rebuilt = ReconstructionDisplay.from_estimator(encoder, digits[:2], **options)
    assert_pixels(drawn_images(rebuilt, 2)[1], encoder.reconstruct(digits[:2], **SAMPLING))
    assert len(calls) == 2 * 3
    effects = bit_effects(encoder, encoder.transform(digits[:1]), [2], eta=0.5, **SAMPLING)
    bits = BitDisplay.from_estimator(encoder, digits[0], bits=[2], eta=0.5, **SAMPLING)
    assert_pixels(drawn_images(bits, 1)[0, 3, ..., 0], effects.on[0, 0])


def test_trajectories_are_drawn_step_by_step(encoder, digits):
    options = {"n_steps": 3, "return_trajectory": True, "random_state": 0}
    samples = SampleDisplay.from_estimator(encoder, 2, **options)
    assert_pixels(drawn_images(samples, 2), encoder.sample(2, **options).swapaxes(0, 1))
    assert texts(samples.ax_.get_xticklabels()) == ["step 1", "step 2", "step 3"]
    rebuilt = ReconstructionDisplay.from_estimator(encoder, digits[:2], **options)
    assert_pixels(drawn_images(rebuilt, 4)[1:], encoder.reconstruct(digits[:2], **options))
    assert texts(rebuilt.ax_.get_yticklabels()) == ["original", "step 1", "step 2", "step 3"]


def test_reconstructions_are_drawn_below_the_originals(encoder, digits):
    display = ReconstructionDisplay.from_estimator(encoder, digits, max_images=4, n_draws=2, **SEEDED)
    images = drawn_images(display, 3)
    assert_pixels(images[0], digits[:4])
    assert_pixels(images[1], encoder.reconstruct(digits[:4], noise="random", **SEEDED))
    assert not np.array_equal(images[1], images[2])
    assert display.ax_.get_title() == "Reconstructions from 8 bits"
    assert texts(display.ax_.get_yticklabels()) == ["original", "draw 1", "draw 2"]
    with pytest.raises(ValueError, match="n_draws must be 1 with noise='zero', got 2"):
        ReconstructionDisplay.from_estimator(encoder, digits[:2], n_draws=2, noise="zero")
    display = ReconstructionDisplay.from_estimator(encoder, digits[:2], noise="inverted", n_steps=2)
    assert display.ax_.get_title() == "Reconstructions from 8 bits and inverted noise"
    assert texts(display.ax_.get_yticklabels()) == ["original", "reconstruction"]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda e, X: ReconstructionDisplay.from_estimator(e, X, n_draws=2, noise="inverted"),
            "n_draws must be 1 with noise='inverted', got 2",
        ),
        (
            lambda e, X: ReconstructionDisplay.from_estimator(e, X, n_draws=2, return_trajectory=True),
            "n_draws must be 1 with return_trajectory=True, got 2",
        ),
        (lambda e, X: BitDisplay.from_estimator(e, X[:2]), "BitDisplay draws one image, got 2"),
        (lambda e, X: EditDisplay.from_estimator(e, X, "bold"), "editor must be a fitted AttributeEditor"),
    ],
)
def test_invalid_options_raise(encoder, digits, draw, message):
    with pytest.raises((ValueError, TypeError), match=message):
        draw(encoder, digits)


def test_edits_are_drawn_beside_the_originals(encoder, digits):
    editor = AttributeEditor(encoder).fit(digits, digits.mean(axis=(1, 2)) > 80, names=["bold"])
    amounts, options = [-2.0, 0.0, np.inf], {"keep": False} | SEEDED
    display = EditDisplay.from_estimator(editor, digits, "bold", amounts, max_images=2, **options)
    images = drawn_images(display, 2)
    edits, _ = editor.sweep(digits[:2], "bold", amounts, **options)
    assert_pixels(images[:, 0], digits[:2])
    assert_pixels(images[:, 1:], edits.swapaxes(0, 1))
    # Probabilities are those of the images after encoding them.
    expected = np.transpose([editor.predict_proba(part)["bold"] for part in (digits[:2], *edits)])
    assert_allclose(display.probabilities_, expected, atol=1e-5)
    assert texts(display.ax_.texts) == [f"{value:.2f}" for value in display.probabilities_.ravel()]
    assert texts(display.ax_.get_xticklabels()) == ["original", "-2", "no edit", "added"]
    assert display.ax_.get_title() == 'Edits of "bold"'


@pytest.mark.parametrize("path", ["smooth", ["ordered", "soft"]])
def test_interpolations_are_drawn_between_their_ends(encoder, digits, path):
    paths = [path] if isinstance(path, str) else path
    x0, x1 = digits[:2], digits[2:4]
    display = InterpolationDisplay.from_estimator(
        encoder, digits[:3], digits[2:5], 4, path=path, max_pairs=2, **SEEDED
    )
    images = drawn_images(display, 2 * len(paths)).reshape(2, len(paths), 6, 8, 8)
    captions = np.reshape(texts(display.ax_.texts), (2, len(paths), 6))
    for i, name in enumerate(paths):
        between, codes = interpolate(encoder, x0, x1, 4, path=name, **SEEDED)
        assert_pixels(images[:, i, 0], x0)
        assert_pixels(images[:, i, -1], x1)
        assert_pixels(images[:, i, 1:-1], between)
        distances = np.abs(codes.astype(float) - codes[:, :1]).sum(axis=2)
        assert_array_equal(display.distances_[i :: len(paths)], distances)
        assert captions[:, i, 1:-1].tolist() == [[f"{v:g}" for v in row.round(1)] for row in distances]
    assert texts(display.ax_.get_yticklabels()) == ([] if len(paths) == 1 else paths * 2)


def test_neighbors_are_drawn_beside_the_queries(encoder, digits):
    display = NeighborsDisplay.from_estimator(encoder, digits, digits[3:], 4, max_queries=3)
    images, bits = drawn_images(display, 3), encoder.transform(digits) > 0.5
    assert_pixels(images[:, 0], digits[:3])
    assert_pixels(images[:, 1:], digits[3:][display.indices_])
    assert_array_equal((bits[:3, None] != bits[3:][display.indices_]).sum(axis=2), display.distances_)
    assert (np.diff(display.distances_) >= 0).all()
    expected = [["", *("1 bit" if d == 1 else f"{d} bits" for d in row)] for row in display.distances_]
    assert np.reshape(texts(display.ax_.texts), (3, 5)).tolist() == expected
    assert display.ax_.get_title() == "Nearest neighbours among 197 images by Hamming distance over 8 bits"
    assert texts(display.ax_.get_xticklabels()) == ["query", "1", "2", "3", "4"]


def test_query_is_not_its_own_neighbor(encoder, digits):
    display = NeighborsDisplay.from_estimator(encoder, digits[5:9], digits, 3)
    assert not (display.indices_ == np.arange(5, 9)[:, None]).any()
    # A duplicate is a neighbour, and so is the query itself if k is the number of images.
    twice = np.concatenate([digits[:4], digits[:4]])
    display = NeighborsDisplay.from_estimator(encoder, twice[:2], twice, 1)
    assert_array_equal(display.distances_, 0)
    assert (drawn_images(display, 2)[:, 0] == drawn_images(display, 2)[:, 1]).all()
    assert NeighborsDisplay.from_estimator(encoder, twice[:1], twice, 8).indices_.shape == (1, 8)


@pytest.mark.parametrize("output", ["logits", "bits"])
def test_displays_do_not_depend_on_the_output(encoder, digits, output, monkeypatch):
    neighbors = NeighborsDisplay.from_estimator(encoder, digits[:2], digits, 5)
    bits = BitDisplay.from_estimator(encoder, digits[0], bits=[1], **SEEDED)
    monkeypatch.setattr(encoder, "output", output)
    same = NeighborsDisplay.from_estimator(encoder, digits[:2], digits, 5)
    assert_array_equal(same.indices_, neighbors.indices_)
    same = BitDisplay.from_estimator(encoder, digits[0], bits=[1], **SEEDED)
    assert texts(same.ax_.get_yticklabels()) == texts(bits.ax_.get_yticklabels())
    assert_allclose(drawn_images(same, 1), drawn_images(bits, 1), atol=1e-4)


def test_neighbors_of_a_retriever_with_condition_and_names(encoder, digits):
    odd, n = np.arange(len(digits)) % 2 == 1, len(digits)
    table = pd.DataFrame({"name": [f"number {i}" for i in range(n)]})
    retriever = ImageRetriever(encoder).fit(digits, table, ids=np.arange(n) + 500)
    display = NeighborsDisplay.from_retriever(retriever, digits[:3], digits, 4, where=odd, names="name")
    assert (display.indices_ % 2 == 1).all()
    assert_pixels(drawn_images(display, 3)[:, 1:], digits[display.indices_])
    captions = np.reshape(texts(display.ax_.texts), (3, 5))[:, 1:]
    names = [[caption.split("\n")[0] for caption in row] for row in captions]
    assert names == [[f"number {i}" for i in row] for row in display.indices_]
    labels = NeighborsDisplay.from_retriever(retriever, digits[:3], digits, 4, names=np.arange(n))
    assert texts(labels.ax_.texts)[1].split("\n")[0] == str(labels.indices_[0, 0])
    four = np.isin(np.arange(n), [3, 4, 5, 6])
    few = NeighborsDisplay.from_retriever(retriever, digits[:3], digits, 4, where=four)
    assert_array_equal(np.sort(few.indices_), [[3, 4, 5, 6]] * 3)


def test_float_distances_are_labelled(encoder, digits):
    retriever = ImageRetriever(encoder, FaissNeighbors(metric="l2")).fit(digits)
    display = NeighborsDisplay.from_retriever(retriever, digits[:2], digits, 3)
    expected = [caption for row in display.distances_ for caption in ["", *(f"{d:.3g}" for d in row)]]
    assert texts(display.ax_.texts) == expected
    assert display.ax_.get_title() == "Nearest neighbours among 200 images by Euclidean distance"
    assert not (display.indices_ == np.arange(2)[:, None]).any()


def test_bits_are_drawn_with_attribution_and_effect(encoder, digits):
    display = BitDisplay.from_estimator(encoder, digits[3], bits=[5, 2], baseline=0, **SEEDED)
    effects = bit_effects(encoder, encoder.transform(digits[3:4]), [5, 2], **SEEDED)
    images = drawn_images(display, 2)
    gray = np.repeat(digits[3:4, ..., None] / 255, 3, axis=-1)
    for row, bit in enumerate([5, 2]):
        assert_pixels(images[row, 0, ..., 0], digits[3])
        maps = attribute_bits(encoder, digits[3:4], bit, baseline=0).maps
        assert_allclose(images[row, 1], overlay(gray, maps, signed=True)[0], atol=1e-4)
        assert_pixels(images[row, 2, ..., 0], effects.off[row, 0])
        assert_pixels(images[row, 3, ..., 0], effects.on[row, 0])
    values = encoder.transform(digits[3:4])[0, [5, 2]] > 0.5
    assert texts(display.ax_.get_yticklabels()) == [f"bit 5 ({int(values[0])})", f"bit 2 ({int(values[1])})"]
    assert display.ax_.get_title() == "Bits of an image (2 of 8 bits)"
    assert texts(display.ax_.get_xticklabels()) == ["image", "driven by", "bit off", "bit on", "change"]


def test_bits_with_the_largest_effects_are_chosen(encoder, digits, colour_encoder, colour_images):
    display = BitDisplay.from_estimator(encoder, digits[:1], max_bits=3, **SEEDED)
    effects = bit_effects(encoder, encoder.transform(digits[:1]), **SEEDED)
    assert display.bits_ == effects.table["bit"].tolist()[:3]
    options = {"max_bits": 2, "noise": "inverted", "n_steps": 2, "method": "occlusion"}
    colour = BitDisplay.from_estimator(colour_encoder, colour_images[0], **options)
    assert_allclose(drawn_images(colour, 2)[0, 0], np.moveaxis(colour_images[0], 0, -1), atol=1e-6)


def test_overlay_is_red_above_zero_and_blue_below():
    maps = np.zeros((1, 8, 8))
    maps[0, 0, :2] = 3.0, -3.0
    result = overlay(np.full((1, 8, 8, 3), 0.5), maps, signed=True, full=3.0)
    assert_allclose(result[0, 0, 0], POSITIVE)
    assert_allclose(result[0, 0, 1], NEGATIVE)
    assert_allclose(result[0, 1, 1], 0.55 + 0.45 * 0.5)
    assert_allclose(overlay(np.ones((1, 8, 8, 3)), np.ones((1, 8, 8)), signed=False)[0, 0, 0], MAGNITUDE)
    assert np.isfinite(overlay(np.ones((1, 8, 8, 3)), np.zeros((1, 8, 8)), signed=True)).all()
    grey = np.random.default_rng(0).random((2, 8, 8))
    assert_array_equal(as_rgb(grey), np.stack([grey] * 3, axis=-1))
    assert_array_equal(as_rgb(np.zeros((1, 8, 8, 4))), np.ones((1, 8, 8, 3)))


def test_neighbors_by_any_encoder_are_drawn(digits, tmp_path):
    X = digits.reshape(len(digits), -1).astype(float)
    pca = PCA(8).fit(X)
    display = NeighborsDisplay.from_estimator(pca, digits[:2], digits, 3)
    assert display.ax_.get_title() == "Nearest neighbours among 200 images by cosine distance"
    assert_pixels(drawn_images(display, 2)[:, 1:], digits[display.indices_])
    itq = make_pipeline(pca, ITQTransformer(8)).fit(X)
    display = NeighborsDisplay.from_estimator(itq, digits[:2] / 255.0, digits / 255.0, 3)
    assert display.ax_.get_title().endswith("by Hamming distance over 8 bits")
    paths = [tmp_path / f"{i:03}.png" for i in range(20)]
    for path, digit in zip(paths, digits, strict=False):
        pytest.importorskip("PIL.Image").fromarray(digit).save(path)
    rescored = FaissNeighbors(rescore="l2")
    retriever = ImageRetriever(itq, rescored, image_reader=ImageReader(8, mode="L")).fit(paths)
    display = NeighborsDisplay.from_retriever(retriever, paths[:2], paths, 3)
    assert display.ax_.get_title() == "Nearest neighbours among 20 images by Euclidean distance"
    assert_pixels(drawn_images(display, 2)[:, 1:], digits[display.indices_])
    with pytest.raises(ValueError, match=r"Expected images of shape \(n, H, W\)"):
        NeighborsDisplay.from_estimator(pca, X[:2], X, 3)
