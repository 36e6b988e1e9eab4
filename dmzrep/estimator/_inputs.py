"""Checks of the arguments of the estimator's methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from dmzrep._base._validation import as_numbers, check_choice, check_int
from dmzrep.data import Source, open_like_fitted
from dmzrep.diffusion._grids import timesteps_from
from dmzrep.inference import CODE_DTYPES
from dmzrep.training import prefix_lengths

#: What decoding may begin from.
NOISES = ("random", "inverted")


def check_out(out: Any, shape: tuple[int, int], output: str) -> None:
    """Raise unless an array can take codes of a shape as `output` says."""
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


def check_codes(Z: Any, latent_dim: int, *, ordered: bool = False) -> np.ndarray:
    """Return codes as a float32 array; raise unless they are probabilities or bits of the right width.

    Prefixes of codes are of the right width where codes are ordered.
    """
    codes = as_numbers(Z, "Z")
    shortest = prefix_lengths(latent_dim)[0] if ordered else latent_dim
    if codes.ndim != 2 or not max(shortest, 1) <= codes.shape[1] <= latent_dim:
        if ordered:
            raise ValueError(
                f"Z must have shape (n, {latent_dim}), one column for each bit, or (n, k) with the first k "
                f"bits of codes, k from {shortest} on, got {codes.shape}."
            )
        prefix = codes.ndim == 2 and 0 < codes.shape[1] < latent_dim
        remedy = " The first bits of codes can be decoded after a fit with ordered=True." if prefix else ""
        raise ValueError(
            f"Z must have shape (n, {latent_dim}), one column for each bit, got {codes.shape}.{remedy}"
        )
    if len(codes) == 0:
        raise ValueError("Z has no samples; at least one code is needed.")
    # Not float32, which numbers beyond it overflow.
    codes = codes.astype(np.float64)
    if not np.isfinite(codes).all():
        raise ValueError("Z contains NaN or infinity; codes are probabilities or bits in [0, 1].")
    # Rounding may pass the edges.
    if codes.min() < -1e-6 or codes.max() > 1.0 + 1e-6:
        raise ValueError(
            f"Z must lie in [0, 1] (probabilities or bits), got values from {codes.min():g} "
            f"to {codes.max():g}. "
            "Turn logits into probabilities with scipy.special.expit first."
        )
    return codes.clip(0.0, 1.0).astype(np.float32)


def check_n_bits(n_bits: Any, latent_dim: int, *, ordered: bool) -> int:
    """Return the length of a prefix of codes; raise unless a fitted model can decode it."""
    shortest = prefix_lengths(latent_dim)[0]
    n_bits = check_int(n_bits, "n_bits", shortest, latent_dim, ", or None", "latent_dim")
    if not ordered and n_bits < latent_dim:
        raise ValueError(
            f"n_bits={n_bits!r} asks for the first bits of codes, but this model was trained on whole ones. "
            "Fit with ordered=True, or use n_bits=None."
        )
    return n_bits


def check_start(estimator: Any, like: Any, n_codes: int, noise: str, start: float) -> Source | None:
    """Return the samples of `like` from which decoding begins, or None where none are needed."""
    check_choice("noise", noise, NOISES)
    timesteps_from(estimator.objective_.schedule.n_timesteps, start)
    needed = noise == "inverted" or start < 1.0
    if like is None:
        if needed:
            cause = "noise='inverted'" if noise == "inverted" else f"start={start!r}"
            raise ValueError(
                f"{cause} needs `like`: the samples to begin from, one for each code. "
                "Pass the samples that were encoded, or use noise='random' and start=1.0."
            )
        return None
    try:
        samples = open_like_fitted(estimator, like)
    except ValueError as error:
        error.add_note("This is about like.")
        raise
    if len(samples) != n_codes:
        raise ValueError(
            f"like must have one sample for each code, {n_codes}, got {len(samples)}. "
            "Repeat a sample to begin several codes from it."
        )
    return samples if needed else None
