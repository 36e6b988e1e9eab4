"""Quality of Hamming search with our codes and with rival codes of the same number of bits.

    python -m benchmarks.retrieval_quality --data DATA [--images mnist posed aligned] [--seconds 600]

For each kind of images a 64-bit DMZEncoder is trained on the train part (or read from `--encoder`) and
the rivals are fitted to it. Test images are looked up among the train images' codes. MNIST is scored by
mAP@100 of the class; avatars by how often the 100 nearest faces agree with the query in each of 47
attributes and 14 factors. "above chance" is 0 for random faces and 1 for equal ones, averaged over
attributes, so that rare attributes count as much as common ones. One row is appended for each
contender and kind of search; rows that exist already are skipped.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit

from benchmarks import results
from benchmarks.code_quality import agreement, average_precision, mean_average_precision
from benchmarks.datasets import ImageData, load_avatars, load_mnist
from benchmarks.rivals import RIVALS, encoded, flat
from dmzrep import DMZEncoder
from dmzrep.estimator._parameters import nested_names
from dmzrep.retrieval import FaissNeighbors

RESULTS = "retrieval_quality"
ENCODER = "DMZEncoder"
K = 100


class FaissLSH:
    """FAISS's own hashing: a random rotation, and whether a coordinate is above its median."""

    def __init__(self, n_bits: int = 64, seed: int = 0):
        self.n_bits, self.seed = n_bits, seed

    def fit(self, X: np.ndarray) -> Self:
        """Draw the rotation and compute the medians."""
        import faiss

        rows = flat(X)
        self.index = faiss.IndexLSH(rows.shape[1], self.n_bits, True, True)
        self.index.rrot.init(self.seed + 1)
        self.index.train(rows)
        return self

    def transform(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"bits"}."""
        return {"bits": np.unpackbits(self.index.sa_encode(flat(X)), axis=1)[:, : self.n_bits]}


CONTENDERS = {"FAISS LSH": FaissLSH, **{name: RIVALS[name] for name in ("PCA", "ITQ", "LSH", "BernoulliRBM")}}


def measure(data: ImageData, train: np.ndarray, test: np.ndarray, metric: str) -> dict[str, float]:
    """Search with bits, or with probabilities as queries, and score the neighbours."""
    if not isinstance(data.train_labels, pd.DataFrame) and metric == "hamming":
        labels = data.train_labels, data.test_labels
        scored = (train > 0.5, labels[0], test > 0.5, labels[1])
        found = mean_average_precision(*scored, k=K, divide_by="found")
        return {"map_at_100": mean_average_precision(*scored, k=K), "map_at_100_found": found}
    codes = (train > 0.5, test > 0.5) if metric == "hamming" else (train, test)
    index = FaissNeighbors(K, metric=metric, shortlist=10 * K).fit(codes[0])
    neighbors = index.kneighbors(codes[1], return_distance=False)
    if not isinstance(data.train_labels, pd.DataFrame):
        return {"map_at_100": average_precision(data.train_labels, data.test_labels, neighbors)}
    row = {}
    for kind, known, asked in (
        ("attribute", data.train_labels, data.test_labels),
        ("factor", data.train_factors, data.test_factors),
    ):
        names = (f"{kind}_agreement", f"{kind}_chance", f"{kind}_above_chance")
        row |= dict(zip(names, agreement(known, asked, neighbors), strict=True))
    return row


def load(images: str, parsed: argparse.Namespace) -> ImageData:
    """Images of one kind, fewer of them where that is requested."""
    if images == "mnist":
        data = load_mnist(parsed.data)
    else:
        data = load_avatars(parsed.data, parsed.side, posed=images == "posed")
    if parsed.rows:
        cut = {name: part[: parsed.rows] for name, part in vars(data).items() if part is not None}
        data = ImageData(**cut)
    return data


def train_encoder(data: ImageData, parsed: argparse.Namespace) -> tuple[DMZEncoder, float]:
    """Return a trained encoder with logits as output, and its training time in seconds."""
    if parsed.encoder:
        encoder = DMZEncoder.load(parsed.encoder)
        return encoder.set_params(output="logits"), float(encoder.history_["seconds"].iloc[-1])
    params = {"max_time": parsed.seconds, "random_state": parsed.seed, "verbose": 1, "output": "logits"}
    begun = time.perf_counter()
    encoder = DMZEncoder(parsed.latent_dim).set_params(**nested_names(params | parsed.params)).fit(data.train)
    return encoder, time.perf_counter() - begun


def represent(
    name: str, data: ImageData, parsed: argparse.Namespace
) -> tuple[list[dict[str, np.ndarray]], float]:
    """Representations of train and test images, and the seconds that fitting took."""
    if name in CONTENDERS:
        begun = time.perf_counter()
        rival = CONTENDERS[name](parsed.latent_dim, parsed.seed).fit(data.train)
        seconds = time.perf_counter() - begun
        return [rival.transform(X) for X in (data.train, data.test)], seconds
    encoder, seconds = train_encoder(data, parsed)
    codes = [encoded(encoder, X) for X in (data.train, data.test)]
    return [{"bits": part["bits"], "probabilities": expit(part["logits"])} for part in codes], seconds


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark, append its rows and print them as a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with mnist.npz and avatars64.npz")
    parser.add_argument(
        "--images", nargs="+", choices=("mnist", "posed", "aligned"), default=["mnist", "posed"]
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="training time of the encoder")
    parser.add_argument("--side", type=int, default=32, help="pixels per side of the avatars")
    parser.add_argument("--latent-dim", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--params", type=json.loads, default={}, help="parameters of DMZEncoder as JSON")
    parser.add_argument("--name", default=ENCODER, help="name of the encoder in the rows")
    parser.add_argument("--encoder", type=Path, help="file of a trained encoder, which is not trained then")
    parser.add_argument("--only-rivals", action="store_true", help="train no encoder")
    parser.add_argument("--rows", type=int, help="largest number of train and of test images")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parsed = parser.parse_args(arguments)
    if parsed.params and parsed.name == ENCODER:
        parser.error("give runs with other parameters a --name of their own")
    if parsed.encoder and len(parsed.images) > 1:
        parser.error("--encoder is for one kind of --images")
    made: list[dict[str, Any]] = []
    for images in parsed.images:
        data = load(images, parsed)
        for name in [*CONTENDERS, *([] if parsed.only_rivals else [parsed.name])]:
            about = {"name": name, "images": images, "latent_dim": parsed.latent_dim, "seed": parsed.seed}
            about |= {"n_train": len(data.train), "n_test": len(data.test)}
            about["seconds_asked"] = None if name in CONTENDERS else parsed.seconds
            past = results.read(RESULTS, parsed.results)
            same = [row for row in past if all(row[key] == about[key] for key in about)]
            if same:
                made += same
                continue
            (train, test), seconds = represent(name, data, parsed)
            searches = [("hamming", "bits")]
            if "probabilities" in train:
                searches.append(("asymmetric", "probabilities"))
            for metric, form in searches:
                row = {**about, "search": metric, "seconds": round(seconds, 1)}
                row |= {
                    key: round(value, 5)
                    for key, value in measure(data, train[form], test[form], metric).items()
                }
                results.append(RESULTS, row, parsed.results)
                made.append(row)
                print(row, flush=True)
    columns = ["map_at_100", "attribute_agreement", "attribute_above_chance", "factor_above_chance"]
    table = pd.DataFrame(made).reindex(columns=["images", "name", "search", "seconds", *columns])
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
