"""Self-contained HTML pages: the map of a collection and its report."""

import base64
import html
import json
import os
import re
from importlib import resources
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from dmzrep._base._random import draw_seed
from dmzrep._base._validation import check_bool, short_repr
from dmzrep.app._checks import check_collection
from dmzrep.app.pages._decoded import choose_exemplars, decoded_places, switched_bits, why_not_decodable
from dmzrep.app.pages._layout import snap_to_grid
from dmzrep.app.pages._page_data import (
    MAX_OUTLIERS,
    check_labels,
    cluster_centres,
    cluster_members,
    colour_scales,
    duplicate_tiers,
    outlier_kinds,
    packed_codes,
    picture_columns,
)
from dmzrep.app.pages._sprites import as_text, pack_thumbnails
from dmzrep.files._atomic import replace_file

_N_NEIGHBORS = 12


def write_map(
    collection: Any,
    path: str | os.PathLike,
    *,
    labels: Any = None,
    random_state: int | np.random.RandomState | None = None,
    progress: bool = False,
) -> None:
    """Write the map of a collection as one HTML file that needs no network.

    The page shows thumbnails, larger when zoomed in, and can be zoomed and panned. Each picture has a cell of
    its own; where several share a tile of the overview, one stands for the others. The page names each
    picture's full path and shows its code, its nearest neighbours, labels, clusters and rarity. If the
    decoder is trained, it also shows the decoded picture of any place on the map (the code is the weighted
    mean of the nearest pictures' probabilities, thresholded) and of six pictures with any one
    of their bits switched; at most 920 codes are decoded, in 5 steps each.

    The size per 1,000 photographs is about 3 MB for up to 5,000 of them, 2 MB for up to 12,000 and 1.3 MB
    for more, whose thumbnails are smaller; decoded pictures take up to 3 MB in all.

    Parameters
    ----------
    collection : ImageCollection
        Fitted.
    path : str or path-like
        The file to write, such as ``"map.html"``; an existing one is replaced. It contains full paths and
        thumbnails.
    labels : str or array-like of n labels, optional
        Labels to colour by: a column of ``collection.files_``, or one label per picture in their order.
        None takes the column ``"label"`` if there is one.
    random_state : int, RandomState or None, default=None
        Determines positions and clusters. Pass an int for a reproducible page.
    progress : bool, default=False
        Show progress bars.

    See Also
    --------
    write_report : Sections on duplicates, outliers and clusters.

    Examples
    --------
    >>> from dmzrep.app import write_map
    >>> write_map(collection, "map.html")  # doctest: +SKIP
    """
    seed = draw_seed(random_state)
    check_collection(collection)
    progress = check_bool(progress, "progress")
    bar = tqdm(total=5, desc="map", disable=not progress)
    files, codes = collection.files_, np.asarray(collection.codes_)
    labels = check_labels(labels, files)
    paths = list(files["path"])
    row_of = {name: i for i, name in enumerate(paths)}
    positions = collection.map_(random_state=seed)[["x", "y"]]
    cells, size = snap_to_grid(positions.to_numpy())
    _begin(bar, "neighbours and clusters")
    neighbors = collection.neighbors(k=_N_NEIGHBORS)
    clusters = collection.clusters(random_state=seed)
    colours = colour_scales(labels, clusters, collection.information())
    _begin(bar, "thumbnails")
    thumbs, sheets = pack_thumbnails(collection.thumbnails_)
    page = {
        **_header(collection),
        "files": picture_columns(files),
        "codes": packed_codes(codes),
        "cells": as_text(cells, "<u2"),
        "size": size,
        "neighbors": as_text(neighbors, "<u4"),
        "n_neighbors": int(np.shape(neighbors)[1]),
        "colours": colours,
        "thumbs": thumbs,
    }
    groups = {f"thumbs-{i}": level for i, level in enumerate(sheets)}
    _begin(bar, "decoded pictures")
    page["no_decoder"] = why_not_decodable(collection.encoder)
    if not page["no_decoder"]:
        logits = np.asarray(collection.logits_)
        args = (cells, size, logits, progress)
        page["places"], groups["places"] = decoded_places(collection.encoder, *args)
        exemplars = choose_exemplars(codes.shape[1], cluster_centres(clusters, row_of), len(paths))
        page["bits"], groups["bits"] = switched_bits(collection.encoder, codes, exemplars, progress)
    _begin(bar, "write")
    _write(path, "map", page, groups)
    bar.update()
    bar.close()


