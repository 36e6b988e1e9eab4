"""Checks of the arguments of the estimator's methods."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._validation import check_choice
from dmzrep.data import (
    ImageFormat,
    Source,
    VectorFormat,
    is_paths,
    open_like_fitted,
    open_training_data,
)
from dmzrep.datasets import ImageReader
from dmzrep.diffusion._grids import timesteps_from
from dmzrep.inference import CODE_DTYPES, StartingNoise, StartingSamples
from dmzrep.priors import PRIORS, CodePrior, IndependentPrior, ResampledPrior, fit_prior

#: Sources of the initial noise of decoding.
NOISES = ("zero", "random", "inverted")


def open_samples(
    estimator: Any, X: Any, continued: bool
) -> tuple[Source, ImageFormat | VectorFormat, dict[str, Any]]:
    """Return training samples as a source, their format, and the attributes that follow from X.

    If training is `continued`, X must agree with `data_format_`, which is kept.
    """
    if continued:
        return open_like_fitted(estimator, X, repeatedly=True), estimator.data_format_, {}
    reader = estimator.image_reader
    reader = ImageReader() if reader is None and is_paths(X) else clone(reader, safe=False)
    samples, data_format, attributes = open_training_data(estimator, X, reader)
    if reader is not None and reader.sample_shape != samples.shape[1:]:
        raise ValueError(
            f"image_reader returns pictures of shape {reader.sample_shape}, but the samples of X have shape "
            f"{samples.shape[1:]}. Use the reader that X was read with, or fit to paths."
        )
    return samples, data_format, attributes | {"image_reader_": reader}


def check_out(out: Any, shape: tuple[int, int], output: str) -> None:
    """Raise unless `out` is an array for codes of this shape and `output`."""
    dtype = np.dtype(CODE_DTYPES[output])
    remedy = f"Make it with numpy.empty({shape}, numpy.{dtype}), or a memmap of that shape and dtype."
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array or memmap, got {type(out).__name__}. {remedy}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, (n, latent_dim), got {out.shape}. {remedy}")
    if out.dtype != dtype:
        raise ValueError(f"out must have dtype {dtype} for output={output!r}, got {out.dtype}. {remedy}")
    if not out.flags.writeable:
        raise ValueError("out is read-only. Open a memmap with mode='r+' or 'w+' to write codes into it.")


def start_of_decoding(
    estimator: Any, like: Any, shape: tuple[int, ...], noise: str, strength: float
) -> StartingSamples | StartingNoise | None:
    """Return from where codes of this shape are decoded: samples of `like`, zeros, or None for noise."""
    check_choice("noise", noise, NOISES)
    timesteps_from(estimator.objective_.schedule.n_timesteps, strength)
    if noise == "zero" and strength < 1.0:
        raise ValueError(
            f"noise='zero' does not start from a sample, so strength must be 1, got {strength!r}. "
            "Pass noise='random' to start from noised samples."
        )
    without_samples = StartingNoise() if noise == "zero" else None
    needed = noise == "inverted" or strength < 1.0
    if like is None:
        if needed:
            cause = "noise='inverted'" if noise == "inverted" else f"strength={strength!r}"
            raise ValueError(
                f"{cause} needs `like`: the samples to begin from, one for each code. "
                "Pass the samples that were encoded, or use noise='random' and strength=1.0."
            )
        return without_samples
    try:
        samples = open_like_fitted(estimator, like)
    except ValueError as error:
        error.add_note("This is about like.")
        raise
    n_codes, n_bits = shape
    if len(samples) != n_codes:
        raise ValueError(
            f"like must have one sample for each code, {n_codes}, got {len(samples)}. "
            "Repeat a sample to decode several codes from it."
        )
    if not needed:
        return without_samples
    return StartingSamples(samples, noise == "inverted", strength=strength, n_bits=n_bits)


def prior_to_sample(estimator: Any, prior: str | CodePrior | None) -> CodePrior:
    """Return the prior from which `DMZEncoder.sample` draws codes."""
    latent_dim, fitted = estimator.decoder_.latent_dim, estimator.prior_
    if isinstance(prior, CodePrior):
        check_is_fitted(prior, "n_features_in_")
        if prior.n_features_in_ != latent_dim:
            raise ValueError(
                f"The prior was fitted to codes of {prior.n_features_in_} bits, the encoder has {latent_dim}."
            )
        return prior
    if prior is None or (isinstance(prior, str) and prior == fitted.name):
        return fitted
    if isinstance(fitted, ResampledPrior) and prior == "autoregressive":
        return fitted.autoregressive()
    if isinstance(prior, str) and prior == "uniform":
        return fit_prior("uniform", np.zeros((1, latent_dim)))
    if isinstance(prior, str) and prior == "independent" and estimator.code_report_ is not None:
        means = estimator.code_report_["mean"].to_numpy(np.float64).clip(1e-6, 1.0 - 1e-6)
        return IndependentPrior().restore({"probabilities_": means}, latent_dim)
    own = "" if fitted.name in ("uniform", "independent") else f"{fitted.name!r} (the fitted one), "
    wanted = prior if isinstance(prior, str) and prior in PRIORS else "chow_liu"
    threshold = " > 0" if estimator.output == "logits" else ""
    raise ValueError(
        f"prior must be None, 'uniform', 'independent', {own}or a fitted prior, got {prior!r}. Others need "
        "to be fitted to codes, which the encoder does not keep: "
        f"dmzrep.priors.fit_prior({wanted!r}, encoder.transform(X){threshold})."
    )
