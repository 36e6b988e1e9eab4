"""Custom feature extractors for the encoder: modules and fitted transformers, and checks of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from dmzrep.networks._custom_backbone import check_tensor, copy_module, describe_module, explained
from dmzrep.networks._efficientnet import EFFICIENTNET, EfficientNetLite0
from dmzrep.networks._feature_encoder import pooled

#: Number of samples in the trial batch.
TRIAL_SAMPLES = 4
#: Largest difference, relative to the largest feature, between the features of a transformer that was stored
#: with a model and those of the one it is loaded with.
TRANSFORMER_TOLERANCE = 1e-3


class TransformerFeatures(nn.Module):
    """Features of a fitted scikit-learn transformer, as a module without parameters.

    `to_samples` converts model units to the user's samples, which are flattened to (n, values of a sample).
    The buffer `trial` holds the features of the trial batch, by which `check_features` recognises the
    transformer that a file belongs to.
    """

    trial: Tensor

    def __init__(
        self, transformer: Any, to_samples: Callable[[Tensor], np.ndarray], data_shape: tuple[int, ...]
    ):
        super().__init__()
        self.transformer = transformer
        self.to_samples = to_samples
        self.register_buffer("trial", self(trial_batch(data_shape)))

    def forward(self, x: Tensor) -> Tensor:
        """Map data in model units to float32 features, as `transformer.transform` returns them."""
        samples = self.to_samples(x).reshape(len(x), -1)
        with explained(f"encoder.transform(X) on X of shape {samples.shape} and dtype {samples.dtype}"):
            features = np.array(self.transformer.transform(samples), dtype=np.float32)
        return torch.from_numpy(features).to(x.device)


def trial_batch(data_shape: tuple[int, ...]) -> Tensor:
    """Return a few samples of noise in model units: images in [-1, 1], or standard normal vectors."""
    generator = torch.Generator().manual_seed(0)
    if len(data_shape) == 1:
        return torch.randn(TRIAL_SAMPLES, *data_shape, generator=generator)
    x = 2.0 * torch.rand(TRIAL_SAMPLES, *data_shape, generator=generator) - 1.0
    return x.contiguous(memory_format=torch.channels_last)


def make_extractor(
    encoder: Any, to_samples: Callable[[Tensor], np.ndarray], data_shape: tuple[int, ...]
) -> nn.Module:
    """Return the module for a value of the parameter `encoder`; a module is copied."""
    if isinstance(encoder, nn.Module):
        return copy_module(encoder, "encoder")
    if isinstance(encoder, str):
        if len(data_shape) != 3 or data_shape[0] not in (1, 3):
            what = f"images of {data_shape[0]} channels" if len(data_shape) == 3 else "vectors"
            raise ValueError(
                f"encoder={EFFICIENTNET!r} needs images of 1 or 3 channels, but X holds {what}. Use "
                "encoder='auto', or convert the images."
            )
        return EfficientNetLite0()
    try:
        check_is_fitted(encoder)
    except (NotFittedError, TypeError) as error:
        raise ValueError(
            f"encoder={encoder!r} is not a fitted transformer: {error} Fit it to samples of shape "
            "(n, values of a sample) first. Where the estimator is cloned, as in a grid search, pass "
            "sklearn.frozen.FrozenEstimator(transformer), since clone discards the fit of others."
        ) from error
    return TransformerFeatures(encoder, to_samples, data_shape)


def describe_extractor(encoder: Any) -> str:
    """Return a name and a digest for a value of the parameter `encoder`."""
    if isinstance(encoder, str):
        return encoder
    if isinstance(encoder, nn.Module):
        return describe_module(encoder)
    return f"{type(encoder).__qualname__} {joblib.hash(encoder)[:12]}"


def is_frozen(extractor: nn.Module) -> bool:
    """Whether no parameter of a module is trained."""
    return not any(parameter.requires_grad for parameter in extractor.parameters())


def check_extractor(extractor: nn.Module, data_shape: tuple[int, ...], device: torch.device) -> int:
    """Run an extractor on a trial batch, without changing it, and return the number of features.

    Raise ValueError unless it returns finite features of the right shape, with gradients if it is trained.
    """
    x = trial_batch(data_shape).to(device)
    kept, was_training = x.clone(), extractor.training
    try:
        # Without dropout, and without an update of batch statistics.
        extractor.eval()
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), explained(f"encoder(x) on x of shape {tuple(x.shape)}"):
            features = extractor(x)
    finally:
        extractor.train(was_training)
    shape = tuple(x.shape)
    check_tensor("encoder(x)", features, "Return the features in it.")
    if features.dim() not in (2, 4) or len(features) != len(x) or 0 in features.shape:
        raise ValueError(
            f"encoder(x) must return features of shape ({len(x)}, n_features) or ({len(x)}, n_features, h, w)"
            f" for x of shape {shape}, got {tuple(features.shape)}. Pool or flatten what it returns."
        )
    if not torch.equal(x, kept):
        raise ValueError("encoder changes its input x in place. Clone x in forward before modifying it.")
    if not is_frozen(extractor) and not features.requires_grad:
        raise ValueError(
            "encoder's output has no gradient for its parameters, so that they cannot be trained. Call "
            "encoder.requires_grad_(False) to keep them as they are; otherwise forward must not detach, use "
            "torch.no_grad, or convert to NumPy."
        )
    return pooled(features).shape[1]


def check_stored_features(extractor: nn.Module, stored: Tensor | None) -> None:
    """Raise ValueError if a transformer has other features than those stored with a model."""
    if not isinstance(extractor, TransformerFeatures) or stored is None:
        return
    trial = extractor.trial
    if stored.shape == trial.shape:
        difference = float((stored - trial).abs().max() / stored.abs().max().clamp(min=1e-12))
        if difference <= TRANSFORMER_TOLERANCE:
            return
    raise ValueError(
        f"encoder={extractor.transformer!r} returns features that differ from those of the transformer used "
        "in `fit`. Load it with the one that was passed to DMZEncoder, fitted to the same samples."
    )
