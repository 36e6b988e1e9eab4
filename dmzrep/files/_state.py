"""Files of fitted state: what they hold, and how what is wrong with them is reported."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from dmzrep.errors import PersistenceError
from dmzrep.files._codec import Decoder, Encoder
from dmzrep.files._container import read_file, write_file


def write_state(
    path: str | os.PathLike, kind: str, state: dict[str, Any], classes: Mapping[str, Any] | None = None
) -> None:
    """Write nested state to one file, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file; its folder must exist.
    kind : str
        What the state is of, such as the name of an estimator.
    state : dict
        Nested dictionaries, lists, tuples, numbers, text, arrays, tensors, tables, and objects of `classes`.
    classes : mapping of str to class, optional
        See `dmzrep.files._codec.Encoder`.
    """
    encoder = Encoder(classes)
    values = {"kind": kind, "state": encoder.encode(state)}
    write_file(path, values, encoder.arrays)


def read_state(
    path: str | os.PathLike, kind: str, classes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read what `write_state` wrote.

    Raises
    ------
    PersistenceError
        The file is foreign, damaged, of another version or holds something else.
    FileNotFoundError
        There is no such file.
    """
    values, arrays = read_file(path)
    found = values.get("kind")
    if found != kind:
        raise PersistenceError(
            f"{path} holds {'a ' + found if isinstance(found, str) else 'something'}, not a {kind}."
        )
    with restoring(path, kind):
        decoder = Decoder(arrays, classes)
        state = decoder.decode(values["state"])
        decoder.finish()
        if not isinstance(state, dict):
            raise TypeError("its state is no dictionary")
    return state


@contextlib.contextmanager
def restoring(path: str | os.PathLike, kind: str) -> Iterator[None]:
    """Report whatever goes wrong while state is put together as a PersistenceError that names the file."""
    try:
        yield
    except PersistenceError:
        raise
    except Exception as error:  # What a crafted file makes of it can raise anything.
        raise PersistenceError(f"{path} does not hold a whole {kind}: {repr(error)[:300]}.") from error


def require(condition: object, message: str) -> None:
    """Raise ValueError unless a condition on restored state holds."""
    if not condition:
        raise ValueError(message)


def take(state: dict[str, Any], *names: str) -> list[Any]:
    """Return the values of a state that has these names and no others.

    Examples
    --------
    >>> from dmzrep.files._state import take
    >>> take({"a": 1, "b": 2}, "b", "a")
    [2, 1]
    """
    require(isinstance(state, dict), "a part is no dictionary")
    if state.keys() != set(names):
        missing, unknown = sorted(set(names) - state.keys()), sorted(state.keys() - set(names), key=str)
        raise ValueError(f"missing {missing}, unknown {unknown}")
    return [state[name] for name in names]
