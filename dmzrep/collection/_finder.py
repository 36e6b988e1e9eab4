"""Search for duplicates in a collection."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from functools import cached_property, partial
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
    power_law,
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
        self.sides = np.zeros(len(store.files), dtype=np.int64)

    def find(self, tier: str, max_false_pairs: float | None) -> pd.DataFrame:
        """Return the groups of a tier, as `ImageCollection.duplicates` does."""
        near, matched, expected = self.compared
        threshold, n_false = choose_threshold(matched.distance, expected, self.calibration, max_false_pairs)
        found = matched.distance <= threshold
        groups = star_groups(matched.take(found), self.rank)
        if tier == "same":
            table = group_table(self.files, with_copies(groups, self._same_bytes()), "same_picture")
            possible = (matched.distance <= self.calibration.largest).sum() - found.sum()
            table.attrs |= {"expected_false_pairs": round(n_false, 2), "undecided_pairs": int(possible)}
        else:
            # Of pictures that are the same, only the first of their group counts.
            others = [i for group in groups for i, *_ in group[1:]]
            apart = ~(np.isin(near.first, others) | np.isin(near.second, others))
            table = group_table(self.files, star_groups(near.take(apart), self.rank), "similar")
            threshold = self.calibration.radius
        table.attrs["threshold"] = round(threshold, 3)
        return table

    def across(self, sides: np.ndarray) -> DuplicateFinder:
        """Return a finder of pairs of which one picture has side 1 and the other -1."""
        finder = copy.copy(self)
        finder.sides, finder.__dict__["calibration"] = sides, self.calibration
        finder.__dict__.pop("compared", None)
        return finder

    @cached_property
    def rank(self) -> np.ndarray:
        """Rank of each picture as the one to keep: by its number of pixels, then of bytes, then its path."""
        keys = self.files["width"] * self.files["height"], self.files["bytes"]
        order = np.lexsort((np.arange(len(self.files)), *(-key.to_numpy() for key in keys[::-1])))
        return np.argsort(order)

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
        squares = [np.asarray(edited.resize((SIDE, SIDE), pillow.Resampling.LANCZOS)) for edited in copies]
        both, n = np.concatenate([self.squares[chosen], squares]), len(chosen)
        match = match_pairs(both, np.arange(n), np.arange(n, 2 * n), self.mirrored)
        return Calibration(distances, match.difference)

    @cached_property
    def compared(self) -> tuple[Pairs, Pairs, Callable[[float], float]]:
        """Pairs within the radius by the distance of codes and by pixels, and the expected false pairs."""
        # Of files with the same bytes, the first is compared.
        repeated = pd.DataFrame({"hash": self.files["hash"], "side": self.sides}).duplicated().to_numpy()
        chosen = np.flatnonzero(~repeated & self.informative & ((self.sides != 0) | ~self.sides.any()))
        if len(chosen) < 2:
            empty = Pairs(*(np.empty(0, dtype=kind) for kind in (np.int64, np.int64, np.float64, bool)))
            return empty, empty, partial(power_law, 0.0)
        index = FaissNeighbors(metric=self.metric).fit(self.vectors[chosen], ids=chosen)
        distances, neighbors = index.kneighbors(None, min(CANDIDATES, len(chosen) - 1))
        pairs = neighbor_pairs(neighbors, distances, chosen, self.calibration.radius)
        if self.sides.any():
            opposite = self.sides[pairs.first] * self.sides[pairs.second] == -1
            digest = self.files["hash"].to_numpy()
            pairs = pairs.take(opposite & (digest[pairs.first] != digest[pairs.second]))
        near = pairs.distance <= self.calibration.radius
        far = np.flatnonzero(~near)
        sampled = np.random.default_rng(0).permutation(far)[:COMPARED]
        candidates = pairs.take(near)
        matched = verified(candidates, self.squares, self.mirrored)
        different = verified(pairs.take(sampled), self.squares, self.mirrored).distance
        weights = np.repeat([1.0, len(far) / max(1, len(sampled))], [len(matched.distance), len(different)])
        differences = np.concatenate([matched.distance, different])
        expected = expected_false_pairs(differences, weights, self.calibration)
        return candidates, matched, expected

    def _same_bytes(self) -> dict[int, list[int]]:
        """Return the other files with the same bytes, by the index of the first."""
        copies = {}
        for indices in self.files.groupby("hash", sort=False).indices.values():
            sides = self.sides[indices]
            if len(indices) > 1 and (not self.sides.any() or {-1, 1} <= set(sides.tolist())):
                first, *others = indices[sides != 0] if self.sides.any() else indices
                copies[int(first)] = [int(i) for i in others]
        return copies

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
    prefixes = [os.path.join(os.path.abspath(as_path(path, "across").expanduser()), "") for path in across]
    if prefixes[0].startswith(prefixes[1]) or prefixes[1].startswith(prefixes[0]):
        raise ValueError(f"across must be two folders, neither inside the other, got {prefixes}.")
    for side, prefix in zip((1, -1), prefixes, strict=True):
        inside = np.array([path.startswith(prefix) for path in paths], dtype=bool)
        if not inside.any():
            raise ValueError(
                f"across must be two folders with pictures of the collection, but {prefix} has none."
            )
        sides[inside] = side
    return sides
