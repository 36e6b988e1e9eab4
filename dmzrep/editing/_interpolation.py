"""Walk from one image to another through their codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dmzrep._base._random import draw_seed
from dmzrep._base._validation import check_choice, check_int
from dmzrep.codes._protocol import block_seeds, check_codec, code_probabilities, decode_codes
from dmzrep.data import open_like_fitted, read_all
from dmzrep.diffusion._grids import check_start
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.estimator._inputs import NOISES
from dmzrep.inference import StartingNoise, TrainedModel, between_noises, decode, invert
from dmzrep.inference._sampling import check_sampling

PATHS = ("ordered", "random", "smooth", "soft")


def interpolate(
    encoder: Any,
    x0: Any,
    x1: Any,
    n_steps: int = 9,
    *,
    path: str = "smooth",
    noise: str = "random",
    start: float = 1.0,
    denoising_steps: int | None = None,
    random_state: int | np.random.RandomState | None = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Walk from images to others, all pictures of a walk from the same noise, or from their own.

    Parameters
    ----------
    encoder : DMZEncoder, or any object with `transform` and `inverse_transform`
        Fitted.
    x0, x1 : array-like, table or map-style dataset of n rows
        Where walks begin, and where they end.
    n_steps : int, default=9
        Pictures of a walk, both ends included, at least 2.
    path : {"ordered", "random", "smooth", "soft"}, default="smooth"
        How the code goes. The first three flip the bits that differ, as many at each step: by their
        number, in random order, or always the likeliest next one (see Notes). ``"soft"`` blends the
        two codes linearly.
    noise : {"random", "inverted"}, default="random"
        ``"inverted"`` goes from the noise that x0 comes from to that of x1, along the great circle
        between them, so that walks begin and end with the images themselves, nearly. It needs a
        `DMZEncoder`.
    start : float, default=1.0
        Begin decoding at this share of the timesteps, in (0, 1], from a blend of the two images,
        noised so far; the lower, the more of it is seen. 1 begins from noise alone.
    denoising_steps : int, optional
        Steps of the decoder; None leaves them to it.
    random_state : int, RandomState or None, default=0
        Decides the noise of each walk, and random orders.

    Returns
    -------
    images : ndarray of shape (n, n_steps, *row_shape)
        Walks, in the layout of the rows.
    codes : ndarray of shape (n, n_steps, latent_dim)
        Their codes: uint8 bits, or float64 in [0, 1] for ``path="soft"``. The first are the bits of x0,
        the last those of x1.

    Raises
    ------
    ValueError
        x0 and x1 differ in their number of rows or in shape, or a parameter is not as it should be.
    TypeError
        The encoder cannot encode and decode.

    Notes
    -----
    The smooth path makes the k-th of K flips where it gives the likeliest code under
    ``(1 - k / K) q(z | x0) + (k / K) q(z | x1)``, each bit blended by itself. Bits that the encoder was
    unsure of in x0 and is sure of in x1 so come first. As bits are independent given the image, the
    next flip depends on the probabilities of single bits only, and no code needs to be scored whole.

    References
    ----------
    M. Proszewska, N. Malkin, N. Siddharth, "On Designing Diffusion Autoencoders for Efficient Generation
    and Representation Learning", 2025, arXiv 2506.00136 (paths). Ho, Jain, Abbeel, "Denoising Diffusion
    Probabilistic Models", 2020, section 4.3 (blends of images that share their noise). Preechakul et al.,
    "Diffusion Autoencoders: Toward a Meaningful and Decodable Representation", 2022, section 5.1 (walks
    through codes and inverted noise at once).

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.editing._interpolation import interpolate
    >>> class Pixels:
    ...     def transform(self, X):
    ...         return X
    ...     def inverse_transform(self, Z):
    ...         return Z
    >>> walks, codes = interpolate(Pixels(), np.array([[0.1, 0.4, 0.0]]), np.array([[0.8, 0.8, 0.0]]), 3)
    >>> codes[0].tolist()
    [[0, 0, 0], [0, 1, 0], [1, 1, 0]]
    """
    _check(encoder, n_steps, path, noise, start, denoising_steps)
    before, after = code_probabilities(encoder, x0), code_probabilities(encoder, x1)
    if before.shape != after.shape:
        raise ValueError(
            f"x0 and x1 must have as many rows, got {len(before)} and {len(after)}. "
            "Repeat an image to walk from it to several."
        )
    seed = draw_seed(random_state)
    progress = np.linspace(0.0, 1.0, n_steps)
    if path == "soft":
        ends = (before > 0.5).astype(np.float64), (after > 0.5).astype(np.float64)
        codes = (1.0 - progress)[:, None] * ends[0][:, None] + progress[:, None] * ends[1][:, None]
    else:
        codes = _walk(before > 0.5, after > 0.5, flip_times(before, after, path, seed), progress)
    flat = codes.reshape(-1, codes.shape[-1])
    if noise == "inverted":
        with _steps_by_name(denoising_steps):
            images = _between(
                encoder, (x0, x1), (before > 0.5, after > 0.5), flat, progress, start, denoising_steps
            )
        return images.reshape(*codes.shape[:2], *images.shape[1:]), codes
    options: dict[str, Any] = {"n_steps": denoising_steps}
    if start != 1.0:
        options |= {"start": start, "like": _blends(x0, x1, progress)}
    seeds = np.repeat(block_seeds(seed, len(codes)), n_steps).tolist()
    with _steps_by_name(denoising_steps):
        images = decode_codes(encoder, flat, random_state=seeds, **options)
    return images.reshape(*codes.shape[:2], *images.shape[1:]), codes


