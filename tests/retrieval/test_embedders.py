"""ImageRetriever with transformers in place of a DMZEncoder: bits, vectors, rescoring, paths, files."""

import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logit
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import pairwise_distances
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer, StandardScaler

from dmzrep.datasets import ImageReader
from dmzrep.retrieval import FaissNeighbors, ImageRetriever, ITQTransformer


@pytest.fixture(scope="module")
def flat(digits):
    return digits.reshape(len(digits), -1).astype(np.float64)


@pytest.fixture(scope="module")
def pca(flat):
    return make_pipeline(StandardScaler(with_std=False), PCA(16, random_state=0)).fit(flat)


@pytest.fixture(scope="module")
def itq(flat):
    return make_pipeline(PCA(24, random_state=0), ITQTransformer(20, random_state=0)).fit(flat)


def returning(change, encoder):
    """Return a transformer that changes what an encoder returns."""
    return FunctionTransformer(lambda X: change(encoder.transform(np.reshape(X, (len(X), -1)))))


def nearest(distances, k):
    return np.sort(distances, axis=1)[:, :k]


def test_vectors_are_searched_by_cosine(pca, flat, digits):
    retriever = ImageRetriever(pca).fit(digits)
    assert retriever.distance_ == retriever.neighbors_.effective_metric_ == "cosine"
    found = retriever.query(digits[:9], 5)
    vectors = pca.transform(flat)
    expected = pairwise_distances(vectors[:9], vectors, metric="cosine")
    distances = found["distance"].to_numpy().reshape(9, 5)
    assert_allclose(distances, nearest(expected, 5), atol=1e-6)
    assert_allclose(
        distances, np.take_along_axis(expected, found["id"].to_numpy().reshape(9, 5), 1), atol=1e-6
    )
    by_l2 = ImageRetriever(pca, FaissNeighbors(metric="l2")).fit(digits).query(digits[:9], 5)
    expected = nearest(pairwise_distances(vectors[:9], vectors), 5)
    assert_allclose(by_l2["distance"].to_numpy().reshape(9, 5), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("output", ["bits", "packed", "logits", "probabilities"])
@pytest.mark.parametrize("named", [True, False])
def test_bits_are_searched_by_hamming_distance(itq, flat, digits, output, named):
    encoder = make_pipeline(itq[0], clone(itq[-1]).set_params(output=output)).fit(flat)
    if not named:  # Without the attribute `output`, values decide; logits and probabilities are vectors.
        encoder = returning(lambda Z: Z, encoder)
    retriever = ImageRetriever(encoder).fit(digits)
    found = retriever.query(digits[:9], 5)
    if not named and output in ("logits", "probabilities"):
        assert retriever.distance_ == "cosine"
        return
    bits = itq.transform(flat)
    expected = nearest((bits[:9, None] != bits[None]).sum(axis=2), 5)
    assert_array_equal(found["distance"].to_numpy().reshape(9, 5), expected)
    assert found["distance"].dtype == np.int64


@pytest.mark.parametrize("convert", [torch.tensor, list, np.ndarray.tolist])
def test_images_may_be_any_array_like(pca, digits, convert):
    found = ImageRetriever(pca).fit(convert(digits[:50])).query(convert(digits[:3]), 2)
    assert_array_equal(found, ImageRetriever(pca).fit(digits[:50]).query(digits[:3], 2))
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        ImageRetriever(pca).fit(digits[:0])


def test_vectors_for_rescoring_do_not_depend_on_the_output(flat, digits, tmp_path):
    encoder = make_pipeline(PCA(16, random_state=0), ITQTransformer(16, random_state=0)).fit(flat)
    retriever = ImageRetriever(encoder, FaissNeighbors(rescore="l2")).fit(digits)
    expected = retriever.query(digits[:9], 5)
    retriever.save(tmp_path / "digits")
    encoder.set_params(itqtransformer__output="logits")
    for same in (retriever, ImageRetriever.load(tmp_path / "digits", encoder)):
        assert_array_equal(same.query(digits[:9], 5), expected)


def test_zeros_and_ones_of_any_dtype_are_bits(digits):
    encoder = Binarizer(threshold=100.0).fit(digits.reshape(len(digits), -1).astype(float))
    retriever = ImageRetriever(encoder).fit(digits.astype(float))
    assert retriever.distance_ == "hamming"
    assert_array_equal(
        retriever.neighbors_.index_.vectors(), np.packbits(digits.reshape(-1, 64) > 100, axis=1)
    )


def test_a_metric_that_is_passed_takes_precedence(itq, pca, digits):
    retriever = ImageRetriever(returning(lambda Z: Z, itq), FaissNeighbors(metric="l2")).fit(digits)
    assert retriever.query(digits[:1], 3)["distance"].dtype == np.float64
    scaled = returning(lambda Z: 1.0 / (1.0 + np.exp(-Z)), pca)
    assert ImageRetriever(scaled, FaissNeighbors()).fit(digits).distance_ == "hamming"


@pytest.mark.parametrize("metric", ["hamming", "asymmetric"])
@pytest.mark.parametrize("rescore", ["cosine", "l2"])
def test_bits_choose_candidates_and_vectors_order_them(itq, flat, digits, metric, rescore):
    neighbors = FaissNeighbors(metric=metric, rescore=rescore, oversample=len(digits) / 5)
    vectors = itq[0].transform(flat)
    expected = nearest(pairwise_distances(vectors[:9], vectors, metric=rescore), 5)
    retriever = ImageRetriever(itq, neighbors).fit(digits[:400])
    retriever.add(digits[400:])
    found = retriever.query(digits[:9], 5)
    assert retriever.distance_ == rescore
    assert_allclose(found["distance"].to_numpy().reshape(9, 5), expected, atol=1e-4)
    few = retriever.query(digits[:9], 5, where="id >= 300")
    expected = nearest(pairwise_distances(vectors[:9], vectors[300:], metric=rescore), 5)
    assert_allclose(few["distance"].to_numpy().reshape(9, 5), expected, atol=1e-4)
    retriever.neighbors_.set_params(rescore=None)
    retriever.add(digits[:2])
    assert len(retriever.query(digits[:9], 5)) == 45 and retriever.distance_ == metric


def test_another_encoder_orders_the_candidates(itq, pca, flat, digits):
    neighbors = FaissNeighbors(rescore="l2", oversample=len(digits))
    vectors = pca.transform(flat)
    found = ImageRetriever(itq, neighbors, rescorer=pca).fit(digits).query(digits[:9], 5)
    expected = nearest(pairwise_distances(vectors[:9], vectors), 5)
    assert_allclose(found["distance"].to_numpy().reshape(9, 5), expected, atol=1e-4)


def test_logits_of_a_dmz_encoder_order_the_candidates(encoder, itq, digits):
    neighbors = FaissNeighbors(rescore="cosine", oversample=len(digits))
    retrievers = [ImageRetriever(encoder, neighbors), ImageRetriever(itq, neighbors, rescorer=encoder)]
    found = [retriever.fit(digits).query(digits[:9], 5)["distance"].to_numpy() for retriever in retrievers]
    logits = logit(encoder.transform(digits)).astype(float)
    expected = nearest(pairwise_distances(logits[:9], logits, metric="cosine"), 5)
    for distances in found:
        assert_allclose(distances.reshape(9, 5), expected, atol=1e-4)


def test_rescoring_needs_vectors(itq, pca, flat, digits):
    codes = itq[0].transform(flat)
    with pytest.raises(
        ValueError, match=r"ITQTransformer.* returns bits. Pass the encoder of vectors as rescorer"
    ):
        ImageRetriever(itq[-1], FaissNeighbors(rescore="l2")).fit(codes)
    with pytest.raises(ValueError, match="rescorer needs neighbors=FaissNeighbors"):
        ImageRetriever(itq, rescorer=pca).fit(digits)
    with pytest.raises(ValueError, match=r"rescorer must return vectors .* Pipeline has output='bits'"):
        ImageRetriever(itq, FaissNeighbors(rescore="l2"), rescorer=itq).fit(digits)


@pytest.mark.parametrize("rescored", [False, True])
def test_codes_are_saved_and_the_encoder_is_asked_for(itq, pca, flat, digits, tmp_path, rescored):
    neighbors = FaissNeighbors(rescore="cosine") if rescored else None
    retriever = ImageRetriever(itq, neighbors, rescorer=pca if rescored else None).fit(digits).remove([3])
    retriever.save(tmp_path / "digits")
    again = {"encoder": pickle.loads(pickle.dumps(itq))} | ({"rescorer": pca} if rescored else {})
    loaded = ImageRetriever.load(tmp_path / "digits", **again)
    assert_array_equal(loaded.query(digits[:9], 5).to_numpy(), retriever.query(digits[:9], 5).to_numpy())
    loaded.add(digits[:2])
    loaded.save(tmp_path / "again")
    loaded = ImageRetriever.load(tmp_path / "again", **again)
    assert loaded.neighbors_.n_samples_fit_ == len(digits) + 1
    with pytest.raises(ValueError, match=r"does not contain encoder.*pass encoder="):
        ImageRetriever.load(tmp_path / "digits")

    other = make_pipeline(PCA(24), ITQTransformer(20, random_state=1)).fit(flat)
    short = make_pipeline(PCA(24), ITQTransformer(16)).fit(flat)
    of_other_images = make_pipeline(PCA(24), ITQTransformer(20)).fit(flat[:, :50])
    for wrong in (other, short, of_other_images, pca):
        with pytest.raises(
            ValueError, match=r"encoder, a Pipeline, is not the one that .*digits was made with"
        ):
            ImageRetriever.load(tmp_path / "digits", **again | {"encoder": wrong})
    if rescored:
        with pytest.raises(ValueError, match="does not contain rescorer"):
            ImageRetriever.load(tmp_path / "digits", itq)
        with pytest.raises(ValueError, match="rescorer, a PCA, is not the one"):
            ImageRetriever.load(tmp_path / "digits", itq, rescorer=itq[0])
    else:
        with pytest.raises(ValueError, match="made without a rescorer"):
            ImageRetriever.load(tmp_path / "digits", itq, rescorer=pca)


def test_an_encoder_of_known_images_is_recognised_too(pca, flat, digits, tmp_path):
    known = {row.tobytes(): vector for row, vector in zip(digits, pca.transform(flat), strict=True)}
    lookup = FunctionTransformer(lambda X: np.array([known[row.tobytes()] for row in X]))
    ImageRetriever(lookup).fit(digits).save(tmp_path / "digits")
    assert ImageRetriever.load(tmp_path / "digits", lookup).query(digits[:3], 1)["id"].tolist() == [0, 1, 2]


def test_an_encoder_that_loses_images_is_refused(pca, digits):
    message = r"encoder\.transform\(X\) must return a row for each of 600 images, got \(599, 16\)"
    with pytest.raises(ValueError, match=message):
        ImageRetriever(returning(lambda Z: Z[:-1], pca)).fit(digits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda Z: Z[:, :5], "returned 16 values for the images of fit, but 5 for these"),
        (lambda Z: Z * np.inf, "NaN or infinity"),
    ],
)
def test_an_encoder_that_changes_is_noticed_and_nothing_is_lost(pca, digits, change, message):
    state = {"change": lambda Z: Z}
    retriever = ImageRetriever(returning(lambda Z: state["change"](Z), pca)).fit(digits)
    before = retriever.query(digits[:3])
    for use in (retriever.query, retriever.add):
        state["change"] = change
        with pytest.raises(ValueError, match=message):
            use(digits[:3])
        state["change"] = lambda Z: Z
    assert_array_equal(retriever.query(digits[:3]).to_numpy(), before.to_numpy())


