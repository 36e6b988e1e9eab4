"""Conversion of vectors to standardised tensors and back."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._validation import check_magnitude
from dmzrep.data._values import blocks

#: Largest standardised value for which the networks stay within the range of float32.
FARTHEST = 1e12


@dataclass(frozen=True)
class VectorFormat:
    """Standardisation of vectors, learned in `fit` and undone in the output.

    `mean` and `scale` are float64; a constant feature has scale one. `bound` is the largest absolute
    standardised value of the training data.
    """

    mean: np.ndarray
    scale: np.ndarray
    dtype: str
    bound: float

    @property
    def shape(self) -> tuple[int]:
        """(n_features,)."""
        return (len(self.mean),)

    @property
    def sample_shape(self) -> tuple[int]:
        """(n_features,)."""
        return self.shape

    @property
    def data_bin(self) -> None:
        """Vectors are continuous."""
        return None

    def check_values(self, X: np.ndarray) -> None:
        """Raise unless the networks stay within the range of float32 for the standardised samples."""
        with np.errstate(over="ignore"):
            farthest = max(np.abs((edge - self.mean) / self.scale).max() for edge in (X.max(0), X.min(0)))
        if farthest > FARTHEST:
            raise ValueError(
                f"X has a value {farthest:.3g} standard deviations from the mean of the training data; at "
                f"most {FARTHEST:g} can be encoded. Scale X as it was when the encoder was fitted."
            )

    def to_model(self, raw: Tensor) -> Tensor:
        """Standardise samples, float32."""
        # Apple's MPS has no float64.
        precision = torch.float32 if raw.device.type == "mps" else torch.float64
        mean, scale = (torch.from_numpy(a).to(precision).to(raw.device) for a in (self.mean, self.scale))
        return ((raw.to(mean.dtype) - mean) / scale).to(torch.float32)

    def from_model(self, x: Tensor) -> np.ndarray:
        """Undo the standardisation."""
        return (x.detach().cpu().double().numpy() * self.scale + self.mean).astype(self.dtype)


def learn_vector_format(X: np.ndarray) -> VectorFormat:
    """Learn the mean and standard deviation of each feature of X, shape (n, n_features)."""
    check_magnitude(X, "X", np.float64)
    parts = list(blocks(X))
    # Blockwise, since the differences of all samples would take a float64 copy of X.
    mean = sum(X[part].sum(axis=0, dtype=np.float64) for part in parts) / len(X)
    scale = np.sqrt(sum(((X[part] - mean) ** 2).sum(axis=0) for part in parts) / len(X))
    # The standard deviation of a constant feature is rounding error.
    constant = scale <= 1e-12 * np.abs(mean)
    dtype = str(X.dtype) if np.issubdtype(X.dtype, np.floating) else "float64"
    scale = np.where(constant, 1.0, scale)
    bound = max(np.abs((X.max(axis=0) - mean) / scale).max(), np.abs((X.min(axis=0) - mean) / scale).max())
    return VectorFormat(mean, scale, dtype, float(bound))
