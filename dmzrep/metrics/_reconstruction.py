"""Errors of reconstructions, and how well codes survive decoding."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from dmzrep._base._validation import check_bool, check_choice
from dmzrep.codes._checks import check_codes
from dmzrep.codes._protocol import check_codec, code_probabilities, decode_codes
from dmzrep.data import ImageFormat, read_all, to_tensor
from dmzrep.estimator._encoder import DMZEncoder, check_encoder
from dmzrep.estimator._inputs import NOISES
from dmzrep.metrics._image_errors import WINDOW, ssim
from dmzrep.metrics._inputs import unit_tensor


def code_cycle_accuracy(
    encoder: Any,
    Z: Any,
    *,
    per_bit: bool = False,
    random_state: int | np.random.RandomState | None = 0,
    **sampling: Any,
) -> float | np.ndarray:
    """Return the fraction of bits that are the same after decoding and encoding again.

    Many images have one code, so that a reconstruction can be far from the original, pixel by pixel, and
    right: what it must have is the code.

    Parameters
    ----------
    encoder : DMZEncoder, or any object with `transform` and `inverse_transform`
        Fitted.
    Z : array-like of shape (n, latent_dim)
        Bits, or probabilities (a bit is one above 0.5): of images, or drawn from a prior.
    per_bit : bool, default=False
        Whether to return a fraction for each bit.
    random_state : int, RandomState or None, default=0
        Controls the noise.
    **sampling
        Further options of `inverse_transform`, such as `n_steps` and `sampler`.

    Returns
    -------
    float or ndarray of shape (latent_dim,)
        In [0, 1]. A bit that never changes has 1; an independent, balanced one has 0.5.

    Raises
    ------
    ValueError
        Codes are not in [0, 1] or not of the encoder's width.
    TypeError
        The encoder cannot encode and decode.

    Examples
    --------
    >>> from dmzrep import DMZEncoder, Network
    >>> from dmzrep.datasets import load_digits_images
    >>> from dmzrep.metrics import code_cycle_accuracy
    >>> X = load_digits_images().images[:64]
    >>> encoder = DMZEncoder(8, network=Network(width=(8, 16)), max_iter=1, random_state=0).fit(X)
    >>> 0.0 <= code_cycle_accuracy(encoder, encoder.transform(X), n_steps=2) <= 1.0
    True
    """
    check_codec(encoder)
    per_bit = check_bool(per_bit, "per_bit")
    bits = check_codes(Z) > 0.5
    images = decode_codes(encoder, bits.astype(np.uint8), random_state=random_state, **sampling)
    same = (code_probabilities(encoder, images) > 0.5) == bits
    return same.mean(axis=0) if per_bit else float(same.mean())


def inversion_error(encoder: DMZEncoder, X: Any, n_steps: int | None = None) -> np.ndarray:
    """Return the mean squared error of samples that are encoded, inverted to noise and decoded again.

    It is what edits and interpolations from inverted noise lose before anything is changed. More steps
    lower it.

    Parameters
    ----------
    encoder : DMZEncoder
        Fitted.
    X : array-like, table or map-style dataset of n samples
        Samples in the fitted layout.
    n_steps : int or None, default=None
        Steps of the inversion and of the decoding; None takes 50, or all where there are fewer.

    Returns
    -------
    ndarray of shape (n,), float64
        Mean over the features of a sample, in the units of the model: pixels from -1 to 1, or standardised
        vectors. As returned by `DMZEncoder.reconstruct`, so that rounding to integer grey levels counts
        (5e-6 for uint8). Batch-invariant.

    Raises
    ------
    NotFittedError
        The encoder is not fitted.
    ValueError
        X does not agree with the fitted format, or `n_steps` is not from 1 to `n_timesteps`.
    TypeError
        The encoder is not a DMZEncoder.

    See Also
    --------
    DMZEncoder.reconstruct : The reconstructions.

    References
    ----------
    Preechakul et al., "Diffusion Autoencoders: Toward a Meaningful and Decodable Representation", 2022,
    table 1 (reconstruction from the code and the inverted noise).

    Examples
    --------
    >>> from dmzrep import DMZEncoder, inversion_error
    >>> from dmzrep.datasets import load_digits_images
    >>> X = load_digits_images().images[:64]
    >>> encoder = DMZEncoder(latent_dim=16, width=(8, 16), max_iter=1, random_state=0).fit(X)
    >>> inversion_error(encoder, X[:2], n_steps=10).shape
    (2,)
    """
    check_encoder(encoder)
    return squared_errors(encoder, X, encoder.reconstruct(X, noise="inverted", n_steps=n_steps))


def squared_errors(encoder: DMZEncoder, X: Any, rebuilt: np.ndarray) -> np.ndarray:
    """Return the mean squared error of each sample in the units of the model, shape (n,), float64."""
    to_model = encoder.data_format_.to_model
    first, second = (to_model(to_tensor(values, torch.device("cpu"))) for values in (read_all(X), rebuilt))
    return (second - first).double().square().flatten(1).mean(dim=1).numpy()


def reconstruction_report(
    encoder: DMZEncoder,
    X: Any,
    *,
    noises: Sequence[str] = ("random", "inverted"),
    random_state: int | np.random.RandomState | None = 0,
    **sampling: Any,
) -> pd.DataFrame:
    """Reconstruct samples from their bits, and compare.

    Parameters
    ----------
    encoder : DMZEncoder
        Fitted.
    X : array-like
        Samples in the fitted layout; best some that the encoder was not trained on.
    noises : sequence of {"random", "inverted"}, default=("random", "inverted")
        Noise to start from: random noise measures what the bits hold, the inverted sample what bits and
        noise hold together.
    random_state : int, RandomState or None, default=0
        Controls random noise.
    **sampling
        Further options of `DMZEncoder.reconstruct`, such as `n_steps` and `sampler`; inverted noise is
        decoded by DDIM whatever the sampler.

    Returns
    -------
    DataFrame
        One line per noise, means over samples, with the columns

        noise : noise that the reconstruction started from
        n_samples : number of samples
        mse : mean squared error, pixels from 0 to 1; standardised, for vectors
        psnr : mean peak signal-to-noise ratio, in decibels
        ssim : mean structural similarity; the window is 11 pixels, or the largest odd number that fits
        code_cycle_accuracy : fraction of bits that the reconstruction has in common with the original

        Vectors have no "psnr" and "ssim"; "ssim" also needs scikit-image.

    Raises
    ------
    ValueError
        X is not in the fitted layout, or a parameter is out of its range.
    TypeError
        The encoder is not a DMZEncoder.

    Examples
    --------
    >>> from dmzrep import DMZEncoder, Network
    >>> from dmzrep.datasets import load_digits_images
    >>> from dmzrep.metrics import reconstruction_report
    >>> X = load_digits_images().images[:64]
    >>> encoder = DMZEncoder(8, network=Network(width=(8, 16)), max_iter=1, random_state=0).fit(X)
    >>> reconstruction_report(encoder, X[:8], n_steps=2).columns.tolist()
    ['noise', 'n_samples', 'mse', 'psnr', 'ssim', 'code_cycle_accuracy']
    """
    check_encoder(encoder)
    noises = [noises] if isinstance(noises, str) else list(noises)
    for noise in noises:
        check_choice("noises", noise, NOISES)
    bits = code_probabilities(encoder, X) > 0.5
    data_format, lines = encoder.data_format_, []
    for noise in noises:
        options = sampling | ({"sampler": "auto"} if noise == "inverted" else {})
        rebuilt = encoder.reconstruct(X, noise=noise, random_state=random_state, **options)
        errors = squared_errors(encoder, X, rebuilt)
        line: dict[str, Any] = {"noise": noise, "n_samples": len(bits)}
        if isinstance(data_format, ImageFormat):
            errors /= 4.0  # Pixels from -1 to 1 become those from 0 to 1.
            with np.errstate(divide="ignore"):
                line |= {"mse": errors.mean(), "psnr": -10.0 * np.log10(errors).mean()}
            if importlib.util.find_spec("skimage") is not None:
                line["ssim"] = _ssim(X, rebuilt, data_format)
        else:
            line["mse"] = errors.mean()
        line["code_cycle_accuracy"] = ((code_probabilities(encoder, rebuilt) > 0.5) == bits).mean()
        lines.append(line)
    return pd.DataFrame(lines)


def _ssim(X: Any, rebuilt: np.ndarray, image_format: ImageFormat) -> float:
    one, two = (
        unit_tensor(read_all(images), image_format, torch.device("cpu")).clamp(0.0, 1.0).numpy()
        for images in (X, rebuilt)
    )
    largest = (min(image_format.shape[1:]) - 1) // 2 * 2 + 1
    return ssim(one, two, window_size=min(WINDOW, largest), channels="first", value_range=(0, 1)).mean()
