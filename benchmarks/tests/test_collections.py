"""The folder of pictures with planted copies, scores of pairs and of search, and a small run of rivals."""

import io
import types

import numpy as np
import pandas as pd
import pytest

Image = pytest.importorskip("PIL.Image")
from benchmarks import collections as command  # noqa: E402
from benchmarks import collections_data as data  # noqa: E402
from benchmarks import collections_scoring as scoring  # noqa: E402
from benchmarks.results import read  # noqa: E402

N = 30


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Small files in the place of the benchmarks' own: smooth photographs, emoji and avatars."""
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)

    def smooth(n, side):
        coarse = random.integers(0, 256, (n, 5, 5, 3), dtype=np.uint8)
        pictures = [Image.fromarray(image).resize((side, side)) for image in coarse]
        return np.stack([np.asarray(picture) for picture in pictures])

    jpegs = []
    for image in smooth(50, 32):
        Image.fromarray(image).save(file := io.BytesIO(), "JPEG")
        jpegs.append(file.getvalue())
    offsets = np.cumsum([0, *map(len, jpegs)])
    content = np.frombuffer(b"".join(jpegs), dtype=np.uint8)
    parts = {f"{name}_{part}": value for part in ("train", "test") for name, value in
             (("jpeg", content), ("offsets", offsets))}  # fmt: skip
    np.savez(folder / "cifar10_jpeg.npz", **parts)
    avatars = smooth(20, 64)
    np.savez(folder / "avatars64.npz", x_train=avatars, x_test=avatars)
    emoji = np.full((20, 64, 64, 3), 255, np.uint8)
    emoji[:, 16:48, 16:48] = smooth(20, 32)
    emoji[1] = emoji[0][:, ::-1]  # The mirror image of another one.
    is_train, groups = np.zeros(20, dtype=bool), np.arange(20) // 2
    names = np.array([f"emoji_{i}" for i in range(19)] + ["emoji_facing_right"])
    np.savez(
        folder / "emoji64.npz",
        x_twitter=emoji,
        x_google=emoji[::-1],
        group_id=groups,
        train=is_train,
        short_name=names,
    )
    return folder


@pytest.fixture(scope="module")
def mixed(sources, tmp_path_factory):
    folder = tmp_path_factory.mktemp("collections") / "mixed"
    truth = data.write_collection(folder, sources, n_pictures=N, n_copies=2, n_same_bytes=3)
    return folder, truth


def test_the_folder_has_what_the_truth_says(mixed):
    folder, truth = mixed
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
    assert files == set(truth["path"]) and len(files) == len(truth) == N + 2 * len(data.EDITS) + 3
    pd.testing.assert_frame_equal(data.read_truth(folder), truth)
    assert truth["source"].value_counts().index.tolist()[0] == "cifar10"
    for copy in truth[truth["kind"] == "same_bytes"].itertuples():
        assert (folder / copy.path).read_bytes() == (folder / copy.original).read_bytes()
    sizes = [scoring.load_on_white(folder / p).size for p in truth[truth["kind"] == "original"]["path"]]
    assert min(map(min, sizes)) >= 48 and max(map(max, sizes)) <= 300
    assert len(set(sizes)) > N / 2


def test_copies_are_edited_at_the_size_of_the_file(mixed):
    folder, truth = mixed
    for row in truth[truth["kind"].isin(list(data.EDITS))].itertuples():
        copy, original = (scoring.load_on_white(folder / path) for path in (row.path, row.original))
        ratio = np.array(copy.size) / np.array(original.size)
        if row.kind == "crop":
            assert (ratio > 0.83).all() and (ratio < 0.97).all()
        elif row.kind == "resize":
            assert (ratio > 0.48).all() and (ratio < 2.05).all()
        else:
            assert copy.size == original.size
        if row.kind == "mirror":
            difference = np.asarray(copy).astype(int)[:, ::-1] - np.asarray(original)
            assert np.abs(difference).mean() < 10
        if row.kind == "jpeg":
            assert row.path.endswith(".jpg")


def test_a_seed_gives_the_same_folder_again(mixed, sources, tmp_path):
    folder, truth = mixed
    again = data.write_collection(tmp_path / "again", sources, n_pictures=N, n_copies=2, n_same_bytes=3)
    pd.testing.assert_frame_equal(again, truth)
    assert all((tmp_path / "again" / p).read_bytes() == (folder / p).read_bytes() for p in truth["path"])


def test_a_folder_of_somebody_else_is_not_replaced(sources, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(FileExistsError, match="not a folder of this command"):
        data.write_collection(tmp_path / "mine", sources, n_pictures=N)


def test_mirror_images_are_one_source(sources):
    random = np.random.default_rng(0)
    names = [source.variant for source in data._emoji(sources, True, random)]
    assert len(names) == 38 and names.count("emoji twitter 9") == 1  # One faces right.
    images = [source.pixels for source in data._emoji(sources, True, random)]
    assert data.is_same(images[0], images[0][:, ::-1])
    assert not data.is_same(np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 50, np.uint8))


