"""Duplicates of a collection."""

import numpy as np
import pandas as pd
import pytest

from dmzrep.collection import ImageCollection
from dmzrep.collection._duplicates import (
    Calibration,
    Pairs,
    choose_threshold,
    expected_false_pairs,
    star_groups,
    with_copies,
)
from dmzrep.collection._matching import SIDE, match_pairs
from tests.collection.conftest import EDITED, smooth_picture

Image = pytest.importorskip("PIL.Image")


def groups_of(table):
    """Return the names of the pictures of each group."""
    names = table["path"].str.rsplit("/", n=1).str[1].str.split(".").str[0]
    return {frozenset(group) for _, group in names.groupby(table["group"])}


@pytest.fixture(scope="module")
def same(collection):
    return collection.duplicates(mirrored=True)


def test_edited_copies_and_equal_files_are_found(same):
    assert groups_of(same) == {frozenset(pair) for pair in EDITED.items()}
    tiers = same.set_index(same["path"].str.extract(r"(\w+)\.\w+$")[0])["tier"]
    assert tiers["twin"] == "same_bytes" and tiers["crop"] == tiers["mirror"] == "same_picture"
    assert same.loc[same["path"].str.endswith("twin.png"), "distance"].tolist() == [0.0]
    assert 0.0 <= same.attrs["expected_false_pairs"] < 1.0


def test_mirrored_pictures_are_the_same_on_request_only(collection, same):
    without = collection.duplicates()
    assert groups_of(same) - groups_of(without) == {frozenset(("mirror", "05"))}
    assert same.set_index("path")["mirrored"].sum() == 1


def test_one_picture_of_a_group_is_to_be_kept(same):
    kept = same[same["keep"]]
    assert kept["group"].is_unique and len(kept) == same["group"].nunique()
    by_group = same.assign(pixels=same["width"] * same["height"]).groupby("group")
    best = by_group["pixels"].max()
    assert (kept.set_index("group")["width"] * kept.set_index("group")["height"] == best).all()
    assert "half" not in set(kept["path"].str.rsplit("/", n=1).str[1].str.split(".").str[0])


def test_pairs_across_two_folders(collection, photos, same):
    across = collection.duplicates(across=(photos / "a", photos / "b"), mirrored=True)
    assert groups_of(across) == groups_of(same)
    with pytest.raises(ValueError, match="across must be two folders with pictures"):
        collection.duplicates(across=(photos / "a", photos / "c"))
    with pytest.raises(ValueError, match="across must be two folders"):
        collection.duplicates(across=(photos / "a",))
    with pytest.raises(ValueError, match="neither inside the other"):
        collection.duplicates(across=(photos, photos / "a"))


def test_similar_pictures_are_not_those_that_are_the_same(collection, same):
    similar = collection.duplicates("similar", mirrored=True)
    assert set(similar["tier"]) <= {"similar"}
    pairs = {frozenset(pair) for pair in EDITED.items()}
    assert all(not pair <= group for group in groups_of(similar) for pair in pairs)


def test_fewer_false_pairs_cost_pairs(collection, same):
    strict = collection.duplicates(mirrored=True, max_false_pairs=1e-6)
    assert strict.attrs["threshold"] < same.attrs["threshold"]
    assert groups_of(strict) < groups_of(same)
    assert frozenset(("twin", "06")) in groups_of(strict)


def test_a_folder_without_duplicates_has_no_groups(picture_encoder, tmp_path):
    rng = np.random.default_rng(9)
    for i in range(3):
        smooth_picture(rng).save(tmp_path / f"{i}.png")
    Image.new("RGB", (40, 40), "black").save(tmp_path / "black.png")
    Image.new("RGB", (44, 44), "black").save(tmp_path / "black too.png")
    table = ImageCollection(picture_encoder).fit(tmp_path).duplicates()
    assert table.empty and list(table.columns[:3]) == ["group", "path", "tier"]


def test_groups_are_stars_not_chains():
    n = 6
    chain = Pairs(np.arange(n - 1), np.arange(1, n), np.arange(n - 1.0), np.zeros(n - 1, dtype=bool))
    groups = star_groups(chain, np.arange(n))
    linked = dict(zip(zip(chain.first, chain.second, strict=True), chain.distance, strict=True))
    for (centre, *_), *others in groups:
        assert others
        for i, distance, _ in others:
            assert distance == linked[min(centre, i), max(centre, i)]
    assert sorted(i for group in groups for i, *_ in group) == list(range(n))


def test_the_expected_number_of_false_pairs_follows_a_power_law():
    rng = np.random.default_rng(0)
    false = 6.0 * rng.random(20_000) ** (1.0 / 3.5)  # 20,000 (d / 6)^3.5 pairs below a difference d
    copies = rng.uniform(0.0, 1.0, 500)
    differences = np.concatenate([false, copies])
    calibration = Calibration(np.zeros(300), np.linspace(0.0, 1.0, 300))
    expected = expected_false_pairs(differences, np.ones(len(differences)), calibration)
    assert expected(0.9) == pytest.approx(20_000 * (0.9 / 6.0) ** 3.5, rel=0.2)


