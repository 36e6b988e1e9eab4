"""Sections of the results page on what codes are used for: search, probes, edits."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.results import read
from benchmarks.tables import groups_of, machine, spread, table


def retrieval_speed_section() -> str:
    """Search among a million codes."""
    rows = read("retrieval_speed")
    lines = [
        [
            name,
            f"{1000 * r['seconds']:.0f}",
            r["times_sklearn"],
            r["times_faiss_flat"],
            r["times_flat"],
            r["recall"],
            f"{r['held_bytes'] / 2**20:.0f}" if "held_bytes" in r else "",
        ]
        for name, r in {row["name"]: row for row in rows}.items()
    ]
    header = ["search", "ms", "times scikit-learn", "times FAISS flat", "times ours, flat", "recall at 10"]
    one = rows[-1]
    return (
        f"## Search among {one['rows']:,} codes\n\n"
        f"{one['queries']:,} queries, {one['bits']} bits, k = {one['k']}; codes: {one['codes']}. Medians of "
        f'{one["repeats"]} rounds in one process. "Times" is how many times faster.\n\n'
        f"{table([*header, 'MiB held'], lines)}\n\n{machine(rows)} "
        "Made by `python -m benchmarks.retrieval_speed --data DATA`.\n"
    )


def retrieval_quality_section() -> str:
    """What Hamming search finds."""
    rows = read("retrieval_quality")
    keys = ("map_at_100", "attribute_above_chance", "factor_above_chance")
    lines = []
    for (images, name, search), group in groups_of(rows, "images", "name", "search").items():
        figures = (spread([r[key] for r in group if key in r]) for key in keys)
        lines.append([images, name, search, len(group), spread([r["seconds"] for r in group], 0), *figures])
    header = ["images", "codes of 64 bits", "search", "seeds", "seconds", "mAP@100"]
    header += ["attributes alike", "factors alike"]
    return (
        "## What search finds\n\n"
        "Test images looked up among the training images. mAP@100 of the class, divided by 100; for avatars, "
        "agreement of the 100 nearest with the query in 47 attributes and 14 factors, from 0 (chance) to 1 "
        "(full).\n\n"
        f"{table(header, lines)}\n\n{machine(rows)} "
        "Made by `python -m benchmarks.retrieval_quality --data DATA`.\n"
    )


def probe_section() -> str:
    """Attributes of avatars by protocol."""
    rows = read("probe_table")
    protocols = list(dict.fromkeys(row["protocol"] for row in rows))
    lines = []
    for (images, name, form), group in groups_of(rows, "images", "name", "form").items():
        cells = []
        for protocol in protocols:
            key = "average_precision" if protocol == "diti" else "roc_auc"
            cells.append(spread([r[key] for r in group if r["protocol"] == protocol]))
        lines.append([images, f"{name}, {form}", *cells])
    header = [f"{p}, {'average precision' if p == 'diti' else 'AUROC'}" for p in protocols]
    return (
        "## Attributes of avatars, 32 x 32\n\n"
        'Mean over 47 attributes of linear probes by several protocols (`dmzrep.probing`); in "holdout" and '
        '"diti" the encoder never saw the test faces. 64 bits or columns, pixels apart.\n\n'
        f"{table(['faces', 'representation', *header], lines)}\n\n{machine(rows)} "
        "Made by `python -m benchmarks.probe_table --data DATA`.\n"
    )


def edit_section() -> str:
    """Edits as a classifier of pixels sees them."""
    rows = [row for row in read("edit_success") if row["split"] == "test"]
    keys = ("changed", "changed_unedited", "others_changed")
    lines = []
    for (choice,), group in groups_of(rows, "choice").items():
        lines += [[choice, row["attribute"], *(f"{row[key]:.3f}" for key in keys)] for row in group]
        lines.append([choice, "mean ± deviation", *(spread([r[key] for r in group]) for key in keys)])
    header = ["choice", "attribute", "changed", "changed without an edit", "others changed"]
    one = rows[-1]
    return (
        "## Edits\n\n"
        f"Avatars of 32 x 32 pixels, {one['latent_dim']} bits, {one['seconds']:.0f} seconds of training, "
        f"parameters {one['params'] or 'default'}; {one['faces']} test faces. A classifier of pixels, right "
        f"on {100 * one['judge_accuracy']:.1f} % of the test faces' attributes, says what changed.\n\n"
        f"{table(header, lines)}\n\n{machine(rows)} "
        "Made by `python -m benchmarks.edit_success --data DATA`.\n"
    )


#: Sections by the name of their result file.
USES: dict[str, Callable[[], str]] = {
    "retrieval_speed": retrieval_speed_section,
    "retrieval_quality": retrieval_quality_section,
    "probe_table": probe_section,
    "edit_success": edit_section,
}