def test_transparency_does_not_change_a_picture_on_white():
    pixels = np.full((40, 40, 3), 255, np.uint8)
    pixels[10:30, 10:30] = (200, 0, 0)
    pixels[18:22, 18:22] = 255  # A hole is no background.
    picture = data.transparent(Image.fromarray(pixels))
    on_white = Image.alpha_composite(Image.new("RGBA", (40, 40), "white"), picture)
    np.testing.assert_array_equal(np.asarray(on_white.convert("RGB")), pixels)
    alpha = np.asarray(picture)[..., 3]
    assert alpha[0, 0] == 0 and alpha[20, 20] == 255 and np.asarray(picture)[0, 0].tolist() == [0] * 4


@pytest.fixture
def pairs():
    """Originals a, b, c and d; two copies of a, one of b; a file with the bytes of a, and one of a copy."""
    rows = [(name, "", "original", name) for name in "abcd"]
    rows += [("a1", "a", "crop", "a"), ("a2", "a", "rotation", "a"), ("b1", "b", "crop", "b")]
    rows += [("a'", "a", "same_bytes", "a"), ("b1'", "b1", "same_bytes", "b")]
    return scoring.duplicate_pairs(pd.DataFrame(rows, columns=["path", "original", "kind", "variant"]))


def test_pairs_of_one_original_are_duplicates(pairs):
    assert pairs.paths == ["a", "b", "c", "d", "a1", "a2", "b1"]
    assert pairs.kinds == {(0, 4): "crop", (0, 5): "rotation", (4, 5): scoring.TWO_COPIES, (1, 6): "crop"}
    assert pairs.index["a'"] == 0 and pairs.index["b1'"] == 6


def test_scores_of_pairs(pairs):
    row = scoring.score_pairs([(0, 4), (5, 4), (2, 3), (6, 2), (2, 6)], pairs)
    assert (row["right"], row["wrong"], row["precision"], row["recall"]) == (2, 2, 0.5, 0.5)
    assert row["kinds"]["crop"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "right": 1, "wrong": 1}
    assert row["kinds"]["rotation"]["recall"] == 0.0 and row["wrong_of_one_variant"] == 0


def test_groups_become_pairs_of_different_files(pairs, tmp_path):
    paths = [str(tmp_path / name) for name in ("a", "a'", "a1", "b", "c")]
    table = pd.DataFrame({"group": [0, 0, 0, 1, 1], "path": paths})
    assert command.grouped_pairs(table, tmp_path, pairs) == ({(0, 4), (1, 2)}, 1)


def test_the_best_threshold_and_search(pairs):
    points = np.array([0.0, 10.0, 20.0, 30.0, 1.0, 2.0, 12.5])  # The copy of b is nearer to b than any.
    distances = np.abs(points[:, None] - points)
    assert scoring.best_threshold(distances, pairs) == 2.5
    assert set(scoring.pairs_below(distances, 2.5)) == set(pairs.kinds)
    assert scoring.score_search(distances, pairs)["rank_1"] == 1.0
    distances[4, 2] = 1.0  # As near as the original: half a hit.
    distances[5, 3] = 0.5
    row = scoring.score_search(distances, pairs)
    assert row == {"rank_1": 0.5, "kinds": {"crop": 0.75, "rotation": 0.0}}


def test_the_collection_is_searched_without_copies_of_the_same_picture(pairs, tmp_path):
    found = {"a1": ["a1", "a2", "a'", "c"], "a2": ["a2", "c", "a"], "b1": ["b1'", "b"]}
    search = types.SimpleNamespace(
        search=lambda path, k: pd.DataFrame({"path": [str(tmp_path / name) for name in found[path.name]]})
    )
    row = command.measure_search(search, tmp_path, pairs)
    assert row["kinds"] == {"crop": 1.0, "rotation": 0.0} and row["rank_1"] == 0.6667


def test_rivals_are_measured_once(mixed, sources):
    pytest.importorskip("imagehash")
    folder = mixed[0].parent
    arguments = ["--data", str(sources), "--pictures", str(N), "--copies", "2", "--only-rivals"]
    for _ in range(2):
        command.main([*arguments, "--folder", str(folder), "--results", str(folder)])
    rows = read(command.RESULTS, folder)
    assert len(rows) == 2 * (
        3 + 3 + 2
    )  # Thresholds and search of each rival, with and without mirror images.
    pixels = next(row for row in rows if row["name"] == "pixels" and row["mirrored"])
    assert pixels["part"] == "duplicates" and pixels["kinds"]["mirror"]["recall"] == 1.0
    assert (folder / "wrong-pHash-mirrored-default.csv").exists()


def test_a_command_is_measured_in_its_own_process():
    import sys

    row = command.run_measured([sys.executable, "-c", "x = bytearray(2**27); raise SystemExit(3)"])
    assert row["exit_code"] == 3 and 128 < row["peak_mib"] < 300 and row["seconds"] >= 0
