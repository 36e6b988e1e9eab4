"""Cost of checkpoints: duration and size of one, and their share of training time at one per minute.

    taskset -c 0 python -m benchmarks.checkpoint_cost --threads 1 [--sizes mnist rgb64 cifar10-paper]

Images are random; the time of a checkpoint does not depend on their content. Checkpoints are timed in two
ways. First alone: a trainer that has made a step writes checkpoints repeatedly; results are medians of
wall-clock and CPU time. Then in `fit`, with a checkpoint every few seconds, in alternation with the same fit
without checkpoints: the time that `fit` spends in a checkpoint, and how much longer the fit takes, per
checkpoint. This difference of two long times is noisy on a machine with other work. With `--cpu-time`, fits
are timed in CPU seconds. Rows that exist already are not measured again.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks import results
from benchmarks.limits import add_limits, check_limits, limited_threads, limits_used, training_clock
from dmzrep import DMZEncoder
from dmzrep.data import learn_image_format
from dmzrep.estimator._fit import build_trainer
from dmzrep.estimator._parameters import nested_names
from dmzrep.training import Checkpoints, TrainingData

RESULTS = "checkpoint_cost"
#: Seconds from one checkpoint to the next for which the fraction is reported.
EVERY = 60.0
#: Shapes of images and the encoder's recipe, by name.
SIZES: dict[str, tuple[tuple[int, ...], str | None]] = {
    "mnist": ((28, 28), None),
    "rgb64": ((64, 64, 3), None),
    "cifar10-paper": ((32, 32, 3), "cifar10"),
}


def make_encoder(size: str, **params: Any) -> DMZEncoder:
    """Return an encoder with the networks of the given size."""
    recipe = SIZES[size][1]
    params = {"init": "random", "prior": "uniform", "random_state": 0, "device": "cpu"} | params
    return (DMZEncoder() if recipe is None else DMZEncoder.paper(recipe)).set_params(**nested_names(params))


def make_images(size: str, n_rows: int) -> np.ndarray:
    """Return noise of the shape of a size."""
    shape = (n_rows, *SIZES[size][0])
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@contextmanager
def seconds_of_checkpoints() -> Iterator[list[float]]:
    """Count the seconds that each checkpoint takes, all of it; one that is not due is left out."""
    spent: list[float] = []
    write = Checkpoints._write

    def timed(self: Checkpoints, trainer: Any) -> None:
        before, begun = self._written, time.perf_counter()
        write(self, trainer)
        if self._written != before:
            spent.append(time.perf_counter() - begun)

    with patch.object(Checkpoints, "_write", timed):
        yield spent


def alone(size: str, repeats: int, folder: Path) -> dict[str, Any]:
    """Return medians over checkpoints that are written one after another."""
    X = make_images(size, 16)
    encoder, data_format = make_encoder(size), learn_image_format(X)
    trainer, _ = build_trainer(encoder, X, data_format, 0, continued=False)
    data = TrainingData(X, data_format.to_model, np.arange(len(X)), trainer.device)
    trainer.guard.begin(trainer)
    # The optimiser has its moments from the first step on.
    trainer.train_step(data.batch(torch.arange(2)), len(X))
    checkpoints = Checkpoints(folder, {"size": size}, every=EVERY)
    checkpoints.set_metadata(0, {})
    seconds, core_seconds = [], []
    for _ in range(repeats):
        trainer.step += 1
        begun, core_begun = time.perf_counter(), time.process_time()
        checkpoints._write(trainer)
        seconds.append(time.perf_counter() - begun)
        core_seconds.append(time.process_time() - core_begun)
    (*_, path) = sorted(folder.glob("run-*/checkpoint-*"))
    return {
        "parameters": sum(trainer.model.parameter_counts().values()),
        "bytes": path.stat().st_size,
        "repeats": repeats,
        "seconds": round(statistics.median(seconds), 4),
        "spread": [round(min(seconds), 4), round(max(seconds), 4)],
        "core_seconds": round(statistics.median(core_seconds), 4),
    }


def step_seconds(size: str, n_steps: int, every: float | None, folder: Path | None) -> dict[str, Any]:
    """Run a fit of some steps; return its seconds per step and the duration of its checkpoints."""
    params: dict[str, Any] = {"batch_size": 32, "max_iter": 1, "validation_fraction": 0.0}
    if folder is not None:
        params |= {"checkpoint_dir": folder, "checkpoint_every": every}
    encoder = make_encoder(size, **params)
    with warnings.catch_warnings(), seconds_of_checkpoints() as spent:
        warnings.simplefilter("ignore")  # Noise has no code.
        encoder.fit(make_images(size, 32 * n_steps))
    # The last is written at the end, after the history's clock has stopped.
    during = spent[:-1] if folder is not None else []
    seconds = float(encoder.history_["seconds"].iloc[-1])
    return {"seconds": seconds, "checkpoints": len(during), "in_checkpoints": sum(during)}


def in_fits(size: str, n_steps: int, every: float, rounds: int, folder: Path) -> dict[str, Any]:
    """Compare alternating fits with and without checkpoints."""
    differences, inside, counts = [], [], []
    for turn in range(rounds):
        without = step_seconds(size, n_steps, None, None)
        with_them = step_seconds(size, n_steps, every, folder / str(turn))
        if not with_them["checkpoints"]:
            raise ValueError(
                f"A fit of {n_steps} steps ends before its first checkpoint. Use a larger --steps."
            )
        counts.append(with_them["checkpoints"])
        differences.append((with_them["seconds"] - without["seconds"]) / counts[-1])
        inside.append(with_them["in_checkpoints"] / counts[-1])
    return {
        "fit_every": every,
        "fit_steps": n_steps,
        "fit_rounds": rounds,
        "fit_checkpoints": sum(counts),
        "fit_longer_seconds": round(statistics.median(differences), 4),
        "fit_longer_spread": [round(min(differences), 4), round(max(differences), 4)],
        "fit_inside_seconds": round(statistics.median(inside), 4),
    }


def shares(row: dict[str, Any]) -> dict[str, float]:
    """Return the fractions of training time with a checkpoint every `EVERY` seconds, by measurement."""
    found = {"share": row["seconds"], "core_share": row["core_seconds"]}
    if "fit_longer_seconds" in row:
        found |= {
            "fit_longer_share": row["fit_longer_seconds"],
            "fit_inside_share": row["fit_inside_seconds"],
        }
    # Seconds are counted from the end of one checkpoint to the start of the next.
    return {name: round(seconds / (EVERY + seconds), 5) for name, seconds in found.items()}


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and append its rows to the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--repeats", type=int, default=11, help="number of checkpoints timed alone")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between checkpoints of a fit")
    parser.add_argument("--steps", type=int, default=200, help="number of steps of a fit")
    parser.add_argument("--rounds", type=int, default=3, help="number of fits with and without checkpoints")
    parser.add_argument("--fits", nargs="*", choices=SIZES, default=["mnist", "rgb64"], help="sizes for fits")
    parser.add_argument("--again", action="store_true", help="measure again what has a row already")
    parser.add_argument("--folder", type=Path, help="folder for temporary checkpoints (default: /tmp)")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    add_limits(parser)
    parsed = parser.parse_args(arguments)
    check_limits(parser, parsed)
    with limited_threads(parsed.threads):
        for size in parsed.sizes:
            key = {"size": size, "every": EVERY, **limits_used(parsed)}
            if not parsed.again and results.is_done(results.read(RESULTS, parsed.results), key):
                continue
            with tempfile.TemporaryDirectory(dir=parsed.folder) as name:
                row = key | alone(size, parsed.repeats, Path(name) / "alone")
                if size in parsed.fits:
                    with training_clock(parsed):
                        row |= in_fits(size, parsed.steps, parsed.every, parsed.rounds, Path(name))
            row |= shares(row)
            results.append(RESULTS, row, parsed.results)
            print(row, flush=True)


if __name__ == "__main__":
    main()
