"""Section of the results page on folders of pictures."""

from __future__ import annotations

from typing import Any

from benchmarks.collections_data import EDITS
from benchmarks.results import read
from benchmarks.tables import made, table

#: How thresholds were chosen.
_THRESHOLDS = {"default": "default", "hindsight": "best F1 in hindsight"}


def collections_section() -> str:
    """Return the section on duplicates, search and pages of folders."""
    rows = last_rows(read("collections"))
    mixed = [row for row in rows if row["part"] == "duplicates"]
    one = next(row for row in mixed if row["name"] == "ImageCollection")
    parts = [
        "## Folders of pictures\n\n"
        f"A folder of {one['pictures']:,} photographs (CIFAR-10), emoji and cartoon faces of mixed sizes and "
        f"formats, with {one['copies']} edited copies of each kind: compressed (JPEG at quality 20 to 80), "
        "resized (0.5 to 2), cropped (5 to 15 %), rotated (2 to 8 degrees), brighter or darker, mirrored. "
        f"The encoder was trained on the folder itself for {one['minutes']:g} minutes. Pairs of an image "
        "and its copy, and of two copies of one image, count as correct; images of the datasets that are "
        "inherently similar, such as emoji in several skin tones, count as wrong. Precision, recall and F1 "
        "of pairs, then the recall by kind. `ImageCollection.duplicates(mirrored=True)` expected "
        f"{one['expected_false_pairs']:g} false pairs; "
        f"{one['wrong']} were wrong.\n",
        _duplicates(mixed),
        "\nSearch for the original from a copy: how often it ranks first.\n",
        _search([row for row in rows if row["part"] == "search"]),
    ]
    large = [row for row in rows if row["part"] in ("report", "update")]
    if large:
        lines = [
            [
                row.get("verb", "update with 100 new files"),
                row["seconds"],
                row.get("peak_mib", ""),
                row.get("mib", ""),
            ]
            for row in large
        ]
        parts += [
            f"\n{large[0]['pictures']:,} pictures, with a trained model:\n",
            table(["command", "seconds", "peak memory, MiB", "file, MiB"], lines),
        ]
    for row in rows:
        if row["part"] == "odd":
            counts = f"{row['read']} were read and {row['listed']} listed with the reason"
            parts.append(f"\nOf {row['files']} unusual or damaged files, {counts}.")
    parts.append(f"\n{made(rows, 'collections')}\n")
    return "\n".join(parts)


def last_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last row of each part, contender, threshold and command."""
    keys = ("part", "name", "mirrored", "threshold", "verb")
    return list({tuple(row.get(key) for key in keys): row for row in rows}.values())


def _label(row: dict[str, Any]) -> str:
    return row["name"] if row["mirrored"] else f"{row['name']}, without mirroring"


def _duplicates(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        scores = [f"{row[key]:.3f}" for key in ("precision", "recall", "f1")]
        kinds = [f"{row['kinds'][kind]['recall']:.2f}" for kind in EDITS]
        lines.append([_label(row), _THRESHOLDS[row["threshold"]], *scores, *kinds])
    return table(["method", "threshold", "precision", "recall", "F1", *EDITS], lines)


def _search(rows: list[dict[str, Any]]) -> str:
    lines = [
        [_label(row), f"{row['rank_1']:.3f}", *(f"{row['kinds'][kind]:.2f}" for kind in EDITS)]
        for row in rows
    ]
    return table(["method", "ranks first", *EDITS], lines)
