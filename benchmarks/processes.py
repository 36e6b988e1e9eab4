"""One process with all threads, compared with several processes that share the threads and each batch.

    python -m benchmarks.processes --data DATA [--threads 2] [--batch-sizes 64 512] [--seconds 20]

MNIST with the default network and the same total batch size for every number of processes. Runs alternate, so
that changes in the speed of the machine affect all equally; results are medians over rounds of the images per
second of whole runs. One row for each is appended to `results/processes.jsonl`; rows that exist already are
skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.datasets import load_mnist
from dmzrep import DMZEncoder, Training

RESULTS = "processes"
#: What a run writes before its speed.
MARK = "images per second:"


def train(folder: Path, batch_size: int, seconds: float, images: int | None) -> None:
    """Train, in one of the processes that were started; the first prints how fast."""
    warnings.simplefilter("ignore")
    X = load_mnist(folder).train[:images]
    # The first fit of a process imports what optimisers need.
    DMZEncoder(max_iter=1, init="random", prior="uniform").fit(X[:64])
    encoder = DMZEncoder(
        batch_size=batch_size,
        max_time=seconds,
        max_iter=10_000,
        validation_fraction=0.0,
        # Initialisation and prior cost all processes the same.
        init="random",
        prior="uniform",
        random_state=0,
        training=Training(distributed="RANK" in os.environ),
    ).fit(X)
    last = encoder.history_.iloc[-1]
    if os.environ.get("RANK", "0") == "0":
        print(MARK, last["images"] / last["seconds"], encoder.precision_)


def launch(n_processes: int, n_threads: int, arguments: list[str]) -> tuple[float, str]:
    """Train in several processes; return images per second and the precision."""
    command = [sys.executable]
    if n_processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n_processes)]
        command += ["--no-python", sys.executable]
    command += ["-m", "benchmarks.processes", "--in-process", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": str(n_threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    line = next(line for line in done.stdout.splitlines() if line.startswith(MARK))
    speed, precision = line.removeprefix(MARK).split()
    return float(speed), precision


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and append its rows to the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist.npz")
    parser.add_argument("--threads", type=int, default=2, help="threads of all processes together")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--seconds", type=float, default=20.0, help="training time per run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, help="maximum number of training images")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    parsed = parser.parse_args(arguments)
    if parsed.in_process:
        train(parsed.data, parsed.batch_sizes[0], parsed.seconds, parsed.images)
        return
    about = {"seconds": parsed.seconds, "images": parsed.images, "rounds": parsed.rounds}
    done = results.read(RESULTS, parsed.results)
    keys = [
        {"processes": n, "threads_each": parsed.threads // n, "batch_size": size, **about}
        for size in parsed.batch_sizes
        for n in (1, parsed.threads)
    ]
    keys = [key for key in keys if not results.is_done(done, key)]
    options = ["--data", str(parsed.data), "--seconds", str(parsed.seconds)]
    options += [] if parsed.images is None else ["--images", str(parsed.images)]
    measured: list[list[tuple[float, str]]] = [[] for _ in keys]
    for _ in range(parsed.rounds):
        for key, speeds in zip(keys, measured, strict=True):
            run = [*options, "--batch-sizes", str(key["batch_size"])]
            speeds.append(launch(key["processes"], key["threads_each"], run))
    for key, speeds in zip(keys, measured, strict=True):
        row: dict[str, Any] = {
            **key,
            "precision": speeds[0][1],
            "images_per_second": round(statistics.median(speed for speed, _ in speeds), 1),
            "all": [round(speed, 1) for speed, _ in speeds],
        }
        results.append(RESULTS, row, parsed.results)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
