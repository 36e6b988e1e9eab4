"""Search for duplicates in a collection."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from dmzrep._base._validation import as_path, short_repr
from dmzrep.collection._copies import edited_copies
from dmzrep.collection._duplicates import (
    CANDIDATES,
    COMPARED,
    Calibration,
    Pairs,
    choose_threshold,
    expected_false_pairs,
    group_table,
    neighbor_pairs,
    star_groups,
    verified,
    with_copies,
)
from dmzrep.collection._files import decode_thumbnail
from dmzrep.collection._matching import SIDE, match_pairs
from dmzrep.collection._store import Store
from dmzrep.data import is_paths
from dmzrep.datasets._pictures import load_pillow
from dmzrep.retrieval import FaissNeighbors

#: Pictures whose edited copies calibrate the threshold.
CALIBRATION_PICTURES = 300


class DuplicateFinder:
    """Finds duplicates in a store; what was computed is kept for further calls.

    `squares` are the pictures stretched to squares, `informative` those that are not flat, `vectors` what the
    index searches, and `encode` returns the vectors of Pillow images.
    """

    def __init__(
        self,
        store: Store,
        squares: np.ndarray,
        informative: np.ndarray,
        vectors: np.ndarray,
        metric: str,
        mirrored: bool,
        encode: Callable[[list[Any]], np.ndarray],
    ):
        self.files, self.thumbnails = store.files, store.thumbnails
        self.squares, self.informative, self.vectors = squares, informative, vectors
        self.metric, self.mirrored, self.encode = metric, mirrored, encode

    def find(self, tier: str, sides: np.ndarray | None, max_false_pairs: float | None) -> pd.DataFrame:
        """Return the groups of a tier, as `ImageCollection.duplicates` does.

        `sides` is 1 and -1 for pictures of which pairs are wanted, or None for all pairs.
        """
        near, matched, expected = self.compared
        if sides is not None:
            opposite = sides[near.first] * sides[near.second] == -1
            near, matched = near.take(opposite), matched.take(opposite)
        threshold, n_false = choose_threshold(matched.distance, expected, self.calibration, max_false_pairs)
        pixels = (self.files["width"] * self.files["height"]).to_numpy()
        groups = star_groups(matched.take(matched.distance <= threshold), pixels)
        if tier == "same":
            groups = with_copies(groups, self._same_bytes(sides))
            table = group_table(self.files, groups, self._differences, "same_picture")
        else:
            # Of pictures that are the same, only the first of their group counts.
            others = [i for group in groups for i in group[1:]]
            apart = ~(np.isin(near.first, others) | np.isin(near.second, others))
            groups = star_groups(near.take(apart), pixels)
            table = group_table(self.files, groups, self._code_distances, "similar")
            threshold = self.calibration.radius
        table.attrs["threshold"] = round(threshold, 3)
        if tier == "same":
            table.attrs["expected_false_pairs"] = round(n_false, 2)
        return table

    @cached_property
    def calibration(self) -> Calibration:
        """Distances between pictures and edited copies of them."""
        chosen = np.flatnonzero(self.informative)
        chosen = np.random.default_rng(0).permutation(chosen)[:CALIBRATION_PICTURES]
        if not len(chosen):
            return Calibration(np.zeros(1), np.zeros(1))
        pillow = load_pillow()
        originals = [pillow.fromarray(decode_thumbnail(self.thumbnails[i])) for i in chosen]
        copies = edited_copies(originals, self.mirrored, random_state=0)
        distances = self._paired(self.encode(copies), self.vectors[chosen])
        squares = [np.asarray(copy.resize((SIDE, SIDE), pillow.Resampling.LANCZOS)) for copy in copies]
        both, n = np.concatenate([self.squares[chosen], squares]), len(chosen)
        match = match_pairs(both, np.arange(n), np.arange(n, 2 * n), self.mirrored)
        return Calibration(distances, match.difference)

    @cached_property
    def compared(self) -> tuple[Pairs, Pairs, Callable[[float], float]]:
        """Pairs within the radius by the distance of codes and by pixels, and the expected false pairs."""
        # Of files with the same bytes, the first is compared.
        chosen = np.flatnonzero(~self.files["hash"].duplicated().to_numpy() & self.informative)
        if len(chosen) < 2:
            empty = Pairs(*(np.empty(0, dtype=kind) for kind in (np.int64, np.int64, np.float64, bool)))
            return empty, empty, lambda threshold: 0.0
        index = FaissNeighbors(metric=self.metric).fit(self.vectors[chosen], ids=chosen)
        distances, neighbors = index.kneighbors(None, min(CANDIDATES, len(chosen) - 1))
        pairs = neighbor_pairs(neighbors, distances, chosen, self.calibration.radius)
        near = pairs.distance <= self.calibration.radius
        far = np.flatnonzero(~near)
        sampled = np.random.default_rng(0).permutation(far)[:COMPARED]
        matched = verified(pairs.take(np.flatnonzero(near)), self.squares, self.mirrored)
        different = verified(pairs.take(sampled), self.squares, self.mirrored).distance
        weights = np.repeat([1.0, len(far) / max(1, len(sampled))], [len(matched.distance), len(different)])
        differences = np.concatenate([matched.distance, different])
        expected = expected_false_pairs(differences, weights, self.calibration)
        return pairs.take(np.flatnonzero(near)), matched, expected

    def _same_bytes(self, sides: np.ndarray | None) -> dict[int, list[int]]:
        """Return the other files with the same bytes, by the index of the first."""
        copies = {}
        for indices in self.files.groupby("hash", sort=False).indices.values():
            if len(indices) > 1 and (sides is None or {-1, 1} <= set(sides[indices].tolist())):
                copies[int(indices[0])] = [int(i) for i in indices[1:]]
        return copies

    def _differences(self, keeper: int, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        match = match_pairs(self.squares, np.full(len(others), keeper), others, self.mirrored)
        same = (self.files["hash"].iloc[others] == self.files["hash"].iloc[keeper]).to_numpy()
        return np.where(same, 0.0, match.difference), match.mirrored & ~same

    def _code_distances(self, keeper: int, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        repeated = np.broadcast_to(self.vectors[keeper], (len(others), self.vectors.shape[1]))
        return self._paired(repeated, self.vectors[others]), np.zeros(len(others), dtype=bool)

    def _paired(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the distance of each pair of vectors."""
        if self.metric == "hamming":
            return (a != b).sum(axis=1).astype(np.float64)
        return 1.0 - np.einsum("ij,ij->i", a.astype(np.float64), b.astype(np.float64))


def folder_sides(paths: pd.Series, across: Any) -> np.ndarray:
    """Return 1 and -1 for the pictures of two folders, 0 for others."""
    if not (isinstance(across, Sequence) and len(across) == 2 and is_paths(list(across))):
        raise ValueError(f"across must be two folders, got {short_repr(across)}.")
    sides = np.zeros(len(paths), dtype=np.int64)
    for side, folder in zip((1, -1), across, strict=True):
        prefix = os.path.join(os.path.abspath(as_path(folder, "across").expanduser()), "")
        inside = np.array([path.startswith(prefix) for path in paths], dtype=bool)
        if not inside.any():
            raise ValueError(
                f"across must be two folders with pictures of the collection, but {prefix} has none."
            )
        sides[inside] = side
    return sides
