"""ImageCollection with transformers in place of a DMZEncoder."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from dmzrep.collection import ImageCollection
from dmzrep.datasets import ImageReader
from dmzrep.retrieval import ITQTransformer
from tests.collection.conftest import names

pytest.importorskip("PIL.Image")

READER = ImageReader(16, n_jobs=1)


def flatten(X):
    return X.reshape(len(X), -1) * 100.0  # Float16 would not hold the components.


@pytest.fixture(scope="module")
def images(photos):
    return READER.transform(photos)


@pytest.fixture(scope="module")
def pca(images):
    return make_pipeline(FunctionTransformer(flatten), PCA(12, random_state=0)).fit(images)


@pytest.fixture(scope="module")
def packed(images):
    itq = ITQTransformer(24, output="packed", random_state=0)
    return make_pipeline(FunctionTransformer(flatten), PCA(24, random_state=0), itq).fit(images)


def collect(encoder, photos, **params):
    return ImageCollection(encoder, image_reader=READER, n_jobs=1, **params).fit(photos)


@pytest.mark.parametrize(("name", "metric"), [("pca", "cosine"), ("packed", "cosine"), ("packed", "hamming")])
def test_copies_are_found_by_codes_of_any_encoder(name, metric, photos, request):
    collection = collect(request.getfixturevalue(name), photos, metric=metric)
    found = collection.search(photos / "b" / "jpeg.jpg", k=3)
    assert names(found)[0] == "00.png" and found["distance"].is_monotonic_increasing
    groups = collection.duplicates().groupby("group")["path"].apply(lambda paths: {p[-6:-4] for p in paths})
    assert {"00", "eg"} in groups.tolist() and {"06", "in"} in groups.tolist()
    assert collection.codes_.shape == collection.logits_.shape
    assert np.isfinite(collection.logits_).all()


def test_bits_of_vectors_are_relative_to_their_mean(pca, photos):
    shifted = make_pipeline(pca, FunctionTransformer(lambda Z: Z + 1e5))
    collection = collect(shifted, photos)
    assert 0.2 < collection.codes_.mean() < 0.8
    assert len(collection.outliers(3)) >= 3 and np.isfinite(collection.information()).all()
    assert collection.map_()[["x", "y"]].notna().all().all()
    assert collection.clusters(3)["cluster"].nunique() == 3
    with pytest.raises(ValueError, match="metric='hamming' needs bits, but the encoder returns vectors"):
        collect(pca, photos, metric="hamming")


def test_a_collection_is_loaded_with_its_encoder_only(pca, packed, images, photos, tmp_path):
    collection = collect(pca, photos)
    collection.save(tmp_path / "photos")
    loaded = ImageCollection.load(tmp_path / "photos", encoder=pca)
    query = photos / "a" / "20.png"
    assert names(loaded.search(query)) == names(collection.search(query))
    assert loaded.update().empty and loaded.image_reader.size == 16
    with pytest.raises(ValueError, match=r"does not contain encoder.*pass encoder="):
        ImageCollection.load(tmp_path / "photos")
    shuffled = np.random.default_rng(0).permutation(images.ravel()).reshape(images.shape)
    other = make_pipeline(FunctionTransformer(flatten), PCA(12)).fit(shuffled)
    for wrong in (other, packed, PCA(3).fit(images.reshape(len(images), -1))):
        with pytest.raises(ValueError, match=r"encoder, a \w+, is not the one that .*photos was made with"):
            ImageCollection.load(tmp_path / "photos", encoder=wrong)
