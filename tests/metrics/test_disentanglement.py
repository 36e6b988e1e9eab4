"""MIG, DCI and TAD of codes with known scores."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mutual_info_score, roc_auc_score

from dmzrep.metrics import dci, mig, tad


@pytest.fixture
def grid():
    """Every combination of a factor of two and one of four classes, equally often."""
    return pd.DataFrame([(a, b) for a in range(2) for b in range(4)] * 25, columns=["a", "b"])


def test_mig_of_discrete_codes_is_exact(grid):
    a, b = grid["a"].to_numpy(), grid["b"].to_numpy()
    # Each of the two bits of b has 1 of 2 bits of information, so there is no gap; a is a code itself.
    scores = mig(np.column_stack([a, b % 2, b // 2]), grid)
    assert scores.table["gap"].tolist() == pytest.approx([1.0, 0.0], abs=1e-12)
    assert scores.table["entropy"].tolist() == pytest.approx([1.0, 2.0])
    assert scores.table["information"].tolist() == pytest.approx([1.0, 1.0])
    assert float(scores) == pytest.approx(0.5) and scores.table["code"].tolist()[0] == 0
    # One code is b, another one half of it: a gap of 1 of 2 bits.
    assert mig(np.column_stack([b, b % 2, a]), grid).table["gap"].tolist() == pytest.approx([1.0, 0.5])
    # Integers are not binned.
    unique = np.column_stack([np.arange(len(a)), a])
    assert mig(unique, grid["b"]).table["information"].item() == pytest.approx(2.0)


def test_mig_bins_fractions(grid):
    b = grid["b"].to_numpy()
    rng = np.random.default_rng(0)
    smooth, noise = (b + rng.random(len(b))) / 4.0, rng.random(len(b))
    binned = np.clip((noise - noise.min()) / np.ptp(noise) * 8, 0, 7).astype(int)
    (row,) = mig(np.column_stack([smooth, noise]), b, n_bins=8).table.to_dict("records")
    assert row["information"] > 1.6
    assert row["second"] == pytest.approx(mutual_info_score(binned, b) / np.log(2))
    # Continuous factors are binned as codes are.
    (row,) = mig(np.column_stack([smooth, noise]), smooth, n_bins=8).table.to_dict("records")
    assert row["information"] == pytest.approx(row["entropy"])


@pytest.mark.parametrize("model", ["gradient_boosting", "lasso"])
def test_dci_of_codes_that_are_the_factors_is_one(model):
    rng = np.random.default_rng(0)
    factors = pd.DataFrame({"shape": rng.choice(["square", "star"], 240), "x": rng.random(240)})
    Z = np.column_stack([factors["x"], factors["shape"] == "star", rng.random(240)])
    scores = dci(Z, factors, model=model, random_state=0)
    assert scores.disentanglement > 0.95 and scores.completeness > 0.95 and scores.informativeness > 0.95
    assert scores.importance.to_numpy().argmax(axis=0).tolist() == [1, 0]
    assert scores.importance.sum().tolist() == pytest.approx([1.0, 1.0])
    assert scores.table["chance"].between(0.0, 0.6).all()


def test_dci_of_rotated_factors_is_zero():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 300)) - 0.5
    scores = dci(np.column_stack([x + y, x - y]), np.column_stack([x, y]), model="lasso", random_state=0)
    assert scores.disentanglement < 0.05 and scores.completeness < 0.05 and scores.informativeness > 0.95


def test_dci_follows_its_formula():
    rng = np.random.default_rng(1)
    F = pd.DataFrame(rng.integers(0, 3, (200, 3)), columns=list("abc"))
    Z = F.to_numpy() @ rng.normal(size=(3, 4)) + 0.2 * rng.normal(size=(200, 4))
    scores = dci(Z, F, model="lasso", random_state=0)
    R = scores.importance.to_numpy()
    by_code = [1 + sum(p * np.log(p) / np.log(3) for p in row / row.sum() if p) for row in R]
    assert scores.disentanglement == pytest.approx(np.dot(by_code, R.sum(axis=1) / R.sum()))
    by_factor = [1 + sum(p * np.log(p) / np.log(4) for p in column if p) for column in R.T]
    assert scores.table["completeness"].tolist() == pytest.approx(by_factor)
    assert scores.completeness == pytest.approx(np.mean(by_factor))


def tad_by_loops(Z, Y, min_auroc=0.75, max_redundancy=0.2):
    total = 0.0
    for i in range(Y.shape[1]):
        aurocs = sorted(max(roc_auc_score(Y[:, i], s * column) for s in (1, -1)) for column in Z.T)
        entropy = mutual_info_score(Y[:, i], Y[:, i])
        others = [mutual_info_score(Y[:, i], Y[:, k]) for k in range(Y.shape[1]) if k != i]
        if aurocs[-1] >= min_auroc and max(others) / entropy <= max_redundancy:
            total += aurocs[-1] - aurocs[-2]
    return total


@pytest.mark.parametrize("kind", ["bits", "floats"])
def test_tad_follows_its_definition(kind):
    rng = np.random.default_rng(0)
    Y = rng.integers(0, 2, (300, 5))
    Y[:, 4] = Y[:, 3] ^ (rng.random(300) < 0.1)  # Two attributes that imply each other do not count.
    Z = np.column_stack([Y[:, j] * s + 0.5 * rng.normal(size=300) for j, s in ((0, 1), (1, -2), (3, 1))])
    Z = np.column_stack([Z, rng.normal(size=300)])
    Z = Z.mean(axis=0) < Z if kind == "bits" else Z
    scores = tad(Z, pd.DataFrame(Y, columns=list("abcde")))
    assert scores.score == pytest.approx(tad_by_loops(Z.astype(float), Y))
    assert scores.table["counts"].tolist() == [True, True, False, False, False]
    assert scores.table.loc[1, "code"] == 1 and scores.score > 0.2
    loose = tad(Z, Y, min_auroc=0.5, max_redundancy=1.0)
    assert loose.table["counts"].all()
    assert loose.score == pytest.approx(tad_by_loops(Z.astype(float), Y, 0.5, 1.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda Z, F: mig(Z, F.assign(b=1)), "'b' has the same value in all samples"),
        (lambda Z, F: tad(Z, F[["a"]].where(F["b"] > 0)), "Y 'a' has missing values"),
        (lambda Z, F: tad(Z, F), "two values each, but 'b' has more"),
        (lambda Z, F: dci(Z, F["a"]), "factors must have at least two columns to disentangle, got 1"),
    ],
)
def test_invalid_input_raises(grid, call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0).random((200, 3)), grid)
