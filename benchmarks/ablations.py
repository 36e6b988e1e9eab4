"""Choices behind the defaults, one at a time: same images once, same seeds.

    python -m benchmarks.ablations --data DATA [--images 24000] [--seeds 0 1 2] [--only NAME ...]

MNIST, 64 bits. Scores are on train images that the encoder has not seen; the test set stays closed.
Seconds are those of the run: images a second are compared by `benchmarks.training_speed`, not here.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.code_quality import linear_probe, mean_average_precision
from benchmarks.results import append, read
from dmzrep import DMZEncoder

#: Parameters that differ from the defaults, by name.
CHOICES: dict[str, dict[str, Any]] = {
    "default": {},
    "code_input one_hot": {"code_input": "one_hot"},
    "conditioning bias": {"conditioning": "bias"},
    "the encoder sees images as they are": {"encoder_augment": None},
    "temperature 1": {"temperature": 1.0},
    "init random": {"init": "random"},
    "attention at 7 px": {"attention": (7,)},
    "conditioning adagn": {"conditioning": "adagn"},
    "temperature 3": {"temperature": 3.0},
    "uniform timesteps": {"timestep_sampling": "uniform"},
    "straight-through": {"straight_through": True},
    "objective epsilon": {"objective": "epsilon"},
    "objective sample": {"objective": "sample"},
    "init pca": {"init": "pca"},
    "batch 64": {"batch_size": 64},
    "learning rate 2e-3": {"learning_rate": 2e-3},
    "depth as in DDPM": {"depth": 1},
    "bias, plain views, temperature 1": {
        "conditioning": "bias",
        "encoder_augment": None,
        "temperature": 1.0,
    },
}


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and append its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder that holds mnist.npz")
    parser.add_argument("--images", type=int, default=24_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=list(CHOICES), default=list(CHOICES))
    parsed = parser.parse_args(arguments)
    data = np.load(Path(parsed.data) / "mnist.npz")
    X, y = data["x_train"], data["y_train"]
    done = {(row["choice"], row["seed"], row["images"]) for row in read("ablations")}
    for seed in parsed.seeds:
        order = np.random.default_rng(seed).permutation(len(X))
        seen, held_out = order[: parsed.images], order[-20_000:]
        for choice in parsed.only:
            if (choice, seed, parsed.images) in done:
                continue
            encoder = DMZEncoder(max_iter=1, random_state=seed, **CHOICES[choice]).fit(X[seen])
            Z, labels = encoder.transform(X[held_out]), y[held_out]
            bits = (Z > 0.5).astype(np.float32)
            last = encoder.history_.iloc[-1]
            rebuilt = encoder.reconstruct(X[held_out[:500]]).astype(np.float64)
            row = {
                "choice": choice,
                "seed": seed,
                "images": parsed.images,
                "probabilities": linear_probe(Z[:10_000], labels[:10_000], Z[10_000:], labels[10_000:]),
                "bits": linear_probe(bits[:10_000], labels[:10_000], bits[10_000:], labels[10_000:]),
                "map_at_100": mean_average_precision(
                    bits[:10_000], labels[:10_000], bits[10_000:], labels[10_000:]
                ),
                "entropy": float(encoder.code_report_["entropy"].mean()),
                "reconstruction_mse": float(np.square((rebuilt - X[held_out[:500]]) / 127.5).mean()),
                "seconds": round(float(last["seconds"]), 1),
            }
            append("ablations", row)
            print(row, flush=True)


if __name__ == "__main__":
    main()
