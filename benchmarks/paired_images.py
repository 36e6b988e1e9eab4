"""Pairs of images of two domains: emoji in two drawing styles, and edge maps with their faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class PairedImages:
    """Images of two domains.

    Parameters
    ----------
    source_images, target_images : ndarray of shape (n, side, side) or (n, side, side, 3), uint8
        Train images of each domain, which encoders see without partners; no test image is among them.
    source, target : ndarray of n_pairs images
        Train pairs.
    groups : ndarray of shape (n_pairs,)
        Train pairs with the same number are variants of one picture.
    test_source, test_target : ndarray of n_test images
        Test pairs.
    test_names : list of n_test str
        Names of the test pairs.
    """

    source_images: np.ndarray
    target_images: np.ndarray
    source: np.ndarray
    target: np.ndarray
    groups: np.ndarray
    test_source: np.ndarray
    test_target: np.ndarray
    test_names: list[str]


def averaged(images: np.ndarray, side: int) -> np.ndarray:
    """Average blocks of pixels until images have `side` pixels per side."""
    n, whole = images.shape[:2]
    if side < 1 or whole % side:
        raise ValueError(f"side must divide {whole}, got {side}.")
    block = whole // side
    out = np.empty((n, side, side, *images.shape[3:]), np.uint8)
    for begin in range(0, n, 1000):
        part = images[begin : begin + 1000]
        blocks = part.reshape(len(part), side, block, side, block, *images.shape[3:])
        out[begin : begin + 1000] = np.rint(blocks.mean(axis=(2, 4), dtype=np.float32))
    return out


def load_emoji(folder: str | Path, side: int = 32) -> PairedImages:
    """Read `emoji64.npz`: 3,190 + 596 emoji, by Twitter (source) and by Google (target)."""
    with np.load(Path(folder) / "emoji64.npz") as data:
        source, target = (averaged(data[name], side) for name in ("x_twitter", "x_google"))
        train, groups, names = data["train"], data["group_id"], data["name"]
    return PairedImages(
        source[train],
        target[train],
        source[train],
        target[train],
        groups[train],
        source[~train],
        target[~train],
        [str(name) for name in names[~train]],
    )


def load_edges(folder: str | Path, side: int = 32) -> PairedImages:
    """Read `avatar_edges64.npz` and `avatars64.npz`: edge maps (source) of 6,500 + 1,500 faces (target).

    The target's encoder may see all 20,000 train faces.
    """
    with np.load(Path(folder) / "avatar_edges64.npz") as edges:
        parts = {name: edges[name] for name in edges.files}
    with np.load(Path(folder) / "avatars64.npz") as faces:
        train = averaged(faces["x_train"], side)
        test = averaged(faces["x_test"][parts["idx_test"]], side)
    source = averaged(parts["edges_train"], side)
    return PairedImages(
        source,
        train,
        source,
        train[parts["idx_train"]],
        np.arange(len(source)),
        averaged(parts["edges_test"], side),
        test,
        [str(row) for row in parts["idx_test"]],
    )


PAIRS: dict[str, Callable[..., PairedImages]] = {"emoji": load_emoji, "edges": load_edges}
