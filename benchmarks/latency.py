"""Latency of calls with one image, compared with that of the networks alone.

    python -m benchmarks.latency

For images of 28 and 64 pixels and an untrained default network: milliseconds of `transform` of one image and
of `sample(1, n_steps=10)`, medians of several calls, and those of the encoder and of ten evaluations of the
denoiser on one image.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import results
from dmzrep import DMZEncoder

RESULTS = "latency"
SHAPES = {28: (28, 28), 64: (64, 64, 3)}
N_STEPS = 10


def milliseconds(function: Callable[[], Any], repeats: int) -> float:
    """Return the median duration of a call, after three that warm up."""
    for _ in range(3):
        function()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return 1000.0 * statistics.median(times)


def measure(side: int, repeats: int) -> list[dict[str, Any]]:
    """Return a row for `transform` and one for `sample`."""
    X = np.random.default_rng(0).integers(0, 256, (64, *SHAPES[side]), dtype=np.uint8)
    encoder = DMZEncoder(64, max_iter=1, init="random", prior="uniform", random_state=0).fit(X)
    decoder = encoder.decoder_
    x = decoder.model_units(X[:1])
    z, t = torch.rand(1, 64), torch.zeros(1)

    @torch.inference_mode()
    def encode() -> None:
        decoder.network.encode(x)

    @torch.inference_mode()
    def denoise() -> None:
        for _ in range(N_STEPS):
            decoder.network.denoiser(x, t, z)

    calls = {
        "transform": (lambda: encoder.transform(X[:1]), encode),
        "sample": (lambda: encoder.sample(1, n_steps=N_STEPS), denoise),
    }
    rows = []
    for name, (call, bare) in calls.items():
        times = milliseconds(call, repeats), milliseconds(bare, repeats)
        rows.append(
            {
                "call": name,
                "side": side,
                "threads": torch.get_num_threads(),
                "milliseconds": round(times[0], 3),
                "bare_milliseconds": round(times[1], 3),
                "ratio": round(times[0] / times[1], 2),
            }
        )
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and append the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parsed = parser.parse_args(arguments)
    for side in SHAPES:
        for row in measure(side, parsed.repeats):
            results.append(RESULTS, row, parsed.results)
            print(row)


if __name__ == "__main__":
    main()
