"""Sections of the results page on design choices, the paper's and ours, on held-out training images."""

from __future__ import annotations

from benchmarks.report_time_to_quality import (
    COMMON,
    RESULTS,
    TITLES,
    common_cells,
    measures,
    protocol,
)
from benchmarks.results import read
from benchmarks.tables import Rows, groups_of, having, made, spread, table

#: The paper's design choices, from a random initialisation: options and the names of their configurations.
DESIGN: dict[str, dict[str, str]] = {
    "kind of code": {
        "default": "relaxed bits",
        "straight-through": "straight-through bits",
        "real-valued code, bias of each position": "real numbers",
        "real-valued code, AdaGN": "real numbers, AdaGN",
    },
    "conditioning": {
        "default": "bias of each position",
        "conditioning bias": "bias (one-token cross-attention)",
        "cross-attention": "cross-attention to several tokens",
        "conditioning adagn": "AdaGN",
        "conditioning with the timestep": "added to the timestep",
    },
    "bits": {
        "8 bits": "8",
        "16 bits": "16",
        "32 bits": "32",
        "default": "64",
        "128 bits": "128",
        "256 bits": "256",
    },
    "input perturbation": {"default": "no perturbation", "input perturbation 0.1": "0.1"},
    "objective": {"default": "velocity", "objective epsilon": "noise", "objective sample": "clean data"},
}
#: How the names of these runs end, and options of the command that makes them.
DESIGN_START = ", init random, plain logits"
DESIGN_OPTIONS = " --seconds 30 --init random --plain-logits"


def design_groups() -> list[tuple[str, str, Rows]]:
    """Return (choice, option, rows) for each measured option of choices with at least two options."""
    asked = having(read(RESULTS), part="validation", set="mnist", images_asked=None)
    found = []
    for choice, options in DESIGN.items():
        named = [
            (choice, word, [r for r in asked if r["name"] == name + DESIGN_START])
            for name, word in options.items()
        ]
        present = [(choice, word, group) for choice, word, group in named if group]
        found += present if len(present) > 1 else []
    return found


def design_section() -> str:
    """Return the section on the paper's design choices at equal training time."""
    groups = design_groups()
    lines = [
        [choice, word, len(group), _images(group), *common_cells(group, "mnist")]
        for choice, word, group in groups
    ]
    used = [row for _, _, group in groups for row in group]
    header = ["choice", "option", "seeds", "images seen", *measures("mnist"), *COMMON]
    seconds = f"{used[0]['seconds_asked']:g}"
    return (
        "## The paper's design choices\n\n"
        f"MNIST, {seconds} seconds of training on one core for every option; random "
        f"initialisation of the encoder and unnormalised logits, as in the paper. {protocol(used)} All other "
        f"parameters have their defaults.\n\n{table(header, lines)}\n\n"
        "![Accuracy and error by design choice](../images/design_choices.png)\n\n"
        f"{made(used, RESULTS, DESIGN_OPTIONS)}\n"
    )


def starts_section() -> str:
    """Return the section on spatial alignment and on initialisations for aligned images."""
    rows = read("starts")
    misfits = groups_of([row for row in rows if row["what"] != "start"], "set", "images")
    starts = groups_of([row for row in rows if row["what"] == "start"], "features", "map")
    ratios = [[TITLES[name], n, group[-1]["ratio"]] for (name, n), group in misfits.items()]
    scores = [
        [features, kind.upper(), group[-1]["auroc_logits"], group[-1]["auroc_bits"]]
        for (features, kind), group in starts.items()
    ]
    return (
        "## Initialisation of the encoder\n\n"
        "Distance of augmented views from the principal subspace of other training images, relative to the "
        f"distance of the original images:\n\n{table(['images', 'number', 'ratio'], ratios)}\n\n"
        "Linear maps to 64 bits without any training, for aligned avatars: mean AUROC over the attributes of "
        f"{starts[next(iter(starts))][-1]['scored_rows']:,} held-out training images.\n\n"
        f"{table(['features', 'map', 'AUROC, logits', 'AUROC, bits'], scores)}\n\n"
        f"{made(rows, 'starts')}\n"
    )


def _images(group: Rows) -> str:
    return spread([row["images_seen"] for row in group if "images_seen" in row], 0)
