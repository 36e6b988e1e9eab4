"""Monitoring of sampling: progress bar, callback, trajectory."""

import numpy as np
from torch import Tensor
from tqdm.auto import tqdm

from dmzrep.data import ImageFormat, VectorFormat
from dmzrep.diffusion._samplers import Observer
from dmzrep.inference._sampling import Sampling


class SamplingMonitor:
    """Progress bar, callback and trajectory of sampling in batches; `bar` is a context manager.

    `trajectory` holds estimates of the clean samples, shape (n_steps, n, *sample_shape), or None.
    """

    def __init__(
        self,
        data_format: ImageFormat | VectorFormat,
        n_samples: int,
        n_batches: int,
        n_steps: int,
        sampling: Sampling,
    ):
        self.data_format, self.n_steps, self.callback = data_format, n_steps, sampling.callback
        self.trajectory: np.ndarray | None = None
        if sampling.return_trajectory:
            self.trajectory = np.empty(
                (n_steps, n_samples, *data_format.sample_shape), dtype=data_format.dtype
            )
        self.bar = tqdm(
            total=n_steps * n_batches, desc="sampling", unit="step", disable=not sampling.progress
        )

    def observer(self, part: slice) -> Observer:
        """Return the function that a sampler calls at each step of a batch."""

        def observe(step: int, x0: Tensor) -> None:
            if self.callback is not None or self.trajectory is not None:
                estimates = self.data_format.from_model(x0[: part.stop - part.start])
                if self.trajectory is not None:
                    self.trajectory[step, part] = estimates
                if self.callback is not None:
                    self.callback(step + 1, self.n_steps, estimates)
            self.bar.update()

        return observe
