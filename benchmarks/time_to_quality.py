"""Quality of codes after a fixed training time or number of images, compared with baselines.

    python -m benchmarks.time_to_quality --data DATA --set mnist --seconds 60 420 --seeds 0 1 2 \\
        --configs default "convolutional VAE" --rivals PCA ITQ [--part test] [--threads 1]
    python -m benchmarks.time_to_quality --data DATA --set posed --images 24000 --configs default "init pca"

Choices are made on `--part validation`, the default: some train images are held out (the same ones for each
seed), encoders are trained on the others and scored on the held-out images; test images are not used.
`--part test` trains on all train images and scores the test images, for published tables.

Each budget is a separate run, since the learning rate schedule depends on the budget. With `--images`, all
configurations are trained on the same number of images: a random subset of the train images, or several
epochs of all images. `--cpu-time` limits the CPU time of one thread, which hardly depends on other
processes.
`--models` takes the default encoders of `benchmarks.generation` from a folder, or stores them there; part of
their time is for fitting a prior, so that they have another name.
`--configs` takes names of `benchmarks.configurations` and `benchmarks.contenders`; `--params` with `--name`
defines other configurations. One row per run is appended to `results/time_to_quality.jsonl`; runs that exist
already are skipped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import results
from benchmarks.configurations import CONFIGURATIONS
from benchmarks.contenders import CONTENDERS, BinaryCode
from benchmarks.datasets import SETS, ImageData
from benchmarks.generation import Models
from benchmarks.limits import (
    NO_LIMIT,
    add_limits,
    check_limits,
    limited_threads,
    limits_used,
    training_clock,
)
from benchmarks.rivals import RIVALS
from benchmarks.scoring import score_codes, score_reconstructions, score_training

RESULTS = "time_to_quality"
#: Seed of the choice of held-out train images.
SPLIT_SEED = 0
#: Deterministic baselines, which are measured once.
SEEDLESS = ("PCA", "pixels")
#: Name of default encoders that have a fitted prior.
WITH_PRIOR = "default, fitted prior"


def divide(data: ImageData, part: str, held_out: int) -> ImageData:
    """Return images for training and for scoring; for validation both are train images."""
    if part == "test":
        return data
    n = len(data.train)
    order = np.random.default_rng(SPLIT_SEED).permutation(n)
    # At most a quarter, for small datasets.
    kept, held = (np.sort(rows) for rows in np.split(order, [n - min(held_out, n // 4)]))
    return ImageData(
        data.train[kept],
        data.train[held],
        _rows(data.train_labels, kept),
        _rows(data.train_labels, held),
        _rows(data.train_factors, kept),
        _rows(data.train_factors, held),
    )


def _rows(table: Any, rows: np.ndarray) -> Any:
    if isinstance(table, pd.DataFrame):
        return table.iloc[rows].reset_index(drop=True)
    return None if table is None else table[rows]


def run(
    name: str, about: dict[str, Any], data: ImageData, probe_rows: int, models: Models | None = None
) -> dict[str, Any]:
    """Fit a contender within its budget, or take it from `models`, and return its scores."""
    latent_dim, seed = about["latent_dim"], about["seed"]
    begun = time.perf_counter()
    if about["parameters"] is None:
        contender = RIVALS[name](latent_dim, seed).fit(data.train)
        row: dict[str, Any] = {"seconds": time.perf_counter() - begun}
    elif models is not None:
        contender = BinaryCode(latent_dim, seed)
        contender.encoder = models.model({**about, "kind": "bits"})[0].set_params(output="logits")
        row = score_training(contender.encoder.history_)
    else:
        X, budget = training_images(data.train, about)
        make = CONTENDERS.get(name.rpartition(", init ")[0], CONTENDERS.get(name, BinaryCode))
        contender = make(latent_dim, seed, **budget, **about["parameters"]).fit(X)
        row = score_training(contender.history_)
    begun = time.perf_counter()
    row |= score_codes(data, contender.transform(data.train), contender.transform(data.test), probe_rows)
    if hasattr(contender, "reconstruct"):
        row |= score_reconstructions(contender, data.test)
    row["scoring_seconds"] = time.perf_counter() - begun
    return {key: round(value, 5) if isinstance(value, float) else value for key, value in row.items()}


def training_images(X: np.ndarray, about: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the images of a budget, and the budget as parameters."""
    images = about["images_asked"]
    if images is None:
        return X, {"max_time": about["seconds_asked"], "max_iter": NO_LIMIT}
    if images >= len(X):
        return X, {"max_iter": round(images / len(X))}
    chosen = np.random.default_rng(about["seed"]).permutation(len(X))[:images]
    return X[np.sort(chosen)], {"max_iter": 1}


