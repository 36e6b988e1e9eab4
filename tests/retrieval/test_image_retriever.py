"""ImageRetriever: results, conditions on metadata, files."""

from pathlib import Path, PureWindowsPath

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.decomposition import PCA

from dmzrep.retrieval import FaissNeighbors, ImageRetriever


class Threshold:
    """An encoder whose probabilities or logits are the pixels themselves."""

    def __init__(self, output="probabilities"):
        self.output = output

    def transform(self, X):
        Z = np.asarray(X).reshape(len(X), -1).astype(float) / 255
        return Z if self.output == "probabilities" else 20 * Z - 10


@pytest.fixture
def table(digit_labels):
    size = len(digit_labels)
    return pd.DataFrame(
        {"digit": digit_labels, "name": [f"image {i}" for i in range(size)]}, index=np.arange(size)[::-1]
    )


@pytest.fixture
def retriever(digits, table):
    return ImageRetriever(Threshold()).fit(digits, table, ids=np.arange(len(digits)) + 1000)


def test_query_returns_rank_id_distance_and_metadata(retriever, digits, table):
    result = retriever.query(digits[[7, 3]], k=4)
    assert list(result.columns) == ["query", "rank", "id", "distance", "digit", "name"]
    assert result["query"].tolist() == [0] * 4 + [1] * 4 and result["rank"].tolist() == [1, 2, 3, 4] * 2
    assert result["distance"].dtype == np.int64
    assert result.loc[result["rank"] == 1, "distance"].tolist() == [0, 0]
    bits = digits.reshape(len(digits), -1) > 127.5
    for row in result.itertuples():
        index = row.id - 1000
        assert row.distance == (bits[index] != bits[[7, 3][row.query]]).sum()
        assert row.name == f"image {index}" and row.digit == table["digit"].iloc[index]


def test_logits_are_searched_by_the_asymmetric_distance(retriever, digits):
    other = ImageRetriever(Threshold("logits"), FaissNeighbors(metric="asymmetric")).fit(digits)
    assert_array_equal(other.neighbors_.index_.vectors(), retriever.neighbors_.index_.vectors())
    assert len(other.query(digits[:3], 5)) == 15


def test_encoder_of_floats_needs_a_metric_of_vectors(digits):
    X = digits.reshape(len(digits), -1)
    retriever = ImageRetriever(PCA(8).fit(X), FaissNeighbors(metric="l2")).fit(X)
    assert retriever.query(X[:5], 1)["id"].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"PCA\.transform returns values .*Use metric='cosine' or 'l2'"):
        ImageRetriever(PCA(8).fit(X), FaissNeighbors()).fit(X)


@pytest.mark.parametrize("index", ["flat", "ivf", "hnsw"])
def test_query_with_a_condition_is_exact(index, digits, table):
    retriever = ImageRetriever(Threshold(), FaissNeighbors(index=index)).fit(digits, table)
    wanted = np.flatnonzero(table["digit"].to_numpy() == 3)
    bits = digits.reshape(len(digits), -1) > 127.5
    counted = np.sort((bits[:2, None] != bits[None, wanted]).sum(axis=2), axis=1)[:, :5]
    for where in ("digit == 3", lambda t: t["digit"] == 3, table["digit"].to_numpy() == 3):
        result = retriever.query(digits[:2], 5, where=where)
        assert (result["digit"] == 3).all()
        assert_array_equal(result["distance"].to_numpy().reshape(2, 5), counted)
    assert retriever.query(digits[:2], 2, where="id < 2")["id"].isin([0, 1]).all()


