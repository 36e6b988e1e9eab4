"""Conversion of nested fitted state to JSON values and arrays, and back.

A JSON object with one key that begins with a dollar sign represents what JSON lacks, such as
``{"$tuple": [1, 2]}``; the array of ``{"$array": "weights"}`` has that name among the arrays.
"""

import datetime
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from dmzrep.files._columns import decode_column, encode_column

#: Largest depth of nested lists and dictionaries.
MAX_DEPTH = 40


class StateEncoder:
    """Encodes nested state as JSON values, and collects its arrays, named by their path in the state.

    Objects of `classes`, by name, are stored by ``get_params(deep=False)``.
    """

    def __init__(self, classes: Mapping[str, Any] | None = None):
        self.classes = classes or {}
        self.arrays: dict[str, np.ndarray] = {}

    def encode(self, value: Any, place: str = "") -> Any:
        """Return JSON values for the value at the path `place`; raise TypeError if files cannot hold it."""
        if value is None or isinstance(value, (bool, str)) or type(value) is int:
            return str(value) if isinstance(value, str) else value
        if isinstance(value, np.generic) and value.dtype.kind in "buif":
            return {"$scalar": self._store(np.asarray(value), place)}
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
        if isinstance(value, dict):
            return self._dict(value, place)
        if isinstance(value, (list, tuple)):
            items = [self.encode(part, _join(place, i)) for i, part in enumerate(value)]
            return items if isinstance(value, list) else {"$tuple": items}
        if isinstance(value, np.ndarray):
            return self._array(value, place)
        if isinstance(value, torch.Tensor):
            return {"$tensor": self._store(value.detach().cpu().numpy(), place)}
        if isinstance(value, torch.device):
            return str(value)
        if isinstance(value, os.PathLike):
            return {"$path": os.fspath(value)}
        if value is pd.NA or value is pd.NaT:
            return {"$missing": "NA" if value is pd.NA else "NaT"}
        if type(value) in (datetime.date, datetime.datetime):
            return {f"${type(value).__name__}": value.isoformat()}
        if isinstance(value, np.random.RandomState):
            return {"$random_state": self.encode(value.get_state(legacy=True), place)}
        if isinstance(value, pd.Index):
            return {"$index": self._index(value, place)}
        if isinstance(value, pd.Series):
            parts = {
                "name": self.encode(value.name),
                "index": self._index(value.index, _join(place, "index")),
            }
            return {"$series": parts | {"values": self._column(value, place)}}
        if isinstance(value, pd.DataFrame):
            return {"$frame": self._frame(value, place)}
        name = type(value).__name__
        if self.classes.get(name) is type(value):
            return {"$object": {"class": name, "params": self._dict(value.get_params(deep=False), place)}}
        raise TypeError(
            f"{place or 'state'} is a {name}, which a file cannot hold: files hold numbers, text, arrays, "
            "tables"
            + (f" and objects of {', '.join(sorted(self.classes))}. " if self.classes else ". ")
            + "Use one of these, or pickle the estimator."
        )

    def _dict(self, value: dict, place: str) -> Any:
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: self.encode(part, _join(place, key)) for key, part in value.items()}
        items = [[self.encode(key), self.encode(part, _join(place, key))] for key, part in value.items()]
        return {"$items": items}

    def _array(self, array: np.ndarray, place: str) -> Any:
        if array.dtype.kind in "buif":
            return {"$array": self._store(array, place)}
        texts = pd.Series(array.ravel().astype(object))
        if not all(isinstance(text, str) for text in texts):
            raise TypeError(f"{place or 'state'} is an array of {array.dtype}, which a file cannot hold.")
        parts = {"shape": list(array.shape), "fixed": array.dtype.kind == "U"}
        return {"$text": parts | {"values": self._column(texts, place)}}

    def _frame(self, frame: pd.DataFrame, place: str) -> dict[str, Any]:
        names = list(map(self.encode, frame.columns))
        columns = []
        for i, name in enumerate(frame.columns):
            try:
                columns.append(self._column(frame.iloc[:, i], _join(place, name)))
            except TypeError as error:
                raise TypeError(f"Column {name!r} of {place or 'the table'}: {error}") from error
        parts = {"names": names, "columns": columns, "columns_name": self.encode(frame.columns.name)}
        return parts | {"index": self._index(frame.index, _join(place, "index"))}

    def _index(self, index: pd.Index, place: str) -> dict[str, Any]:
        name = self.encode(index.name)
        if isinstance(index, pd.RangeIndex):
            return {"name": name, "range": [index.start, index.stop, index.step]}
        return {"name": name, "values": self._column(index.to_series(), place)}

    def _column(self, column: pd.Series, place: str) -> Any:
        return encode_column(column, lambda part, array: self._store(array, _join(place, part)), self._plain)

    def _plain(self, value: Any) -> Any:
        """Encode an element of an object column as JSON values without arrays."""
        if isinstance(value, np.generic):
            value = value.item()
        nested = StateEncoder(self.classes)
        encoded = nested.encode(value)
        if nested.arrays:
            raise TypeError(f"a value is a {type(value).__name__}, which a column cannot hold in a file")
        return encoded

    def _store(self, array: np.ndarray, place: str) -> str:
        name, n = place or "array", 1
        while name in self.arrays:  # Such as from the keys "a.b" and {"a": {"b"}}.
            name, n = f"{place}#{n}", n + 1
        self.arrays[name] = array
        return name


