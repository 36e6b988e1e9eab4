"""How near rebuilt images come to the originals, and how near codes come to themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from dmzrep._base._validation import as_numbers, check_bool, check_choice, short_repr
from dmzrep.codes._protocol import check_codec, code_probabilities, decode_codes
from dmzrep.data import VectorFormat, read_all
from dmzrep.estimator._inputs import NOISES, check_codes
from dmzrep.metrics._image_errors import WINDOW, mse, psnr, ssim
from dmzrep.metrics._unit_images import unit_tensor


def code_cycle_accuracy(
    encoder: Any,
    Z: Any,
    *,
    per_bit: bool = False,
    n_steps: int | None = None,
    sampler: str | None = None,
    random_state: int | np.random.RandomState | None = 0,
) -> float | np.ndarray:
    """Share of bits that are the same after decoding and encoding again.

    A code stands for many images, so that a rebuilt image can be far from the original, pixel by
    pixel, and right. What it must have is the code.

    Parameters
    ----------
    encoder : DMZEncoder, or any object with `transform` and `inverse_transform`
        Fitted.
    Z : array-like of shape (n, latent_dim)
        Bits, or probabilities (a bit is one above 0.5): of images, or drawn from a prior.
    per_bit : bool, default=False
        Give a share for each bit instead.
    n_steps, sampler
        Of `inverse_transform`; None leaves them to it.
    random_state : int, RandomState or None, default=0
        Decides the noise.

    Returns
    -------
    float or ndarray of shape (latent_dim,)
        In [0, 1]. A bit that never changes has 1; coin tosses have 0.5.

    Raises
    ------
    ValueError
        Codes are not in [0, 1] or not of the encoder's width.
    TypeError
        The encoder cannot encode and decode.

    Examples
    --------
    >>> from dmzrep import DMZEncoder
    >>> from dmzrep.datasets import load_digits_images
    >>> from dmzrep.metrics import code_cycle_accuracy
    >>> X = load_digits_images().images[:64]
    >>> encoder = DMZEncoder(8, width=(8, 16), encoder_width=8, max_iter=1, random_state=0).fit(X)
    >>> 0.0 <= code_cycle_accuracy(encoder, encoder.transform(X), n_steps=2) <= 1.0
    True
    """
    check_codec(encoder)
    per_bit = check_bool(per_bit, "per_bit")
    codes = as_numbers(Z, "Z")
    bits = check_codes(codes, codes.shape[1] if codes.ndim == 2 else -1) > 0.5
    images = decode_codes(
        encoder, bits.astype(np.uint8), random_state=random_state, n_steps=n_steps, sampler=sampler
    )
    same = (code_probabilities(encoder, images) > 0.5) == bits
    return same.mean(axis=0) if per_bit else float(same.mean())


def reconstruction_report(
    encoder: Any,
    X: Any,
    *,
    noises: Sequence[str] = ("random", "inverted"),
    n_steps: int | None = None,
    sampler: str = "auto",
    random_state: int | np.random.RandomState | None = 0,
) -> pd.DataFrame:
    """Rebuild rows through their bits, and compare.

    Parameters
    ----------
    encoder : DMZEncoder
        Fitted.
    X : array-like
        Rows in the fitted layout; best some that the encoder was not trained on.
    noises : sequence of {"random", "inverted"}, default=("random", "inverted")
        What the reconstructions start from: random noise shows what the bits tell, the inverted image
        what bits and noise hold together.
    n_steps, sampler, random_state
        As in `DMZEncoder.reconstruct`; inverted noise takes DDIM, whatever `sampler` says.

    Returns
    -------
    DataFrame
        A row for each noise, means over rows of X, with the columns

        noise : where the reconstruction started
        n_rows : rows of X
        mse : mean squared error, pixels from 0 to 1; standardised, for vectors
        psnr : mean peak signal-to-noise ratio, in decibels
        ssim : mean structural similarity; the window is 11 pixels, or the largest odd number that fits
        code_cycle_accuracy : share of bits that the reconstruction has in common with the original

        Vectors have no "psnr" and "ssim".

    Raises
    ------
    ValueError
        X is not in the fitted layout, or an argument is out of its range.
    TypeError
        The encoder cannot encode and reconstruct.

    Examples
    --------
    >>> from dmzrep import DMZEncoder
    >>> from dmzrep.datasets import load_digits_images
    >>> from dmzrep.metrics import reconstruction_report
    >>> X = load_digits_images().images[:64]
    >>> encoder = DMZEncoder(8, width=(8, 16), encoder_width=8, max_iter=1, random_state=0).fit(X)
    >>> reconstruction_report(encoder, X[:8], n_steps=2).columns.tolist()
    ['noise', 'n_rows', 'mse', 'psnr', 'ssim', 'code_cycle_accuracy']
    """
    check_codec(encoder, needed=("transform", "reconstruct"))
    bits = code_probabilities(encoder, X) > 0.5
    data_format = encoder.data_format_
    rows = []
    listed = [noises] if isinstance(noises, str) else _listed(noises)
    for noise in listed:
        check_choice("noises", noise, NOISES)
    for noise in listed:
        wanted = "auto" if noise == "inverted" else sampler
        rebuilt = encoder.reconstruct(
            X, noise=noise, n_steps=n_steps, sampler=wanted, random_state=random_state
        )
        row: dict[str, Any] = {"noise": noise, "n_rows": len(bits)}
        if isinstance(data_format, VectorFormat):
            originals = read_all(X).astype(np.float64)
            row["mse"] = float(np.square((rebuilt - originals) / data_format.scale).mean())
        else:
            one, two = (_as_images(images, data_format) for images in (X, rebuilt))
            known: dict[str, Any] = {"channels": "first", "value_range": (0.0, 1.0)}
            fitting = min(data_format.shape[1:])
            window = min(WINDOW, fitting if fitting % 2 else fitting - 1)
            row["mse"] = float(mse(one, two, **known).mean())
            row["psnr"] = float(psnr(one, two, **known).mean())
            row["ssim"] = float(ssim(one, two, window_size=window, **known).mean())
        row["code_cycle_accuracy"] = float(((code_probabilities(encoder, rebuilt) > 0.5) == bits).mean())
        rows.append(row)
    return pd.DataFrame(rows)


def _listed(noises: Any) -> list[Any]:
    try:
        return list(noises)
    except TypeError:
        raise TypeError(
            f"noises must be a list of 'random' and 'inverted', got {short_repr(noises)}."
        ) from None


def _as_images(X: Any, data_format: Any) -> np.ndarray:
    """Rows in the fitted layout as float32 images of shape (n, C, H, W), in [0, 1]."""
    return unit_tensor(read_all(X), data_format, torch.device("cpu")).clamp(0.0, 1.0).numpy()