def test_the_threshold_keeps_false_pairs_few():
    calibration = Calibration(np.linspace(0.0, 0.2, 50), np.linspace(0.0, 1.0, 50))
    copies = np.linspace(0.05, 0.95, 100)
    threshold, n_false = choose_threshold(copies, lambda t: 20.0 * t**4, calibration, None)
    found = np.sum(copies <= threshold)
    assert n_false <= 0.05 * found and threshold > 0.5
    stricter, n_strict = choose_threshold(copies, lambda t: 20.0 * t**4, calibration, 0.1)
    assert stricter < threshold and n_strict <= 0.1


def test_alignment_undoes_affine_maps_and_brightness():
    rng = np.random.default_rng(1)
    picture = smooth_picture(rng, (96, 96))
    moved = picture.rotate(6, Image.Resampling.BICUBIC).crop((8, 10, 90, 88)).point(lambda value: value * 0.7)
    others = [smooth_picture(rng, (96, 96)) for _ in range(4)]
    squares = np.stack([np.asarray(p.resize((SIDE, SIDE))) for p in (picture, moved, *others)])
    match = match_pairs(squares, np.zeros(5, dtype=int), np.arange(1, 6))
    assert match.difference[0] < 1.0 < match.difference[1:].min()
    flipped = squares[:, :, ::-1].copy()
    both = np.concatenate([squares[:1], flipped[1:2]])
    assert match_pairs(both, np.array([0]), np.array([1]), mirrored=True).difference[0] < 1.0
    assert match_pairs(both, np.array([0]), np.array([1])).difference[0] > 1.0


def test_a_local_difference_is_not_overlooked():
    picture = smooth_picture(np.random.default_rng(2), (96, 96))
    edited = picture.copy()
    edited.paste((255, 255, 255), (40, 40, 56, 56))
    squares = np.stack([np.asarray(p.resize((SIDE, SIDE))) for p in (picture, edited)])
    assert match_pairs(squares, np.array([0]), np.array([1])).difference[0] > 1.5


@pytest.mark.parametrize("n_copies", [1, 2])
def test_few_duplicates_among_many_pictures_are_found(picture_encoder, tmp_path, n_copies):
    rng = np.random.default_rng(3)
    pictures = [smooth_picture(rng) for _ in range(60)]
    for i, picture in enumerate(pictures):
        picture.save(tmp_path / f"{i:02}.png")
    for i in range(n_copies):
        pictures[i].save(tmp_path / f"copy of {i:02}.jpg", quality=60)
    table = ImageCollection(picture_encoder).fit(tmp_path).duplicates()
    assert groups_of(table) == {frozenset((f"{i:02}", f"copy of {i:02}")) for i in range(n_copies)}


def test_links_are_not_duplicates_of_what_they_point_to(picture_encoder, tmp_path):
    rng = np.random.default_rng(4)
    for i in range(3):
        smooth_picture(rng).save(tmp_path / f"{i}.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "0.png")
    collection = ImageCollection(picture_encoder).fit(tmp_path)
    assert collection.duplicates().empty
    assert collection.unreadable_["reason"].tolist() == [f"a link to {tmp_path / '0.png'}"]


def test_all_pictures_of_a_group_match_the_one_to_keep(picture_encoder, tmp_path):
    picture = smooth_picture(np.random.default_rng(5), (100, 100))
    picture.save(tmp_path / "original.png")
    for name, box in (("left", (0, 0, 86, 86)), ("right", (14, 14, 100, 100))):
        picture.crop(box).resize((180, 180)).save(tmp_path / f"{name}.png")
    table = ImageCollection(picture_encoder).fit(tmp_path).duplicates()
    assert (table["distance"] <= table.attrs["threshold"] + 1e-3).all()


def test_each_picture_is_in_one_group():
    pairs = Pairs(np.array([0, 1]), np.array([2, 3]), np.zeros(2), np.zeros(2, dtype=bool))
    groups = with_copies(star_groups(pairs, np.arange(6)), {0: [1, 4], 5: [6]})
    assert sorted(i for group in groups for i, *_ in group) == list(range(7))
    assert {frozenset(i for i, *_ in group) for group in groups} == {
        *(frozenset({0, 2, 4}), frozenset({1, 3}), frozenset({5, 6})),
    }


def test_files_with_the_same_bytes_join_the_group_of_any_of_them():
    # The group is of another file than the first of its bytes, as between two folders.
    assert with_copies([[(1, 0.0, False), (2, 0.5, True)]], {0: [1, 3]}) == [
        [(1, 0.0, False), (0, 0.0, False), (3, 0.0, False), (2, 0.5, True)]
    ]


def test_tables_have_plain_dtypes(same):
    assert same["group"].dtype == np.int64 and same["keep"].dtype == bool
    assert pd.api.types.is_float_dtype(same["distance"])