class StateDecoder:
    """Decodes what `StateEncoder` encoded.

    Each array must be used exactly once, and is not copied. Only classes in `classes` are instantiated, and
    their parameters are checked by `_validate_params`, if present.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], classes: Mapping[str, Any] | None = None):
        self._left = dict(arrays)
        self.classes = classes or {}

    def finish(self) -> None:
        """Raise if arrays are unused."""
        if self._left:
            raise ValueError(f"there are {len(self._left)} unused arrays, such as {min(self._left)[:100]!r}")

    def decode(self, value: Any, depth: int = 0) -> Any:
        """Return the state from JSON values; raise any exception if `StateEncoder` cannot produce them."""
        if depth > MAX_DEPTH:
            raise ValueError("values are nested too deeply")
        if isinstance(value, list):
            return [self.decode(part, depth + 1) for part in value]
        if not isinstance(value, dict):
            return value
        tag = next(iter(value), "")
        if not tag.startswith("$"):
            return {key: self.decode(part, depth + 1) for key, part in value.items()}
        if len(value) != 1:
            raise ValueError(f"{tag} is not the only key")
        return self._tagged(tag, value[tag], depth + 1)

    def _tagged(self, tag: str, value: Any, depth: int) -> Any:
        if tag == "$tuple":
            return tuple(self.decode(part, depth) for part in value)
        if tag == "$items":
            return {self.decode(key, depth): self.decode(part, depth) for key, part in value}
        if tag == "$float":
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[value]
        if tag == "$array":
            return self._left.pop(value)
        if tag == "$scalar":
            return self._left.pop(value).reshape(())[()]
        if tag == "$tensor":
            return torch.from_numpy(self._left.pop(value))
        if tag == "$path":
            return Path(value)
        if tag == "$missing":
            return {"NA": pd.NA, "NaT": pd.NaT}[value]
        if tag in ("$date", "$datetime"):
            return getattr(datetime, tag[1:]).fromisoformat(value)
        if tag == "$random_state":
            random_state = np.random.RandomState()
            random_state.set_state(self.decode(value, depth))
            return random_state
        if tag == "$text":
            texts = self._column(value["values"]).to_numpy(object)
            return (texts.astype(np.str_) if value["fixed"] else texts).reshape(value["shape"])
        if tag == "$index":
            return self._index(value, depth)
        if tag == "$series":
            series = self._column(value["values"]).set_axis(self._index(value["index"], depth))
            return series.rename(self.decode(value["name"], depth))
        if tag == "$frame":
            return self._frame(value, depth)
        if tag == "$object":
            return self._object(value, depth)
        raise ValueError(f"unknown kind of value {tag[:40]!r}")

    def _object(self, value: dict[str, Any], depth: int) -> Any:
        params = {name: self.decode(part, depth) for name, part in value["params"].items()}
        made = self.classes[value["class"]](**params)
        if hasattr(made, "_validate_params"):
            made._validate_params()
        return made

    def _frame(self, value: dict[str, Any], depth: int) -> pd.DataFrame:
        index = self._index(value["index"], depth)
        columns = [self._column(part) for part in value["columns"]]
        if any(len(column) != len(index) for column in columns):
            raise ValueError("columns of a table differ in length")
        frame = pd.DataFrame(dict(enumerate(columns)), index=pd.RangeIndex(len(index)))
        names = pd.Index(
            [self.decode(name, depth) for name in value["names"]], dtype=None if columns else object
        )
        return frame.set_axis(names.rename(value["columns_name"]), axis=1).set_axis(index, axis=0)

    def _index(self, value: dict[str, Any], depth: int) -> pd.Index:
        name = self.decode(value["name"], depth)
        if "range" in value:
            return pd.RangeIndex(*value["range"], name=name)
        return pd.Index(self._column(value["values"]), name=name)

    def _column(self, value: dict[str, Any]) -> pd.Series:
        return decode_column(value, self._left.pop, self.decode)


def _join(place: str, part: object) -> str:
    return f"{place}.{part}" if place else str(part)
