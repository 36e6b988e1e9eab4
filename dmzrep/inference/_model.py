"""A fitted diffusion model: networks, noise schedule and data format."""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from torch import Tensor

from dmzrep._base._batching import DENOISER_BATCH, ENCODER_BATCH, batch_size_for, pad_samples
from dmzrep.data import ImageFormat, VectorFormat, to_tensor
from dmzrep.diffusion._calibration import Calibration
from dmzrep.diffusion._objective import Objective
from dmzrep.networks._model import DiffusionAutoencoder


@dataclass(frozen=True)
class FittedModel:
    """The parts of a fitted model that inference needs; the network is in eval mode, on `device`."""

    network: DiffusionAutoencoder
    objective: Objective
    data_format: ImageFormat | VectorFormat
    device: torch.device
    #: Rate in training; classifier-free guidance needs a rate above 0.
    code_dropout: float = 0.0
    #: Estimates of clean data for the likelihood; None for those of the network alone.
    calibration: Calibration | None = None
    is_trained: bool = True

    @property
    def data_shape(self) -> tuple[int, ...]:
        """(channels, H, W) or (features,)."""
        return self.data_format.shape

    @property
    def latent_dim(self) -> int:
        return self.network.config.latent_dim

    @property
    def has_code(self) -> bool:
        """Whether the model is conditioned on codes."""
        return self.network.config.conditioning != "none"

    @property
    def encoder_batch(self) -> int:
        return batch_size_for(self.data_shape, ENCODER_BATCH)

    @property
    def denoiser_batch(self) -> int:
        return batch_size_for(self.data_shape, DENOISER_BATCH)

    @property
    def clip(self) -> float:
        """Largest absolute value of clean data in model units."""
        return self.data_format.bound

    def check_trained(self) -> None:
        """Raise NotFittedError if the denoiser was not trained."""
        if not self.is_trained:
            raise NotFittedError(
                "The denoiser is not trained, since the encoder was fitted with max_iter=0, for codes "
                "alone. To decode, sample or score, fit with max_iter >= 1; with warm_start=True, training "
                "continues from this encoder."
            )

    def padded(self, values: np.ndarray, size: int) -> Tensor:
        """Copy codes or noise to the device, as float32, padded to `size` samples."""
        return pad_samples(torch.from_numpy(np.array(values, dtype=np.float32)).to(self.device), size)

    def model_units(self, samples: np.ndarray) -> Tensor:
        """Convert samples in the user's layout to model units on the device; the array is not modified."""
        # Contiguous, since rounding in matrix products depends on the memory layout.
        return self.data_format.to_model(to_tensor(samples, self.device)).contiguous()
