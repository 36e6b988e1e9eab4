"""Sections of the results page on quality after a fixed training time, on test images."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.results import read
from benchmarks.tables import FORMER, Rows, groups_of, having, is_former, made, measured, spread, table
from benchmarks.time_to_quality import WITH_PRIOR

RESULTS = "time_to_quality"
TITLES = {
    "mnist": "MNIST, 28 x 28",
    "avatars": "Avatars, aligned, 32 x 32",
    "posed": "Avatars, posed, 32 x 32",
    "cifar10": "CIFAR-10, 32 x 32",
}
ATTRIBUTE_SETS = ("avatars", "posed")
PARTS = {"test": "test images", "validation": "held-out training images"}
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
    return columns | {"mAP@100": ("map_at_100",), "10-NN": ("knn_10",)}


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
    "initialisation": "DMZEncoder, initialisation only (max_iter=0)",
    "initialisation, mirrored views": "DMZEncoder, initialisation only, mirrored views",
}


def test_rows(name: str | None = None) -> Rows:
    """Return the rows on test images, of a set or of all, by training time and without those of `Models`."""
    rows = having(read(RESULTS), part="test", images_asked=None, **({"set": name} if name else {}))
    return [row for row in rows if row["name"] != WITH_PRIOR]


def longest_time(rows: Rows) -> float:
    """Return the longest training time of the default, among those with the most seeds."""
    groups = groups_of(having(rows, name="default", images_asked=None), "seconds_asked")
    return max(groups, key=lambda key: (len(groups[key]), *key))[0]


def label(group: Rows) -> str:
    """Return the name of a contender in tables."""
    name = group[0]["name"]
    if name in INITIALISATIONS:
        return INITIALISATIONS[name]
    kind = name.rpartition(", init ")[0] or name
    ours = group[0]["parameters"] is not None and kind not in CONTENDERS
    old = is_former(group[-1]) and (ours or kind.startswith("real-valued"))
    return ("DMZEncoder, " if ours else "") + name + (FORMER if old else "")


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
        f"Hamming search in {row['index_rows']:,} codes; the sum of precisions is divided by 100."
    )


def set_section(name: str) -> str:
    """Return the section on the test images of one set."""
    rows = test_rows(name)
    lines = []
    for (_, bits, _, threads), group in groups_of(rows, *SAME).items():
        seconds = spread([row["seconds"] for row in group], 0)
        seen = [row["images_seen"] for row in group if row.get("images_seen")]
        images = f"{statistics.mean(seen):,.0f}" if seen else ""
        cells = [label(group), bits, seconds, images, threads, len(group)]
        lines.append([*cells, *common_cells(group, name)])
    asked = " --seconds " + " ".join(f"{s:g}" for s in sorted({r["seconds_asked"] or 0 for r in rows} - {0}))
    header = ["representation", "bits", "seconds", "images", "cores", "seeds", *measures(name), *COMMON]
    return (
        f"## {TITLES[name]}\n\n{protocol(rows)} Mean ± standard deviation over seeds. "
        "Images: those processed in training, which depend on the processor. Reconstruction: 500 images "
        "with pixels in [-1, 1], from bits in 20 steps, without noise (former "
        "versions: from random noise, which about doubles the error), "
        f"unless stated otherwise.\n\n{table(header, lines)}\n\n{made(rows, RESULTS, asked)}\n"
    )


def demo_section() -> str:
    """Return the section on the results of the demo, over seeds."""
    rows = read("quickstart")
    lines = []
    for name in rows[0]["codes"]:
        group = [row["codes"][name] for row in rows]
        auroc, seconds = ([code[key] for code in group] for key in ("AUROC", "seconds"))
        lines.append([name, group[0]["bytes per image"], spread(auroc), spread(seconds, 1)])
    clock = "CPU seconds of one thread" if rows[0]["clock"] == "cpu" else "seconds"
    seen = " to ".join(dict.fromkeys(f"{pick(row['images_seen'] for row in rows):,}" for pick in (min, max)))
    return (
        "## The demo: avatars, 32 x 32\n\n"
        f"{rows[0]['seconds_asked']:.0f} {clock} of training without labels on 3,500 images "
        f"({seen} processed, counting repeats); seeds: {len(rows)}. AUROC (mean over attributes) of logistic "
        "regression on 1,000 labelled images, scored on 500 held-out images. Seconds: learning the code, and "
        f"encoding all images.\n\n{table(['code', 'bytes per image', 'AUROC', 'seconds'], lines)}\n\n"
        f"{made(rows, 'quickstart')}\n"
    )
