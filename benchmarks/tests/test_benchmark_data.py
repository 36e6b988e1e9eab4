"""Images and rivals of the benchmarks, and the probe table on small data."""

import json

import numpy as np
import pytest
import torch

from benchmarks import probe_table
from benchmarks.datasets import ROTATION, SCALE, load_avatars, random_poses
from benchmarks.rivals import RIVALS

N_TRAIN, N_TEST = 240, 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files as the loaders read them: half of the images bright above, half below."""
    random = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("data")
    images, attributes = [], []
    for n in (N_TRAIN, N_TEST):
        up = random.integers(0, 2, n)
        x = random.integers(0, 60, (n, 64, 64, 3))
        x[up == 1, :32] += 150
        x[up == 0, 32:] += 150
        images.append(x.astype(np.uint8))
        attributes.append(np.column_stack([up, random.integers(0, 2, n)]).astype(np.uint8))
    np.savez(
        folder / "avatars64.npz",
        x_train=images[0],
        x_test=images[1],
        a_train=attributes[0],
        a_test=attributes[1],
        f_train=attributes[0].astype(np.int16),
        f_test=attributes[1].astype(np.int16),
        attr_names=np.array(["up", "coin"]),
        factor_names=np.array(["where", "chance"]),
    )
    gray = images[0][:, :28, :28, 0]
    labels = {"y_train": np.zeros(N_TRAIN), "y_test": np.zeros(9)}
    np.savez(folder / "mnist.npz", x_train=gray, x_test=gray[:9], **labels)
    return folder


def test_aligned_faces_are_averaged(folder):
    data = load_avatars(folder, side=32)
    whole = load_avatars(folder, side=64)
    blocks = whole.train.reshape(N_TRAIN, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(data.train - blocks).max() <= 0.5
    assert list(data.train_labels) == ["up", "coin"] and list(data.test_factors) == ["where", "chance"]
    images, labels, parts = data.pooled
    assert len(images) == len(labels) == 300 and (parts == "test").sum() == N_TEST
    with pytest.raises(ValueError, match="side must divide 64, got 30"):
        load_avatars(folder, side=30)


def test_poses_are_the_same_every_time_and_differ_between_train_and_test(folder):
    one, two = (load_avatars(folder, posed=True) for _ in range(2))
    assert np.array_equal(one.train, two.train) and one.train.dtype == np.uint8
    assert not np.array_equal(one.train, load_avatars(folder).train)
    assert not torch.equal(random_poses(5, 0), random_poses(5, 1))


def test_poses_stay_within_their_ranges():
    poses = random_poses(4000, 0).double()
    turns = poses[:, :, :2]
    scale = torch.linalg.det(turns).abs().rsqrt()  # The map leads from output to input.
    assert SCALE[0] <= scale.min() and scale.max() <= SCALE[1] and scale.std() > 0.05
    angle = torch.rad2deg(torch.atan2(turns[:, 1, 0], turns[:, 1, 1])).abs()
    assert 0.9 * ROTATION < angle.max() <= ROTATION + 1e-3
    assert 0.11 < poses[:, :, 2].abs().max() <= 0.125 + 1e-6  # 1/16 of a width of 2.
    assert 0.4 < (torch.linalg.det(turns) < 0).double().mean() < 0.6  # Mirrored.
    # Rows of the turning part are at right angles: nothing is sheared.
    assert (turns[:, 0] * turns[:, 1]).sum(dim=1).abs().max() < 1e-6


@pytest.mark.parametrize("name", [n for n in RIVALS if n != "untrained encoder"])
def test_rivals_give_named_representations_of_new_rows(folder, name):
    data = load_avatars(folder, side=16)
    rival = RIVALS[name](8, 0).fit(data.train)
    forms = rival.transform(data.test)
    for codes in forms.values():
        assert codes.shape[0] == N_TEST and codes.dtype == np.float32 and np.isfinite(codes).all()
    if name != "pixels":
        assert forms["bits"].shape == (N_TEST, 8) and set(np.unique(forms["bits"])) <= {0.0, 1.0}
    again = RIVALS[name](8, 0).fit(data.train).transform(data.test)
    assert all(np.array_equal(forms[form], again[form]) for form in forms)


@pytest.mark.slow
def test_the_table_is_made_by_one_command_and_goes_on_where_it_stopped(folder, tmp_path, capsys):
    arguments = ["--data", str(folder), "--side", "16", "--latent-dim", "8", "--rivals", "PCA"]
    arguments += ["--results", str(tmp_path), "--seconds", "0.5", "--images", "aligned"]
    probe_table.main([*arguments, "--protocols", "holdout", "--only-rivals"])
    probe_table.main([*arguments, "--protocols", "holdout", "diti", "dmz"])
    lines = (tmp_path / "probe_table.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(r["name"], r["protocol"], r["form"]) for r in rows[:2]] == [
        ("PCA", "holdout", "floats"),
        ("PCA", "holdout", "bits"),
    ]
    assert len(rows) == 3 * 2 + 3 * 3
    assert all(set(r["attributes"]) == {"up", "coin"} for r in rows)
    first = rows[0]["attributes"]
    assert first["up"]["roc_auc"] > 0.99 and first["coin"]["roc_auc"] < 0.8
    mean = (first["up"]["roc_auc"] + first["coin"]["roc_auc"]) / 2
    assert rows[0]["roc_auc"] == pytest.approx(mean, abs=1e-4)
    probe_table.main([*arguments, "--protocols", "holdout", "diti", "dmz"])
    assert (tmp_path / "probe_table.jsonl").read_text().splitlines() == lines
    assert "DMZEncoder, bits" in capsys.readouterr().out
