"""MIG, DCI and TAD on factors whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mutual_info_score, roc_auc_score

from dmzrep.metrics import dci, frechet_distance, kernel_distance, mig, precision_recall, tad


@pytest.fixture
def grid():
    """Every combination of a factor of two and one of four classes, equally often."""
    return pd.DataFrame([(a, b) for a in range(2) for b in range(4)] * 25, columns=["a", "b"])


def test_mig_of_discrete_codes_is_exact(grid):
    a, b = grid["a"].to_numpy(), grid["b"].to_numpy()
    # b as two bits: each has 1 of 2 bits of information, so there is no gap; a has its own code.
    scores = mig(np.column_stack([a, b % 2, b // 2]), grid)
    assert scores.table["gap"].tolist() == pytest.approx([1.0, 0.0], abs=1e-12)
    assert scores.table["entropy"].tolist() == pytest.approx([1.0, 2.0])
    assert scores.table["information"].tolist() == pytest.approx([1.0, 1.0])
    assert float(scores) == pytest.approx(0.5) and scores.table["code"].tolist()[0] == 0
    # One code for b whole, and one for half of it: a gap of 1 of 2 bits.
    assert mig(np.column_stack([b, b % 2, a]), grid).table["gap"].tolist() == pytest.approx([1.0, 0.5])
    # Integers are not binned.
    unique = np.column_stack([np.arange(len(a)), a])
    assert mig(unique, grid["b"]).table["information"].item() == pytest.approx(2.0)


def test_mig_agrees_with_the_information_of_scikit_learn():
    random = np.random.default_rng(0)
    Z = random.integers(0, 5, (300, 4))
    factor = (Z[:, 1] + random.integers(0, 2, 300)) % 5
    information = np.sort([mutual_info_score(column, factor) for column in Z.T]) / np.log(2.0)
    (row,) = mig(Z, factor).table.to_dict("records")
    assert row["code"] == 1
    assert (row["information"], row["second"]) == pytest.approx((information[-1], information[-2]))


def test_mig_bins_fractions(grid):
    b = grid["b"].to_numpy()
    random = np.random.default_rng(0)
    smooth = (b + random.random(len(b))) / 4.0
    noise = random.random(len(b))
    binned = np.clip((noise - noise.min()) / np.ptp(noise) * 8, 0, 7).astype(int)
    (row,) = mig(np.column_stack([smooth, noise]), b, n_bins=8).table.to_dict("records")
    assert row["information"] > 1.6 and row["second"] == pytest.approx(
        mutual_info_score(binned, b) / np.log(2)
    )
    # A continuous factor is binned as codes are.
    (row,) = mig(np.column_stack([smooth, noise]), smooth, n_bins=8).table.to_dict("records")
    assert row["information"] == pytest.approx(row["entropy"])


@pytest.mark.parametrize("model", ["gradient_boosting", "lasso"])
def test_dci_of_codes_that_are_the_factors(model):
    random = np.random.default_rng(0)
    factors = pd.DataFrame({"shape": random.choice(["square", "star"], 240), "x": random.random(240)})
    noise = random.random(240)
    Z = np.column_stack([factors["x"], factors["shape"] == "star", noise])
    scores = dci(Z, factors, model=model)
    assert scores.disentanglement > 0.95 and scores.completeness > 0.95 and scores.informativeness > 0.95
    assert scores.importance.to_numpy().argmax(axis=0).tolist() == [1, 0]
    assert scores.importance.sum().tolist() == pytest.approx([1.0, 1.0])
    assert scores.table["chance"].between(0.0, 0.6).all()


def test_dci_of_codes_that_mix_the_factors():
    # Codes rotated by 45 degrees: both are equally important for both factors.
    random = np.random.default_rng(0)
    factors = pd.DataFrame({"x": random.random(300) - 0.5, "y": random.random(300) - 0.5})
    Z = np.column_stack([factors["x"] + factors["y"], factors["x"] - factors["y"]])
    scores = dci(Z, factors, model="lasso")
    assert scores.disentanglement < 0.05 and scores.completeness < 0.05 and scores.informativeness > 0.95


def test_dci_agrees_with_its_formula():
    random = np.random.default_rng(1)
    F = pd.DataFrame(random.integers(0, 3, (200, 3)), columns=list("abc"))
    Z = F.to_numpy() @ random.normal(size=(3, 4)) + 0.2 * random.normal(size=(200, 4))
    scores = dci(Z, F, model="lasso")
    R = scores.importance.to_numpy()
    by_code = [1 + sum(p * np.log(p) / np.log(3) for p in row / row.sum() if p) for row in R]
    weights = R.sum(axis=1) / R.sum()
    assert scores.disentanglement == pytest.approx(np.dot(by_code, weights))
    by_factor = [1 + sum(p * np.log(p) / np.log(4) for p in column if p) for column in R.T]
    assert scores.table["completeness"].tolist() == pytest.approx(by_factor)
    assert scores.completeness == pytest.approx(np.mean(by_factor))


def slow_tad(Z, Y, min_auroc=0.75, max_redundancy=0.2):
    """The definition, an attribute at a time."""
    total = 0.0
    for i in range(Y.shape[1]):
        aurocs = sorted(max(roc_auc_score(Y[:, i], s * column) for s in (1, -1)) for column in Z.T)
        entropy = mutual_info_score(Y[:, i], Y[:, i])
        others = [mutual_info_score(Y[:, i], Y[:, k]) for k in range(Y.shape[1]) if k != i]
        redundancy = 1.0 - (entropy - max(others)) / entropy
        if aurocs[-1] >= min_auroc and redundancy <= max_redundancy:
            total += aurocs[-1] - aurocs[-2]
    return total


@pytest.mark.parametrize("kind", ["bits", "floats"])
def test_tad_agrees_with_its_definition(kind):
    random = np.random.default_rng(0)
    Y = random.integers(0, 2, (300, 5))
    Y[:, 4] = Y[:, 3] ^ (random.random(300) < 0.1)  # Two attributes that imply each other do not count.
    Z = np.column_stack([Y[:, j] * s + 0.5 * random.normal(size=300) for j, s in ((0, 1), (1, -2), (3, 1))])
    Z = np.column_stack([Z, random.normal(size=300)])
    Z = Z.mean(axis=0) < Z if kind == "bits" else Z
    scores = tad(Z, pd.DataFrame(Y, columns=list("abcde")))
    assert scores.score == pytest.approx(slow_tad(Z.astype(float), Y))
    assert scores.table["counts"].tolist() == [True, True, False, False, False]
    assert scores.table.loc[1, "code"] == 1 and scores.score > 0.2
    loose = tad(Z, Y, min_auroc=0.5, max_redundancy=1.0)
    assert loose.table["counts"].all() and loose.score == pytest.approx(
        slow_tad(Z.astype(float), Y, 0.5, 1.0)
    )


@pytest.mark.parametrize(
    ("measure", "change", "message"),
    [
        (mig, lambda Z, F: (Z[:, :1], F), "Z must have at least two columns"),
        (mig, lambda Z, F: (Z, F[1:]), "inconsistent numbers of samples: factors has 199"),
        (tad, lambda Z, F: (Z, F[["a"]].where(F["b"] > 0)), "Y 'a' has missing values"),
        (tad, lambda Z, F: (Z, F), "two values each, but 'b' has more"),
        (mig, lambda Z, F: (Z, F.assign(b=1)), "'b' has the same value in all samples"),
        (dci, lambda Z, F: (Z, F["a"]), "factors must have at least two columns to disentangle, got 1"),
        (mig, lambda Z, F: (np.where(Z > 0.1, Z, np.nan), F), "Z has NaN or infinity in .* of 200 samples"),
    ],
)
def test_bad_input_is_refused(grid, measure, change, message):
    with pytest.raises(ValueError, match=message):
        measure(*change(np.random.default_rng(0).random((200, 3)), grid))


def test_bad_parameters_are_refused(grid):
    Z = np.random.default_rng(0).random((200, 3))
    with pytest.raises(ValueError, match="at least two columns"):
        mig(Z[:, :1], grid)
    with pytest.raises(ValueError, match="factors has 199, but there are 200 codes"):
        mig(Z, grid[1:])
    with pytest.raises(ValueError, match="'a' has unknown values"):
        tad(Z, grid[["a"]].where(grid["b"] > 0))
    with pytest.raises(ValueError, match="two values each, but 'b' has more"):
        tad(Z, grid)
    with pytest.raises(ValueError, match="'b' has the same value in all samples"):
        mig(Z, grid.assign(b=1))
    with pytest.raises(ValueError, match="at least two codes and two factors, got 3 and 1"):
        dci(Z, grid["a"])
    with pytest.raises(ValueError, match="model must be one of"):
        dci(Z, grid, model="forest")
    with pytest.raises(ValueError, match="n_bins must be"):
        mig(Z, grid, n_bins=1)


def test_arrow_backed_and_nullable_tables_are_read_like_arrays(grid):
    pytest.importorskip("pyarrow")
    random = np.random.default_rng(0)
    Z = pd.DataFrame(random.random((200, 3)))
    expected = mig(Z.to_numpy(), grid).score, frechet_distance(Z.to_numpy(), Z.to_numpy()[:100]).value
    for dtype in ("double[pyarrow]", "Float64"):
        table = Z.astype(dtype)
        factors = grid.astype("int64[pyarrow]" if "arrow" in dtype else "Int64")
        assert mig(table, factors).score == expected[0]
        assert frechet_distance(table, table[:100]).value == expected[1]
        assert kernel_distance(table, table[:100], n_subsets=2).n_generated == 100
        assert precision_recall(table, table[:100]).scores["precision"] == 1.0
