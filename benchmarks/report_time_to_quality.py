"""Sections of the results page on quality after a fixed training time, on test images."""

from __future__ import annotations

from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.tables import groups_of, machines, measured, spread, table
from benchmarks.trials import TRIALS

Rows = list[dict[str, Any]]

RESULTS = "time_to_quality"
TITLES = {
    "mnist": "MNIST, 28 x 28",
    "avatars": "Avatars, aligned, 32 x 32",
    "posed": "Avatars, posed, 32 x 32",
    "cifar10": "CIFAR-10, 32 x 32",
}
ATTRIBUTE_SETS = ("avatars", "posed")
PARTS = {"test": "test images", "validation": "held-out training images"}
COMMAND = "`python -m benchmarks.time_to_quality --data DATA --set {set} --part {part}`"
#: Keys by which rows are grouped; means are over the rows of a group.
SAME = ("name", "latent_dim", "seconds_asked", "threads")


def measures(name: str) -> dict[str, tuple[str, ...]]:
    """Return the columns for a set of images: headings, and keys of which each row has one at most."""
    probe = "auroc" if name in ATTRIBUTE_SETS else "probe"
    heading = "AUROC" if name in ATTRIBUTE_SETS else "probe"
    columns: dict[str, tuple[str, ...]] = {
        f"{heading}, logits or floats": (f"{probe}_logits", f"{probe}_floats"),
        f"{heading}, probabilities": (f"{probe}_probabilities",),
        f"{heading}, bits": (f"{probe}_bits",),
    }
    if name in ATTRIBUTE_SETS:
        return columns | {"attributes alike": ("attributes_alike",), "factors alike": ("factors_alike",)}
    return columns | {
        "mAP@100": ("map_at_100",),
        "mAP@100, of found": ("map_at_100_found",),
        "10-NN": ("knn_10",),
    }


def cell(group: Rows, keys: tuple[str, ...], digits: int = 3) -> str:
    """Return the mean and standard deviation of the first of the keys that the rows have."""
    present = [key for key in keys if any(key in row for row in group)]
    return measured(group, present[0], digits) if present else ""


def common_cells(group: Rows, name: str) -> list[Any]:
    """Return the cells of all measures, of the bit statistics and of the reconstruction error."""
    cells: list[Any] = [cell(group, keys) for keys in measures(name).values()]
    dead = [row["dead_bits"] for row in group if "dead_bits" in row]
    source = {row["reconstructed_from"] for row in group if "reconstructed_from" in row}
    rebuilt = cell(group, ("reconstruction_mse",))
    cells += [cell(group, ("entropy",), 2), max(dead) if dead else ""]
    return [*cells, f"{rebuilt}, from floats" if source == {"floats"} else rebuilt]


COMMON = ["entropy per bit", "dead bits", "reconstruction MSE"]
#: Rivals that are initialisations of our encoder, by their names in result files.
INITIALISATIONS = {
    "initialisation": "our initialisation (max_iter=0)",
    "initialisation, mirrored views": "our initialisation, mirrored views",
}


def label(group: Rows) -> str:
    """Return the name of a contender in tables."""
    name = group[0]["name"]
    if name in INITIALISATIONS:
        return INITIALISATIONS[name]
    kind = name.rpartition(", init ")[0] or name
    ours = kind in TRIALS or (group[0]["parameters"] is not None and kind not in CONTENDERS)
    return ("DMZEncoder, " if ours else "") + name


def current(rows: Rows) -> Rows:
    """Return the rows without those of earlier commands that have been measured again by the present one."""
    keys = ("name", "set", "part", "latent_dim", "seconds_asked", "images_asked")
    present = {tuple(row[key] for key in keys) for row in rows if "converted_from" not in row}
    return [
        row for row in rows if "converted_from" not in row or tuple(row[key] for key in keys) not in present
    ]


def protocol(rows: Rows) -> str:
    """Return a description of the measures and of the data they were computed on."""
    return _scores(rows) + clock(rows)


def clock(rows: Rows) -> str:
    """Return a sentence on the rows whose seconds are CPU time rather than wall-clock time."""
    counted = [row.get("clock") == "cpu" for row in rows if row["seconds_asked"] is not None]
    if not any(counted):
        return ""
    which = "Training times are" if all(counted) else "Training times of later runs are"
    return f" {which} CPU seconds of one thread (`--threads 1 --cpu-time`)."


