"""Conversion of table columns to plain arrays, with their dtypes, and back."""

import itertools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

#: Names of time zones. pandas reads a file for those that begin with "dateutil/", whatever path follows.
_TIME_ZONE = re.compile(r"(?!dateutil)[A-Za-z0-9_+:-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,3}")
_MASKED = re.compile(r"U?Int(8|16|32|64)|Float(32|64)|boolean")


def encode_column(
    column: pd.Series, store: Callable[[str, np.ndarray], str], encode: Callable[[Any], Any]
) -> dict[str, Any]:
    """Return JSON values that describe a column whose content is stored in arrays.

    `store` stores an array under a name based on the given one, and returns that name; `encode` converts
    objects to JSON values. Raise TypeError if files cannot hold the dtype or an object.
    """
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "buif":
        return {"kind": "numbers", "array": store("numbers", column.to_numpy())}
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        return {
            "kind": "time",
            "dtype": dtype.str[1:],
            "array": store("time", column.to_numpy().view(np.int64)),
        }
    if isinstance(dtype, pd.DatetimeTZDtype):
        plain = column.dt.tz_convert("UTC").dt.tz_localize(None)
        return {"kind": "zoned", "zone": str(dtype.tz), "plain": encode_column(plain, store, encode)}
    if isinstance(dtype, pd.CategoricalDtype):
        return {
            "kind": "categories",
            "ordered": bool(dtype.ordered),
            "codes": store("codes", np.asarray(column.cat.codes)),
            "categories": encode_column(dtype.categories.to_series(), store, encode),
        }
    missing = column.isna().to_numpy(dtype=bool)
    if isinstance(dtype, pd.StringDtype):
        texts = ["" if gap else text for text, gap in zip(column, missing, strict=True)]
        parts = {"kind": "text", "storage": dtype.storage, "nan": dtype.na_value is not pd.NA}
        return parts | {"missing": store("missing", missing)} | _store_texts(texts, store)
    if isinstance(dtype, pd.ArrowDtype):
        name = str(dtype.pyarrow_dtype)
        _arrow_dtype(name)
        return {"kind": "arrow", "dtype": name, "plain": encode_column(_without_arrow(column), store, encode)}
    if _MASKED.fullmatch(str(dtype)):
        numbers = column.to_numpy(dtype=dtype.numpy_dtype, na_value=0)
        arrays = {"array": store("numbers", numbers), "missing": store("missing", missing)}
        return {"kind": "nullable", "dtype": str(dtype)} | arrays
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        texts = [json.dumps(encode(value)) for value in column]
        return {"kind": "objects"} | _store_texts(texts, store)
    raise TypeError(f"files cannot hold the dtype {dtype}; convert it to another, such as by astype(str)")


def decode_column(
    values: Mapping[str, Any], take: Callable[[str], np.ndarray], decode: Callable[[Any], Any]
) -> pd.Series:
    """Return the column that `encode_column` described; `take` returns the array of a name.

    Values that `encode_column` cannot produce raise any exception.
    """
    kind = values["kind"]
    if kind == "numbers":
        return pd.Series(_flat(take(values["array"])))
    if kind == "time":
        if np.dtype(values["dtype"]).kind not in "mM":
            raise ValueError(f"{values['dtype']} is not a dtype of times")
        return pd.Series(_flat(take(values["array"])).view(values["dtype"]))
    if kind == "zoned":
        if not _TIME_ZONE.fullmatch(values["zone"]):
            raise ValueError("a time zone has an unusual name")
        plain = decode_column(values["plain"], take, decode)
        return plain.dt.tz_localize("UTC").dt.tz_convert(values["zone"])
    if kind == "categories":
        categories = pd.Index(decode_column(values["categories"], take, decode))
        codes = _flat(take(values["codes"]))
        return pd.Series(pd.Categorical.from_codes(codes, categories, ordered=bool(values["ordered"])))
    if kind == "arrow":
        return decode_column(values["plain"], take, decode).astype(_arrow_dtype(values["dtype"]))
    if kind == "nullable":
        if not _MASKED.fullmatch(values["dtype"]):
            raise ValueError("unknown nullable dtype")
        column = pd.Series(_flat(take(values["array"]))).astype(values["dtype"])
        return column.mask(_flat(take(values["missing"]), bool))
    if kind == "text":
        texts = pd.Series(_take_texts(values, take), dtype=object)
        return texts.mask(_flat(take(values["missing"]), bool), pd.NA).astype(_string_dtype(values))
    if kind == "objects":
        return pd.Series([decode(json.loads(text)) for text in _take_texts(values, take)], dtype=object)
    raise ValueError("unknown kind of column")


def _arrow_dtype(name: str) -> pd.ArrowDtype:
    import pyarrow as pa

    try:
        return pd.ArrowDtype(pa.type_for_alias(name))
    except ValueError as error:
        raise TypeError(
            f"files cannot hold the Arrow type {name}; convert it to another, such as by astype(str)"
        ) from error


def _without_arrow(column: pd.Series) -> pd.Series:
    """Convert a column of an Arrow type to a NumPy, nullable or object column."""
    dtype: Any = column.dtype
    if dtype.kind in "mM":
        return column.astype(dtype.numpy_dtype)
    if dtype.kind in "iufb":
        name = dtype.numpy_dtype.name
        return column.astype("boolean" if name == "bool" else name.title().replace("Ui", "UI"))
    return column.astype(object)


def _string_dtype(values: Mapping[str, Any]) -> pd.StringDtype:
    na_value = {"na_value": np.nan} if values["nan"] else {}
    try:
        return pd.StringDtype(values["storage"], **na_value)
    except ImportError:  # Without pyarrow.
        return pd.StringDtype("python", **na_value)


def _store_texts(texts: list[str], store: Callable[[str, np.ndarray], str]) -> dict[str, str]:
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    content = np.frombuffer(b"".join(parts), dtype=np.uint8)
    return {"bytes": store("bytes", content), "ends": store("ends", ends)}


def _take_texts(values: Mapping[str, Any], take: Callable[[str], np.ndarray]) -> list[str]:
    content = _flat(take(values["bytes"]), np.uint8).tobytes()
    limits = [0, *_flat(take(values["ends"]), np.int64).tolist()]
    if any(start > end for start, end in itertools.pairwise(limits)) or limits[-1] != len(content):
        raise ValueError("texts do not fill their bytes")
    return [content[start:end].decode("utf-8", "surrogatepass") for start, end in itertools.pairwise(limits)]


def _flat(array: np.ndarray, dtype: Any = None) -> np.ndarray:
    if array.ndim != 1 or (dtype is not None and array.dtype != dtype):
        raise ValueError(f"a column has an array of {array.dtype} and shape {array.shape}")
    return array
