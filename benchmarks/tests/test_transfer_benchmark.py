"""Pairs of images as the transfer benchmark reads them, and a small run of its command."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import domain_transfer
from benchmarks.paired_images import load_edges, load_emoji
from benchmarks.results import read

N_TRAIN, N_TEST = 120, 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Blots of three colours in two styles: the second is the first turned round and darker."""
    random = np.random.default_rng(0)
    colours = random.integers(0, 2, (N_TRAIN + N_TEST, 4, 4, 3)) * 180
    source = np.kron(colours, np.ones((1, 16, 16, 1))).astype(np.uint8)
    source += random.integers(0, 20, source.shape, dtype=np.uint8)
    target = (source[:, ::-1] // 2).astype(np.uint8)
    folder = tmp_path_factory.mktemp("data")
    number = np.arange(len(source))
    np.savez(
        folder / "emoji64.npz",
        x_twitter=source,
        x_google=target,
        train=number % 4 != 3,
        group_id=number // 4,
        name=np.array([f"blot {i}" for i in number]),
    )
    np.savez(folder / "avatars64.npz", x_train=target[:N_TRAIN], x_test=target[N_TRAIN:])
    idx_train, idx_test = np.arange(0, N_TRAIN, 2), np.arange(1, N_TEST, 2)
    np.savez(
        folder / "avatar_edges64.npz",
        edges_train=source[:N_TRAIN][idx_train][..., 0],
        edges_test=source[N_TRAIN:][idx_test][..., 0],
        idx_train=idx_train,
        idx_test=idx_test,
    )
    return folder


def test_pairs_stay_together_and_tests_apart(folder):
    emoji = load_emoji(folder, side=16)
    assert len(emoji.source) == N_TRAIN and len(emoji.test_source) == N_TEST == len(emoji.test_names)
    for source, target in ((emoji.source, emoji.target), (emoji.test_source, emoji.test_target)):
        assert np.abs(source[:, ::-1].astype(float) / 2 - target).max() <= 1.5
    assert emoji.test_names[:2] == ["blot 3", "blot 7"] and emoji.groups.tolist()[:4] == [0, 0, 0, 1]
    edges = load_edges(folder, side=16)
    assert edges.source.shape == (60, 16, 16) and edges.target_images.shape == (N_TRAIN, 16, 16, 3)
    for source, target in ((edges.source, edges.target), (edges.test_source, edges.test_target)):
        assert len(source) == len(target)
        assert np.abs(source[:, ::-1].astype(float) / 2 - target[..., 0]).max() <= 1.5


def test_the_command_ranks_every_test_pair_and_goes_on_where_it_stopped(folder, tmp_path, capsys):
    arguments = ["--data", str(folder), "--pairs", "emoji", "--codes", "PCA", "--latent-dim", "16"]
    arguments += ["--side", "16", "--results", str(tmp_path)]
    domain_transfer.main([*arguments, "--only", "default"])
    domain_transfer.main([*arguments, "--only", "default", "five nearest pairs"])
    rows = read(domain_transfer.RESULTS, tmp_path)
    assert [row["choice"] for row in rows] == ["default", "five nearest pairs"]
    assert rows[0]["within_10"] > 0.6 and rows[0]["times_chance"] == pytest.approx(rows[0]["within_10"] * 4)
    table = pd.read_csv(tmp_path / "domain_transfer_ranks" / "emoji_PCA_16_default_0.csv", index_col="pair")
    assert len(table) == N_TEST and table["name"][0] == "blot 3"
    assert (table["hamming"] <= 10).mean() == pytest.approx(rows[0]["within_10"])
    assert "five nearest pairs" in capsys.readouterr().out