def test_missing_values_do_not_match_a_condition(digits):
    prices = pd.array([1, None] * (len(digits) // 2), dtype="Int64")
    retriever = ImageRetriever(Threshold()).fit(digits, pd.DataFrame({"price": prices}))
    assert (retriever.query(digits[:4], 20, where="price > 0")["price"] == 1).all()


@pytest.mark.parametrize(
    ("k", "where", "message"),
    [
        (3, "digi == 3", "name 'digi' is not defined. Did you mean 'digit'"),
        (3, "digit ==", "not a condition that pandas can evaluate"),
        (3, "digit > 100", "where leaves 0 images, fewer than k=3"),
    ],
)
def test_invalid_query_is_refused(retriever, digits, k, where, message):
    with pytest.raises(ValueError, match=message):
        retriever.query(digits[:1], k, where=where)


def test_metadata_follow_images_that_are_added_and_removed(digits, table):
    retriever = ImageRetriever(Threshold()).fit(digits[:100], table[:100])
    retriever.add(digits[100:110], table[100:110][["name", "digit"]]).remove([0, 105])
    result = retriever.query(digits[104:107], 1)
    assert result["name"].tolist()[0::2] == ["image 104", "image 106"]
    assert result["id"].tolist()[0::2] == [104, 106]
    assert len(retriever.metadata_) == retriever.neighbors_.n_samples_fit_ == 108


@pytest.mark.parametrize(
    ("n", "columns", "ids", "message"),
    [
        (5, None, [1, 2, 3, 4, 5], "metadata must be passed to both fit and add"),
        (4, ["digit", "name"], [1, 2, 3, 4, 5], "got 4 rows for 5 images"),
        (5, ["digit"], [1, 2, 3, 4, 5], r"must have the columns \['digit', 'name'\], got \['digit'\]"),
        (5, ["digit", "name"], [1000, 2, 3, 4, 5], "already has 1000"),
    ],
)
def test_failed_add_changes_nothing(retriever, digits, table, n, columns, ids, message):
    before = retriever.query(digits[:5], 3)
    with pytest.raises(ValueError, match=message):
        retriever.add(digits[:5], None if columns is None else table[:n][columns], ids)
    pd.testing.assert_frame_equal(retriever.query(digits[:5], 3), before)
    assert len(retriever.metadata_) == retriever.neighbors_.n_samples_fit_ == len(digits)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda table: table.rename(columns={"name": "rank"}), ValueError, r"columns named \['rank'\]"),
        (lambda table: table.set_axis(["a", "a"], axis=1), ValueError, "columns with different names"),
    ],
)
def test_invalid_metadata_are_refused(digits, table, change, error, message):
    with pytest.raises(error, match=message):
        ImageRetriever(Threshold()).fit(digits, change(table))


@pytest.mark.parametrize("kind", [Path, PureWindowsPath])
def test_paths_in_metadata_are_saved_and_loaded_as_paths(kind, digits, tmp_path):
    files = [kind(f"shop/{i}.png") for i in range(50)]
    mixed = [None if i % 7 == 0 else file for i, file in enumerate(files)]
    retriever = ImageRetriever(Threshold()).fit(digits[:50], pd.DataFrame({"file": files, "mixed": mixed}))
    retriever.save(tmp_path / "shop")
    loaded = ImageRetriever.load(tmp_path / "shop", encoder=Threshold())
    result = loaded.query(digits[8:9], 1)
    assert result["file"].tolist() == result["mixed"].tolist() == [Path(str(files[8]))]
    assert loaded.metadata_["mixed"].isna().sum() == 8


def test_metadata_may_have_no_columns(digits, tmp_path):
    retriever = ImageRetriever(Threshold()).fit(digits[:20], pd.DataFrame(index=range(20)))
    retriever.add(digits[20:25], pd.DataFrame(index=range(5))).save(tmp_path / "shop")
    loaded = ImageRetriever.load(tmp_path / "shop", encoder=Threshold())
    assert retriever.metadata_.shape == loaded.metadata_.shape == (25, 0)
    assert len(loaded.query(digits[:2], 3, where="id < 9")) == 6


def test_retriever_is_saved_with_its_metadata(retriever, digits, tmp_path):
    retriever.save(tmp_path / "shop")
    retriever.save(tmp_path / "shop")  # Replaces the first.
    assert [file.name for file in tmp_path.iterdir()] == ["shop"]
    loaded = ImageRetriever.load(tmp_path / "shop", encoder=Threshold())
    results = [one.query(digits[:5], 3, where="digit > 4") for one in (loaded, retriever)]
    pd.testing.assert_frame_equal(*results)
    with pytest.raises(ValueError, match="does not contain encoder"):
        ImageRetriever.load(tmp_path / "shop")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        retriever.save(tmp_path)


def test_retriever_is_saved_with_its_encoder(encoder, digits, tmp_path):
    retriever = ImageRetriever(encoder).fit(digits)
    retriever.save(tmp_path / "shop")
    loaded = ImageRetriever.load(tmp_path / "shop")
    result = loaded.query(digits[:5], 3)
    pd.testing.assert_frame_equal(result, retriever.query(digits[:5], 3))
    assert result.loc[result["rank"] == 1, "distance"].tolist() == [0] * 5
    loaded.add(digits[:2])


def test_metadata_that_cannot_be_saved_keep_the_old_file(digits, tmp_path):
    retriever = ImageRetriever(Threshold()).fit(digits)
    retriever.save(tmp_path / "shop")
    before = (tmp_path / "shop").read_bytes()
    for column in ([object()] * len(digits), pd.period_range("2020", periods=len(digits), freq="D")):
        retriever = ImageRetriever(Threshold()).fit(digits, pd.DataFrame({"file": column}))
        with pytest.raises(TypeError, match=r"Column 'file' of metadata: .*cannot hold"):
            retriever.save(tmp_path / "shop")
        assert (tmp_path / "shop").read_bytes() == before and len(list(tmp_path.iterdir())) == 1
