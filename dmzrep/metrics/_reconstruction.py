"""Errors of reconstructions, and of codes that are decoded and encoded again."""

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from dmzrep._base._isolation import isolated
from dmzrep._base._validation import check_bool, check_choice, short_repr
from dmzrep.codes._checks import check_codes
from dmzrep.codes._protocol import Encoder, check_codec, code_probabilities, decode_codes
from dmzrep.data import ImageFormat, read_all, to_tensor
from dmzrep.estimator._encoder import DMZEncoder, check_encoder
from dmzrep.estimator._inputs import NOISES
from dmzrep.metrics._images import ssim, unit_tensor


@isolated
def code_cycle_accuracy(
    encoder: Encoder,
    Z: Any,
    *,
    per_bit: bool = False,
    random_state: int | np.random.RandomState | None = None,
    **sampling: Any,
) -> float | np.ndarray:
    """Return the fraction of bits that are unchanged after decoding and encoding again.

    Many images have the same code, so a correct reconstruction may differ from the original in its pixels,
    but not in its code.

    Parameters
    ----------
    encoder : DMZEncoder, or any object with `transform` and `inverse_transform`
        Fitted.
    Z : array-like of shape (n, latent_dim)
        Bits, or probabilities, which are thresholded at 0.5: of images, or drawn from a prior.
    per_bit : bool, default=False
        Whether to return the fraction of each bit.
    random_state : int, RandomState or None, default=None
        Controls the noise.
    **sampling
        Sampling options of `inverse_transform`, such as `n_steps` and `sampler`.

    Returns
    -------
    float or ndarray of shape (latent_dim,)
        In [0, 1]: 1 for bits that never change, 0.5 for balanced bits that do not affect the images.

    Raises
    ------
    ValueError
        Codes are not in [0, 1], or not of length `latent_dim`.
    TypeError
        The encoder cannot encode and decode.

    See Also
    --------
    reconstruction_report : Errors of the decoded samples too.

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
    unchanged = (code_probabilities(encoder, images) > 0.5) == bits
    return unchanged.mean(axis=0) if per_bit else float(unchanged.mean())


@isolated
def inversion_error(encoder: DMZEncoder, X: Any, n_steps: int | None = None) -> np.ndarray:
    """Return the mean squared error of samples that are encoded, inverted to noise and decoded again.

    Edits and interpolations from inverted noise have this error even without a change of the code. More
    steps reduce it.

    Parameters
    ----------
    encoder : DMZEncoder
        Fitted.
    X : array-like, table or map-style dataset of n samples
        Samples in the fitted layout.
    n_steps : int or None, default=None
        Steps of inversion and of decoding; None is 50, or all timesteps if there are fewer.

    Returns
    -------
    ndarray of shape (n,), float64
        Mean over the features of a sample, in model units: pixels from -1 to 1, or scaled vectors.
        It includes the rounding of integer images (5e-6 for uint8).

    Raises
    ------
    NotFittedError
        The encoder is not fitted.
    ValueError
        X does not have the fitted format, or `n_steps` is not from 1 to `n_timesteps`.
    TypeError
        The encoder is not a DMZEncoder.

    See Also
    --------
    DMZEncoder.reconstruct : The reconstructions.

    References
    ----------
    Preechakul et al., "Diffusion Autoencoders: Toward a Meaningful and Decodable Representation", 2022,
    table 1.

    Examples
    --------
    >>> from dmzrep import DMZEncoder, Network, inversion_error
    >>> from dmzrep.datasets import load_digits_images
    >>> X = load_digits_images().images[:64]
    >>> encoder = DMZEncoder(16, network=Network(width=(8, 16)), max_iter=1, random_state=0).fit(X)
    >>> inversion_error(encoder, X[:2], n_steps=10).shape
    (2,)
    """
    check_encoder(encoder)
    return squared_errors(encoder, X, encoder.reconstruct(X, noise="inverted", n_steps=n_steps))


def squared_errors(encoder: DMZEncoder, X: Any, rebuilt: np.ndarray) -> np.ndarray:
    """Return the mean squared error of each sample in model units, shape (n,), float64."""
    to_model = encoder.decoder_.data_format.to_model
    first, second = (to_model(to_tensor(values, torch.device("cpu"))) for values in (read_all(X), rebuilt))
    return (second - first).double().square().flatten(1).mean(dim=1).numpy()


@isolated
def reconstruction_report(
    encoder: DMZEncoder,
    X: Any,
    *,
    noises: Sequence[str] = ("zero", "random", "inverted"),
    random_state: int | np.random.RandomState | None = None,
    **sampling: Any,
) -> pd.DataFrame:
    """Reconstruct samples from their bits, and compare them with the originals.

    Parameters
    ----------
    encoder : DMZEncoder
        Fitted.
    X : array-like
        Samples in the fitted layout, preferably held-out ones.
    noises : sequence of {"zero", "random", "inverted"}, default=("zero", "random", "inverted")
        Noise to decode from. ``"zero"`` decodes to a typical sample and measures what the bits determine;
        ``"random"`` also draws the details that they do not encode, which increases the error; ``"inverted"``
        takes it from the sample, so that the error is almost zero.
    random_state : int, RandomState or None, default=None
        Controls random noise.
    **sampling
        Sampling options of `DMZEncoder.reconstruct`, such as `n_steps` and `sampler`; inverted noise is
        always decoded by DDIM.

    Returns
    -------
    DataFrame
        One row per noise, with means over samples in the columns

        - noise: as in `noises`
        - n_samples: number of samples
        - mse: mean squared error, of pixels from 0 to 1 or of scaled vectors
        - psnr: mean peak signal-to-noise ratio, in decibels; images only
        - ssim: mean structural similarity, with a window of 11 pixels or the largest odd size that fits;
          images only, if scikit-image is installed
        - code_cycle_accuracy: fraction of bits that the reconstruction shares with the original

    Raises
    ------
    ValueError
        X does not have the fitted format, or a parameter is out of range.
    TypeError
        The encoder is not a DMZEncoder.

    See Also
    --------
    mse : Mean squared error.
    psnr : Peak signal-to-noise ratio.
    ssim : Structural similarity.

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
    names: Any = [noises] if isinstance(noises, str) else noises
    if not isinstance(names, Sequence) or not names:
        raise ValueError(f"noises must be one or more of {NOISES}, got {short_repr(noises)}.")
    for noise in names:
        check_choice("noises", noise, NOISES)
    bits = code_probabilities(encoder, X) > 0.5
    data_format, rows = encoder.decoder_.data_format, []
    for noise in names:
        options = sampling | ({"sampler": "auto"} if noise == "inverted" else {})
        rebuilt = encoder.reconstruct(X, noise=noise, random_state=random_state, **options)
        errors = squared_errors(encoder, X, rebuilt)
        row: dict[str, Any] = {"noise": noise, "n_samples": len(bits)}
        if isinstance(data_format, ImageFormat):
            errors /= 4.0  # From pixels in [-1, 1] to pixels in [0, 1].
            with np.errstate(divide="ignore"):
                row |= {"mse": errors.mean(), "psnr": -10.0 * np.log10(errors).mean()}
            if importlib.util.find_spec("skimage") is not None:
                row["ssim"] = _ssim(X, rebuilt, data_format)
        else:
            row["mse"] = errors.mean()
        row["code_cycle_accuracy"] = ((code_probabilities(encoder, rebuilt) > 0.5) == bits).mean()
        rows.append(row)
    return pd.DataFrame(rows)


def _ssim(X: Any, rebuilt: np.ndarray, image_format: ImageFormat) -> float:
    originals, reconstructions = (
        unit_tensor(read_all(images), image_format, torch.device("cpu")).clamp(0.0, 1.0).numpy()
        for images in (X, rebuilt)
    )
    return ssim(originals, reconstructions, channels="first", value_range=(0, 1)).mean()
