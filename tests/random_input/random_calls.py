"""Calls with random input: what may come of one, and how many there are.

A call gives a result, which the test compares with a reference, or refuses: an error of a documented type
that the package itself (or scikit-learn's own checks of arrays and parameters) raised on purpose. All else
is a fault: other errors, errors that come from the inside of NumPy, torch, pandas or FAISS, warnings of
numerical trouble, input that was written to, global random generators that moved, and calls that hang.

`RANDOM_INPUT=full`, which `make test-all` sets, makes hundreds of cases of every test's ten. What they find
goes, shrunk and with the repair, into test_cases_that_once_failed.py, the corpus that is kept; until then
hypothesis has it in its folder .hypothesis and tries it first.
"""

from __future__ import annotations

import functools
import linecache
import os
import random
import signal
import threading
import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb

import numpy as np
import pandas as pd
import sklearn.utils
import torch
from hypothesis import HealthCheck, settings
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

import dmzrep
from dmzrep.errors import DmzError

FULL = os.environ.get("RANDOM_INPUT") == "full"
#: Cases of a test in `make test`.
QUICK_CASES = 10
#: Seconds after which a call hangs; most take milliseconds.
LIMIT = 60

#: Cases that each test is to run in `make test-all`, that it ran, and what was called.
PLANNED: dict[str, int] = {}
RAN: Counter[str] = Counter()
CALLED: set[str] = set()

PACKAGE = str(Path(dmzrep.__file__).parent)
#: scikit-learn's checks of parameters and of arrays speak to users; so does what NumPy says in the latter.
CHECKS = str(Path(sklearn.utils.__file__).parent)
ARRAY_CHECKS = str(Path(CHECKS) / "validation.py")
REFUSALS = (ValueError, TypeError, NotFittedError, InvalidParameterError)
#: Warnings that tell of numbers gone wrong, or of arrays that are not as another package needs them.
TROUBLE = (RuntimeWarning, DeprecationWarning, FutureWarning, np.exceptions.ComplexWarning)


def cases(full):
    """Run a test of hypothesis `full` times in `make test-all`, and a few times else."""

    def decorate(test):
        inner = test.hypothesis.inner_test
        name = f"{Path(inner.__code__.co_filename).stem}::{inner.__name__}"
        PLANNED[name] = full

        @functools.wraps(inner)
        def counted(*args, **kwargs):
            RAN[name] += 1
            return inner(*args, **kwargs)

        test.hypothesis.inner_test = counted
        return settings(
            max_examples=full if FULL else QUICK_CASES,
            deadline=None,  # `time_limit` stops what hangs.
            derandomize=not FULL,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            print_blob=True,
        )(test)

    return decorate


class Refusal:
    """An error that is as it should be."""

    def __init__(self, error):
        self.kind = type(error)
        self.message = "\n".join([str(error), *getattr(error, "__notes__", ())])

    def __repr__(self):
        return f"Refusal({self.message!r})"


def call(function, *args, **kwargs):
    """Give a call's result, or its refusal; raise AssertionError at a fault."""
    CALLED.add(function.__qualname__)
    given = (*args, *kwargs.values())
    before, states = [fingerprint(value) for value in given], generator_states()
    with time_limit(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            check_refusal(error)
            result = Refusal(error)
    trouble = [
        warning
        for warning in caught
        if issubclass(warning.category, TROUBLE) or "not writable" in str(warning.message)
    ]
    assert not trouble, f"a warning of trouble: {trouble[0]}"
    assert [fingerprint(value) for value in given] == before, "the call wrote to its input"
    assert generator_states() == states, "the call moved a global random generator"
    return result


def check_refusal(error):
    """Raise AssertionError unless an error is a refusal that was meant."""
    kind = type(error)
    if not (kind in REFUSALS or isinstance(error, DmzError)):
        raise AssertionError(f"{kind.__module__}.{kind.__qualname__} is no documented error") from error
    if len(str(error)) < 10:
        raise AssertionError(f"an error without a message: {error!r}") from error
    traceback = error.__traceback__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    file = traceback.tb_frame.f_code.co_filename
    line = linecache.getline(file, traceback.tb_lineno).strip()
    meant = file.startswith(PACKAGE) and line.startswith("raise")
    files = [frame.filename for frame in extract_tb(error.__traceback__)]
    if not (meant or files[-1].startswith(CHECKS) or ARRAY_CHECKS in files):
        raise AssertionError(f"an error that leaked from {file}, {line!r}") from error


@contextmanager
def time_limit():
    """Raise AssertionError in what takes longer than `LIMIT`, where the system has alarms."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        raise AssertionError(f"the call took more than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def generator_states():
    """States of the global generators of Python, NumPy and torch, to be compared."""
    kind, keys, *rest = np.random.get_state()
    return (
        random.getstate(),
        (kind, keys.tobytes(), *rest),
        torch.get_rng_state().numpy().tobytes(),
    )


def fingerprint(value):
    """Give what differs when a value is written to; None for what cannot be."""
    if isinstance(value, np.ndarray):
        return value.tobytes() if value.dtype.kind != "O" else repr(value.tolist())
    if isinstance(value, (pd.DataFrame, pd.Series)):
        return repr((value.index.tolist(), np.asarray(value).tolist()))
    if sparse.issparse(value):
        return value.toarray().tobytes()
    if isinstance(value, torch.Tensor) and value.layout is torch.strided:
        return value.detach().clone().contiguous().view(torch.uint8).numpy().tobytes() if value.ndim else None
    if isinstance(value, (list, tuple, dict, set, str, bytes, int, float)):
        return repr(value)
    return None


def refused(result):
    return isinstance(result, Refusal)


def accepted(result):
    """Give a result; raise AssertionError where right input was refused."""
    assert not refused(result), f"right input was refused: {result.message}"
    return result