def planned(parsed: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the key of each requested run."""
    latent_dim = parsed.latent_dim or SETS[parsed.set].latent_dim
    budgets = [(None, n) for n in parsed.images] if parsed.images else [(s, None) for s in parsed.seconds]
    known = {**CONFIGURATIONS, parsed.name: parsed.params or {}}
    about = {"set": parsed.set, "part": parsed.part}
    for seed in parsed.seeds:
        for name in parsed.rivals:
            if name not in SEEDLESS or seed == parsed.seeds[0]:
                key = {"seed": 0 if name in SEEDLESS else seed, "seconds_asked": None, "images_asked": None}
                yield name, {**about, "latent_dim": latent_dim, **key, "parameters": None}
        for seconds, images in budgets:
            for name in [*parsed.configs, *([parsed.name] if parsed.name else [])]:
                if parsed.models:
                    name = WITH_PRIOR
                parameters = dict(known.get(name, {}))  # Contenders of other kinds have none.
                if parsed.init:
                    parameters["init"] = parsed.init
                    name = f"{name}, init {parsed.init}"
                if parsed.plain_logits:
                    parameters["normalize_logits"] = False
                    name = f"{name}, plain logits"
                length = {"latent_dim": parameters.pop("latent_dim", latent_dim)}
                key = {"seed": seed, "seconds_asked": seconds, "images_asked": images}
                yield name, {**about, **length, **key, "parameters": parameters}


def arguments_of(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the datasets")
    parser.add_argument("--set", required=True, choices=list(SETS))
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument(
        "--seconds", type=float, nargs="+", default=[420.0], help="training times (default: 420)"
    )
    budget.add_argument("--images", type=int, nargs="+", help="numbers of training images, in place of times")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    names = [*CONFIGURATIONS, *CONTENDERS]
    parser.add_argument("--configs", nargs="*", choices=names, help="configurations (default: default)")
    parser.add_argument("--rivals", nargs="*", choices=list(RIVALS), default=[])
    parser.add_argument("--latent-dim", type=int, help="bits of a code (default: depends on the dataset)")
    parser.add_argument("--params", type=json.loads, help="parameters of DMZEncoder as JSON")
    parser.add_argument("--name", help="name of the configuration of --params")
    starts = ("random", "pca", "itq", "contrast_pca", "cca")
    parser.add_argument(
        "--init", choices=starts, help="initialisation; added to the names of the configurations"
    )
    parser.add_argument(
        "--plain-logits", action="store_true", help="without normalisation of logits, as in the paper"
    )
    parser.add_argument("--models", type=Path, help="folder of models of benchmarks.generation, not in git")
    add_limits(parser)
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parsed = parser.parse_args(arguments)
    if (parsed.params is None) != (parsed.name is None) or parsed.name in {*names, *RIVALS}:
        parser.error("--params and --name must be passed together, with a name that is not in use")
    check_limits(parser, parsed)
    if parsed.configs is None:
        parsed.configs = [] if parsed.name else ["default"]
    others = parsed.name or parsed.init or parsed.plain_logits or parsed.images or parsed.part != "test"
    if parsed.models and (others or parsed.configs != ["default"]):
        parser.error("--models has default encoders only, of all train images: use it with --part test")
    return parsed


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, append the rows to the results and print them."""
    parsed = arguments_of(arguments)
    past = results.read(RESULTS, parsed.results)
    with limited_threads(parsed.threads):
        data = None
        for name, about in planned(parsed):
            key = {"name": name, **about}
            same = [r for r in past if all(r[k] == v for k, v in key.items() if k != "parameters")]
            if any(row["parameters"] != json.loads(json.dumps(about["parameters"])) for row in same):
                raise ValueError(
                    f"name={name!r} already stands for other parameters in {RESULTS}.jsonl: "
                    f"{same[0]['parameters']}, now {about['parameters']}. Choose another name."
                )
            if same:
                continue
            if data is None:
                chosen = SETS[parsed.set]
                data = divide(chosen.load(parsed.data), parsed.part, chosen.held_out)
                models = Models(parsed.models, parsed.set, data) if parsed.models else None
            with training_clock(parsed):
                row = {**key, **run(name, about, data, chosen.probe_rows, models)}
            row |= limits_used(parsed)
            results.append(RESULTS, row, parsed.results)
            print(row, flush=True)


if __name__ == "__main__":
    main()
