"""Files of fitted state, and errors for invalid ones."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from dmzrep.errors import PersistenceError
from dmzrep.files._codec import StateDecoder, StateEncoder
from dmzrep.files._container import read_file, write_file


def write_state(
    path: str | os.PathLike, kind: str, state: dict[str, Any], classes: Mapping[str, Any] | None = None
) -> None:
    """Write nested state to one file, atomically; `kind` names its type, such as the estimator's class.

    The state may hold dictionaries, lists, tuples, numbers, text, arrays, tensors, tables, and objects of
    `classes`.
    """
    encoder = StateEncoder(classes)
    values = {"kind": kind, "state": encoder.encode(state)}
    write_file(path, values, encoder.arrays)


def read_state(
    path: str | os.PathLike, kind: str, classes: Mapping[str, Any] | None = None, *, mapped: bool = False
) -> dict[str, Any]:
    """Read what `write_state` wrote; raise PersistenceError if the file is invalid or of another kind.

    Arrays that are `mapped` stay in the file.
    """
    values, arrays = read_file(path, mapped)
    found = values.get("kind")
    if found != kind:
        raise PersistenceError(
            f"{path} holds {'a ' + found if isinstance(found, str) else 'something'}, not a {kind}."
        )
    with restoring(path, kind):
        decoder = StateDecoder(arrays, classes)
        state = decoder.decode(values["state"])
        decoder.finish()
        if not isinstance(state, dict):
            raise TypeError("its state is not a dictionary")
    return state


@contextlib.contextmanager
def restoring(path: str | os.PathLike, kind: str) -> Iterator[None]:
    """Convert any error to a PersistenceError that names the file."""
    try:
        yield
    except PersistenceError:
        raise
    except Exception as error:  # Crafted files can raise anything.
        raise PersistenceError(f"{path} does not hold a complete {kind}: {repr(error)[:300]}.") from error


def require(condition: object, message: str) -> None:
    """Raise ValueError unless a condition holds."""
    if not condition:
        raise ValueError(message)


def take(state: dict[str, Any], *names: str) -> list[Any]:
    """Return the values of a dictionary, which must have exactly these keys."""
    require(isinstance(state, dict), "a part is not a dictionary")
    if state.keys() != set(names):
        missing, unknown = sorted(set(names) - state.keys()), sorted(state.keys() - set(names), key=str)
        raise ValueError(f"missing {missing}, unknown {unknown}")
    return [state[name] for name in names]
