"""Fit of priors to codes of unseen images, and the time that they take.

    python -m benchmarks.priors --data DATA [--images mnist posed aligned cifar10] [--threads 2]
    python -m benchmarks.priors --data DATA --images posed --encoder FILE --name "DMZEncoder, 600 s"

Codes are bits of ITQ of the pixels, which needs no training, or of a saved encoder of the same images.
Each prior is fitted to the codes of the train images, of an encoder to the probabilities of their bits; the
codes of the test images are held out. One row is appended for each kind of images and prior; rows that
exist already are skipped.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks import results
from benchmarks.datasets import ImageData, load_avatars, load_cifar10, load_mnist
from benchmarks.limits import limited_threads
from benchmarks.rivals import RIVALS
from dmzrep import DMZEncoder
from dmzrep.priors import PRIORS, AutoregressivePrior, CodePrior, fit_prior, two_sample_auc

RESULTS = "priors"
#: Kinds of images, from the folder that holds their files.
IMAGES: dict[str, Callable[[str], ImageData]] = {
    "mnist": load_mnist,
    "cifar10": load_cifar10,
    "posed": lambda folder: load_avatars(folder, posed=True),
    "aligned": load_avatars,
}
#: What is compared: all priors as they are, and a deeper autoregressive network.
COMPARED: dict[str, CodePrior] = {
    **{name: prior() for name, prior in PRIORS.items()},
    "autoregressive, two layers": AutoregressivePrior(
        512, n_layers=2, dropout=0.0, max_iter=12, learning_rate=3e-3
    ),
}
#: Codes that are drawn to time `sample`.
DRAWS = 10_000


def measure(prior: CodePrior, train: np.ndarray, test: np.ndarray, seed: int) -> dict[str, float]:
    """Fit a prior, and score it and its draws."""
    begun = time.perf_counter()
    fitted = fit_prior(prior, train, seed)
    after_fit = time.perf_counter()
    cost = -fitted.score(test) / math.log(2.0)
    after_score = time.perf_counter()
    draws = fitted.sample(DRAWS, random_state=seed)
    after_sample = time.perf_counter()
    return {
        "cross_entropy": round(cost, 4),
        "cross_entropy_per_bit": round(cost / train.shape[1], 5),
        "auc": round(two_sample_auc(test, draws[: len(test)], random_state=seed), 4),
        "fit_seconds": round(after_fit - begun, 3),
        "log_prob_seconds": round(after_score - after_fit, 3),
        "sample_seconds": round(after_sample - after_score, 3),
    }


def codes_of(data: ImageData, parsed: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Return the bits of train images, or their probabilities, and the bits of test images."""
    parts = [data.train[: parsed.rows], data.test[: parsed.rows]]
    if parsed.encoder:
        encoder = DMZEncoder.load(parsed.encoder).set_params(output="probabilities")
        train, test = (np.asarray(encoder.transform(X)) for X in parts)
        return train, test > 0.5
    itq = RIVALS["ITQ"](parsed.latent_dim, parsed.seed).fit(parts[0])
    train, test = (itq.transform(X)["bits"].astype(np.uint8) for X in parts)
    return train, test


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, append its rows and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with the images' files")
    parser.add_argument("--images", nargs="+", choices=list(IMAGES), default=["mnist"])
    parser.add_argument("--encoder", type=Path, help="a saved encoder of these images, in place of ITQ")
    parser.add_argument("--name", help="what to call the codes of --encoder")
    parser.add_argument("--latent-dim", type=int, default=64, help="bits of ITQ")
    parser.add_argument("--priors", nargs="+", choices=list(COMPARED), default=list(COMPARED))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, help="largest number of train and of test images")
    parser.add_argument("--threads", type=int, help="number of threads of all libraries")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parsed = parser.parse_args(arguments)
    if (parsed.encoder is None) != (parsed.name is None) or parsed.name == "ITQ":
        parser.error("give --encoder a --name of its own, and --name its --encoder")
    if parsed.encoder and len(parsed.images) > 1:
        parser.error("--encoder is for one kind of --images")
    made: list[dict[str, Any]] = []
    with limited_threads(parsed.threads):
        for images in parsed.images:
            train, test = codes_of(IMAGES[images](parsed.data), parsed)
            about = {"codes": parsed.name or "ITQ", "images": images, "latent_dim": train.shape[1]}
            about |= {"n_train": len(train), "n_test": len(test), "seed": parsed.seed}
            about["threads"] = torch.get_num_threads()
            for name in parsed.priors:
                key = {"prior": name, **about}
                past = results.read(RESULTS, parsed.results)
                same = [row for row in past if all(row[k] == value for k, value in key.items())]
                if not same:
                    row = {**key, **measure(COMPARED[name], train, test, parsed.seed)}
                    results.append(RESULTS, row, parsed.results)
                    same = [row]
                made.append(same[-1])
                print(made[-1], flush=True)
    columns = ["images", "codes", "prior", "cross_entropy", "auc", "fit_seconds", "sample_seconds"]
    print(pd.DataFrame(made)[columns].to_string(index=False))


if __name__ == "__main__":
    main()
