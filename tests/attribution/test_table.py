"""Bits and attributes, against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mutual_info_score, roc_auc_score

from dmzrep.attribution import bit_table


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    Z = rng.random((300, 5))
    Y = pd.DataFrame(rng.integers(0, 2, (300, 3)).astype(float), columns=["hat", "beard", "smile"])
    Y["hat"] = (Z[:, 1] > 0.5) ^ (rng.random(300) < 0.1)
    Y["beard"] = (Z[:, 4] < 0.5) ^ (rng.random(300) < 0.2)
    return Z, Y.astype(float)


def test_every_pair_agrees_with_scikit_learn(data):
    Z, Y = data
    table = bit_table(Z, Y)
    assert table.columns.tolist() == ["bit", "attribute", "auroc", "mutual_information", "sign"]
    assert len(table) == 15
    for row in table.itertuples():
        bit, y = Z[:, row.bit] > 0.5, Y[row.attribute]
        assert row.auroc == pytest.approx(roc_auc_score(y, bit if row.sign >= 0 else ~bit))
        assert row.mutual_information == pytest.approx(mutual_info_score(y, bit) / np.log(2))
    best = table.sort_values("auroc", ascending=False).head(2)
    assert best[["bit", "attribute", "sign"]].to_numpy().tolist() == [[1, "hat", 1], [4, "beard", -1]]


def test_unknown_labels_are_ignored_per_attribute(data):
    Z, Y = data
    gaps = Y.copy()
    gaps.loc[50:149, "beard"] = np.nan
    table, whole = bit_table(Z, gaps), bit_table(Z, Y)
    known = bit_table(np.delete(Z, np.s_[50:150], axis=0), Y.drop(index=range(50, 150)))
    is_beard = table["attribute"] == "beard"
    pd.testing.assert_frame_equal(table[is_beard], known[is_beard])
    pd.testing.assert_frame_equal(table[~is_beard], whole[~is_beard])


def test_constant_and_perfect_bits():
    y = np.array([0, 1, 1, 0])
    table = bit_table(np.column_stack([np.ones(4), y, 1 - y]), y)
    assert table["auroc"].tolist() == [0.5, 1.0, 1.0]
    assert table["mutual_information"].tolist() == [0.0, 1.0, 1.0]
    assert table["sign"].tolist() == [0, 1, -1]
    assert table["attribute"].tolist() == [0, 0, 0]


def test_an_attribute_of_a_single_class_is_refused(data):
    Z, Y = data
    with pytest.raises(ValueError, match="'beard' has a single class"):
        bit_table(Z, Y.assign(beard=1.0))
