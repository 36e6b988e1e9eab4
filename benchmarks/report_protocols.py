"""Sections of the results page on near-duplicates and published protocols."""

from __future__ import annotations

from benchmarks.near_duplicates import EDITS
from benchmarks.protocols import (
    HASHING_SOURCE,
    LATENT_QUALITY_SOURCE,
    PUBLISHED_HASHING,
    PUBLISHED_LATENT_QUALITY,
)
from benchmarks.report_time_to_quality import clock
from benchmarks.results import read
from benchmarks.tables import groups_of, having, made, measured, spread, table

#: How the forms of codes are compared.
DISTANCES = {"bits": "bits, Hamming", "logits": "logits, cosine", "floats": "floats, Euclidean"}


def _named(name: str, seconds: float | None) -> str:
    """Return the name of a contender, with its training time if it is trained."""
    return name if seconds is None else f"{name}, {seconds:g} s of training"


def near_duplicates_section() -> str:
    """Return the section on the search for edited copies of images."""
    rows = read("near_duplicates")
    lines = []
    keys = ("set", "name", "form", "seconds_asked")
    for (images, name, form, seconds), group in groups_of(rows, *keys).items():
        scores = [spread([r[key] for r in group]) for key in ("average_precision", "best_f1")]
        recall = [f"{sum(r['recall'][edit] for r in group) / len(group):.2f}" for edit in EDITS]
        lines.append([images, _named(name, seconds), DISTANCES[form], len(group), *scores, *recall])
    header = ["images", "codes", "distance", "seeds", "average precision", "best F1"]
    sizes = {r["set"]: f"{r['images']:,} + {r['copies']:,} of {r['set']}" for r in rows}
    return (
        "## Near-duplicates\n\n"
        "Edited copies of test images are planted among these images "
        f"({', '.join(sizes.values())}, 32 x 32 pixels), and all pairs are ranked by their distance. Average "
        "precision and best F1 score over thresholds for the pairs of an image and its copy; by edit, the "
        'recall at this threshold. "initialised": `max_iter=0`; "mirrored views": '
        '`encoder_augment="affine_flip"`. Codes and hashes have 64 bits. Images of the sets that are alike '
        f"by nature count as wrong pairs.{clock(rows)}\n\n"
        f"{table([*header, *EDITS], lines)}\n\n{made(rows, 'near_duplicates')}\n"
    )


def pretrained_section() -> str:
    """Return the section on bits from the features of a pretrained network."""
    rows = [{"seconds_asked": None} | row for row in having(read("pretrained"), part="test")]
    measures = ("probe_bits", "map_at_100", "knn_10", "reconstruction_mse")
    lines = []
    for (name, seconds), group in groups_of(rows, "name", "seconds_asked").items():
        floats = "probe_logits" if "probe_logits" in group[0] else "probe_floats"
        scores = (measured(group, key) for key in (floats, *measures))
        lines.append([_named(name, seconds), measured(group, "images_seen", 0), len(group), *scores])
    header = ["codes", "images seen", "seeds", "probe, logits or floats", "probe, bits", "mAP@100", "10-NN"]
    return (
        "## Bits of a pretrained network: CIFAR-10\n\n"
        f"{rows[0]['bits']} bits from the features of EfficientNet-Lite0, fitted to "
        f"{rows[0]['train_images']:,} training images and scored on {rows[0]['scored_images']:,} test images "
        'as in the sections above. "features" are those of the network; CCA and neighbours are '
        "initialisations without training. The features are computed before the training times begin."
        f"{clock(rows)}\n\n"
        f"{table([*header, 'reconstruction MSE'], lines)}\n\n{made(rows, 'pretrained')}\n"
    )


def protocols_section() -> str:
    """Return the section on published protocols."""
    rows = read("protocols")
    parts = [
        "## Published protocols on CIFAR-10\n\n"
        "Our images are a JPEG copy of CIFAR-10, so comparisons with published figures are approximate. "
        '"initialised": `max_iter=0`.'
        f"{clock(rows)}\n"
    ]
    for name, make in (("hashing", _hashing), ("latent_quality", _latent_quality)):
        if chosen := [row for row in rows if row["protocol"] == name]:
            parts.append(f"{make(chosen)}\n\n{made(chosen, 'protocols')}\n")
    return "\n".join(parts)


def _hashing(rows: list[dict]) -> str:
    bits = sorted({row["latent_dim"] for row in rows})
    lines = []
    for (name, source, seconds), group in groups_of(rows, "name", "input", "seconds_asked").items():
        cells = [spread([r["map_at_1000"] for r in group if r["latent_dim"] == n]) for n in bits]
        lines.append([_named(name, seconds), source, *cells])
    lines += [
        [f"{name} (published)", "", *(f"{scores[n]:.3f}" if n in scores else "" for n in bits)]
        for name, scores in PUBLISHED_HASHING
    ]
    one = rows[-1]
    return (
        f"Hashing without labels: {one['n_test']:,} test images are queries among {one['n_train']:,} train "
        "images. MAP@1000, with the sum of precisions divided by the number of relevant images among the "
        "1,000, expected over the order of equal distances. Published: networks that were pretrained on "
        f"ImageNet with labels ({HASHING_SOURCE}).\n\n"
        + table(["codes", "input", *(f"{n} bits" for n in bits)], lines)
    )


def _latent_quality(rows: list[dict]) -> str:
    lines = []
    for (name, form, seconds), group in groups_of(rows, "name", "form", "seconds_asked").items():
        one = group[0]
        score = f"{one['accuracy']:.3f} ± {one['deviation']:.3f}"
        if len(group) > 1:
            score = spread([r["accuracy"] for r in group]) + " over seeds"
        lines.append([_named(name, seconds), form, len(group), score])
    lines += [[f"{name} (published)", "", "", score] for name, score in PUBLISHED_LATENT_QUALITY]
    return (
        f"Latent quality: accuracy of a logistic regression on the codes of the {rows[-1]['n_test']:,} test "
        f"images, {rows[-1]['latent_dim']} columns, mean and standard deviation over 5 folds. Published: "
        f"{LATENT_QUALITY_SOURCE}.\n\n" + table(["codes", "form", "seeds", "accuracy"], lines)
    )
