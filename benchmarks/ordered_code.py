"""Prefixes of one ordered code, compared with codes that were trained at the same length.

    python -m benchmarks.ordered_code --data DATA [--set mnist] [--seconds 60] [--seeds 0 1 2]

Models: "ordered" (``ordered=True``, all bits), "plain" (all bits) and "separate", one model of each shorter
length, all trained for the same time. A row scores the first `bits` bits of a model on test images: probes of
bits and probabilities, search, and reconstruction from these bits (prefixes of "plain" cannot be decoded).
"seconds_an_image" is the training time divided by the number of images seen; its ratio to that of "plain" is
the relative duration of a fit with the same number of images. Rows are appended to
`results/ordered_code.jsonl`; rows that exist already are skipped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from benchmarks import results
from benchmarks.contenders import STEPS
from benchmarks.datasets import SETS, ImageData
from benchmarks.limits import NO_LIMIT, add_limits, check_limits, limited_threads, limits_used, training_clock
from benchmarks.rivals import encoded
from benchmarks.scoring import REBUILT, score_codes
from dmzrep import DMZEncoder
from dmzrep.estimator._parameters import nested_names

RESULTS = "ordered_code"
PREFIXES = (8, 16, 32)


def train(latent_dim: int, ordered: bool, seconds: float, seed: int, X: np.ndarray) -> DMZEncoder:
    """Train one model for a time."""
    budget = {"max_time": seconds, "max_iter": NO_LIMIT}
    options = {"prior": "uniform", "output": "logits", "random_state": seed}
    return DMZEncoder(latent_dim, ordered=ordered).set_params(**nested_names(budget | options)).fit(X)


def score(
    encoder: DMZEncoder, data: ImageData, lengths: Sequence[int], probe_rows: int
) -> list[dict[str, Any]]:
    """Score prefixes of a model's codes."""
    train_codes, test_codes = (encoded(encoder, X) for X in (data.train, data.test))
    last = encoder.history_.iloc[-1]
    seen = {"seconds": round(float(last["seconds"]), 2), "images_seen": int(last["images"])}
    seen["seconds_an_image"] = float(last["seconds"] / last["images"])
    rows = []
    for n_bits in lengths:
        train_forms, test_forms = (
            {"probabilities": expit(c["logits"][:, :n_bits]), "bits": c["bits"][:, :n_bits]}
            for c in (train_codes, test_codes)
        )
        row: dict[str, Any] = {"bits": n_bits, **seen}
        row |= score_codes(data, train_forms, test_forms, probe_rows)
        if encoder.ordered_ or n_bits == encoder.latent_dim:
            images = data.test[:REBUILT]
            prefix = n_bits if encoder.ordered_ else None
            rebuilt = encoder.reconstruct(images, n_steps=STEPS, n_bits=prefix).astype(np.float64)
            row["reconstruction_mse"] = float(np.square((rebuilt - images) / 127.5).mean())
        rows.append({k: round(v, 7) if isinstance(v, float) else v for k, v in row.items()})
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Measure the missing rows, append them to the results and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the datasets")
    parser.add_argument("--set", choices=list(SETS), default="mnist")
    parser.add_argument("--latent-dim", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0, help="training time of each model")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add_limits(parser)
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parsed = parser.parse_args(arguments)
    check_limits(parser, parsed)
    past = results.read(RESULTS, parsed.results)
    shorter = [n for n in PREFIXES if n < parsed.latent_dim]
    whole = [*shorter, parsed.latent_dim]
    models = [("ordered", parsed.latent_dim, whole), ("plain", parsed.latent_dim, whole)]
    models += [("separate", n, [n]) for n in shorter]
    data = None
    with limited_threads(parsed.threads):
        for seed in parsed.seeds:
            for name, latent_dim, lengths in models:
                about = {"model": name, "set": parsed.set, "latent_dim": latent_dim, "seed": seed}
                about["seconds_asked"] = parsed.seconds
                if results.is_done(past, about):
                    continue
                if data is None:
                    data = SETS[parsed.set].load(parsed.data)
                with training_clock(parsed):
                    encoder = train(latent_dim, name == "ordered", parsed.seconds, seed, data.train)
                for row in score(encoder, data, lengths, SETS[parsed.set].probe_rows):
                    row |= limits_used(parsed)
                    results.append(RESULTS, about | row, parsed.results)
                    print(about | row, flush=True)


if __name__ == "__main__":
    main()
