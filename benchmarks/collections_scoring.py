"""Scores of pairs of duplicates and of search, and the rivals of the benchmark of collections."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.metrics import precision_recall_curve
from tqdm import tqdm

from benchmarks.collections_data import EDITS
from dmzrep.data import convert_picture

#: Distances of hashes up to which pictures are duplicates, of the package imagededup.
USUAL = {"pHash": 10, "dHash": 10}
TWO_COPIES = "two copies"


class Pairs(NamedTuple):
    """Different files of a collection, and the pairs of them that are duplicates.

    Files of equal bytes are one row. `paths`, `variants`, `kind_of` and `originals` have an entry for each
    row, `index` maps all paths to rows, and `kinds` maps pairs of rows, smaller one first, to kinds.
    """

    paths: list[str]
    variants: list[str]
    kind_of: list[str]
    originals: np.ndarray
    index: dict[str, int]
    kinds: dict[tuple[int, int], str]


def duplicate_pairs(truth: pd.DataFrame) -> Pairs:
    """Return the pairs of pictures that are duplicates, by the truth of a collection."""
    is_twin = truth["kind"] == "same_bytes"
    files = truth[~is_twin].reset_index(drop=True)
    index = {path: row for row, path in enumerate(files["path"])}
    originals = np.array(
        [index[original or path] for path, original in zip(files["path"], files["original"], strict=True)]
    )
    kinds: dict[tuple[int, int], str] = {}
    for rows in files.groupby(originals).indices.values():
        for a, b in itertools.combinations(sorted(rows.tolist()), 2):
            kinds[a, b] = files["kind"][b] if originals[b] == a else TWO_COPIES
    index |= {twin.path: index[twin.original] for twin in truth[is_twin].itertuples()}
    return Pairs(
        files["path"].tolist(), files["variant"].tolist(), files["kind"].tolist(), originals, index, kinds
    )


def score_pairs(found: Iterable[tuple[int, int]], pairs: Pairs) -> dict[str, Any]:
    """Return precision, recall and F1 score of pairs of rows, of all and by kind."""
    found = {(min(pair), max(pair)) for pair in found}
    right = found & pairs.kinds.keys()
    wrong = found - right
    row = _rates(len(right), len(wrong), len(pairs.kinds))
    row["wrong_of_one_variant"] = sum(pairs.variants[a] == pairs.variants[b] for a, b in wrong)
    row["kinds"] = {
        kind: _rates(
            sum(pairs.kinds[pair] == kind for pair in right),
            sum(kind in (pairs.kind_of[a], pairs.kind_of[b]) for a, b in wrong),
            sum(name == kind for name in pairs.kinds.values()),
        )
        for kind in EDITS
    }
    return row


def _rates(right: int, wrong: int, n: int) -> dict[str, Any]:
    precision, recall = right / max(right + wrong, 1), right / max(n, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-12)
    rates = {"precision": precision, "recall": recall, "f1": f1}
    return {name: round(rate, 4) for name, rate in rates.items()} | {"right": right, "wrong": wrong}


def best_threshold(distances: np.ndarray, pairs: Pairs) -> float:
    """Return the distance up to which pairs have the largest F1 score."""
    n = len(distances)
    is_pair = np.zeros((n, n), dtype=bool)
    is_pair[tuple(np.array(list(pairs.kinds)).T)] = True
    upper = np.triu_indices(n, 1)
    precision, recall, thresholds = precision_recall_curve(is_pair[upper], -distances[upper])
    f1 = 2.0 * precision * recall / (precision + recall).clip(min=1e-12)
    return -float(thresholds[f1[:-1].argmax()])


def pairs_below(distances: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """Return pairs of rows with at most this distance."""
    first, second = np.nonzero(np.triu(distances <= threshold, 1))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def score_search(distances: np.ndarray, pairs: Pairs) -> dict[str, Any]:
    """Return how often the nearest other picture to a copy is its original; n equal distances count 1 / n."""
    hits: dict[str, list[float]] = {kind: [] for kind in EDITS}
    for copy in np.flatnonzero(pairs.originals != np.arange(len(pairs.paths))):
        row, original = distances[copy].copy(), pairs.originals[copy]
        right = row[original]
        row[pairs.originals == original] = np.inf
        is_nearest = right <= row.min()
        hits[pairs.kind_of[copy]].append(is_nearest / (1 + np.sum(row == right)))
    return search_rates(hits)


def search_rates(hits: dict[str, list[float]]) -> dict[str, Any]:
    """Return the rates of hits, of all copies and by kind."""
    rates = {kind: round(float(np.mean(values)), 4) for kind, values in hits.items() if values}
    return {"rank_1": round(float(np.mean(list(itertools.chain(*hits.values())))), 4), "kinds": rates}


def load_on_white(path: Path) -> Image.Image:
    """Read a picture as RGB, on white."""
    with Image.open(path) as picture:
        picture.load()
        return convert_picture(picture, "RGB")


def hash_bits(kind: str) -> Callable[[Image.Image], np.ndarray]:
    """Return a function from a picture to the bits of imagehash."""
    import imagehash

    function = {"pHash": imagehash.phash, "dHash": imagehash.dhash}[kind]
    return lambda picture: function(picture).hash.ravel().astype(np.float32) * 2.0 - 1.0


def pixel_values(picture: Image.Image) -> np.ndarray:
    """Return 32 x 32 pixels less their mean, of unit length."""
    small = np.asarray(picture.resize((32, 32), Image.Resampling.BOX), dtype=np.float32).ravel()
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def rival_distances(root: Path, paths: list[str], name: str, mirrored: bool) -> np.ndarray:
    """Return distances of all pairs: differing bits of hashes, or 1 - cosine of pixels."""
    describe = pixel_values if name == "pixels" else hash_bits(name)
    turn = Image.Transpose.FLIP_LEFT_RIGHT
    pictures = (load_on_white(root / path) for path in tqdm(paths, desc=name, disable=None))
    both = np.array([(describe(picture), describe(picture.transpose(turn))) for picture in pictures])
    cosines = both[:, 0] @ both[:, 0].T
    if mirrored:
        other = both[:, 0] @ both[:, 1].T
        cosines = np.maximum(cosines, np.maximum(other, other.T))
    return 1.0 - cosines if name == "pixels" else (both.shape[2] - cosines.round()) / 2
