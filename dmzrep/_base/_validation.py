"""Arrays and numbers as users hand them over; errors name the argument."""

from __future__ import annotations

import contextlib
import difflib
import math
import os
import sys
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import _param_validation
from sklearn.utils.validation import validate_data

#: What counts as a number elsewhere: Python's booleans are integers, and so are NumPy's time differences.
_NO_NUMBERS = (bool, np.bool_, np.timedelta64)
#: Processes or threads that any machine may have.
_MOST_JOBS = 4096
#: AdamW's steps are about this long; weights of float32 hold no more.
_LARGEST_RATE = 1e30
#: Numbers whose squares can be summed, and multiplied by some more, in each dtype.
LARGEST = {"float32": 1e15, "float64": 1e140}


def as_array(value: Any, name: str) -> np.ndarray:
    """Give an array-like as an array; raise where NumPy can make none of it.

    Parameters
    ----------
    value : array-like
        Without a copy where it is an array already.
    name : str
        What the error calls it.

    Examples
    --------
    >>> from dmzrep._base._validation import as_array
    >>> as_array([[0, 1], [1]], "Z")
    Traceback (most recent call last):
    ValueError: Z must be an array or rows of one length, got list: setting an array element with a ...
    """
    if sparse.issparse(value):
        raise ValueError(f"{name} must be a dense array, got a sparse matrix. Give {name}.toarray().")
    try:
        array = np.asarray(_without_graph(value) if hasattr(value, "requires_grad") else value)
    except Exception as error:  # Tensors, data sets and lists have errors of their own.
        raise ValueError(
            f"{name} must be an array or rows of one length, got {type(value).__name__}: {error}"
        ) from error
    if array.dtype.kind == "V":
        raise ValueError(
            f"{name} must be an array of plain values, got dtype {array.dtype}. Give its fields."
        )
    return array


def _without_graph(tensor: Any) -> Any:
    """Return a tensor of torch as one that NumPy can read."""
    tensor = tensor.detach().cpu()
    return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor  # NumPy has no bfloat16.


def as_numbers(value: Any, name: str) -> np.ndarray:
    """Give an array of booleans, integers or floats; raise where it holds anything else.

    Examples
    --------
    >>> from dmzrep._base._validation import as_numbers
    >>> as_numbers([["0", "1"]], "Z")
    Traceback (most recent call last):
    ValueError: Z must be numbers, got dtype <U1. Convert them first, such as with numpy.asarray(Z, float).
    """
    array = as_array(value, name)
    if array.dtype.kind == "O" and not any(isinstance(one, (str, bytes)) for one in array.flat):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            array = array.astype(np.float64)
    if array.dtype.kind not in "buif":
        raise ValueError(
            f"{name} must be numbers, got dtype {array.dtype}. Convert them first, such as with "
            f"numpy.asarray({name}, float)."
        )
    return array


def check_magnitude(array: np.ndarray, name: str, computed_in: Any = None) -> None:
    """Raise where squares of finite numbers, and sums of them, are beyond what floats hold.

    Parameters
    ----------
    array : ndarray
        Not empty.
    name : str
        What the error calls it.
    computed_in : dtype, optional
        What it is squared in, float32 or float64; its own dtype by default.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep._base._validation import check_magnitude
    >>> check_magnitude(np.array([1e300]), "Z")
    Traceback (most recent call last):
    ValueError: Z has values as large as 1e+300, whose squares no float64 holds; at most 1e+140 can be ...
    """
    dtype = np.dtype(array.dtype if computed_in is None else computed_in)
    limit = LARGEST[dtype.name]
    largest = max(float(array.max()), -float(array.min()))
    if largest > limit:
        raise ValueError(
            f"{name} has values as large as {largest:.3g}, whose squares no {dtype.name} holds; at most "
            f"{limit:g} can be learned from. Scale them first."
        )


def validated(estimator: Any, X: Any, **options: Any) -> np.ndarray:
    """Check a table as scikit-learn's `validate_data` does, whatever X's own conversion raises.

    Parameters
    ----------
    estimator : BaseEstimator
        Takes `n_features_in_` and, from tables, `feature_names_in_`; or compares with them.
    X : array-like
        The table.
    **options
        Of `validate_data`.
    """
    X = _without_graph(X) if hasattr(X, "requires_grad") else X
    try:
        with np.errstate(invalid="ignore", over="ignore"):  # It looks for infinity in a sum.
            return validate_data(estimator, X, **options)
    except (TypeError, ValueError):  # scikit-learn's own.
        raise
    except Exception as error:
        raise ValueError(f"X must be a table of numbers, got {type(X).__name__}: {error}") from error