def test_a_frozen_encoder_survives_clone(pca, digits):
    expected = ImageRetriever(pca).fit(digits).query(digits[:3])
    retriever = clone(ImageRetriever(FrozenEstimator(pca), image_reader=ImageReader(8)))
    assert retriever.get_params()["image_reader__size"] == 8
    assert_array_equal(retriever.fit(digits).query(digits[:3]).to_numpy(), expected.to_numpy())
    with pytest.raises(NotFittedError, match=r"not fitted.*pass sklearn\.frozen\.FrozenEstimator"):
        clone(ImageRetriever(pca)).fit(digits)


def test_paths_are_read_by_the_image_reader(pca, digits, tmp_path):
    Image = pytest.importorskip("PIL.Image")
    paths = [tmp_path / f"{i:02}.png" for i in range(40)]
    for path, digit in zip(paths, digits, strict=False):
        Image.fromarray(digit).save(path)
    reader = ImageReader(8, mode="L")
    retriever = ImageRetriever(pca, image_reader=reader).fit(paths)
    expected = ImageRetriever(pca).fit(digits[:40])
    assert_array_equal(retriever.query(paths[5:9], 3), expected.query(digits[5:9], 3))
    assert_array_equal(retriever.query(digits[5:9], 3), expected.query(digits[5:9], 3))
    retriever.save(tmp_path / "index")
    loaded = ImageRetriever.load(tmp_path / "index", pca)
    assert_array_equal(loaded.query(paths[5:9], 3), expected.query(digits[5:9], 3))
    with pytest.raises(ValueError, match=r"encoder does not take paths .*Pass image_reader=ImageReader"):
        ImageRetriever(pca).fit(paths)
    with pytest.raises(TypeError, match="image_reader must be an ImageReader"):
        ImageRetriever(pca, image_reader=8).fit(paths)
