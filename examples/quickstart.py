"""Learn 64-bit codes of handwritten digits without labels, then classify, search, decode and edit them.

Run it with ``make demo``, or ``python examples/quickstart.py --seconds 60 --out out``.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import matplotlib
import numpy as np
import pandas as pd
import torch
from scipy.special import expit
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neural_network import BernoulliRBM

from dmzrep import DMZEncoder
from dmzrep.datasets import load_digits_images
from dmzrep.editing import AttributeEditor
from dmzrep.networks._encoders import LinearInit
from dmzrep.plotting import (
    EditDisplay,
    HistoryDisplay,
    NeighborsDisplay,
    ReconstructionDisplay,
    SampleDisplay,
)
from dmzrep.retrieval import hamming_neighbors
from dmzrep.training import init_linear

BITS = 64
FOLDS = StratifiedKFold(5)
N_NEIGHBORS = 5
#: Every eighth image is reconstructed for the table of errors, several times with random noise.
REBUILT, N_DRAWS = slice(None, None, 8), 4


def main() -> None:
    options = parse_options()
    started = time.perf_counter()
    X, y = load_digits_images(return_X_y=True)
    encoder = DMZEncoder(
        latent_dim=BITS, max_time=options.seconds, max_iter=10_000, random_state=options.seed, verbose=1
    )
    print(
        f"Training on {len(X)} images of 8 x 8 pixels for {options.seconds:g} seconds, without their labels."
    )
    fit_seconds = timed(lambda: encoder.fit(X))[1]
    rate = encoder.history_["images"].iloc[-1] / encoder.history_["seconds"].iloc[-1]
    print(f"{encoder.n_iter_} epochs on {encoder.device_}, {rate:.0f} images per second.\n")

    rivals = Rivals(X, options.seed)
    print("Codes as features of the 10 digits (accuracy, 5-fold cross-validation)")
    codes = code_table(encoder, fit_seconds, rivals, X, y)
    print(codes.to_string(float_format="{:.3f}".format), "\n")
    print("Reconstruction from codes (mean squared error, pixels from -1 to 1)")
    errors = error_table(encoder, rivals, X)
    print(errors.to_string(float_format="{:.4f}".format), "\n")
    if options.results is not None:
        tables = {"codes": codes.to_dict(orient="index"), "errors": errors.to_dict(orient="index")}
        row = {
            "seed": options.seed,
            "seconds_asked": options.seconds,
            "images_per_second": round(rate),
            **tables,
        }
        with open(options.results, "a") as file:
            file.write(json.dumps(row) + "\n")
    print(
        "All codes were learned without labels from all 1797 images; cross-validation applies only to the\n"
        "classifiers. Seconds: learning the code and encoding all images. Errors are on every eighth image;\n"
        "these images were also used for training. The error of one sample is larger than that of the mean\n"
        "of several, since a sample is a plausible image and not a blurred average. Inverted noise is "
        "stored\n"
        "in addition to the bits and contains the details that the bits do not.\n"
    )
    for path in save_pictures(encoder, X, y, options.out, options.seed):
        print(f"Saved {path}")
    print(f"Done in {time.perf_counter() - started:.0f} seconds.")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="training time (default: 60)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for figures (default: out)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    parser.add_argument(
        "--results", type=Path, help="file to which the tables are appended as a line of JSON"
    )
    return parser.parse_args()


def timed(work: Callable) -> tuple:
    """Return the result of a call, and its duration in seconds."""
    begun = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begun


class Rivals:
    """Classical methods with 64-bit codes, fitted on the same images."""

    def __init__(self, X: np.ndarray, seed: int):
        self.pixels = X.reshape(len(X), -1) / 255.0
        self.pca, self.pca_seconds = timed(lambda: PCA(BITS, random_state=seed).fit(self.pixels))
        # Of learning rates from 0.005 to 0.1 and 20 to 200 epochs, these gave the best bits.
        rbm = BernoulliRBM(BITS, learning_rate=0.01, n_iter=100, random_state=seed)
        self.rbm, self.rbm_seconds = timed(lambda: rbm.fit(self.pixels))
        self.pca_signs = self.pca.transform(self.pixels) > 0
        self.itq_bits, self.itq_seconds = timed(lambda: itq_bits(self.pixels, seed))
        self.rbm_bits = self.rbm.transform(self.pixels) > 0.5


def itq_bits(pixels: np.ndarray, seed: int) -> np.ndarray:
    """Signs of the rotated principal components: what the encoder starts from."""
    generator = torch.Generator().manual_seed(seed)
    start = LinearInit((pixels.shape[1],), BITS)
    x = torch.from_numpy(2.0 * pixels - 1.0).float()
    init_linear(start, x, "itq", generator)
    with torch.no_grad():
        return (start(x) > 0).numpy()


# -- codes as features -----------------------------------------------------------------------------


def code_table(
    encoder: DMZEncoder, fit_seconds: float, rivals: Rivals, X: np.ndarray, y: np.ndarray
) -> pd.DataFrame:
    probabilities, encode_seconds = timed(lambda: encoder.transform(X))
    dmz_seconds = fit_seconds + encode_seconds
    codes = {
        "DMZ bits": (probabilities > 0.5, dmz_seconds),
        "DMZ probabilities": (probabilities, dmz_seconds),
        "PCA-64 signs": (rivals.pca_signs, rivals.pca_seconds),
        "ITQ-64 bits": (rivals.itq_bits, rivals.itq_seconds),
        "BernoulliRBM-64 bits": (rivals.rbm_bits, rivals.rbm_seconds),
        "raw pixels": (rivals.pixels, 0.0),
    }
    rows = {}
    for name, (Z, seconds) in codes.items():
        classifier = LogisticRegression(max_iter=1000)
        rows[name] = {
            "per image": f"{Z.shape[1]} {'bits' if Z.dtype == bool else 'floats'}",
            "logistic regression": cross_val_score(classifier, Z.astype(np.float64), y, cv=FOLDS).mean(),
            "5-NN": np.mean([neighbor_accuracy(Z, y, train, test) for train, test in FOLDS.split(Z, y)]),
            "seconds": f"{seconds:.1f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def neighbor_accuracy(Z: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    """Return the accuracy of classification by the majority label of the nearest training samples."""
    if Z.dtype == bool:
        nearest = hamming_neighbors(Z[test], Z[train], N_NEIGHBORS)[1]
    else:
        index = faiss.IndexFlatL2(Z.shape[1])
        index.add(Z[train].astype(np.float32))
        nearest = index.search(Z[test].astype(np.float32), N_NEIGHBORS)[1]
    labels = y[train][nearest]
    votes = np.array([np.bincount(row, minlength=10).argmax() for row in labels])
    return float(np.mean(votes == y[test]))


# -- codes as pictures -----------------------------------------------------------------------------


def error_table(encoder: DMZEncoder, rivals: Rivals, X: np.ndarray) -> pd.DataFrame:
    pixels = rivals.pixels

    def error(rebuilt: np.ndarray) -> float:
        rebuilt = rebuilt.reshape(-1, pixels.shape[1])
        return float(np.mean((2.0 * rebuilt - 2.0 * pixels[REBUILT]) ** 2))

    copies = np.tile(X[REBUILT], (N_DRAWS, 1, 1))
    draws = np.split(encoder.reconstruct(copies, random_state=0) / 255.0, N_DRAWS)
    inverted = encoder.reconstruct(X[REBUILT], noise="inverted") / 255.0
    from_signs = LinearRegression().fit(rivals.pca_signs.astype(np.float64), pixels)
    from_bits = expit(rivals.rbm_bits @ rivals.rbm.components_ + rivals.rbm.intercept_visible_)
    # Two 32-bit floats need as much memory as 64 bits.
    two_floats = PCA(2, random_state=0).fit(pixels)
    rows = {
        "DMZ bits, random noise": ("64 bits", np.mean([error(draw) for draw in draws])),
        f"DMZ bits, mean of {N_DRAWS} draws": ("64 bits", error(np.mean(draws, axis=0))),
        "DMZ bits, inverted noise": ("64 bits + 64 floats", error(inverted)),
        "PCA-64 signs, least squares": ("64 bits", error(from_signs.predict(rivals.pca_signs[REBUILT]))),
        "BernoulliRBM-64 bits, mean": ("64 bits", error(from_bits[REBUILT])),
        "PCA-2": (
            "2 floats = 64 bits",
            error(two_floats.inverse_transform(two_floats.transform(pixels[REBUILT]))),
        ),
        "mean image": ("nothing", error(np.broadcast_to(pixels.mean(axis=0), pixels[REBUILT].shape))),
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["per image", "error"])


def save_pictures(encoder: DMZEncoder, X: np.ndarray, y: np.ndarray, folder: Path, seed: int) -> list[Path]:
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    editor = AttributeEditor(encoder).fit(X, y == 3, names=["three"])
    others = X[[5, 8, 9, 1, 7, 2]]  # The first ten images are the digits 0 to 9.
    displays = {
        "reconstructions.png": ReconstructionDisplay.from_estimator(encoder, X, n_draws=3, random_state=seed),
        "samples.png": SampleDisplay.from_estimator(encoder, 80, n_columns=10, random_state=seed),
        "edits.png": EditDisplay.from_estimator(editor, others, "three", (2.0, 4.0, 6.0), random_state=seed),
        "neighbors.png": NeighborsDisplay.from_estimator(encoder, X[:6], X[6:]),
        "history.png": HistoryDisplay.from_estimator(encoder),
    }
    for name, display in displays.items():
        display.figure_.savefig(folder / name, dpi=120)
    return [folder / name for name in displays]


if __name__ == "__main__":
    main()
