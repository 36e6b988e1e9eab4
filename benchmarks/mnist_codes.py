"""How good 64-bit codes of MNIST are after a time of training, beside PCA, ITQ and BernoulliRBM.

    python -m benchmarks.mnist_codes --data DATA [--seconds 420] [--seeds 0 1 2] [--params JSON] [--name NAME]

Trains on the 60,000 train images with default parameters (and `--params`), fits logistic regression
on 15,000 train codes, and scores the 10,000 test images; mAP@100 of Hamming search in the 60,000
train codes. One row is appended for each finished fit; seeds that are there already are skipped.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from scipy.special import expit

from benchmarks.code_quality import knn_accuracy, linear_probe, mean_average_precision
from benchmarks.datasets import load_mnist
from benchmarks.results import append, read
from benchmarks.rivals import ITQ, PCA, BernoulliRBM
from dmzrep import DMZEncoder

RESULTS = "mnist_codes"
DEFAULT_NAME = "DMZEncoder, default"


def measure(
    train: dict[str, np.ndarray], test: dict[str, np.ndarray], y_train: np.ndarray, y_test: np.ndarray
) -> dict[str, float]:
    """Probe every representation; search by the bits."""
    row = {
        f"probe_{name}": linear_probe(train[name][:15_000], y_train[:15_000], test[name], y_test)
        for name in train
    }
    bits = train["bits"], y_train, test["bits"], y_test
    row["map_at_100"] = mean_average_precision(*bits)
    row["map_at_100_found"] = mean_average_precision(*bits, divide_by="found")
    return {**row, "knn_10": knn_accuracy(*bits)}


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and append its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder that holds mnist.npz")
    parser.add_argument("--seconds", type=float, default=420.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--params", type=json.loads, default={}, help="parameters of DMZEncoder as JSON")
    parser.add_argument("--name", default=DEFAULT_NAME)
    parser.add_argument("--latent-dim", type=int, default=64)
    parser.add_argument("--rivals", action="store_true", help="measure PCA and BernoulliRBM too")
    parsed = parser.parse_args(arguments)
    data = load_mnist(parsed.data)
    X, y, X_test, y_test = data.train, data.train_labels, data.test, data.test_labels
    if parsed.params and parsed.name == DEFAULT_NAME:
        parser.error("give runs with other parameters a --name of their own")
    done = {(r["name"], r["seed"], r["seconds_asked"], r["latent_dim"]) for r in read(RESULTS)}
    if parsed.rivals:
        rivals = {
            "PCA": PCA(parsed.latent_dim),
            "ITQ, where our encoder starts": ITQ(parsed.latent_dim),
            "BernoulliRBM": BernoulliRBM(parsed.latent_dim, learning_rates=(0.1,)),
        }
        for name, rival in rivals.items():
            if (name, 0, None, parsed.latent_dim) in done:
                continue
            begun = time.perf_counter()
            rival.fit(X)
            seconds = time.perf_counter() - begun
            train, test = (
                {"bits" if form == "bits" else "floats": codes for form, codes in rival.transform(a).items()}
                for a in (X, X_test)
            )
            row = {"name": name, "seed": 0, "seconds_asked": None, "latent_dim": parsed.latent_dim}
            row |= {"seconds": round(seconds, 1), **measure(train, test, y, y_test)}
            append(RESULTS, row)
            print(row, flush=True)
    for seed in parsed.seeds:
        if (parsed.name, seed, parsed.seconds, parsed.latent_dim) in done:
            continue
        params = {"max_time": parsed.seconds, "random_state": seed, "verbose": 1, "output": "logits"}
        encoder = DMZEncoder(parsed.latent_dim, **(params | parsed.params)).fit(X)
        begun = time.perf_counter()
        logits = {"train": encoder.transform(X), "test": encoder.transform(X_test)}
        encode_rate = (len(X) + len(X_test)) / (time.perf_counter() - begun)
        codes = {
            part: {"logits": z, "probabilities": expit(z), "bits": (z > 0).astype(np.float32)}
            for part, z in logits.items()
        }
        last = encoder.history_.iloc[-1]
        reconstructed = encoder.reconstruct(X_test[:500]).astype(np.float64)
        row = {
            "name": parsed.name,
            "seed": seed,
            "seconds_asked": parsed.seconds,
            "latent_dim": parsed.latent_dim,
            "params": parsed.params,
            "seconds": round(float(last["seconds"]), 1),
            "images_seen": int(last["images"]),
            **measure(codes["train"], codes["test"], y, y_test),
            "mean_entropy": float(encoder.code_report_["entropy"].mean()),
            "dead_bits": int((encoder.code_report_["entropy"] < 0.1).sum()),
            "reconstruction_mse": float(np.square((reconstructed - X_test[:500]) / 127.5).mean()),
            "transform_images_per_second": round(encode_rate),
            "validation": {k: float(last[k]) for k in last.index if k.startswith("validation")},
        }
        append(RESULTS, row)
        print(row, flush=True)


if __name__ == "__main__":
    main()
