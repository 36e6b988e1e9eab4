"""Share of the sampling time that is spent outside the network.

    python -m benchmarks.sampling_overhead [--images 256] [--steps 20] [--rounds 5] [--threads 2]

Images of 28 x 28 and the default network; its weights do not affect the time. The time within
`DiffusionAutoencoder.forward` is compared with that of the whole call of `sample`, for all samplers in turn,
over several rounds; results are medians. Each sampler's row is appended to
`results/sampling_overhead.jsonl`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import results
from benchmarks.rates import synchronize
from dmzrep import DMZEncoder
from dmzrep.diffusion._sampling import SAMPLERS
from dmzrep.estimator._parameters import nested_names

RESULTS = "sampling_overhead"


@contextmanager
def seconds_inside(network: nn.Module) -> Any:
    """Count the seconds that calls of a network take."""
    spent: list[float] = []
    forward = network.forward

    def timed(*arguments: Tensor) -> Tensor:
        begun = time.perf_counter()
        output = forward(*arguments)
        synchronize(output.device)
        spent.append(time.perf_counter() - begun)
        return output

    network.forward = timed  # type: ignore[method-assign]
    try:
        yield spent
    finally:
        del network.forward


def measure(encoder: DMZEncoder, sampler: str, n_images: int, n_steps: int) -> dict[str, float]:
    """Return the seconds of one call of `sample`, those within the network, and its evaluations."""
    with seconds_inside(encoder.model_) as spent:
        begun = time.perf_counter()
        encoder.sample(n_images, n_steps=n_steps, sampler=sampler, random_state=0)
        total = time.perf_counter() - begun
    return {"seconds": total, "network_seconds": sum(spent), "batches_through_network": len(spent)}


def untrained_encoder(random_state: int = 0) -> DMZEncoder:
    """An encoder whose networks are those of images of 28 x 28, after a moment of training."""
    X = np.random.default_rng(random_state).integers(0, 256, (64, 28, 28), dtype=np.uint8)
    settings = {"init": "random", "prior": "uniform", "validation_fraction": 0.0}
    return DMZEncoder(max_iter=1, random_state=random_state).set_params(**nested_names(settings)).fit(X)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and append its rows to the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(parsed.threads)
    encoder = untrained_encoder()
    encoder.sample(64, n_steps=2, random_state=0)
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in parsed.samplers}
    for _ in range(parsed.rounds):
        for name, rounds in measured.items():
            rounds.append(measure(encoder, name, parsed.images, parsed.steps))
    for name, rounds in measured.items():
        outside = [1.0 - one["network_seconds"] / one["seconds"] for one in rounds]
        row = {
            "sampler": name,
            "images": parsed.images,
            "steps": parsed.steps,
            "batches_through_network": rounds[0]["batches_through_network"],
            "seconds": round(statistics.median(one["seconds"] for one in rounds), 4),
            "share_outside_network": round(statistics.median(outside), 4),
            "spread": [round(min(outside), 4), round(max(outside), 4)],
        }
        results.append(RESULTS, row, parsed.results)
        print(row, flush=True)


if __name__ == "__main__":
    main()
