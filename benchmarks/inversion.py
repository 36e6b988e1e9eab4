"""Reconstruction errors of test images, from random noise and from inverted noise.

    python -m benchmarks.inversion --data DATA --models FOLDER [--set mnist] [--seconds 120]

Uses the models of `benchmarks.generation` (trained and kept in `--models` where they are not there yet).
"mse" is the mean squared error of pixels from -1 to 1. Rows are appended to
`results/inversion.jsonl`; rows that exist already are skipped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.datasets import SETS
from benchmarks.generation import Models
from benchmarks.limits import add_limits, check_limits, limited_threads, limits_used, training_clock
from dmzrep import DMZEncoder

RESULTS = "inversion"
#: Kinds of models of `benchmarks.generation`, and noise that each can start from.
NOISE = {"bits": ("random", "inverted"), "none": ("inverted",)}


def measure(encoder: DMZEncoder, X: np.ndarray, noise: str, n_steps: int) -> dict[str, float]:
    """Return the errors of reconstructed images."""
    rebuilt = encoder.reconstruct(X, noise=noise, n_steps=n_steps).astype(np.float64)
    squared = np.square((rebuilt - X) / 127.5).reshape(len(X), -1).mean(axis=1)
    row = {"mse": float(squared.mean()), "mse_95th_percentile": float(np.quantile(squared, 0.95))}
    return {name: round(value, 7) for name, value in row.items()}


def main(arguments: list[str] | None = None) -> None:
    """Measure the missing rows, append them to the results and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the datasets")
    parser.add_argument("--models", type=Path, required=True, help="folder of trained models, not in git")
    parser.add_argument("--set", choices=list(SETS), default="mnist")
    parser.add_argument("--kinds", nargs="+", choices=list(NOISE), default=list(NOISE))
    parser.add_argument("--seconds", type=float, default=120.0, help="training time of each model")
    parser.add_argument("--steps", type=int, nargs="+", default=[20, 50, 100])
    parser.add_argument("--images", type=int, default=200, help="number of test images to reconstruct")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--params", type=json.loads, default={}, help="parameters of DMZEncoder as JSON")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    add_limits(parser)
    parsed = parser.parse_args(arguments)
    check_limits(parser, parsed)
    past, models = results.read(RESULTS, parsed.results), None
    with limited_threads(parsed.threads):
        for seed in parsed.seeds:
            for kind in parsed.kinds:
                model = {"kind": kind, "seconds_asked": parsed.seconds, "seed": seed}
                model |= {"latent_dim": SETS[parsed.set].latent_dim, "parameters": parsed.params}
                asked = [
                    {**model, "set": parsed.set, "noise": noise, "steps": n_steps, "n_images": parsed.images}
                    for noise in NOISE[kind]
                    for n_steps in parsed.steps
                ]
                missing = [key for key in asked if not results.is_done(past, key)]
                if not missing:
                    continue
                if models is None:
                    models = Models(parsed.models, parsed.set, SETS[parsed.set].load(parsed.data))
                with training_clock(parsed):
                    encoder = models.model(model)[0]
                for key in missing:
                    row: dict[str, Any] = key | limits_used(parsed)
                    row |= measure(encoder, models.data.test[: parsed.images], key["noise"], key["steps"])
                    results.append(RESULTS, row, parsed.results)
                    print(row, flush=True)


if __name__ == "__main__":
    main()
