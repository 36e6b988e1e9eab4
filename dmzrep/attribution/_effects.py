"""Effects of bits on decoded images: images with a bit off and on, from the same noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dmzrep._base._batching import batches
from dmzrep._base._isolation import isolated
from dmzrep._base._validation import as_numbers, check_bool, check_int
from dmzrep.codes._checks import check_codes, check_integers
from dmzrep.codes._protocol import block_seeds, check_codec, decode_codes, encoder_output
from dmzrep.data import ImageFormat, read_all

#: Approximate number of samples decoded per call, which fill batches and fit into memory.
_CALL_SAMPLES = 512


@dataclass(frozen=True)
class BitEffects:
    """Result of `bit_effects`.

    Parameters
    ----------
    table : DataFrame
        One row per bit, in descending order of change. The columns are:

        - bit: index of the bit
        - change: mean absolute difference of pixels between off and on, in the units of the images
        - share: `change` as a fraction of the sum over `bits`
        - area: fraction of the image that changes, in (0, 1]: 1 when all pixels change equally, 1 / n
          when one of n does (participation ratio of the map)
        - row, column: centre of the change in the image, in pixels (images only).
    bits : ndarray of int
        The bits, in the order of the arrays below.
    maps : ndarray of shape ``(n_bits, *sample_shape)``, float32
        Mean absolute difference per pixel, over the codes.
    signed_maps : ndarray of shape ``(n_bits, *sample_shape)``, float32
        Mean of on minus off.
    off, on : ndarray of shape ``(n_bits, n_images, *sample_shape)``
        Images decoded from the first codes, without and with the bit.
    """

    table: pd.DataFrame
    bits: np.ndarray
    maps: np.ndarray
    signed_maps: np.ndarray
    off: np.ndarray
    on: np.ndarray


@isolated
def bit_effects(
    encoder: Any,
    Z: Any,
    bits: Sequence[int] | None = None,
    *,
    like: Any = None,
    n_images: int = 1,
    random_state: int | np.random.RandomState | None = None,
    **decoding: Any,
) -> BitEffects:
    """Decode codes with each bit off and on, from the same noise, and measure how the images change.

    Parameters
    ----------
    encoder : DMZEncoder or any object with `inverse_transform`
        Decoder of codes to images (or vectors).
    Z : array-like of shape (n, latent_dim)
        Codes from `transform`: bits, probabilities (a bit is one above 0.5) or, when
        ``encoder.output`` is ``"logits"``, logits (one above 0). 8 to 32 codes suffice for a stable mean.
    bits : sequence of int or None, default=None
        Bits to examine; all if None.
    like : array-like, table or map-style dataset of n samples, optional
        The images of the codes, for options of `inverse_transform` that start from them:
        ``noise="inverted"`` or ``strength=0.9``.
    n_images : int, default=1
        Number of codes, from the first, whose images are returned.
    random_state : int, RandomState or None, default=None
        Seed of the noise, if `inverse_transform` takes a `random_state` (a sequence of seeds, one per
        sample). A code has the same noise whichever bit is set.
    **decoding
        Options of `inverse_transform`, such as ``n_steps=10``.

    Returns
    -------
    BitEffects
        Bits ranked by their effect, and maps of it.

    Raises
    ------
    ValueError
        `bits` or `Z` is invalid, or `return_trajectory` is set.
    TypeError
        The encoder cannot decode.

    See Also
    --------
    attribute_bits : Pixels that determine a bit.
    bit_table : Attributes that bits are associated with.
    dmzrep.plotting.BitDisplay : A figure of both.

    Notes
    -----
    One image is decoded per code, and one per code and bit.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.attribution import bit_effects
    >>> class TwoPixels:
    ...     def inverse_transform(self, Z):
    ...         return np.stack([3.0 * Z[:, 0], Z[:, 1]], axis=1)
    >>> bit_effects(TwoPixels(), [[0, 1], [1, 1]]).table
       bit  change  share  area
    0    0     1.5   0.75   0.5
    1    1     0.5   0.25   0.5
    """
    if check_bool(decoding.get("return_trajectory", False), "return_trajectory"):
        raise ValueError("return_trajectory is not an option of bit_effects, which measures finished images.")
    codes = _as_bits(Z, encoder)
    check_codec(encoder, needed=("inverse_transform",))
    latent_dim = codes.shape[1]
    chosen = np.arange(latent_dim) if bits is None else check_integers(bits, "bits", 0, latent_dim - 1)
    n_images = check_int(n_images, "n_images", least=0)
    like = None if like is None else read_all(like, "like")
    if like is not None and len(like) != len(codes):
        raise ValueError(f"like must have one sample per code, {len(codes)}, got {len(like)}.")
    seeds = block_seeds(random_state, len(codes))
    sums: Any = 0.0  # Of absolute and of signed differences.
    kept = []
    for part in batches(len(codes), max(1, _CALL_SAMPLES // len(chosen))):
        times = len(chosen) + 1
        options = {**decoding, "random_state": seeds[part] * times}
        options["like"] = None if like is None else np.concatenate([like[part]] * times)
        off, on = _off_and_on(encoder, codes[part], chosen, options)
        difference = on.astype(np.float64) - off.astype(np.float64)
        sums = sums + np.stack([np.abs(difference).sum(axis=1), difference.sum(axis=1)])
        if part.start < max(n_images, 1):
            end = max(n_images - part.start, 0)
            kept.append((off[:, :end], on[:, :end]))
    maps, signed_maps = (sums / len(codes)).astype(np.float32)
    return BitEffects(
        _table(chosen, maps, getattr(encoder, "data_format_", None)),
        chosen,
        maps,
        signed_maps,
        *(np.concatenate(images, axis=1) for images in zip(*kept, strict=True)),
    )


def _as_bits(Z: Any, encoder: Any) -> np.ndarray:
    codes = as_numbers(Z, "Z")
    report = getattr(encoder, "code_report_", None)
    n_bits = None if report is None else len(report)
    if encoder_output(encoder) == "logits" and codes.dtype.kind == "f":
        return (check_codes(codes, "Z", "numbers", n_bits=n_bits) > 0.0).astype(np.uint8)
    return (check_codes(codes, n_bits=n_bits) > 0.5).astype(np.uint8)


def _off_and_on(
    encoder: Any, codes: np.ndarray, bits: np.ndarray, options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Decode every code with each bit off, and on; each of shape (n_bits, n, *sample_shape)."""
    flipped = np.repeat(codes[None], len(bits) + 1, axis=0)  # The first copy is not flipped.
    flipped[1 + np.arange(len(bits)), :, bits] ^= 1
    images = decode_codes(encoder, flipped.reshape(-1, codes.shape[1]), **options)
    images = images.reshape(len(bits) + 1, len(codes), *images.shape[1:])
    before, after = np.broadcast_to(images[:1], images[1:].shape), images[1:]
    is_on = (codes.T[bits] == 1).reshape(len(bits), len(codes), *[1] * (images.ndim - 2))
    return np.where(is_on, after, before), np.where(is_on, before, after)


def _table(bits: np.ndarray, maps: np.ndarray, data_format: Any) -> pd.DataFrame:
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    change, sums, squares = flat.mean(axis=1), flat.sum(axis=1), (flat**2).sum(axis=1)
    table = pd.DataFrame({"bit": bits, "change": change})
    table["share"] = change / change.sum() if change.sum() > 0 else 0.0
    table["area"] = np.divide(sums**2, flat.shape[1] * squares, out=np.zeros_like(sums), where=squares > 0)
    if isinstance(data_format, ImageFormat) or maps.ndim == 3:
        places = maps.astype(np.float64)
        if isinstance(data_format, ImageFormat):
            places = places.reshape(len(maps), *data_format.image_shape).sum(axis=data_format.channel_axes)
        total = places.sum(axis=(1, 2))
        for axis, name in ((2, "row"), (1, "column")):
            line = places.sum(axis=axis)
            moment = line @ np.arange(line.shape[1])
            table[name] = np.divide(moment, total, out=np.full(len(maps), np.nan), where=total > 0)
    return table.sort_values("change", ascending=False, kind="stable", ignore_index=True)
