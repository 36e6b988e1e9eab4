"""Computation that does not depend on global settings of torch and NumPy."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import numpy as np
import torch

P = ParamSpec("P")
T = TypeVar("T")


@contextlib.contextmanager
def isolated_state() -> Iterator[None]:
    """Compute with the default global settings, and restore the previous ones on exit.

    The settings are torch's default dtype and device, gradient and inference modes and autocast, and NumPy's
    floating-point error handling. Only the default dtype is global to the process; it is changed only if it
    is not float32.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            # A device mode slows down every operation, so it is entered only if needed.
            stack.enter_context(torch.device("cpu"))
        if torch.get_default_dtype() != torch.float32:
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(torch.float32)
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        yield


def isolated(function: Callable[P, T]) -> Callable[P, T]:
    """Make a public function or method compute in `isolated_state`."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        with isolated_state():
            return function(*args, **kwargs)

    return wrapped