def flip_times(before: np.ndarray, after: np.ndarray, path: str, random_state: int = 0) -> np.ndarray:
    """Say when each bit flips on a way between two codes.

    Parameters
    ----------
    before, after : ndarray of shape (n, latent_dim)
        Probabilities of a one.
    path : {"ordered", "random", "smooth"}
        As in `interpolate`.
    random_state : int, default=0
        Decides random orders.

    Returns
    -------
    ndarray of shape (n, latent_dim), int
        0 for the bit that flips first, and so on; -1 for bits that do not differ.
    """
    n, latent_dim = before.shape
    differ = (before > 0.5) != (after > 0.5)
    if path == "smooth":
        return _likeliest_times(before, after, differ)
    priority = np.tile(np.arange(latent_dim), (n, 1))
    if path == "random":
        seeds = np.random.SeedSequence(random_state).spawn(n)
        priority = np.stack([np.random.default_rng(seed).permutation(latent_dim) for seed in seeds])
    order = np.where(differ, priority, latent_dim).argsort(axis=1, kind="stable")
    times = np.empty_like(order)
    np.put_along_axis(times, order, np.arange(latent_dim)[None], axis=1)
    return np.where(differ, times, -1)


def _likeliest_times(before: np.ndarray, after: np.ndarray, differ: np.ndarray) -> np.ndarray:
    """Flips by the likelihood of the code that they give, for all pairs at once."""
    # Probability of the bit's last value at both ends. Log-odds, what a flip adds to the log-likelihood,
    # grow with it, so it decides as well and stays finite.
    target = after > 0.5
    at_start = np.where(target, before, 1.0 - before)
    at_end = np.where(target, after, 1.0 - after)
    counts = differ.sum(axis=1)
    times = np.full(differ.shape, -1)
    rows, left = np.arange(len(differ)), differ.copy()
    for k in range(counts.max(initial=0)):
        rows = rows[counts[rows] > k]
        share = ((k + 1) / counts[rows])[:, None]
        blend = (1.0 - share) * at_start[rows] + share * at_end[rows]
        best = np.where(left[rows], blend, -1.0).argmax(axis=1)
        times[rows, best] = k
        left[rows, best] = False
    return times


def _walk(first: np.ndarray, last: np.ndarray, times: np.ndarray, progress: np.ndarray) -> np.ndarray:
    """Codes after equal shares of the flips, shape (n, n_steps, latent_dim), uint8."""
    counts = (times >= 0).sum(axis=1)
    done = np.rint(progress * counts[:, None])[:, :, None]
    flipped = (times >= 0)[:, None] & (times[:, None] < done)
    return np.where(flipped, last[:, None], first[:, None]).astype(np.uint8)


def _between(
    encoder: Any,
    ends: tuple[Any, Any],
    bits: tuple[np.ndarray, np.ndarray],
    codes: np.ndarray,
    progress: np.ndarray,
    start: float,
    denoising_steps: int | None,
) -> np.ndarray:
    """Decode codes, walk after walk, from noise between those that the ends come from."""
    if not isinstance(encoder, DMZEncoder):
        raise TypeError(f"noise='inverted' needs a DMZEncoder, got a {type(encoder).__name__}.")
    options = check_sampling(encoder, n_steps=denoising_steps, sampler="ddim", noise="inverted", start=start)
    grid, matches = options["grid"], options["match_perturbation"]
    model = TrainedModel(encoder.model_, encoder.objective_, encoder.data_format_, encoder.device_)
    first, last = (
        invert(model, open_like_fitted(encoder, x), of_end, grid, match_perturbation=matches)
        for x, of_end in zip(ends, bits, strict=True)
    )
    noise = between_noises(first, last, progress).reshape(-1, *first.shape[1:])
    return decode(model, codes, [0] * len(codes), start=StartingNoise(noise), **options)


def _blends(x0: Any, x1: Any, progress: np.ndarray) -> np.ndarray:
    """Images blended pixel by pixel, walk after walk, in the dtype of x0."""
    first, last = read_all(x0, "x0"), read_all(x1, "x1")
    if first.shape != last.shape:
        raise ValueError(f"x0 and x1 must have the same shape, got {first.shape} and {last.shape}.")
    share = progress.reshape(1, -1, *[1] * (first.ndim - 1))
    blends = (1.0 - share) * first[:, None].astype(np.float64) + share * last[:, None]
    if not np.issubdtype(first.dtype, np.floating):
        blends = np.rint(blends)
    return blends.astype(first.dtype).reshape(-1, *first.shape[1:])


@contextmanager
def _steps_by_name(denoising_steps: int | None) -> Iterator[None]:
    """Say in errors of the decoder that its steps have another name here."""
    try:
        yield
    except ValueError as error:
        if denoising_steps is not None:
            error.add_note("The decoder's n_steps are denoising_steps here.")
        raise


def _check(encoder: Any, n_steps: int, path: str, noise: str, start: float, denoising_steps: Any) -> None:
    check_codec(encoder)
    check_start(start)
    if denoising_steps is not None:
        check_int(denoising_steps, "denoising_steps", also=", or None")
    check_int(n_steps, "n_steps", 2, also=", both ends included")
    for name, value, legal in (("path", path, PATHS), ("noise", noise, NOISES)):
        check_choice(name, value, legal)
