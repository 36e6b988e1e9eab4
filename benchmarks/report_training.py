"""Section of the results page on quality against training time, with and without a code."""

from __future__ import annotations

from typing import Any

from benchmarks.report_time_to_quality import TITLES, clock, measures
from benchmarks.results import read
from benchmarks.tables import Rows, groups_of, having, made, measured, table

RESULTS = "training_time"
#: Measures of reconstructions and samples: headings, keys, and digits after the point.
PICTURES = {
    "MSE": ("reconstruction_mse", 3),
    "SSIM": ("reconstruction_ssim", 3),
    "residue": ("flat_residue", 3),
    "Fréchet distance": ("frechet_distance", 1),
    "Inception kernel distance": ("inception_kernel_distance", 4),
}


def model_name(row: dict[str, Any]) -> str:
    """Return the description of a model and of its sampling."""
    if row["kind"] == "real":
        return "training images"
    return f"{'DMZEncoder' if row['kind'] == 'bits' else 'unconditional'}, {row['steps']} steps"


def training_section() -> str:
    """Return the section on quality against training time."""
    rows = read(RESULTS)
    parts = [
        "## Longer training\n\n![Quality against training time](../images/training_time.png)\n\n"
        "Each training time is a run of its own on all training images, since the learning rate schedule "
        "depends on it. Codes are scored as in the sections above. MSE and SSIM: reconstructions of 500 test "
        "images from bits in 20 steps, without noise; pixels in [-1, 1]. Residue: standard deviation of "
        "reconstructions in windows of 5 x 5 pixels that have one colour in the image. Fréchet distance: "
        f"{rows[-1]['classifier_samples']:,} samples, with codes from the fitted prior, and all test images; "
        "features of a classifier of the set; also as a multiple of the distance of training images. "
        f"Inception kernel distance: unbiased, of 1,000 samples and 2,000 test images.{clock(rows)}\n"
    ]
    for (name,), of_set in groups_of(rows, "set").items():
        parts.append(f"### {TITLES[name]}, {of_set[0]['latent_dim']} bits\n\n{_table(of_set, name)}\n")
    return "\n".join([*parts, made(rows, RESULTS) + "\n"])


def _table(rows: Rows, name: str) -> str:
    kinds = {"bits": 0, "none": 1, "real": 2}
    (real,) = groups_of(having(rows, kind="real"), "kind").values()
    own = sum(row["frechet_distance"] for row in real) / len(real)
    keys = {heading: keys[0] for heading, keys in measures(name).items()}
    lines = []
    ordered = sorted(rows, key=lambda r: (kinds[r["kind"]], r["steps"] or 0, r["seconds_asked"] or 0))
    for _, group in groups_of(ordered, "kind", "steps", "seconds_asked").items():
        row = group[0]
        asked = "" if row["seconds_asked"] is None else f"{row['seconds_asked']:g}"
        cells = [model_name(row), asked, f"{row['images_seen']:,}" if asked else "", len(group)]
        cells += [measured(group, key) for key in keys.values()]
        for key, digits in PICTURES.values():
            cells.append(measured(group, key, digits))
            if key == "frechet_distance":
                cells.append(f"{sum(r[key] for r in group) / len(group) / own:.1f}")
        lines.append(cells)
    header = ["model", "seconds", "images", "seeds", *keys]
    for heading in PICTURES:
        header += [heading, "multiple"] if heading == "Fréchet distance" else [heading]
    return table(header, lines)
