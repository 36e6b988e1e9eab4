"""Checks of the arguments of the estimator's methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from dmzrep._base._validation import check_choice
from dmzrep.data import Source, open_like_fitted
from dmzrep.diffusion._grids import timesteps_from
from dmzrep.inference import CODE_DTYPES

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


def check_start(estimator: Any, like: Any, n_codes: int, noise: str, strength: float) -> Source | None:
    """Return the samples of `like` from which decoding begins, or None where none are needed."""
    check_choice("noise", noise, NOISES)
    timesteps_from(estimator.objective_.schedule.n_timesteps, strength)
    needed = noise == "inverted" or strength < 1.0
    if like is None:
        if needed:
            cause = "noise='inverted'" if noise == "inverted" else f"strength={strength!r}"
            raise ValueError(
                f"{cause} needs `like`: the samples to begin from, one for each code. "
                "Pass the samples that were encoded, or use noise='random' and strength=1.0."
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
