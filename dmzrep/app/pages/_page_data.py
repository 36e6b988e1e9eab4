"""What pages show about pictures: columns, colours, groups of duplicates, outliers and clusters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dmzrep._base._validation import short_repr
from dmzrep.app.pages._sprites import as_text
from dmzrep.codes._checks import pack

#: Groups of duplicates of a tier, and pictures of a group, that a report shows.
MAX_GROUPS, MAX_MEMBERS = 200, 12
#: Outliers of a kind, clusters, and pictures of a cluster that a report shows.
MAX_OUTLIERS, MAX_CLUSTERS, CLUSTER_MEMBERS = 24, 40, 14
_UNLABELLED = "unlabelled"


def picture_columns(files: pd.DataFrame, indices: Sequence[int] | None = None) -> dict:
    """Return the columns of files that pages show."""
    files = files if indices is None else files.iloc[list(indices)]
    return {
        "path": [str(path) for path in files["path"]],
        "width": [int(value) for value in files["width"]],
        "height": [int(value) for value in files["height"]],
        "bytes": [int(value) for value in files["bytes"]],
        "format": [str(value) for value in files["format"]],
    }


def packed_codes(codes: np.ndarray) -> str:
    """Return bits, eight per byte, as base64."""
    return as_text(pack(np.asarray(codes, dtype=np.uint8)), "u1")


def check_labels(labels: Any, files: pd.DataFrame) -> list[str] | None:
    """Return one label per picture as a string, or None."""
    if labels is None:
        if "label" not in files:
            return None
        labels = "label"
    if isinstance(labels, str):
        if labels not in files:
            raise ValueError(
                f"labels must be a column of collection.files_ or one label per picture, got {labels!r}. "
                f"The columns are {', '.join(map(str, files.columns))}."
            )
        labels = files[labels]
    found = len(labels) if hasattr(labels, "__len__") else short_repr(labels)
    if found != len(files):
        raise ValueError(
            f"labels must have one label for each of the {len(files)} pictures, got {found}. "
            "Pass them in the order of collection.files_."
        )
    return [_UNLABELLED if pd.isna(label) else str(label) for label in labels]


def colour_scales(
    labels: Sequence[str] | None, clusters: pd.DataFrame, information: np.ndarray
) -> list[dict]:
    """Return the ways to colour a map: by label, cluster and rarity."""
    scales = []
    if labels is not None:
        scales.append(_categories("label", labels))
    names = clusters["cluster"]
    scales.append(_categories("cluster", ["no cluster" if pd.isna(c) else f"cluster {c:g}" for c in names]))
    # Ranks spread evenly over the colours.
    rank = pd.Series(information).rank(pct=True).to_numpy()
    scales.append({"name": "rarity", "kind": "number", "values": as_text(rank * 255, "u1")})
    return scales


def _categories(name: str, values: Sequence[str]) -> dict:
    counts = pd.Series(values).value_counts()
    order = sorted(counts.index, key=lambda value: (value == _UNLABELLED, -counts[value], value))
    position = {value: i for i, value in enumerate(order)}
    return {
        "name": name,
        "kind": "category",
        "names": order,
        "counts": [int(counts[value]) for value in order],
        "index": as_text([position[value] for value in values], "<u2"),
    }


def duplicate_tiers(same: pd.DataFrame, similar: pd.DataFrame, row_of: dict[str, int]) -> list[dict]:
    """Return groups of duplicates by tier: same bytes, same picture, similar."""
    return [
        _tier(name, similar if name == "similar" else same, row_of)
        for name in ("same_bytes", "same_picture", "similar")
    ]


def _tier(name: str, rows: pd.DataFrame, row_of: dict[str, int]) -> dict:
    # A group belongs to the tier of its keeper, the weakest of its pictures.
    tier_of = rows[rows["keep"].astype(bool)].set_index("group")["tier"]
    in_tier = rows[rows["group"].map(tier_of) == name]
    groups = sorted((group for _, group in in_tier.groupby("group", sort=False)), key=len)
    surplus = [group.loc[~group["keep"].astype(bool), "bytes"].sum() for group in groups]
    return {
        "tier": name,
        "n_groups": len(groups),
        "n_pictures": sum(map(len, groups)),
        "bytes": int(sum(surplus)),
        "groups": [_group(group, row_of) for group in groups[:MAX_GROUPS]],
        "threshold": _number(rows.attrs.get("threshold")),
        "false_pairs": _number(rows.attrs.get("expected_false_pairs")),
    }


def _number(value: Any) -> float | None:
    """Return a number that JSON can hold."""
    return float(value) if value is not None and np.isfinite(value) else None


def _group(group: pd.DataFrame, row_of: dict[str, int]) -> dict:
    group = group.sort_values(["keep", "distance"], ascending=[False, True], kind="stable")
    shown = group[:MAX_MEMBERS]
    return {
        "rows": [row_of[path] for path in shown["path"]],
        "tiers": list(shown["tier"]),
        "distance": [float(distance) for distance in shown["distance"]],
        "mirrored": [bool(mirrored) for mirrored in shown["mirrored"]],
        "more": [str(path) for path in group["path"][MAX_MEMBERS:]],
    }


def outlier_kinds(outliers: pd.DataFrame, row_of: dict[str, int]) -> list[dict]:
    """Return the first outliers of each kind."""
    kinds = []
    for kind, rows in outliers.groupby("kind", sort=False):
        first = rows[:MAX_OUTLIERS]
        kinds.append(
            {
                "kind": str(kind),
                "n": len(rows),
                "rows": [row_of[path] for path in first["path"]],
                "score": [float(score) for score in first["score"]],
            }
        )
    return sorted(kinds, key=lambda kind: kind["kind"] != "rare")


def cluster_centres(clusters: pd.DataFrame, row_of: dict[str, int]) -> list[int]:
    """Return the rows of the centres, of the largest cluster first."""
    sizes = clusters["cluster"].value_counts()
    centres = clusters[clusters["is_centre"].astype(bool)]
    order = centres["cluster"].map(sizes).sort_values(ascending=False, kind="stable").index
    return [row_of[path] for path in centres.loc[order, "path"]]


def cluster_members(clusters: pd.DataFrame, row_of: dict[str, int], codes: np.ndarray) -> list[dict]:
    """Return the largest clusters, each with its centre and the pictures whose codes are nearest to it."""
    by_name = {name: [row_of[p] for p in rows["path"]] for name, rows in clusters.groupby("cluster")}
    found = []
    for centre in cluster_centres(clusters, row_of)[:MAX_CLUSTERS]:
        name = next(name for name, rows in by_name.items() if centre in rows)
        rows = np.array(by_name[name])
        distance = (codes[rows] != codes[centre]).sum(axis=1)
        distance[rows == centre] = -1
        nearest = rows[np.argsort(distance, kind="stable")][:CLUSTER_MEMBERS]
        found.append({"name": f"cluster {name}", "n": len(rows), "rows": [int(i) for i in nearest]})
    return found
