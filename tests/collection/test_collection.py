"""Collections of picture files: reading, search, changes, files."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest

from dmzrep import DMZEncoder
from dmzrep.collection import ImageCollection, _files
from dmzrep.datasets import ImageReader
from tests.collection.conftest import names

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def copy_of_photos(photos, tmp_path):
    return shutil.copytree(photos, tmp_path / "photos")


def test_the_table_of_files_describes_each_picture(collection, photos):
    files = collection.files_.set_index("path")
    assert len(files) == 47 and files.index.is_monotonic_increasing
    row = files.loc[str(photos / "b" / "jpeg.jpg")]
    assert (row["width"], row["height"], row["format"]) == (120, 90, "JPEG")
    assert row["bytes"] == (photos / "b" / "jpeg.jpg").stat().st_size
    twins = files.loc[[str(photos / "a" / "06.png"), str(photos / "b" / "twin.png")]]
    assert twins["hash"].nunique() == 1
    assert collection.codes_.shape == collection.logits_.shape == (47, 16)
    assert _files.decode_thumbnail(collection.thumbnails_[0]).shape == (72, 96, 3)
    assert collection.metric_ == "cosine"


def test_codes_do_not_distinguish_mirrored_pictures(collection, photos):
    index = {path: i for i, path in enumerate(collection.files_["path"])}
    mirrored = collection.logits_[index[str(photos / "b" / "mirror.png")]]
    original = collection.logits_[index[str(photos / "a" / "05.png")]]
    np.testing.assert_allclose(mirrored, original, atol=0.1)


def test_lists_and_tables_are_read_like_folders(collection, photos, picture_encoder):
    paths = sorted(photos.rglob("*.png"))[:5]
    listed = ImageCollection(picture_encoder).fit([*paths, photos / "missing.png"])
    assert listed.files_["path"].tolist() == [str(path) for path in paths]
    assert listed.unreadable_.values.tolist() == [
        [str(photos / "missing.png"), "FileNotFoundError: No such file or directory"]
    ]
    table = pd.DataFrame({"path": paths[::-1], "place": list("edcba")})
    labelled = ImageCollection(picture_encoder).fit(table)
    assert labelled.files_["place"].tolist() == list("abcde")
    assert labelled.search(paths[0], k=1)["place"].isin(list("bcde")).all()
    first = dict(zip(collection.files_["path"], collection.logits_, strict=True))
    np.testing.assert_array_equal(labelled.logits_, [first[str(path)] for path in paths])


def test_the_original_of_a_copy_is_found_first(collection, photos):
    for copy, original in (("jpeg.jpg", "00"), ("crop.png", "01"), ("mirror.png", "05")):
        found = collection.search(photos / "b" / copy, k=3)
        assert names(found)[0] == f"{original}.png"
        assert found["rank"].tolist() == [1, 2, 3] and found["distance"].is_monotonic_increasing


def test_pictures_outside_the_collection_and_arrays_are_queries_too(collection, photos, tmp_path):
    outside = tmp_path / "outside.png"
    shutil.copy(photos / "a" / "07.png", outside)
    assert names(collection.search(outside, k=1)) == ["07.png"]
    image = ImageReader(32).transform([outside])[0]
    assert names(collection.search(image, k=1)) == ["07.png"]


def test_several_queries_are_combined(collection, photos):
    one, other = photos / "a" / "08.png", photos / "a" / "09.png"
    distances = {
        name: collection.search(query, k=46).set_index("path")["distance"]
        for name, query in (("both", [one, other]), ("one", one))
    }
    assert str(one) not in distances["both"].index and str(other) not in distances["both"].index
    assert str(other) in distances["one"].index
    near = names(collection.search(one, k=1))[0]
    unlike = collection.search(one, k=45, without=collection.search(one, k=1)["path"][0])
    assert near not in names(unlike)


def test_a_query_that_is_missing_is_named(collection):
    with pytest.raises(FileNotFoundError, match=r"There is no picture file.*nowhere\.png"):
        collection.search("nowhere.png")


def test_an_update_reads_new_and_changed_files_only(copy_of_photos, picture_encoder, monkeypatch):
    collection = ImageCollection(picture_encoder, n_jobs=1).fit(copy_of_photos)
    before = dict(zip(collection.files_["path"], collection.logits_, strict=True))
    read = []
    original = _files._read
    monkeypatch.setattr(_files, "_read", lambda path, *rest: read.append(path) or original(path, *rest))
    assert collection.update().empty and read == []
    new, changed, deleted, broken = (
        str(copy_of_photos / "a" / name) for name in ("99.png", "10.png", "11.png", "12.png")
    )
    shutil.copy(copy_of_photos / "a" / "13.png", new)
    Image.new("RGB", (50, 40), "red").save(changed)
    (copy_of_photos / "a" / "11.png").unlink()
    (copy_of_photos / "a" / "12.png").write_bytes(b"")
    changes = collection.update()
    expected = {new: "new", changed: "changed", deleted: "deleted", broken: "unreadable"}
    assert dict(changes.itertuples(index=False)) == expected
    assert sorted(read) == sorted([new, changed, broken])
    after = dict(zip(collection.files_["path"], collection.logits_, strict=True))
    assert set(after) == set(before) - {deleted, broken} | {new}
    assert all(np.array_equal(after[path], before[path]) for path in set(after) - {new, changed})
    assert collection.unreadable_["path"].tolist() == [broken]
    assert names(collection.search(new, k=1)) == ["13.png"]


def test_a_saved_collection_gives_the_same_results(collection, photos, tmp_path):
    path = tmp_path / "photos.index"
    collection.save(path)
    loaded = ImageCollection.load(path)
    pd.testing.assert_frame_equal(loaded.files_, collection.files_)
    pd.testing.assert_frame_equal(loaded.unreadable_, collection.unreadable_)
    assert loaded.thumbnails_ == collection.thumbnails_
    query = photos / "a" / "20.png"
    pd.testing.assert_frame_equal(loaded.search(query), collection.search(query))
    pd.testing.assert_frame_equal(loaded.duplicates(), collection.duplicates())
    assert loaded.update().empty


def test_names_that_are_not_utf8_survive(photos, picture_encoder, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    try:
        shutil.copy(photos / "a" / "00.png", folder / os.fsdecode(b"\xe9\xff.png"))
    except (OSError, UnicodeError):
        pytest.skip("the file system refuses such names")
    shutil.copy(photos / "a" / "01.png", folder / "plain.png")
    collection = ImageCollection(picture_encoder).fit(folder)
    collection.save(tmp_path / "odd.index")
    assert (
        ImageCollection.load(tmp_path / "odd.index").files_["path"].tolist()
        == collection.files_["path"].tolist()
    )


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("no/such/folder", NotADirectoryError, "There is no folder"),
        (np.zeros((3, 8, 8)), ValueError, "X must be a folder, a list of picture files"),
        (pd.DataFrame({"file": ["a.png"]}), ValueError, "X must have a column 'path'"),
        (pd.DataFrame({"path": ["a.png"], "bytes": [3]}), ValueError, r"columns \['bytes'\] of X"),
        (["missing.png"], ValueError, "no readable picture: .*missing.png"),
    ],
)
def test_sources_without_pictures_are_explained(picture_encoder, source, error, message):
    with pytest.raises(error, match=message):
        ImageCollection(picture_encoder).fit(source)


def test_an_encoder_of_arrays_needs_a_reader(photos):
    X = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3), dtype=np.uint8)
    encoder = DMZEncoder(8, max_iter=0, init="pca", random_state=0).fit(X)
    with pytest.raises(ValueError, match="image_reader is required, since the encoder takes arrays"):
        ImageCollection(encoder).fit(photos)
    assert len(ImageCollection(encoder, image_reader=ImageReader(16)).fit(photos).files_) == 47
