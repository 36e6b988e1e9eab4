"""Sections of the results page on codes: priors, rates, prefixes, transfer."""

from __future__ import annotations

from benchmarks.report_time_to_quality import TITLES, clock
from benchmarks.results import read
from benchmarks.tables import groups_of, made, measured, spread, table


def priors_section() -> str:
    """Return the section on how well priors fit codes of test images."""
    rows = read("priors")
    digits = {"cross_entropy": 1, "auc": 3, "fit_seconds": 1, "sample_seconds": 2}
    lines = [
        [*key, len(group), *(measured(group, measure, n) for measure, n in digits.items())]
        for key, group in groups_of(rows, "images", "codes", "prior").items()
    ]
    header = ["images", "codes", "prior", "runs", "bits per code", "two-sample AUC"]
    header += ["fit, s", "10,000 draws, s"]
    one = rows[-1]
    return (
        "## Priors over codes\n\n"
        f"Priors are fitted to {one['n_train']:,} training codes (of `DMZEncoder`, to probabilities of "
        "bits). Bits per code: mean cross-entropy of test codes (equal to the code length under a uniform "
        "prior). Two-sample AUC: of a classifier that separates test codes from samples of the prior; 0.5 is "
        "ideal."
        f"\n\n{table(header, lines)}\n\n{made(rows, 'priors')}\n"
    )


def likelihood_section() -> str:
    """Return the section on bits per dimension against the length of the code."""
    rows = read("likelihood")
    lines = []
    for (name, bits, seconds), group in groups_of(rows, "set", "bits", "seconds_asked").items():
        cells = [
            measured(group, key) for key in ("image", "code", "code_of_coins", "total", "gaussian", "png")
        ]
        priors = ", ".join(sorted({row["prior"] or "" for row in group}))
        lines.append([TITLES[name], bits or "none", f"{seconds:g}", len(group), *cells, priors])
    header = ["images", "bits", "seconds", "seeds", "image", "code", "code, uniform prior", "total"]
    sizes = " or ".join(dict.fromkeys(f"{row['n_images']:,}" for row in rows))
    return (
        "## Bits per dimension against the length of the code\n\n"
        f"Variational bound of {sizes} test images, estimated from some of its terms per image: the image "
        "given its code, the code under the fitted prior (and under a uniform prior), and their sum; lower "
        "is better. For comparison, a Gaussian fitted to the pixels, and PNG files. After short training, "
        f"the rate of the image is far from what the network can reach.{clock(rows)}\n\n"
        f"{table([*header, 'Gaussian', 'PNG', 'fitted prior'], lines)}\n\n"
        f"{made(rows, 'likelihood')}\n"
    )


def ordered_section() -> str:
    """Return the section on prefixes of an ordered code compared with codes of the same length."""
    rows = read("ordered_code")
    plain = groups_of([r for r in rows if r["model"] == "plain"], "set", "seconds_asked", "seed")
    lines = []
    for (name, model, bits, seconds), group in groups_of(
        rows, "set", "model", "bits", "seconds_asked"
    ).items():
        ratios = [
            row["seconds_an_image"] / plain[name, seconds, row["seed"]][0]["seconds_an_image"]
            for row in group
            if (name, seconds, row["seed"]) in plain
        ]
        keys = ("probe_bits", "probe_probabilities", "map_at_100", "knn_10", "reconstruction_mse")
        cells = [measured(group, key) for key in keys]
        lines.append([TITLES[name], model, bits, len(group), *cells, spread(ratios, 2)])
    header = ["images", "model", "first bits", "seeds", "probe, bits", "probe, probabilities", "mAP@100"]
    header += ["10-NN", "reconstruction MSE", "relative time"]
    one = rows[-1]
    return (
        "## Prefixes of an ordered code\n\n"
        f'{one["seconds_asked"]:g} seconds of training for every model. "ordered" and "plain" are trained '
        'with all bits, "separate" with only the given number. Relative time: training time per image, '
        'relative to "plain".'
        f"{clock(rows)}\n\n{table(header, lines)}\n\n{made(rows, 'ordered_code')}\n"
    )


#: Pictures of transfers, by the names of their files.
TRANSFERS = {
    "transfer_emoji": (
        "Emoji translated from one style to the other",
        "Test emoji translated from one style to the other, two samples each, next to the true emoji "
        "(128-bit encoders, 120 seconds of training). Source: Twemoji, CC BY 4.0; right: Noto Emoji, Apache "
        "License 2.0.",
    ),
    "transfer_edges": (
        "Faces generated from their edge maps",
        "Faces generated from edge maps of test faces, two samples each, next to the true faces (128-bit "
        'encoders, 180 seconds of training). Art: "Avataaars" by Pablo Stanley.',
    ),
}


def transfer_section() -> str:
    """Return the section on how near predicted codes are to those of the true partners."""
    rows = read("domain_transfer")
    keys = ("pairs", "codes", "latent_dim", "seconds_asked", "choice")
    lines = []
    for (pairs, codes, bits, seconds, choice), group in groups_of(rows, *keys).items():
        cells = [measured(group, key, digits) for key, digits in (("within_10", 3), ("times_chance", 1))]
        cells += [measured(group, "median_rank", 0), measured(group, "accuracy")]
        trained = "" if seconds is None else f"{seconds:g}"
        lines.append([pairs, codes, bits, trained, choice, len(group), *cells])
    header = ["pairs", "codes", "bits", "seconds", "transfer", "seeds", "within 10", "times chance"]
    header += ["median rank", "bit accuracy"]
    pictures = "".join(
        f"\n{said}\n\n![{alternative}](../images/{name}.png)\n"
        for name, (alternative, said) in TRANSFERS.items()
    )
    n_test = " and ".join(f"{n:,} of {pairs}" for pairs, n in {r["pairs"]: r["n_test"] for r in rows}.items())
    return (
        "## Domain transfer\n\n"
        "For each test image of the source domain, the code of its partner is predicted, and the codes of "
        f"all test images of the target domain ({n_test}) are ranked by their Hamming distance to it. "
        "Seconds: training time of the encoder of each domain, on the images of this domain alone.\n\n"
        f"{table(header, lines)}\n{pictures}\n"
        f"{made(rows, 'domain_transfer')} The command also writes the rank of every pair to "
        "`benchmarks/results/domain_transfer_ranks/`.\n"
    )
