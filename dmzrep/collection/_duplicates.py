"""Groups of duplicate pictures, with a threshold from the data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from dmzrep.collection._matching import match_pairs

#: The two kinds of groups: the same picture (or file), and pictures with similar codes.
TIERS = ("same", "similar")
#: Nearest pictures that are compared with each picture: within the radius of copies, and in any case. Of the
#: latter, which show how different pictures compare, at most so many pairs are compared.
CANDIDATES, NEAREST, COMPARED = 20, 5, 4000
#: Fraction of the edited copies below the largest threshold.
RECALLED = 0.97
#: The radius of candidates is this quantile of the distances of edited copies, times a factor.
WITHIN_RADIUS, MARGIN = 0.99, 1.25
#: Largest fraction of pairs expected to be false, unless a number is asked for.
FALSE_FRACTION = 0.05
#: Differences, as multiples of the largest threshold, from which the number of false pairs is estimated; the
#: power by which this number grows with the difference (3 to 5 on mixed folders of photographs and drawings).
_TAIL, _POWER = (1.6, 2.4), 3.5


@dataclass(frozen=True)
class Calibration:
    """Distances of codes, and differences of pixels, between pictures and their edited copies."""

    distances: np.ndarray
    differences: np.ndarray

    @property
    def radius(self) -> float:
        """Largest distance of codes at which pictures are compared."""
        return MARGIN * float(np.quantile(self.distances, WITHIN_RADIUS))

    @property
    def largest(self) -> float:
        """Largest threshold of differences."""
        finite = self.differences[np.isfinite(self.differences)]
        return float(np.quantile(finite, RECALLED)) if len(finite) else 1.0


class Pairs(NamedTuple):
    """Pairs of pictures by index, with a distance, and whether one is mirrored."""

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray
    mirrored: np.ndarray

    def take(self, chosen: np.ndarray) -> Pairs:
        return Pairs(*(array[chosen] for array in self))


#: Pictures by index, with the distance to the first of them, the one to keep, and whether they are mirrored.
Group = list[tuple[int, float, bool]]


def neighbor_pairs(neighbors: np.ndarray, distances: np.ndarray, of: np.ndarray, radius: float) -> Pairs:
    """Return each pair of near neighbours once: those within a radius, and the very nearest.

    `neighbors` has one row for each of the pictures `of`, nearest first.
    """
    wanted = (distances <= radius) | (np.arange(neighbors.shape[1]) < NEAREST)
    first = np.broadcast_to(of[:, None], neighbors.shape)[wanted]
    second, distance = neighbors[wanted], distances[wanted]
    ordered = np.sort(np.column_stack([first, second]), axis=1)
    pairs, kept = np.unique(ordered, axis=0, return_index=True)
    return Pairs(pairs[:, 0], pairs[:, 1], distance[kept], np.zeros(len(pairs), dtype=bool))


def verified(pairs: Pairs, squares: np.ndarray, mirrored: bool) -> Pairs:
    """Return the pairs with the differences of their pixels as distances."""
    match = match_pairs(squares, pairs.first, pairs.second, mirrored)
    return Pairs(pairs.first, pairs.second, match.difference, match.mirrored)


def expected_false_pairs(
    differences: np.ndarray, weights: np.ndarray, calibration: Calibration
) -> Callable[[float], float]:
    """Return an estimate of the number of pairs of different pictures below a threshold.

    It is extrapolated, by a power law, from the (weighted) number of pairs well beyond the largest threshold,
    where copies are rare.
    """
    low, high = (calibration.largest * factor for factor in _TAIL)
    n_copies = weights[differences <= calibration.largest].sum() / RECALLED
    share = np.mean((calibration.differences > low) & (calibration.differences <= high))
    observed = weights[(differences > low) & (differences <= high)].sum()
    # One more pair, so that few pictures give an upper rather than a lower estimate.
    n_different = max(0.0, observed - share * n_copies) + 1.0
    scale = n_different / (high**_POWER - low**_POWER)
    return partial(power_law, scale)


def power_law(scale: float, threshold: float) -> float:
    """Return the expected number of false pairs below a threshold."""
    return float(scale * threshold**_POWER)


def choose_threshold(
    differences: np.ndarray,
    expected: Callable[[float], float],
    calibration: Calibration,
    max_false_pairs: float | None,
) -> tuple[float, float]:
    """Return the largest admissible threshold, and the expected number of false pairs below it."""
    largest = calibration.largest
    ordered = np.sort(differences[differences <= largest])
    for found in range(len(ordered), 0, -1):
        threshold = largest if found == len(ordered) else float(ordered[found - 1])
        allowed = max(1.0, FALSE_FRACTION * found) if max_false_pairs is None else max_false_pairs
        if expected(threshold) <= allowed:
            return threshold, expected(threshold)
    return 0.0, 0.0


def star_groups(pairs: Pairs, rank: np.ndarray) -> list[Group]:
    """Return groups of pictures that are all paired with the first of their group.

    The pictures with the smallest rank come first, each with all its pairs that are not in a group yet.
    There are no chains, and each picture is in one group at most.
    """
    linked: dict[int, dict[int, tuple[float, bool]]] = defaultdict(dict)
    for a, b, distance, mirrored in zip(*(array.tolist() for array in pairs), strict=True):
        linked[a][b] = linked[b][a] = distance, mirrored
    groups, taken = [], set[int]()
    for centre in sorted(linked, key=lambda i: rank[i]):
        members = [(i, d, flag) for i, (d, flag) in sorted(linked[centre].items()) if i not in taken]
        if centre not in taken and members:
            groups.append([(centre, 0.0, False), *members])
            taken.update(i for i, *_ in groups[-1])
    return groups


def with_copies(groups: list[Group], copies: dict[int, list[int]]) -> list[Group]:
    """Add to each group the files with the same bytes, and groups of such files that are in none.

    A file that is in a group of its own stays there, so that each is in one group.
    """
    same = [[i, *others] for i, others in copies.items()]
    same_as = {i: files for files in same for i in files}
    grouped = {i for group in groups for i, *_ in group}
    complete = []
    for group in groups:
        complete.append(list[tuple[int, float, bool]]())
        for i, distance, flag in group:
            alone = [j for j in same_as.get(i, []) if j not in grouped]
            grouped.update(alone)
            complete[-1] += [(j, distance, flag) for j in [i, *alone]]
    return complete + [[(i, 0.0, False) for i in files] for files in same if not grouped.intersection(files)]


def group_table(files: pd.DataFrame, groups: list[Group], tier: str) -> pd.DataFrame:
    """Return one row per picture of a group, small groups first, the first of a group as the one to keep."""
    path, digest = files["path"].to_numpy(), files["hash"].to_numpy()
    rows = []
    for number, group in enumerate(sorted(groups, key=lambda group: (len(group), path[group[0][0]]))):
        keeper, seen = group[0][0], set()
        for i, distance, mirrored in group:
            kind = "same_bytes" if digest[i] in seen else tier
            rows.append((number, i, kind, distance, mirrored, i == keeper))
            seen.add(digest[i])
    columns = ["group", "index", "tier", "distance", "mirrored", "keep"]
    kinds = {"group": np.int64, "index": np.int64, "distance": np.float64, "mirrored": bool, "keep": bool}
    table = pd.DataFrame(rows, columns=columns).astype(kinds)
    # The tier of a keeper is the weakest of its group.
    weakest = table[~table["keep"]].groupby("group")["tier"].max()
    table.loc[table["keep"], "tier"] = table.loc[table["keep"], "group"].map(weakest)
    details = files.iloc[table.pop("index").to_numpy()].reset_index(drop=True)
    table.insert(1, "path", details["path"])
    return table.assign(**{name: details[name] for name in ("width", "height", "bytes")})
