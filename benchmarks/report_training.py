"""Section of the results page on quality against training time, with and without a code."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.contenders import STEPS
from benchmarks.report_samples import DISTANCE, RELATIVE, distances, floor
from benchmarks.report_time_to_quality import RESULTS, TITLES, cell, clock, measures
from benchmarks.results import read
from benchmarks.scoring import FLAT, REBUILT
from benchmarks.tables import Rows, groups_of, having, made, measured, newest, table
from benchmarks.time_to_quality import WITH_PRIOR

#: Samples that are compared: of the models with the fitted prior, by one sampler, against all test images.
SAMPLES = {"sampler": "dpm++", "n_samples": 5_000, "features": "classifier", "parameters": {}}
#: Denoising steps of samples in the figure, unless stated otherwise.
SHOWN_STEPS = 10
#: Models by kind and origin of their codes, with the numbers of steps of their samples.
KINDS = {
    ("bits", "fitted"): ("DMZEncoder", (SHOWN_STEPS,)),
    ("bits", "autoregressive"): ("autoregressive prior", (SHOWN_STEPS,)),
    ("clusters", "shares"): ("k-means labels", (SHOWN_STEPS,)),
    ("none", None): ("unconditional", (SHOWN_STEPS, 50)),
}
#: Measures of reconstructions: headings and keys.
RECONSTRUCTIONS = {
    "MSE": "reconstruction_mse",
    "SSIM": "reconstruction_ssim",
    "residue": "flat_residue",
}


def codes(name: str) -> Rows:
    """Return the rows of codes and reconstructions of the default encoder on the test images of a set."""
    rows = having(read(RESULTS), set=name, part="test", images_asked=None)
    return newest(having(rows, name=WITH_PRIOR))


def samples(name: str) -> dict[tuple[str, int], Rows]:
    """Return the rows of samples of a set by description of the model and number of steps."""
    rows = newest(having(distances(), set=name, **SAMPLES))
    found = {}
    for (kind, prior), (words, numbers) in KINDS.items():
        for steps in numbers:
            if group := having(rows, kind=kind, prior=prior, steps=steps):
                found[words, steps] = group
    return found


def training_sets() -> list[str]:
    """Return the sets of which codes and samples of the same encoders are measured."""
    return [name for name in TITLES if codes(name) and samples(name)]


def training_section() -> str:
    """Return the section on quality against training time."""
    names = training_sets()
    parts = [
        "## Training time\n\n![Quality against training images](../images/training_time.png)\n\n"
        f"The figure shows samples in {SHOWN_STEPS} steps unless stated otherwise. "
        "Each training time is a run of its own on all training images, since the learning rate schedule "
        "depends on it; machines differ in speed, and so in the images that a run processes. Codes are "
        "scored as in the sections above. MSE and SSIM: reconstructions of "
        f"{REBUILT} test images from bits in {STEPS} steps, without noise; pixels in [-1, 1]. Residue: "
        f"standard deviation of reconstructions in windows of {FLAT} x {FLAT} pixels that have one colour in "
        f"the image. Fréchet distance: {SAMPLES['n_samples']:,} samples, with codes from the fitted prior "
        "or the autoregressive prior within it, and all test images; features of a classifier trained on "
        "that dataset. Ratio: divided by the distance of training images; ratios are roughly comparable "
        "across classifiers, raw distances are not."
        f"{clock(codes(names[0]))}\n"
    ]
    for name in names:
        drawn = [row for rows in samples(name).values() for row in rows]
        parts.append(
            f"### {TITLES[name]}, {codes(name)[0]['latent_dim']} bits\n\n{_table(name)}\n\n"
            f"{made(codes(name), RESULTS, ' --models FOLDER --seconds SECONDS')} "
            f"{made(drawn, 'generation', ' --samplers dpm++ --steps 10 50')}\n"
        )
    return "\n".join(parts)


def _table(name: str) -> str:
    lines = []
    for (model, steps), rows in samples(name).items():
        for (seconds,), group in sorted(groups_of(rows, "seconds_asked").items()):
            of_codes = having(codes(name), seconds_asked=seconds) if group[0]["kind"] == "bits" else []
            cells: list[Any] = [cell(of_codes, keys) for keys in measures(name).values()]
            cells += [measured(of_codes, key) for key in RECONSTRUCTIONS.values()]
            seen = f"{statistics.mean(row['images_seen'] for row in group):,.0f}"
            own = measured([real for row in group for real in floor(row)], DISTANCE, 2)
            cells += [steps, measured(group, DISTANCE, 1), own, measured(group, RELATIVE, 1)]
            lines.append([model, f"{seconds:g}", seen, *cells])
    header = ["model", "seconds", "images", *measures(name), *RECONSTRUCTIONS, "steps", "Fréchet distance"]
    return table([*header, "of training images", "ratio"], lines)
