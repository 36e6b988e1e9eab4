"""Decoded pictures of places on a map and of single bits switched, for the pages."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dmzrep.app.pages._sprites import as_text, pack_arrays
from dmzrep.codes._checks import pack
from dmzrep.data import as_rgb

#: Decoded pictures of a page: at most this many for places, and for switched bits.
_N_PLACES, _N_SWITCHED = 500, 420
#: Exemplars whose bits can be switched, where their number allows it.
_N_EXEMPLARS = 6
#: Largest number of places along a side of the map.
_PLACES_PER_SIDE = 36
#: Pictures whose probabilities are averaged at a place.
_N_NEAREST = 6
#: Denoising steps; more of them change decoded pictures little.
_N_STEPS = 5
#: Codes that are decoded between two updates of the progress bar.
_BLOCK = 128
#: Longest side of decoded pictures in a page, by that of the model's, rounded up to WebP's blocks.
_LONGEST, _MULTIPLE = 80, 16


def why_not_decodable(encoder: Any) -> str:
    """Return a sentence that says why codes cannot be decoded, or ``""`` if they can."""
    decoder = getattr(encoder, "decoder_", None)
    if decoder is None or not hasattr(encoder, "inverse_transform"):
        return "This model has no decoder, so the page shows no decoded pictures."
    if not decoder.is_trained:
        return (
            "The decoder of this model has not been trained (max_iter=0), so the page shows no decoded "
            "pictures. Fit the encoder without max_iter=0 to see them."
        )
    return ""


def choose_exemplars(latent_dim: int, candidates: Sequence[int], n_pictures: int) -> list[int]:
    """Return the pictures whose bits can be switched: the first candidates, or pictures evenly spaced."""
    n = max(1, min(_N_EXEMPLARS, _N_SWITCHED // (latent_dim + 1), n_pictures))
    spaced = np.linspace(0, n_pictures - 1, n).astype(int)
    return list(dict.fromkeys([*map(int, candidates), *map(int, spaced)]))[:n]


def place_codes(cells: np.ndarray, size: int, logits: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Return a grid of codes over a map.

    The code of a place is the mean of the probabilities of the nearest pictures, weighted by the inverse
    of their squared distance, and thresholded. Places without a picture nearby have none.

    Returns
    -------
    n_side : int
        Places per side of the map.
    index : int16 array of shape (n_side, n_side)
        Rows of `bits`, or -1 for places without a code.
    bits : uint8 array of shape (n_places, latent_dim)
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(cells.astype(np.float64))
    for n_side in range(min(_PLACES_PER_SIDE, size), 0, -1):
        step = size / n_side
        centres = (np.arange(n_side) + 0.5) * step - 0.5
        points = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
        k = min(_N_NEAREST, len(cells))
        distances, nearest = (a.reshape(len(points), k) for a in tree.query(points, k=k))
        is_near = distances[:, 0] <= max(step, 1.0)
        if is_near.sum() <= _N_PLACES:
            break
    weights = 1.0 / (distances[is_near] ** 2 + 0.25)
    clipped = np.clip(logits.astype(np.float32), -30.0, 30.0)
    probabilities = 1.0 / (1.0 + np.exp(-clipped[nearest[is_near]]))
    mean = (probabilities * weights[..., None]).sum(axis=1) / weights.sum(axis=1)[:, None]
    index = np.full(len(points), -1, dtype=np.int16)
    index[is_near] = np.arange(is_near.sum())
    return n_side, index.reshape(n_side, n_side), (mean > 0.5).astype(np.uint8)


def decode(encoder: Any, bits: np.ndarray, progress: bool) -> np.ndarray:
    """Decode codes without noise, so that only the bits make a difference; uint8 (n, H, W, 3)."""
    from tqdm.auto import tqdm

    parts = []
    for start in tqdm(range(0, len(bits), _BLOCK), desc="decode", disable=not progress):
        block = bits[start : start + _BLOCK]
        samples = encoder.inverse_transform(block, noise="zero", n_steps=_N_STEPS)
        pictures = as_rgb(encoder.decoder_.data_format.to_pictures(samples))
        parts.append(np.rint(255.0 * pictures).astype(np.uint8))
    return np.concatenate(parts)


def _side(images: np.ndarray) -> int:
    longest = min(max(images.shape[1:3]), _LONGEST)
    return -(-longest // _MULTIPLE) * _MULTIPLE


def switched_bits(
    encoder: Any, codes: np.ndarray, exemplars: Sequence[int], progress: bool
) -> tuple[dict, list[bytes]]:
    """Decode exemplars with their bits switched one at a time; return the page's data and sheets.

    The pictures of an exemplar follow each other: of its own code, then of each bit switched. ``effect``
    is the mean absolute change of the pixels, in [0, 255].
    """
    n_bits = min(codes.shape[1], _N_SWITCHED - 1)
    switches = np.concatenate([np.zeros((1, codes.shape[1])), np.eye(codes.shape[1])[:n_bits]])
    bits = np.concatenate([codes[i] ^ switches.astype(np.uint8) for i in exemplars])
    images = decode(encoder, bits, progress)
    grouped = images.reshape(len(exemplars), n_bits + 1, *images.shape[1:]).astype(np.int16)
    effect = np.abs(grouped[:, 1:] - grouped[:, :1]).mean(axis=(2, 3, 4))
    info, sheets = pack_arrays(images, _side(images))
    data = {
        "exemplars": [int(i) for i in exemplars],
        "n_bits": n_bits,
        "effect": as_text(effect, "<f4"),
        "sprites": info,
    }
    return data, sheets


def decoded_places(
    encoder: Any, cells: np.ndarray, size: int, logits: np.ndarray, progress: bool
) -> tuple[dict, list[bytes]]:
    """Decode a grid of places on a map; return the page's data and sheets."""
    n_side, index, bits = place_codes(cells, size, logits)
    images = decode(encoder, bits, progress)
    info, sheets = pack_arrays(images, _side(images))
    data = {
        "n_side": n_side,
        "index": as_text(index, "<i2"),
        "codes": as_text(pack(bits), "u1"),
        "sprites": info,
    }
    return data, sheets
