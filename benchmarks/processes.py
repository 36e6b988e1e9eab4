"""Training in several processes, one core each, beside one process on one core.

    python -m benchmarks.processes --data DATA [--processes 1 2] [--batch-sizes 64 128 256 512] \
[--patch-sizes auto 1] [--seconds 20] [--rounds 3]

MNIST with the default network, and with one that works on single pixels; whole batches of the same size
whatever the number of processes. Runs follow each other in turn, so that a machine whose speed changes is
fair to all; figures are medians over rounds of the images a second of whole runs. Beside each number of
processes stand as many independent runs at once ("apart"), which share nothing but the machine: what there
is to gain. One row for each is appended to `results/processes.jsonl`; rows that are there are skipped.
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
from dmzrep import DMZEncoder, Network

RESULTS = "processes"
#: What a run writes before its speed.
MARK = "images a second:"


def train(folder: Path, batch_size: int, patch_size: Any, seconds: float, images: int | None) -> None:
    """Train, in one of the processes that were started; the first says how fast."""
    warnings.simplefilter("ignore")
    encoder = DMZEncoder(
        batch_size=batch_size,
        network=Network(patch_size=patch_size),
        max_time=seconds,
        max_iter=10_000,
        validation_fraction=0.0,
        # The start costs all processes the same, and is no part of a step.
        init="random",
        prior="uniform",
        random_state=0,
    ).fit(load_mnist(folder).train[:images])
    last = encoder.history_.iloc[-1]
    if os.environ.get("RANK", "0") == "0":
        print(MARK, last["images"] / last["seconds"], encoder.precision_)


def launch(n_processes: int, apart: bool, arguments: list[str]) -> tuple[float, str]:
    """Start processes of one thread each; give their images a second in all, and the arithmetic."""
    command = [sys.executable]
    if n_processes > 1 and not apart:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n_processes)]
        command += ["--no-python", sys.executable]
    command += ["-m", "benchmarks.processes", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    started = [subprocess.Popen(command, **pipes) for _ in range(n_processes if apart else 1)]
    speeds, precision = [], ""
    for process in started:
        said, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {errors[-2000:]}")
        line = next(line for line in said.splitlines() if line.startswith(MARK))
        speed, precision = line.removeprefix(MARK).split()
        speeds.append(float(speed))
    return sum(speeds), precision


def _patch_size(text: str) -> str | int:
    return text if text == "auto" else int(text)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and append its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds mnist.npz")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--patch-sizes", type=_patch_size, nargs="+", default=["auto"])
    parser.add_argument("--seconds", type=float, default=20.0, help="of training a run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, help="to train on, at most")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    parsed = parser.parse_args(arguments)
    if parsed.in_process:
        train(parsed.data, parsed.batch_sizes[0], parsed.patch_sizes[0], parsed.seconds, parsed.images)
        return
    about = {"seconds": parsed.seconds, "images": parsed.images, "rounds": parsed.rounds}
    done = results.read(RESULTS, parsed.results)
    keys = [
        {"processes": n, "apart": apart, "batch_size": size, "patch_size": patch_size, **about}
        for patch_size in parsed.patch_sizes
        for size in parsed.batch_sizes
        for n in parsed.processes
        for apart in ((False, True) if n > 1 else (False,))
    ]
    keys = [key for key in keys if not results.is_done(done, key)]
    measured: list[list[tuple[float, str]]] = [[] for _ in keys]
    options = ["--data", str(parsed.data), "--seconds", str(parsed.seconds)]
    options += [] if parsed.images is None else ["--images", str(parsed.images)]
    for _ in range(parsed.rounds):
        for key, speeds in zip(keys, measured, strict=True):
            sizes = ["--batch-sizes", str(key["batch_size"]), "--patch-sizes", str(key["patch_size"])]
            run = ["--in-process", *options, *sizes]
            speeds.append(launch(key["processes"], key["apart"], run))
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
