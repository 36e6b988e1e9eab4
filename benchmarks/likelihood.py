"""Bits per dimension against the length of the code: rate of the image, of the code, and their sum.

    python -m benchmarks.likelihood --data DATA [--set mnist] [--bits 0 8 16 32 64 128] [--seconds 60]

One model for each length is trained for the same time; 0 bits is the unconditional model. The variational
bound of test images is estimated with `--terms` of its terms; the code's rate is that under the model's own
fitted prior (chosen by held-out likelihood of train codes) and, for comparison, under a uniform prior.
Further columns are the rates of a discretised Gaussian, fitted to the pixels, and of PNG. For colour images,
`auroc_mnist` is the AUROC of `score_samples` for test images against as many padded digits, and
`auroc_mnist_complexity` that of the scores plus the rate of PNG (Serra et al., "Input complexity and
out-of-distribution detection with likelihood-based generative models", 2020).
Rows are appended to `results/likelihood.jsonl`; rows that exist already are skipped.
"""

from __future__ import annotations

import argparse
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from benchmarks import results
from benchmarks.datasets import SETS, ImageData, load_mnist
from benchmarks.limits import NO_LIMIT, add_limits, check_limits, limited_threads, limits_used, training_clock
from dmzrep import DMZEncoder
from dmzrep.estimator._parameters import nested_names

RESULTS = "likelihood"


def png_rates(images: np.ndarray) -> np.ndarray:
    """Return the size of each image as a PNG file, in bits per dimension."""
    rates = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG", optimize=True)
        rates.append(8.0 * len(file.getvalue()) / image.size)
    return np.array(rates)


def outlier_aucs(encoder: DMZEncoder, X: np.ndarray, digits: np.ndarray, n_terms: int) -> dict[str, float]:
    """Return the AUROC of scores of images against digits, padded to their shape."""
    margins = [((X.shape[axis] - digits.shape[axis]) // 2,) * 2 for axis in (1, 2)]
    outliers = np.repeat(np.pad(digits, [(0, 0), *margins])[..., None], X.shape[3], axis=3)
    both = np.concatenate([X, outliers])
    is_image = np.repeat([1, 0], [len(X), len(outliers)])
    scores = encoder.score_samples(both, n_terms=n_terms)
    return {
        "auroc_mnist": float(roc_auc_score(is_image, scores)),
        "auroc_mnist_complexity": float(roc_auc_score(is_image, scores + png_rates(both))),
        "mnist": float(-scores[len(X) :].mean()),
    }


def measure(encoder: DMZEncoder, X: np.ndarray, n_terms: int) -> dict[str, Any]:
    """Return the rates of test images, in bits per dimension."""
    table = encoder.bits_per_dim(X, n_terms=n_terms)
    last = encoder.history_.iloc[-1]
    row: dict[str, Any] = {"seconds": float(last["seconds"]), "images_seen": int(last["images"])}
    for part in ("image", "code", "total"):
        row[part] = float(table.loc[part, "bits_per_dim"])
        row[f"{part}_standard_error"] = float(table.loc[part, "standard_error"])
    row["gaussian"], row["png"] = encoder.calibration_.gaussian_bits, float(png_rates(X).mean())
    row["prior"] = None if encoder.prior_ is None else encoder.prior_.name
    has_code = encoder.prior_ is not None
    row["code_of_coins"] = encoder.latent_dim / math.prod(X.shape[1:]) if has_code else 0.0
    return {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}


def train(n_bits: int, seconds: float, seed: int, data: ImageData) -> DMZEncoder:
    """Train a model with the given number of bits, or without a code."""
    options = {"conditioning": "none"} if n_bits == 0 else {}
    budget = {"max_time": seconds, "max_iter": NO_LIMIT}
    return (
        DMZEncoder(n_bits or 1, random_state=seed)
        .set_params(**nested_names(budget | options))
        .fit(data.train)
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure the missing rows, append them to the results and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the datasets")
    parser.add_argument("--set", choices=list(SETS), default="mnist")
    parser.add_argument("--bits", type=int, nargs="+", default=[0, 8, 16, 32, 64, 128])
    parser.add_argument("--seconds", type=float, default=60.0, help="training time of each model")
    parser.add_argument("--images", type=int, default=2_000, help="test images")
    parser.add_argument("--terms", type=int, default=32, help="terms of the bound for each image")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add_limits(parser)
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parsed = parser.parse_args(arguments)
    check_limits(parser, parsed)
    past, data = results.read(RESULTS, parsed.results), None
    with limited_threads(parsed.threads):
        for seed in parsed.seeds:
            for n_bits in parsed.bits:
                about = {"set": parsed.set, "bits": n_bits, "seed": seed, "seconds_asked": parsed.seconds}
                about |= {"n_images": parsed.images, "n_terms": parsed.terms}
                if results.is_done(past, about):
                    continue
                if data is None:
                    data = SETS[parsed.set].load(parsed.data)
                with training_clock(parsed):
                    encoder = train(n_bits, parsed.seconds, seed, data)
                X = data.test[: parsed.images]
                row = about | measure(encoder, X, parsed.terms)
                if X.ndim == 4:
                    digits = load_mnist(parsed.data).test[: parsed.images]
                    row |= outlier_aucs(encoder, X, digits, parsed.terms)
                row |= limits_used(parsed)
                results.append(RESULTS, row, parsed.results)
                print(row, flush=True)


if __name__ == "__main__":
    main()