def write_report(
    collection: Any,
    path: str | os.PathLike,
    *,
    mirrored: bool = True,
    map_page: str | None = None,
    random_state: int | np.random.RandomState | None = None,
    progress: bool = False,
) -> None:
    """Write a report on a collection as one HTML file that needs no network.

    Duplicates are shown in groups, by tier (same bytes, same picture, similar), next to the picture
    suggested for keeping, with a difference image; then outliers by kind, clusters, bits switched on
    and off (if the decoder is trained), and files that could not be read. The page shows up to 200 groups
    of each tier, 24 outliers of each kind and 40 clusters, and says how many there are; the DataFrames of
    the collection hold all of them.

    Each picture shown takes about 4 kB, so the file has a few MB as a rule, and at most 35 MB.

    Parameters
    ----------
    collection : ImageCollection
        Fitted.
    path : str or path-like
        The file to write, such as ``"report.html"``; an existing one is replaced. It contains full paths
        and thumbnails.
    mirrored : bool, default=True
        Whether mirrored copies count as duplicates.
    map_page : str or None, default=None
        Address of the page of `write_map`, relative to the report, for a link.
    random_state : int, RandomState or None, default=None
        Determines clusters. Pass an int for a reproducible page.
    progress : bool, default=False
        Show progress bars.

    See Also
    --------
    write_map : A map of all pictures.

    Examples
    --------
    >>> from dmzrep.app import write_report
    >>> write_report(collection, "report.html")  # doctest: +SKIP
    """
    seed = draw_seed(random_state)
    mirrored = check_bool(mirrored, "mirrored")
    check_collection(collection)
    if not isinstance(map_page, (str, type(None))):
        raise TypeError(f"map_page must be an address, a str, or None, got {short_repr(map_page)}.")
    progress = check_bool(progress, "progress")
    bar = tqdm(total=4, desc="duplicates", disable=not progress)
    files, codes = collection.files_, np.asarray(collection.codes_)
    row_of = {name: i for i, name in enumerate(files["path"])}
    same, similar = (collection.duplicates(tier=tier, mirrored=mirrored) for tier in ("same", "similar"))
    tiers = duplicate_tiers(same, similar, row_of)
    _begin(bar, "outliers and clusters")
    outliers = outlier_kinds(collection.outliers(n=MAX_OUTLIERS), row_of)
    clusters = collection.clusters(random_state=seed)
    members = cluster_members(clusters, row_of, codes)
    _begin(bar, "decoded pictures")
    page: dict = {"no_decoder": why_not_decodable(collection.encoder)}
    groups: dict[str, list[bytes]] = {}
    if not page["no_decoder"]:
        exemplars = choose_exemplars(codes.shape[1], cluster_centres(clusters, row_of), len(files))
        page["bits"], groups["bits"] = switched_bits(collection.encoder, codes, exemplars, progress)
    _begin(bar, "write")
    shown = [row for tier in tiers for group in tier["groups"] for row in group["rows"]]
    shown += [row for part in (*outliers, *members) for row in part["rows"]]
    shown = sorted({*shown, *(page["bits"]["exemplars"] if "bits" in page else ())})
    unreadable = collection.unreadable_
    page |= {
        **_header(collection),
        "map": map_page,
        "rows": shown,
        "files": picture_columns(files, shown),
        "codes": packed_codes(codes[shown]),
        "thumbs": [base64.b64encode(collection.thumbnails_[i]).decode() for i in shown],
        "total_bytes": int(files["bytes"].sum()),
        "formats": {str(k): int(v) for k, v in files["format"].value_counts().items()},
        "tiers": tiers,
        "outliers": outliers,
        "clusters": members,
        "n_clusters": int(clusters["cluster"].nunique()),
        "unreadable": [
            [str(p), str(r)] for p, r in zip(unreadable["path"], unreadable["reason"], strict=True)
        ],
    }
    _write(path, "report", page, groups)
    bar.update()
    bar.close()


def _header(collection: Any) -> dict:
    return {
        "n": len(collection.files_),
        "latent_dim": int(np.shape(collection.codes_)[1]),
        "metric": str(collection.metric_),
    }


def _begin(bar: tqdm, name: str) -> None:
    """Finish a stage of a progress bar, and name the next."""
    bar.update()
    bar.set_description(name)


def as_json(value: Any) -> str:
    """Return JSON that may stand in a script element: in ASCII, and without characters of markup."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _write(path: str | os.PathLike, name: str, page: dict, sheets: dict[str, list[bytes]]) -> None:
    """Fill a template with styles, scripts, data and sheets, and write it."""
    folder = resources.files("dmzrep.app.pages") / "static"

    def fill(match: re.Match) -> str:
        kind, argument = match[1], match[2]
        if kind == "title":
            return html.escape(f"{page['n']:,} pictures")
        if kind == "file":
            return (folder / argument).read_text(encoding="utf-8")
        if kind == "data":
            return as_json(page)
        # Sheets are text elements, which a browser does not decode before the script asks for them.
        return "\n".join(
            f'<script type="text/plain" id="{group}-{i}">{base64.b64encode(data).decode()}</script>'
            for group, files in sheets.items()
            if group.startswith(argument)
            for i, data in enumerate(files)
        )

    template = (folder / f"{name}.html").read_text(encoding="utf-8")
    # One pass, so that data are never taken for placeholders.
    text = re.sub(r"\{\{(\w+)(?: ([\w.-]+))?\}\}", fill, template)
    replace_file(path, text.encode("utf-8"))
