"""Sections of the results page on samples: distances against steps, inversion, perturbation, overhead."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from benchmarks.report_time_to_quality import TITLES, clock
from benchmarks.results import PRIOR, read
from benchmarks.tables import FORMER, Rows, groups_of, having, is_former, made, measured, table

#: Models whose samples are compared: kind and origin of the codes, and a description.
MODELS = {
    ("bits", "fitted"): "DMZEncoder, fitted prior",
    ("bits", "autoregressive"): "DMZEncoder, autoregressive prior",
    ("bits", "uniform"): "DMZEncoder, uniform prior",
    ("none", None): "unconditional",
    ("clusters", "shares"): "k-means labels as the code",
}
DISTANCE, RELATIVE = "frechet_distance", "relative_frechet_distance"


def best_sampler(rows: Rows) -> Rows:
    """Return the rows of the sampler with the smallest mean distance, among those with the most seeds.

    All rows are of one model and number of steps.
    """
    by_sampler = groups_of(rows, "sampler").values()
    most = max(map(len, by_sampler))
    return min(
        (group for group in by_sampler if len(group) == most),
        key=lambda group: np.mean([row[DISTANCE] for row in group]),
    )


def models_of(rows: Rows) -> list[tuple[str, Rows]]:
    """Return the description and the rows of each model; models with other parameters come last."""
    found = []
    for key, words in MODELS.items():
        same = [r for r in rows if (r["kind"], r["prior"]) == key]
        for parameters in sorted({json.dumps(r["parameters"]) for r in same}, key=len):
            others = "".join(f", {k}={v!r}" for k, v in json.loads(parameters).items())
            found.append((words + others, [r for r in same if json.dumps(r["parameters"]) == parameters]))
    return found


#: What distances need in common to be comparable.
COMPARABLE = ("set", "extractor_sha256", "reference", "n_samples")


def floor(like: dict[str, Any]) -> Rows:
    """Return the rows of training images in place of samples, comparable with a row."""
    return having(read("generation"), kind="real", **{key: like[key] for key in COMPARABLE})


def distances() -> Rows:
    """Return the rows of samples, with their distance also relative to that of training images.

    Relative distances are roughly comparable across classifiers, raw distances are not.
    """
    found = []
    for row in read("generation"):
        real = [same[DISTANCE] for same in floor(row)]
        if row["kind"] != "real" and real:
            found.append(row | {RELATIVE: row[DISTANCE] / np.mean(real)})
    return found


def generation_section() -> str:
    """Return the section on Fréchet distances of samples against denoising steps."""
    rows = having(distances(), features="classifier")
    parts = [
        "## Samples against denoising steps\n\n![Fréchet distance by steps](../images/generation.png)\n\n"
        "Fréchet distance between samples and test images, divided by that of as many training images; "
        "features of a classifier trained on that dataset. Lower is better; mean ± standard deviation over "
        "seeds. These ratios are roughly comparable across classifiers, raw distances are not; fewer samples "
        f"give smaller ratios. All models have the same network.{clock(rows)}\n"
    ]
    parts += [_distances(group) for group in groups_of(rows, "set").values()]
    parts += _inception(having(read("generation"), features="inception"))
    pictures = {
        "steps": "One code and one noise per column, by denoising steps",
        "priors": "The same noise with codes from the fitted and from a uniform prior",
        "walk": "Interpolations from the code of one test image to that of another",
    }
    parts += [
        f"{words} ({TITLES[name]}, {seconds} s; "
        f"`python -m benchmarks.sample_pictures --set {name} --seconds {seconds}`):\n\n"
        f"![{words}](../images/{kind}_{name}.png)\n"
        for kind, words in pictures.items()
        for name, seconds in (("avatars", 3600), ("mnist", 780), ("cifar10", 3600))
        if name != "cifar10" or kind == "steps"
    ]
    return "\n".join(parts)


def _inception(rows: Rows) -> list[str]:
    """Return the table of kernel distances in features of the Inception network, if there are rows."""
    if not rows:
        return []
    lines = [
        [TITLES[name], words, f"{seconds:g}", steps, measured(of_model, "kernel_distance", 4)]
        for (name, seconds, steps), group in groups_of(rows, "set", "seconds_asked", "steps").items()
        for words, of_model in models_of(group)
    ]
    header = ["images", "model", "seconds", "steps", "kernel distance"]
    return [
        f"### Features of the Inception network, {rows[0]['n_generated']:,} samples\n\n"
        "Kernel distance to as many training images. It is zero for images of the same distribution and, "
        "unlike the Fréchet distance, not biased for few images.\n\n"
        f"{table(header, lines)}\n\n"
        f"{made(rows, 'generation', ' --extractors inception --reference train --samples 1000')}\n"
    ]


def _distances(rows: Rows) -> str:
    """Return the table of one set of images."""
    steps, row = sorted({row["steps"] for row in rows}), rows[-1]
    lines = []
    for words, models in models_of(rows):
        for key, group in sorted(groups_of(models, "seconds_asked", "n_samples", "sampler").items()):
            seconds, n_samples, sampler = key
            name = words + (FORMER if all(map(is_former, group)) else "")
            seeds = len({r["seed"] for r in group})
            at = [measured([r for r in group if r["steps"] == n], RELATIVE, 1) for n in steps]
            lines.append([name, f"{seconds:g}", f"{n_samples:,}", sampler, seeds, *at])
    ones = [
        f"{measured(floor(group[0]), DISTANCE, 2)} ({n_samples:,} images; {100 * accuracy:.1f} % accurate)"
        for (n_samples, accuracy), group in sorted(groups_of(rows, "n_samples", "extractor_accuracy").items())
    ]
    of_steps = [f"{n} step{'s' if n > 1 else ''}" for n in steps]
    header = ["model", "seconds", "samples", "sampler", "seeds", *of_steps]
    return (
        f"### {TITLES[row['set']]}\n\nReference: {row['n_reference']:,} {row['reference']} images. Distance "
        f"of training images, by classifier: {'; '.join(ones)}.\n\n"
        f"{table(header, lines)}\n\n"
        f"{fitted_to_bits(rows)}{made(rows, 'generation')}\n"
    )


def fitted_to_bits(rows: Rows) -> str:
    """Return a sentence on the models whose priors were fitted to bits instead of probabilities, if any."""
    seconds = sorted(
        {
            row["seconds_asked"]
            for row in having(rows, kind="bits")
            if row["prior"] != "uniform" and row["environment"]["encoder"] < PRIOR
        }
    )
    listed = ", ".join(f"{s:g} s" for s in seconds)
    return (
        f"Priors of some models ({listed}) were fitted to bits instead of probabilities. " if seconds else ""
    )


def inversion_section() -> str:
    """Return the section on reconstruction errors from random and from inverted noise."""
    rows = read("inversion")
    lines = [
        [TITLES[name], "DMZEncoder" if kind == "bits" else "unconditional", noise, steps, len(group)]
        + [measured(group, key, 5) for key in ("mse", "mse_95th_percentile")]
        for (name, kind, noise, steps), group in groups_of(rows, "set", "kind", "noise", "steps").items()
    ]
    header = ["images", "model", "noise", "steps", "seeds", "MSE", "95th percentile"]
    one = rows[-1]
    return (
        "## Reconstruction from inverted noise\n\n"
        f"{one['n_images']} test images, {one['seconds_asked']:g} seconds of training; mean squared error of "
        "the uint8 outputs, scaled to [-1, 1]."
        f"\n\n{table(header, lines)}\n\n{made(rows, 'inversion')}\n"
    )


def perturbation_section() -> str:
    """Return the section on deterministic samplers of models trained with input perturbation."""
    rows = read("input_perturbation")
    steps = sorted({row["steps"] for row in rows})
    lines = []
    keys = ("objective", "strength", "sampler", "remedy")
    for (objective, strength, sampler, remedy), group in groups_of(rows, *keys).items():
        at = [[r for r in group if r["steps"] == n] for n in steps]
        distances = [measured(same, "frechet_pca64", 2) for same in at]
        lines.append([objective, strength, sampler, remedy, *distances, measured(at[-1], "mse")])
    header = ["objective", "strength", "sampler", "remedy", *(f"{n} steps" for n in steps)]
    one = rows[-1]
    return (
        "## Input perturbation and deterministic samplers\n\n"
        f"MNIST, {one['seconds']:g} seconds of training; Fréchet distance of {one['images']:,} reconstructed "
        "test images in 64 principal components (not comparable with the distances above), and the mean "
        f"squared error with {steps[-1]} steps."
        f"{clock([r | {'seconds_asked': r['seconds']} for r in rows])}\n\n"
        f"{table([*header, f'MSE, {steps[-1]} steps'], lines)}\n\n{made(rows, 'input_perturbation')}\n"
    )


def overhead_section() -> str:
    """Return the section on the time that sampling spends outside the network."""
    rows = read("sampling_overhead")
    last = {row["sampler"]: row for row in rows}
    lines = [
        [
            name,
            row["batches_through_network"],
            row["seconds"],
            f"{100 * row['share_outside_network']:.1f} %",
            " to ".join(f"{100 * share:.1f}" for share in row["spread"]) + " %",
        ]
        for name, row in last.items()
    ]
    header = ["sampler", "batches through the network", "seconds", "outside the network", "range"]
    one = rows[-1]
    return (
        "## Sampling time outside the network\n\n"
        f"{one['images']} images of 28 x 28, {one['steps']} steps; medians over rounds in which the samplers "
        "take turns.\n\n"
        f"{table(header, lines)}\n\n{made(rows, 'sampling_overhead')}\n"
    )
