"""Labels from tables of any kind."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from dmzrep.codes._labels import position_of, read_binary_labels, read_labels

HAT = [True, False, None, True]
AGE = [10.5, None, 30.0, 31.0]


@pytest.mark.parametrize(
    "make",
    [
        pd.DataFrame,
        pl.DataFrame,
        pa.table,
        lambda columns: pd.DataFrame(columns).convert_dtypes(),
        lambda columns: pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype),
    ],
    ids=["pandas", "polars", "arrow", "nullable", "arrow-backed"],
)
def test_tables_keep_attribute_names(make):
    labels = read_labels(make({"hat": HAT, "age": AGE}), 4)
    assert labels.names == ["hat", "age"] and labels.form == "table"
    hat, age = labels.targets
    assert hat.kind == "binary" and hat.values.tolist() == [1, 0, -1, 1]
    assert hat.classes.tolist() == [False, True] and hat.known.tolist() == [True, True, False, True]
    assert age.kind == "continuous" and np.array_equal(age.values, [10.5, np.nan, 30.0, 31.0], equal_nan=True)
    table = read_binary_labels(make({"hat": HAT}), 4)
    assert list(table) == ["hat"] and np.array_equal(table["hat"], [1, 0, np.nan, 1], equal_nan=True)


@pytest.mark.parametrize(
    ("column", "name"),
    [
        (pd.Series(HAT, name="hat"), "hat"),
        (pl.Series("hat", HAT), "hat"),
        (pl.Series(HAT), 0),
        (pa.array(HAT), 0),
        (pa.chunked_array([HAT]), 0),
        (HAT, 0),
        (pd.Series(["yes", "no", None, "yes"], name="hat", dtype="category"), "hat"),
        (pa.array(["yes", "no", None, "yes"]), 0),
    ],
)
def test_columns_keep_their_names(column, name):
    labels = read_labels(column, 4)
    assert labels.form == "vector" and labels.names == [name]
    assert labels.targets[0].values.tolist() == [1, 0, -1, 1]


def test_integers_are_classes_unless_the_task_is_regression():
    assert read_labels([0, 1, 2, 2], 4).targets[0].kind == "multiclass"
    assert read_labels([0, 1, 2, 2], 4, "regression").targets[0].kind == "continuous"
    assert read_labels(np.array([[0.0, 1.0]]).T, 2).form == "array"


def test_binary_labels_may_be_signs():
    table = read_binary_labels([[-1, 0], [1, 1]], 2, names=["hat", "beard"])
    assert table.to_dict("list") == {"hat": [0.0, 1.0], "beard": [0.0, 1.0]}
    assert list(read_binary_labels([[0], [1]], 2, prefix="attribute_")) == ["attribute_0"]
    assert list(read_binary_labels(pd.Series([0, 1], name="hat"), 2, prefix="attribute_")) == ["hat"]


@pytest.mark.parametrize(
    ("Y", "options", "message"),
    [
        ([0, 1, 2], {}, r"Attribute 0 must be binary .*got values \[0.0, 1.0, 2.0\].*get_dummies"),
        (["a", "b", "a"], {}, "must be binary .*get_dummies"),
        ([0, 0, np.nan], {}, "has a single class, 0; samples of both classes are needed"),
        ([0, 1], {}, "Y has 2, but there are 3 codes"),
        ([0, 1, 0], {"names": ["a", "b"]}, "names must name the 1 columns of Y, got 2 names"),
    ],
)
def test_invalid_binary_labels_raise(Y, options, message):
    with pytest.raises(ValueError, match=message):
        read_binary_labels(Y, 3, **options)


def test_unknown_attributes_raise():
    assert position_of("hat", ["beard", "hat"]) == 1
    with pytest.raises(ValueError, match="Did you mean 'hat'"):
        position_of("hta", ["beard", "hat"])
