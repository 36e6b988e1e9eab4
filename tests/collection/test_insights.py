"""Outliers, clusters, labels and maps of a collection."""

import numpy as np
import pandas as pd
import pytest

from dmzrep.collection import ImageCollection

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def two_kinds(picture_encoder, tmp_path_factory):
    """A collection of stripes along and across, a black, a white and a grey picture."""
    folder = tmp_path_factory.mktemp("kinds")
    rng = np.random.default_rng(0)
    for i in range(40):
        waves = 127.5 + 100.0 * np.sin(np.arange(64) / rng.uniform(2.0, 3.0) + rng.uniform(0.0, 6.0))
        pixels = np.broadcast_to(waves if i % 2 else waves[:, None], (64, 64)) + rng.normal(
            0.0, 20.0, (64, 64)
        )
        grey = pixels.clip(0, 255).astype(np.uint8)
        Image.fromarray(grey).convert("RGB").save(folder / f"{'across' if i % 2 else 'along'}{i:02}.png")
    for colour, name in ((0, "black"), (255, "white"), (128, "grey")):
        Image.new("RGB", (30, 30), (colour,) * 3).save(folder / f"{name}.png")
    return ImageCollection(picture_encoder).fit(folder)


def test_pictures_with_little_information_are_apart(two_kinds):
    table = two_kinds.outliers(5)
    flat = table[table["kind"] == "flat"]
    assert set(flat["path"].str.rsplit("/", n=1).str[1]) == {"black.png", "white.png", "grey.png"}
    rare = table[table["kind"] == "rare"]
    assert len(rare) == 5 and rare["score"].is_monotonic_decreasing
    assert rare["score"].to_numpy() == pytest.approx(np.sort(two_kinds.information()[:40])[::-1][:5])


def test_dark_pictures_are_named(picture_encoder, tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 28, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "dark.png")
    Image.fromarray(rng.integers(236, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "bright.png")
    kinds = ImageCollection(picture_encoder).fit(tmp_path).outliers().set_index("path")["kind"]
    assert kinds[str(tmp_path / "dark.png")] == "dark" and kinds[str(tmp_path / "bright.png")] == "bright"


def test_clusters_follow_the_pictures(two_kinds):
    table = two_kinds.clusters(3, random_state=0)
    assert table["cluster"].value_counts().is_monotonic_decreasing
    assert table["is_centre"].sum() == table["cluster"].nunique()
    striped = table[table["path"].str.contains("along|across")]
    kinds = striped["path"].str.contains("along")
    purity = kinds.groupby(striped["cluster"]).mean().max()
    assert purity > 0.9
    pd.testing.assert_frame_equal(table, two_kinds.clusters(3, random_state=0))
    assert 2 <= two_kinds.clusters()["cluster"].nunique() <= 40
    with pytest.raises(ValueError, match="n_clusters"):
        two_kinds.clusters(0)


def test_a_few_labels_name_the_rest(two_kinds):
    paths = two_kinds.files_["path"][two_kinds.files_["path"].str.contains("along|across")]
    true = np.where(paths.str.contains("along"), "along", "across")
    given = dict(zip(paths[::4], true[::4], strict=True)) | dict(zip(paths[1::4], true[1::4], strict=True))
    table = two_kinds.few_labels(given).set_index("path").loc[paths]
    assert (table["label"] == true).mean() > 0.9
    assert table["confidence"].between(0.0, 1.0).all()
    assert table["given"].sum() == len(given)
    with pytest.raises(ValueError, match=r"not, such as .*nowhere"):
        two_kinds.few_labels({"nowhere.png": "x", paths.iloc[0]: "y"})
    with pytest.raises(TypeError, match="labels must be a dict or a Series of labels by path"):
        two_kinds.few_labels(list(given.values()))
    with pytest.raises(ValueError, match="at least two different values"):
        two_kinds.few_labels({paths.iloc[0]: "y"})


def test_three_labels_and_single_ones(two_kinds):
    paths = two_kinds.files_["path"]
    table = two_kinds.few_labels({paths[0]: "a", paths[1]: "b", paths[25]: "c"})
    assert set(table["label"]) <= {"a", "b", "c"} and np.isfinite(table["confidence"]).all()


def test_maps_are_reproducible(two_kinds):
    first, second = (two_kinds.map_(random_state=0) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert np.isfinite(first[["x", "y"]].to_numpy()).all()
    with pytest.raises(ValueError, match="method must be"):
        two_kinds.map_("pca")


def test_neighbours_are_other_pictures(two_kinds):
    neighbors = two_kinds.neighbors(4)
    assert neighbors.shape == (43, 4)
    assert (neighbors != np.arange(43)[:, None]).all()
