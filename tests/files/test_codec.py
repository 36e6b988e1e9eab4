"""Nested state is restored from files with all types."""

import datetime
import pathlib
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from sklearn.base import BaseEstimator

from dmzrep.files._state import read_state, write_state
from dmzrep.priors import MixturePrior


class Group(BaseEstimator):
    """A group of parameters."""

    _parameter_constraints: ClassVar[dict] = {"width": [int]}

    def __init__(self, width=1, prior=None):
        self.width = width
        self.prior = prior


CLASSES = {"Group": Group, "MixturePrior": MixturePrior}


def through_file(value, tmp_path):
    write_state(tmp_path / "state", "Test", {"value": value}, CLASSES)
    return read_state(tmp_path / "state", "Test", CLASSES)["value"]


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, -(2**70), 0.1, float("inf"), float("-inf"), 'é\n"\0', "", [], (), {}),
        [1, (2.5, None), {"a": [()]}],
        {0: {"x": 1}, 1: {}, (1, 2): 3},
        {"$array": "x", "a.b": 1, "": 2},
        pathlib.Path("/a/b"),
        datetime.date(2020, 2, 29),
        datetime.datetime(2020, 2, 29, 1, 2, 3, 4, datetime.UTC),
        pd.NaT,
        pd.NA,
    ],
    ids=repr,
)
def test_plain_values_are_restored(value, tmp_path):
    back = through_file(value, tmp_path)
    assert type(back) is type(value) and (back is value or back == value)
    assert np.isnan(through_file([np.nan], tmp_path)[0])


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3).T,
        np.float32(1.5),
        np.array([np.nan, 1.0]),
        np.int64(3),
        np.bool_(True),
        np.array(["a", "bcd"]),
        np.array([["a"], ["bé"]], dtype=object),
        np.zeros((0, 3), np.uint8),
        np.array(7),
        torch.arange(6.0).reshape(2, 3).T,
        torch.ones(2, dtype=torch.uint8),
    ],
    ids=repr,
)
def test_arrays_scalars_and_tensors_are_restored(value, tmp_path):
    back = through_file(value, tmp_path)
    assert type(back) is type(value) and back.dtype == value.dtype
    np.testing.assert_array_equal(back, value)


def test_a_random_state_continues(tmp_path):
    random_state = np.random.RandomState(3)
    random_state.normal(size=3)
    assert through_file(random_state, tmp_path).normal() == random_state.normal()


def test_objects_of_registered_classes_are_restored_with_their_parameters(tmp_path):
    back = through_file(Group(3, MixturePrior(4, random_state=np.random.RandomState(0))), tmp_path)
    assert type(back) is Group and back.width == 3
    assert type(back.prior) is MixturePrior and back.prior.n_components == 4
    with pytest.raises(TypeError, match="value is a SimpleNamespace, which a file cannot hold"):
        through_file(__import__("types").SimpleNamespace(), tmp_path)
    with pytest.raises(TypeError, match=r"value\.a is a set, which a file cannot hold"):
        through_file({"a": {1}}, tmp_path)


TIMES = pd.date_range("2020-03-28", periods=3, freq="D")
COLUMNS = {
    "integers": [1, 2, 3],
    "floats": [1.0, np.nan, 3.0],
    "booleans": [True, False, True],
    "text": ["a", None, "é"],
    "python text": pd.array(["a", None, "b"], dtype=pd.StringDtype("python")),
    "categories": pd.Categorical(["a", None, "b"], ["b", "a", "c"]),
    "ordered": pd.Categorical([3, 1, 3], ordered=True),
    "times": TIMES,
    "zoned": TIMES.tz_localize("Europe/Berlin"),
    "durations": pd.to_timedelta([1, None, 3], unit="s"),
    "nullable": pd.array([1, None, 3], dtype="Int16"),
    "nullable booleans": pd.array([True, None, False], dtype="boolean"),
    "paths": [pathlib.Path("a.png"), None, pathlib.Path("b/c.png")],
    "mixed": np.array([pathlib.Path("a"), 1, "x"], dtype=object),
    "nested": [{"a": [1, (2,)]}, [], np.int64(3)],
    "dates": [datetime.date(2020, 1, 1)] * 3,
    "Arrow text": pd.array(["a", None, "b"], dtype=pd.ArrowDtype(pa.string())),
    "Arrow integers": pd.array([1, None, 3], dtype="int64[pyarrow]"),
    "Arrow floats": pd.array([1.0, None, 3.0], dtype="double[pyarrow]"),
    "Arrow times": pd.array(TIMES, dtype="timestamp[ns][pyarrow]"),
    "Arrow dates": pd.array([datetime.date(2020, 1, 1)] * 3, dtype="date32[pyarrow]"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_restored_with_their_dtypes(name, tmp_path):
    frame = pd.DataFrame({name: COLUMNS[name]})
    pd.testing.assert_frame_equal(through_file(frame, tmp_path), frame)
    empty = frame[:0]
    pd.testing.assert_frame_equal(through_file(empty, tmp_path), empty)


def test_tables_and_series_keep_their_index_and_names(tmp_path):
    for frame in (
        pd.DataFrame({"a": [1, 2]}, index=pd.Index([5, 7], name="bit")),
        pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"])),
        pd.DataFrame(index=pd.RangeIndex(3, name="bit"), columns=pd.Index([], dtype=object)),
        pd.DataFrame({"b": [1], "a.b": ["x"], "a": [2.0]}),
    ):
        pd.testing.assert_frame_equal(through_file(frame, tmp_path), frame)
    series = pd.Series([1.0, 2.0], index=["x", "y"], name="code")
    pd.testing.assert_series_equal(through_file(series, tmp_path), series)