def _scores(rows: Rows) -> str:
    row = rows[-1]
    probes = f"on {row['probe_rows']:,} training codes"
    if row.get("converted_from") == "ablations":
        probes = f"on {row['probe_rows']:,} other held-out codes, which are also searched"
    scored = f"scored on {row['scored_rows']:,} {PARTS[row['part']]}"
    if row["set"] in ATTRIBUTE_SETS:
        wide = {r["auroc_floats_rows"] for r in rows if "auroc_floats_rows" in r}
        fewer = f" (those of pixels on {max(wide):,})" if wide else ""
        return (
            "AUROC: mean over the attributes, of logistic regression on standardised codes, fitted "
            f"{probes}{fewer}, {scored}. Attributes and factors alike: agreement of the 100 nearest "
            "neighbours by Hamming distance with the query, from 0 (chance) to 1 (all agree)."
        )
    return (
        f"Probe: accuracy of logistic regression fitted {probes}, {scored}. mAP@100 and 10-NN accuracy: "
        f"Hamming search in {row['index_rows']:,} codes. Average precision is the sum of the precisions at "
        "the ranks of "
        'the neighbours of the query\'s class, divided by 100 or, for "of found" (as in part of the hashing '
        "literature), by the number of these neighbours."
    )


def final_sections(rows: Rows) -> list[str]:
    """Return a section for each set of images with results on test images."""
    sections = []
    for (name,), of_set in groups_of([r for r in rows if r["part"] == "test"], "set").items():
        timed = [row for row in of_set if row["images_asked"] is None]
        lines = []
        for (_, bits, _, threads), group in groups_of(timed, *SAME).items():
            seconds = spread([row["seconds"] for row in group], 0)
            lines.append([label(group), bits, seconds, threads, len(group), *common_cells(group, name)])
        if lines:
            header = ["representation", "bits", "seconds", "cores", "seeds", *measures(name), *COMMON]
            sections.append(
                f"## {TITLES[name]}\n\n{protocol(timed)} Mean ± standard deviation over seeds. "
                "Reconstruction: 500 images with pixels in [-1, 1], from bits and random noise in 20 steps, "
                "unless stated otherwise.\n\n"
                f"{table(header, lines)}\n\n{machines(timed)} Made by {COMMAND.format(**timed[-1])}.\n"
            )
    return sections


def several_budgets(rows: Rows) -> bool:
    """Return whether any contender was trained with more than one time budget."""
    pairs = groups_of([r for r in rows if r["seconds_asked"] is not None], *SAME)
    keys = [(name, bits, threads) for name, bits, _, threads in pairs]
    return len(keys) > len(set(keys))


def budget_section(rows: Rows) -> str:
    """Return the section on quality against training time, for each set of images and measure."""
    parts = []
    for (name, part), group in groups_of(rows, "set", "part").items():
        timed = [row for row in group if row["images_asked"] is None]
        trained = [row for row in timed if row["seconds_asked"] is not None]
        if part != "test" or not several_budgets(trained):
            continue
        budgets = sorted({row["seconds_asked"] for row in trained})
        header = ["representation", "bits", "cores", "seeds", *(f"{s:g} s" for s in budgets), "fitted once"]
        for heading, keys in measures(name).items():
            lines = []
            for (_, bits, threads), same in groups_of(timed, "name", "latent_dim", "threads").items():
                at = [[r for r in same if r["seconds_asked"] == s] for s in [*budgets, None]]
                cells = [cell(g, keys) for g in at]
                if any(cells):
                    lines.append([label(same), bits, threads, max(map(len, at)), *cells])
            parts.append(f"{TITLES[name]}, {PARTS[part]}, {heading}:\n\n{table(header, lines)}\n")
        parts.append(f"{machines(timed)} Made by {COMMAND.format(**timed[-1])}.\n")
    return "## Quality against training time\n\n" + "\n".join(parts) if parts else ""


def time_to_quality_sections(rows: Rows, figure: str | None = None) -> str:
    """Return the sections on test images; `figure` is the path of the figure relative to the page."""
    against = budget_section(rows)
    if against and figure:
        against += f"\n![Quality against training time]({figure})\n"
    return "\n".join(part for part in (*final_sections(rows), against) if part)
