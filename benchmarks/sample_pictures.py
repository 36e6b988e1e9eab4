"""Pictures: samples in 1 to 100 steps and from two priors, walks between codes, and edits of avatars.

    python -m benchmarks.sample_pictures --data DATA --models FOLDER [--set mnist] [--out FOLDER]

Uses a model of `benchmarks.generation` (trained and kept in `--models` where it is not there yet). Columns of
a picture share their noise and, where steps are compared, their codes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.datasets import SETS
from benchmarks.generation import STEPS, Models
from benchmarks.limits import add_limits, check_limits, limited_threads, training_clock
from dmzrep import AttributeEditor, interpolate
from dmzrep.plotting import EditDisplay, ImageGridDisplay

N_SHOWN, N_WALKS, N_EDITED = 12, 4, 6


def save(path: Path, rows: list[np.ndarray], labels: list[str], title: str) -> None:
    """Save rows of uint8 pictures with their labels."""
    display = ImageGridDisplay(np.stack(rows) / 255, title=title, row_labels=labels).plot()
    path.parent.mkdir(parents=True, exist_ok=True)
    display.figure_.savefig(path, dpi=100)
    print(f"Saved {path}")


def main(arguments: list[str] | None = None) -> None:
    """Draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the datasets")
    parser.add_argument("--models", type=Path, required=True, help="folder of trained models, not in git")
    parser.add_argument("--set", choices=list(SETS), default="mnist")
    parser.add_argument("--seconds", type=float, default=120.0, help="training time of the model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sampler", default="ddim")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    add_limits(parser)
    parsed = parser.parse_args(arguments)
    check_limits(parser, parsed)
    with limited_threads(parsed.threads):
        models = Models(parsed.models, parsed.set, SETS[parsed.set].load(parsed.data))
        key = {"kind": "bits", "seconds_asked": parsed.seconds, "seed": parsed.seed, "parameters": {}}
        with training_clock(parsed):
            encoder = models.model(key | {"latent_dim": SETS[parsed.set].latent_dim})[0]
        options = {"sampler": parsed.sampler, "random_state": parsed.seed}
        rows = [encoder.sample(N_SHOWN, n_steps=n, **options) for n in STEPS]
        labels = [f"{n} step{'s' if n > 1 else ''}" for n in STEPS]
        save(parsed.out / f"steps_{parsed.set}.png", rows, labels, "Denoising steps")
        rows = [encoder.sample(N_SHOWN, n_steps=20, prior=p, **options) for p in (None, "uniform")]
        labels = [f"fitted: {encoder.prior_.name}", "uniform"]
        save(parsed.out / f"priors_{parsed.set}.png", rows, labels, "Codes from two priors")
        x0, x1 = models.data.test[:N_WALKS], models.data.test[N_WALKS : 2 * N_WALKS]
        walks = interpolate(encoder, x0, x1, N_SHOWN)[0]
        save(parsed.out / f"walk_{parsed.set}.png", list(walks), [""] * N_WALKS, "From code to code")
        if parsed.set == "avatars":
            editor = AttributeEditor(encoder).fit(models.data.train, models.data.train_labels)
            faces = models.data.test[:N_EDITED]
            edits = EditDisplay.from_estimator(editor, faces, "beard")
            edits.figure_.savefig(parsed.out / "edit_beard.png", dpi=100)


if __name__ == "__main__":
    main()
