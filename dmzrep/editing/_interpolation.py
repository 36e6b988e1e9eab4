"""Interpolate between images through their codes."""

from typing import Any

import numpy as np

from dmzrep._base._isolation import isolated
from dmzrep._base._random import draw_seed
from dmzrep._base._validation import check_choice, check_int
from dmzrep.codes._protocol import block_seeds, check_codec, code_probabilities, decode_codes
from dmzrep.data import open_like_fitted, read_all
from dmzrep.editing._checks import decoding_options
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.inference import StartingNoise, between_noises, sampling_from

PATHS = ("ordered", "random", "smooth", "soft")


@isolated
def interpolate(
    encoder: Any,
    x0: Any,
    x1: Any,
    n_images: int = 9,
    *,
    path: str = "smooth",
    noise: str = "auto",
    strength: float = 1.0,
    random_state: int | np.random.RandomState | None = None,
    **sampling: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate between pairs of images.

    Parameters
    ----------
    encoder : DMZEncoder, or any object with `transform` and `inverse_transform`
        Fitted.
    x0, x1 : array-like, table or map-style dataset of n samples
        First and last images of the paths.
    n_images : int, default=9
        Images per path, both ends included, at least 2.
    path : {"ordered", "random", "smooth", "soft"}, default="smooth"
        Path of the code. The first three flip the differing bits, the same number per step: by index,
        in random order, or always the likeliest next one (see Notes). ``"soft"`` blends the two codes
        linearly.
    noise : {"auto", "zero", "random", "inverted"}, default="auto"
        ``"zero"`` shows a typical image of each code. ``"random"`` draws the same noise for all images of a
        path. ``"inverted"`` interpolates between the noise that x0 and x1 invert to, along the great circle,
        so that paths begin and end with close reconstructions of the images; it needs a `DMZEncoder`.
        ``"auto"`` is ``"zero"`` if the last step of `encoder` is a `DMZEncoder` and ``strength=1``, else
        ``"random"``.
    strength : float, default=1.0
        Fraction of the timesteps to decode through, in (0, 1], from a blend of the two images, noised to that
        timestep; the lower, the closer to the blend. 1 begins without the images.
    random_state : int, RandomState or None, default=None
        Seed of the noise of each path, and of random orders.
    **sampling
        Sampling options of `DMZEncoder.inverse_transform`, such as `n_steps`, `sampler` and `guidance`.

    Returns
    -------
    images : ndarray of shape ``(n, n_images, *sample_shape)``
        Images of the paths, in the layout of x0. With `return_trajectory`, of shape
        ``(n_steps, n, n_images, *sample_shape)``.
    codes : ndarray of shape (n, n_images, latent_dim)
        Their codes: uint8 bits, or float64 in [0, 1] for ``path="soft"``. The first are the bits of x0,
        the last those of x1.

    Raises
    ------
    ValueError
        x0 and x1 differ in number or in shape, or a parameter is invalid.
    TypeError
        The encoder cannot encode and decode.

    See Also
    --------
    AttributeEditor.sweep : Edits of increasing amount.
    dmzrep.plotting.InterpolationDisplay : Interpolations as a figure.

    Notes
    -----
    The k-th of K flips of the smooth path is the one that results in the likeliest code under
    ``(1 - k / K) q(z | x0) + (k / K) q(z | x1)``, bit by bit. Bits that are uncertain in x0 and certain in x1
    therefore flip first. As bits are independent given the image, the next flip depends on the probabilities
    of single bits only.

    References
    ----------
    M. Proszewska and others, arXiv 2506.00136, 2025 (paths). Ho, Jain, Abbeel, "Denoising Diffusion
    Probabilistic Models", 2020, section 4.3 (blends of images that share their noise). Preechakul et al.,
    "Diffusion Autoencoders: Toward a Meaningful and Decodable Representation", 2022, section 5.1
    (interpolating codes and inverted noise together).

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.editing import interpolate
    >>> class Pixels:
    ...     def transform(self, X):
    ...         return X
    ...     def inverse_transform(self, Z):
    ...         return Z
    >>> walks, codes = interpolate(Pixels(), np.array([[0.1, 0.4, 0.0]]), np.array([[0.8, 0.8, 0.0]]), 3)
    >>> codes[0].tolist()
    [[0, 0, 0], [0, 1, 0], [1, 1, 0]]
    """
    check_codec(encoder)
    n_images = check_int(n_images, "n_images", 2, also=", both ends included")
    check_choice("path", path, PATHS)
    options = decoding_options(encoder, noise, strength, sampling)
    before, after = code_probabilities(encoder, x0), code_probabilities(encoder, x1)
    if before.shape != after.shape:
        raise ValueError(
            f"x0 and x1 must have as many samples, got {len(before)} and {len(after)}. "
            "Repeat an image to interpolate from it to several."
        )
    seed = draw_seed(random_state)
    progress = np.linspace(0.0, 1.0, n_images)
    first, last = before > 0.5, after > 0.5
    if path == "soft":
        codes = (1.0 - progress)[:, None] * first[:, None] + progress[:, None] * last[:, None]
    else:
        codes = _walk(first, last, flip_times(before, after, path, seed), progress)
    flat = codes.reshape(-1, codes.shape[-1])
    if noise == "inverted":
        images = _decode_between(encoder, (x0, x1), (first, last), flat, progress, options)
    else:
        if strength != 1.0:
            options["like"] = _blends(x0, x1, progress)
        seeds = np.repeat(block_seeds(seed, len(codes)), n_images).tolist()
        images = decode_codes(encoder, flat, random_state=seeds, **options)
    axis = int(bool(options.get("return_trajectory")))
    return images.reshape(*images.shape[:axis], *codes.shape[:2], *images.shape[axis + 1 :]), codes


def flip_times(before: np.ndarray, after: np.ndarray, path: str, random_state: int = 0) -> np.ndarray:
    """Return when each bit flips between two codes: 0 for the first flip, -1 for bits that do not differ.

    Takes probabilities of a one, and returns integers, of shape (n, latent_dim).
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
    """Order flips by the likelihood of the resulting code, for all pairs at once."""
    # Probability of the bit's last value at both ends. The log-likelihood of a flip increases with it.
    target = after > 0.5
    at_start = np.where(target, before, 1.0 - before)
    at_end = np.where(target, after, 1.0 - after)
    counts = differ.sum(axis=1)
    times = np.full(differ.shape, -1)
    active, left = np.arange(len(differ)), differ.copy()
    for k in range(counts.max(initial=0)):
        active = active[counts[active] > k]
        share = ((k + 1) / counts[active])[:, None]
        blend = (1.0 - share) * at_start[active] + share * at_end[active]
        best = np.where(left[active], blend, -1.0).argmax(axis=1)
        times[active, best] = k
        left[active, best] = False
    return times


def _walk(first: np.ndarray, last: np.ndarray, times: np.ndarray, progress: np.ndarray) -> np.ndarray:
    """Return codes after equal fractions of the flips, shape (n, n_images, latent_dim), uint8."""
    counts = (times >= 0).sum(axis=1)
    done = np.rint(progress * counts[:, None])[:, :, None]
    flipped = (times >= 0)[:, None] & (times[:, None] < done)
    return np.where(flipped, last[:, None], first[:, None]).astype(np.uint8)


def _decode_between(
    encoder: Any,
    ends: tuple[Any, Any],
    bits: tuple[np.ndarray, np.ndarray],
    codes: np.ndarray,
    progress: np.ndarray,
    options: dict[str, Any],
) -> np.ndarray:
    """Decode the codes of all paths from noise between the inverted noise of their ends."""
    if not isinstance(encoder, DMZEncoder):
        raise TypeError(f"noise='inverted' needs a DMZEncoder, got a {type(encoder).__name__}.")
    decoder, options = encoder.decoder_, dict(options)
    strength = options.pop("strength", 1.0)
    options.pop("noise", None)
    sampling = sampling_from({"sampler": "ddim"} | options)
    first, last = (
        decoder.invert(open_like_fitted(encoder, x), of_end, sampling, strength)
        for x, of_end in zip(ends, bits, strict=True)
    )
    noise = between_noises(first, last, progress).reshape(-1, *first.shape[1:])
    return decoder.decode(codes, [0] * len(codes), sampling, start=StartingNoise(noise, strength))


def _blends(x0: Any, x1: Any, progress: np.ndarray) -> np.ndarray:
    """Return blends of the images for all paths, in the dtype of x0."""
    first, last = read_all(x0, "x0"), read_all(x1, "x1")
    if first.shape != last.shape:
        raise ValueError(f"x0 and x1 must have the same shape, got {first.shape} and {last.shape}.")
    share = progress.reshape(1, -1, *[1] * (first.ndim - 1))
    blends = (1.0 - share) * first[:, None].astype(np.float64) + share * last[:, None]
    if not np.issubdtype(first.dtype, np.floating):
        blends = np.rint(blends)
    return blends.astype(first.dtype).reshape(-1, *first.shape[1:])
