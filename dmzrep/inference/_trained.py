"""A trained model with all that is needed to use it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._batching import DENOISER_ROWS, ENCODER_ROWS, batch_rows, pad_rows
from dmzrep.data import ImageFormat, VectorFormat, to_tensor
from dmzrep.diffusion._objective import Objective
from dmzrep.networks._model import DiffusionAutoencoder


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with all that is needed to use it.

    Parameters
    ----------
    network : DiffusionAutoencoder
        In eval mode, on `device`.
    objective : Objective
        How the denoiser's output is read.
    data_format : ImageFormat or VectorFormat
        How rows become model units and come back.
    device : torch.device
        Where the network is.
    """

    network: DiffusionAutoencoder
    objective: Objective
    data_format: ImageFormat | VectorFormat
    device: torch.device

    @property
    def data_shape(self) -> tuple[int, ...]:
        """(channels, H, W) or (features,)."""
        return self.data_format.shape

    @property
    def latent_dim(self) -> int:
        """Number of bits."""
        return self.network.config.latent_dim

    @property
    def encoder_rows(self) -> int:
        """Rows of a batch through the encoder."""
        return batch_rows(self.data_shape, ENCODER_ROWS)

    @property
    def denoiser_rows(self) -> int:
        """Rows of a batch through the denoiser."""
        return batch_rows(self.data_shape, DENOISER_ROWS)

    @property
    def clip(self) -> float:
        """Largest absolute value of clean data in model units."""
        return self.data_format.bound

    def padded(self, values: np.ndarray, size: int) -> Tensor:
        """Copy codes or noise of a few rows to the device, float32, filled up to `size` rows."""
        return pad_rows(torch.from_numpy(np.array(values, dtype=np.float32)).to(self.device), size)

    def model_units(self, rows: np.ndarray) -> Tensor:
        """Turn a few rows into model units on the device; the rows are not written to."""
        return self.data_format.to_model(to_tensor(rows, self.device))
