"""Published protocols on CIFAR-10: hashing, and latent quality.

    python -m benchmarks.protocols --data DATA --protocol hashing [--bits 16 32 64] [--features FILE.npz] \\
        [--seconds 120] [--threads 1 --cpu-time]
    python -m benchmarks.protocols --data DATA --protocol latent_quality

Our images are a JPEG copy of CIFAR-10, so published figures compare approximately.

"hashing" is the protocol CIFAR-10 (I) without its labels in training: everything is fitted to the 50,000
train images; each of the 10,000 test images, 1,000 per class, is searched among them. MAP@1000, with the sum
of precisions divided by the number of relevant images among the 1,000, expected over the order of equal
distances (`benchmarks.code_quality.expected_average_precision`). `--features` takes arrays "train" and "test"
of features of these images by another network, in their order, and adds hashes of them.

"latent_quality" is that of Wang et al., "InfoDiffusion", 2023: codes of 32 columns of the test images,
accuracy of a logistic regression in 5-fold cross-validation (folds in order and stratified, scikit-learn's
default penalty). Encoders are fitted to the train images. Rows go to `results/protocols.jsonl`; rows that
exist already are skipped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from benchmarks import results
from benchmarks.code_quality import expected_average_precision
from benchmarks.contenders import BinaryCode
from benchmarks.datasets import ImageData, load_cifar10
from benchmarks.limits import (
    NO_LIMIT,
    add_limits,
    check_limits,
    chosen_clock,
    limited_threads,
    limits_used,
    training_clock,
)
from benchmarks.rivals import ITQ, PCA, RotatedPCA

RESULTS = "protocols"
#: Images that are retrieved, columns of the latent quality, and its folds.
K, COLUMNS, FOLDS = 1000, 32, 5
#: Contenders that are trained for the given time.
TIMED = ("default",)
INITIALISED = partial(BinaryCode, max_iter=0)
#: Contenders of each protocol; the last take features.
CONTENDERS: dict[str, dict[str, Callable[..., Any]]] = {
    "latent_quality": {"default": BinaryCode, "initialised": INITIALISED, "PCA": PCA, "ITQ": ITQ},
    "hashing": {
        "default": BinaryCode,
        "initialised": INITIALISED,
        "PCA": PCA,
        "PCA, random rotation": RotatedPCA,
        "ITQ": ITQ,
    },
}
ON_FEATURES: dict[str, Callable[..., Any]] = {"PCA, random rotation": RotatedPCA, "ITQ": ITQ}
#: Published figures: name, MAP@1000 by number of bits, and source.
PUBLISHED_HASHING = (
    ("GreedyHash (unsupervised), frozen VGG-16", {16: 0.410, 32: 0.467, 64: 0.476}),
    ("Bi-half, frozen VGG-16", {64: 0.593}),
)
HASHING_SOURCE = "comments in the code of github.com/swuxyj/DeepHash-pytorch"
PUBLISHED_LATENT_QUALITY = (("InfoDiffusion, 32 floats", "0.461 ± 0.003"),)
LATENT_QUALITY_SOURCE = (
    "revision of 2026, model card huggingface.co/yingheng/InfoDiffusion-checkpoints; original CIFAR-10"
)


def latent_quality(codes: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return mean and standard deviation over folds of the accuracy of a logistic regression."""
    scores = cross_val_score(LogisticRegression(max_iter=2000), codes, labels, cv=FOLDS)
    return {"accuracy": round(float(scores.mean()), 5), "deviation": round(float(scores.std()), 5)}


def planned(parsed: argparse.Namespace) -> Iterator[tuple[Callable[..., Any], dict[str, Any]]]:
    """Return the class and the key of every run that is requested."""
    hashing = parsed.protocol == "hashing"
    for seed in parsed.seeds:
        for n in parsed.bits if hashing else [COLUMNS]:
            made = [("pixels", name, make) for name, make in CONTENDERS[parsed.protocol].items()]
            if hashing and parsed.features:
                made += [(parsed.features_name, name, make) for name, make in ON_FEATURES.items()]
            for source, name, make in made:
                if parsed.contenders and name not in parsed.contenders:
                    continue
                key = {"protocol": parsed.protocol, "name": name, "input": source, "latent_dim": n}
                yield make, key | {"seed": seed, "seconds_asked": parsed.seconds if name in TIMED else None}


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, append its rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder that holds cifar10_jpeg.npz")
    parser.add_argument("--protocol", required=True, choices=list(CONTENDERS))
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS["hashing"]), help="default: all")
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 64], help="of hashing")
    parser.add_argument("--seconds", type=float, default=120.0, help="training time of the default encoder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--features", type=Path, help="file with arrays train and test, for hashing")
    parser.add_argument("--features-name", default="EfficientNet-lite0", help="the network of --features")
    add_limits(parser)
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parsed = parser.parse_args(arguments)
    check_limits(parser, parsed)
    past = results.read(RESULTS, parsed.results)
    missing = [(make, key) for make, key in planned(parsed) if not results.is_done(past, key)]
    if not missing:
        return
    data = load_cifar10(parsed.data)
    with limited_threads(parsed.threads), training_clock(parsed):
        for make, key in missing:
            for row in measure(make, key, data, parsed):
                results.append(RESULTS, row, parsed.results)
                print(row, flush=True)


def measure(
    make: Callable[..., Any], key: dict[str, Any], data: ImageData, parsed: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Fit a contender and return a row for each form of its codes."""
    train, test = data.train, data.test
    if key["input"] != "pixels":
        with np.load(parsed.features) as features:
            train, test = features["train"], features["test"]
        if (len(train), len(test)) != (len(data.train), len(data.test)):
            raise ValueError(
                f"--features has {len(train)} train and {len(test)} test images, unlike CIFAR-10."
            )
    timed = key["seconds_asked"] is not None
    budget = {"max_time": parsed.seconds, "max_iter": NO_LIMIT} if timed else {}
    clock = chosen_clock(parsed)
    begun = clock()
    contender = make(key["latent_dim"], seed=key["seed"], **budget).fit(train)
    row = key | {"fit_seconds": round(clock() - begun, 1)} | limits_used(parsed)
    row |= {"n_train": len(train), "n_test": len(test)}
    codes = contender.transform(test)
    if key["protocol"] == "hashing":
        index, k = contender.transform(train)["bits"], min(K, len(train))
        searched = index, data.train_labels, codes["bits"], data.test_labels
        yield row | {"form": "bits", "map_at_1000": round(expected_average_precision(*searched, k), 5)}
        return
    for form, part in codes.items():
        yield row | {"form": form} | latent_quality(part, data.test_labels)


if __name__ == "__main__":
    main()