def check_int(
    value: Any, name: str, least: int = 1, most: int | None = None, also: str = "", limit: str = ""
) -> int:
    """Give a whole number as an int; raise unless it is one in a range.

    Parameters
    ----------
    value : int
        Booleans are none.
    name : str
        What the error calls it.
    least, most : int
        The range; None is what NumPy and torch can count to.
    also : str, default=""
        What else may be given, for the error, such as ", or None".
    limit : str, default=""
        What the error calls `most`, where it has a name.

    Examples
    --------
    >>> from dmzrep._base._validation import check_int
    >>> check_int(2.0, "k")
    Traceback (most recent call last):
    ValueError: k must be an integer of at least 1, got 2.0.
    """
    whole = is_int(value)
    end = sys.maxsize if most is None else most
    if not whole or not least <= value <= end:
        if most is None and not (whole and value > end):
            wanted = f"of at least {least}"
        else:
            wanted = f"from {least} to {limit}={end}" if limit else f"from {least} to {end}"
        raise ValueError(f"{name} must be an integer {wanted}{also}, got {short_repr(value)}.")
    return int(value)


class Interval(_param_validation.Interval):
    """scikit-learn's interval, of numbers that can be computed with.

    Time differences are none, though NumPy takes them for integers, and integers beyond the floats are no
    real numbers.
    """

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether a value lies in the interval."""
        if isinstance(val, np.timedelta64):
            return False
        if self.type is Real and isinstance(val, Integral):
            try:
                float(val)
            except OverflowError:
                return False
        return super().is_satisfied_by(val)


def integers_from(least: int) -> Interval:
    """Give scikit-learn's parameter validation the whole numbers that NumPy and torch can count to."""
    return Interval(Integral, least, sys.maxsize, closed="both")


def is_int(value: Any) -> bool:
    """Whether a value is one integer, and no boolean."""
    return isinstance(value, Integral) and not isinstance(value, _NO_NUMBERS)


def is_iterable(value: Any) -> bool:
    """Whether a value can be gone through; a NumPy array of no axes cannot, though it says so."""
    return isinstance(value, Iterable) and not (isinstance(value, np.ndarray) and value.ndim == 0)


def is_finite(value: Any) -> bool:
    """Whether a value is one finite real number, and no boolean.

    Examples
    --------
    >>> from dmzrep._base._validation import is_finite
    >>> is_finite(0.5), is_finite(True), is_finite(float("nan")), is_finite(10**400), is_finite("1")
    (True, False, False, False, False)
    """
    if isinstance(value, _NO_NUMBERS) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # An integer beyond the floats.
        return False


def check_bool(value: Any, name: str) -> bool:
    """Give a boolean, Python's or NumPy's, as Python's; raise where it is anything else.

    Examples
    --------
    >>> from dmzrep._base._validation import check_bool
    >>> check_bool("no", "per_bit")
    Traceback (most recent call last):
    ValueError: per_bit must be True or False, got 'no'.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {short_repr(value)}.")
    return bool(value)


def check_learning_rate(value: Any) -> float:
    """Give a learning rate; raise unless networks' weights, which are of float32, can hold its steps."""
    if not is_finite(value) or not 0.0 < float(value) <= _LARGEST_RATE:
        raise ValueError(
            f"learning_rate must be above 0 and at most {_LARGEST_RATE:g}, got {short_repr(value)}. "
            "Try 0.001."
        )
    return float(value)


def check_verbose(verbose: Any) -> int:
    """Give how much is to be shown; raise where it is no boolean and no whole number."""
    return int(verbose) if isinstance(verbose, (bool, np.bool_)) else check_int(verbose, "verbose", 0)


def check_n_jobs(n_jobs: Any) -> int | None:
    """Give joblib's number of workers; raise where it is none."""
    if n_jobs is None:
        return None
    n_jobs = check_int(n_jobs, "n_jobs", -sys.maxsize, _MOST_JOBS, ", or None")
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0. Use 1 for one worker, -1 for one on each processor.")
    return n_jobs


def as_path(value: Any, name: str) -> Path:
    """Give a path; raise where it is none.

    Examples
    --------
    >>> from dmzrep._base._validation import as_path
    >>> as_path(3, "folder")
    Traceback (most recent call last):
    TypeError: folder must be a path, a str or an os.PathLike, got 3.
    """
    if not isinstance(value, (str, os.PathLike)) or isinstance(os.fspath(value), bytes):
        raise TypeError(f"{name} must be a path, a str or an os.PathLike, got {short_repr(value)}.")
    if "\0" in os.fspath(value):
        raise ValueError(f"{name} must be a path, which has no null character, got {short_repr(value)}.")
    return Path(value)


def check_choice(name: str, value: Any, legal: Sequence[Any], also: str = "") -> None:
    """Raise unless a value is one of the legal ones; name the nearest.

    Parameters
    ----------
    name : str
        What the error calls the value.
    value : object
        Whatever was given.
    legal : sequence of str (or None)
        What it may be.
    also : str, default=""
        What else may be given, for the error.

    Examples
    --------
    >>> from dmzrep._base._validation import check_choice
    >>> check_choice("mode", "flop", ("flip", "soft"))
    Traceback (most recent call last):
    ValueError: mode must be one of ('flip', 'soft'), got 'flop'. Did you mean 'flip'?
    """
    if (value is None or isinstance(value, str)) and value in legal:
        return
    near = (
        difflib.get_close_matches(value, [str(one) for one in legal], n=1) if isinstance(value, str) else []
    )
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name} must be one of {tuple(legal)}{also}, got {short_repr(value)}.{hint}")


def short_repr(value: Any) -> str:
    """Give a value as an error shows it, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits.
        text = type(value).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."
