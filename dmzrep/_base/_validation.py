"""Checks of arguments; errors name the argument, the expected and the actual value, and a remedy."""

import contextlib
import difflib
import os
import sys
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils._param_validation import Interval

#: Largest values whose squares can be summed in each dtype.
_LARGEST = {"float32": 1e15, "float64": 1e140}


def as_array(value: Any, name: str) -> np.ndarray:
    """Convert an array-like to an array."""
    if sparse.issparse(value):
        raise ValueError(f"{name} must be a dense array, got a sparse matrix. Pass {name}.toarray().")
    try:
        return np.asarray(without_graph(value) if hasattr(value, "requires_grad") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name} must be an array or a nested list of equal lengths, got {type(value).__name__}: {error}"
        ) from error


def without_graph(tensor: Any) -> Any:
    """Detach a torch tensor, on the CPU, in a dtype that NumPy supports."""
    tensor = tensor.detach().cpu()
    return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor  # NumPy has no bfloat16.


def as_numbers(value: Any, name: str) -> np.ndarray:
    """Convert an array-like to an array of booleans, integers or floats."""
    array = as_array(value, name)
    if array.dtype.kind == "O" and not any(isinstance(item, (str, bytes)) for item in array.flat):
        with contextlib.suppress(TypeError, ValueError):
            array = array.astype(np.float64)
    if array.dtype.kind not in "buif":
        raise ValueError(
            f"{name} must be numbers, got dtype {array.dtype}. Convert them first, such as with "
            f"numpy.asarray({name}, float)."
        )
    return array


def check_magnitude(array: np.ndarray, name: str, computed_in: Any = None) -> None:
    """Raise if sums of squares would overflow in `computed_in`, by default the array's own dtype."""
    dtype = np.dtype(array.dtype if computed_in is None else computed_in)
    limit = _LARGEST[dtype.name]
    largest = max(float(array.max()), -float(array.min()))
    if largest > limit:
        raise ValueError(
            f"{name} has values as large as {largest:.3g}, whose squares overflow {dtype.name}; the limit is "
            f"{limit:g}. Scale them first."
        )


def check_int(
    value: Any, name: str, least: int = 1, most: int | None = None, also: str = "", limit: str = ""
) -> int:
    """Return an integer from `least` to `most` as an int.

    For the error message, `limit` names `most`, and `also` adds other accepted values, such as ", or None".
    """
    end = sys.maxsize if most is None else most
    if not is_int(value) or not least <= value <= end:
        wanted = f"of at least {least}" if most is None else f"from {least} to {limit and f'{limit}='}{most}"
        raise ValueError(f"{name} must be an integer {wanted}{also}, got {short_repr(value)}.")
    return int(value)


def check_number(
    value: Any,
    name: str,
    least: float | None = None,
    most: float | None = None,
    closed: str = "neither",
    also: str = "",
) -> float:
    """Return a finite real number in a range as a float; `closed` as in scikit-learn's `Interval`."""
    interval = Interval(Real, least, most, closed=closed)
    if isinstance(value, (bool, np.bool_)) or not interval.is_satisfied_by(value):
        raise ValueError(f"{name} must be {interval}{also}, got {short_repr(value)}.")
    return float(value)


def is_int(value: Any) -> bool:
    """Whether a value is an integer, and not a boolean."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Whether a value is a finite real number, and not a boolean."""
    return (is_int(value) or isinstance(value, (float, np.floating))) and bool(np.isfinite(value))


def check_bool(value: Any, name: str) -> bool:
    """Return a boolean as a Python bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {short_repr(value)}.")
    return bool(value)


def as_path(value: Any, name: str, also: str = "") -> Path:
    """Return a str or os.PathLike as a Path; `also` names other accepted values in the error message."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be a path, a str or an os.PathLike{also}, got {short_repr(value)}.")
    return Path(value)


def check_choice(name: str, value: Any, legal: Sequence[Any], also: str = "") -> None:
    """Raise unless a value is legal; the error suggests the most similar legal value."""
    if (value is None or isinstance(value, str)) and value in legal:
        return
    hint = did_you_mean(value, legal) if isinstance(value, str) else ""
    raise ValueError(f"{name} must be one of {tuple(legal)}{also}, got {short_repr(value)}.{hint}")


def did_you_mean(value: Any, known: Sequence[Any], otherwise: str = "") -> str:
    """Return a sentence that suggests the known value most similar to `value`, or else `otherwise`."""
    near = difflib.get_close_matches(str(value), [str(item) for item in known], n=1)
    return f" Did you mean {near[0]!r}?" if near else otherwise


def short_repr(value: Any) -> str:
    """Return the repr of a value, truncated to 200 characters."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
