"""A valid file of each kind, and its loader."""

import numpy as np
import pandas as pd
import pytest

from dmzrep import DMZEncoder, DomainTransfer, FaissNeighbors, ImageRetriever
from dmzrep.collection import ImageCollection
from dmzrep.datasets import ImageReader
from dmzrep.errors import PersistenceError
from dmzrep.metrics import ClassifierFeatures, FeatureStatistics, extract_features
from tests.encoders import make_encoder

LOADERS = {
    **dict.fromkeys(("encoder", "vectors"), DMZEncoder),
    **dict.fromkeys(("flat", "hnsw", "ivf", "pq"), FaissNeighbors),
    "retriever": ImageRetriever,
    "collection": ImageCollection,
    "transfer": DomainTransfer,
    "classifier": ClassifierFeatures,
    "statistics": FeatureStatistics,
}


@pytest.fixture(scope="session")
def loaders():
    """The class that loads each file of `valid_files`."""
    return LOADERS


@pytest.fixture(scope="session")
def valid_files(tmp_path_factory, digits, digit_labels):
    """A folder with a file of each kind."""
    Image = pytest.importorskip("PIL.Image")
    folder, images, labels = tmp_path_factory.mktemp("valid"), digits[:300], digit_labels[:300]
    small = {"latent_dim": 8, "max_iter": 1, "random_state": 0, "n_timesteps": 20}
    encoder = make_encoder(**small, width=(8,), encoder_width=8, prior="chow_liu").fit(images)
    encoder.save(folder / "encoder")
    numbers = np.random.default_rng(0).normal(size=(300, 8))
    make_encoder(**small, width=16, encoder_width=16).fit(numbers).save(folder / "vectors")
    FaissNeighbors().fit(numbers > 0, ids=np.arange(300) + 7).save(folder / "flat")
    for index in ("hnsw", "ivf", "pq"):
        FaissNeighbors(metric="l2", index=index, n_jobs=1).fit(numbers).save(folder / index)
    metadata = pd.DataFrame({"label": labels, "name": [f"{i}.png" for i in range(300)]})
    ImageRetriever(encoder).fit(images, metadata=metadata).save(folder / "retriever")
    collected = tmp_path_factory.mktemp("pictures")
    for i, image in enumerate(images[:40]):
        Image.fromarray(image).save(collected / f"{i}.png")
    (collected / "damaged.png").write_bytes(b"")
    reader = ImageReader(8, mode="L", n_jobs=1)
    ImageCollection(encoder, image_reader=reader, n_jobs=1).fit(collected).save(folder / "collection")
    DomainTransfer(encoder, encoder, n_folds=2, mapping="kernel_ridge").fit(images, images).save(
        folder / "transfer"
    )
    ClassifierFeatures(n_features=8, width=8, max_iter=1).fit(images, labels).save(folder / "classifier")
    extract_features(numbers).statistics.save(folder / "statistics")
    return folder


@pytest.fixture(scope="session")
def check_rejected():
    """Assert that a crafted file is rejected with an error that names it."""

    def check(kind, path, match=None):
        with pytest.raises(PersistenceError, match=match) as caught:
            LOADERS[kind].load(path)
        assert path.name in str(caught.value) and len(str(caught.value)) < 700

    return check
