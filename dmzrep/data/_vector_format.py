"""Conversion of vectors to centred and scaled tensors and back."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._validation import check_magnitude
from dmzrep._base._warnings import warn
from dmzrep.data._values import blocks
from dmzrep.errors import CodeWarning

#: Largest scaled value for which the networks stay within the range of float32.
FARTHEST = 1e12
#: Share of the variance above which a single feature, probably of another unit, is warned of.
DOMINANT = 0.95


@dataclass(frozen=True)
class VectorFormat:
    """Centring and scaling of vectors, learned in `fit` and undone in the output.

    `mean` and `scale` are float64, one value per feature, though `learn_vector_format` gives all features the
    same scale. `bound` is the largest absolute scaled value of the training data.
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
        """Raise unless the networks stay within the range of float32 for the scaled samples."""
        with np.errstate(over="ignore"):
            farthest = max(np.abs((edge - self.mean) / self.scale).max() for edge in (X.max(0), X.min(0)))
        if farthest > FARTHEST:
            raise ValueError(
                f"X has a value {farthest:.3g} standard deviations from the mean of the training data; at "
                f"most {FARTHEST:g} can be encoded. Scale X as it was when the encoder was fitted."
            )

    def to_model(self, raw: Tensor) -> Tensor:
        """Centre and scale samples, float32."""
        # Apple's MPS has no float64.
        precision = torch.float32 if raw.device.type == "mps" else torch.float64
        mean, scale = (torch.from_numpy(a).to(precision).to(raw.device) for a in (self.mean, self.scale))
        return ((raw.to(mean.dtype) - mean) / scale).to(torch.float32)

    def from_model(self, x: Tensor) -> np.ndarray:
        """Undo the centring and scaling."""
        return (x.detach().cpu().double().numpy() * self.scale + self.mean).astype(self.dtype)


def learn_vector_format(X: np.ndarray) -> VectorFormat:
    """Learn the mean of each feature of X, shape (n, n_features), and one scale for all of them.

    The scale is the root of the mean variance. Scales of their own would change which samples are neighbours,
    and raise features of little variance to the size of the others.
    """
    check_magnitude(X, "X", np.float64)
    parts = list(blocks(X))
    # Blockwise, since the differences of all samples would take a float64 copy of X.
    mean = sum(X[part].sum(axis=0, dtype=np.float64) for part in parts) / len(X)
    deviation = np.sqrt(sum(((X[part] - mean) ** 2).sum(axis=0) for part in parts) / len(X))
    # The standard deviation of a constant feature is rounding error.
    deviation[deviation <= 1e-12 * np.abs(mean)] = 0.0
    _warn_of_units(deviation)
    scale = np.full(len(mean), np.sqrt(np.mean(deviation**2)) or 1.0)
    dtype = str(X.dtype) if np.issubdtype(X.dtype, np.floating) else "float64"
    bound = max(np.abs((X.max(axis=0) - mean) / scale).max(), np.abs((X.min(axis=0) - mean) / scale).max())
    return VectorFormat(mean, scale, dtype, float(bound))


def _warn_of_units(deviation: np.ndarray) -> None:
    """Warn of a feature that has nearly all the variance of several."""
    varying = deviation[deviation > 0.0]
    largest = int(deviation.argmax())
    share = (deviation[largest] / np.linalg.norm(deviation)) ** 2 if len(varying) > 2 else 0.0
    if share > DOMINANT:
        warn(
            f"Feature {largest} has {share:.1%} of the variance of X, so codes hardly depend on the other "
            f"{len(deviation) - 1}. If features have different units, standardise them first: "
            "make_pipeline(StandardScaler(), DMZEncoder(...)).",
            CodeWarning,
        )
