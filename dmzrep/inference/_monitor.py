"""Who follows sampling step by step: a progress bar, a callback, a record of all estimates."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np
from torch import Tensor
from tqdm.auto import tqdm

from dmzrep.data import ImageFormat, VectorFormat
from dmzrep.diffusion._samplers import Observer

#: (steps done in this batch, steps in all, estimates of the clean rows of this batch in the user's layout).
StepCallback = Callable[[int, int, np.ndarray], object]


class SamplingMonitor:
    """Hands the clean estimates of each step to those who follow; a context manager around all batches.

    Parameters
    ----------
    data_format : ImageFormat or VectorFormat
        Turns estimates into the user's layout.
    n_rows, n_batches, n_steps : int
        Rows in all, batches, and steps of each batch.
    progress : bool
        Show a bar of steps.
    callback : callable or None
        Called at each step of each batch.
    keep : bool
        Record the estimates of all steps.

    Attributes
    ----------
    trajectory : ndarray of shape (n_steps, n_rows, *row_shape) or None
        The record.
    """

    def __init__(
        self,
        data_format: ImageFormat | VectorFormat,
        n_rows: int,
        n_batches: int,
        n_steps: int,
        *,
        progress: bool,
        callback: StepCallback | None,
        keep: bool,
    ):
        self.data_format, self.n_steps, self.callback = data_format, n_steps, callback
        self.trajectory: np.ndarray | None = None
        if keep:
            self.trajectory = np.empty((n_steps, n_rows, *data_format.sample_shape), dtype=data_format.dtype)
        self._silent = not progress and callback is None and not keep
        self._bar = tqdm(total=n_steps * n_batches, desc="sampling", unit="step", disable=not progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def observer(self, rows: slice) -> Observer | None:
        """Give what a sampler calls at each step of the batch of `rows`; None where nobody follows."""
        if self._silent:
            return None

        def observe(step: int, x0: Tensor) -> None:
            if self.callback is not None or self.trajectory is not None:
                estimates = self.data_format.from_model(x0[: rows.stop - rows.start])
                if self.trajectory is not None:
                    self.trajectory[step, rows] = estimates
                if self.callback is not None:
                    self.callback(step + 1, self.n_steps, estimates)
            self._bar.update()

        return observe
