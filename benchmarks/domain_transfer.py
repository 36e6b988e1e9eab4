"""Domain transfer: rank of the true partner among all test images, by distance to the predicted code.

    python -m benchmarks.domain_transfer --data DATA [--pairs emoji edges] [--seconds 600] [--seeds 0 1 2]

For each kind of pairs and each seed, an encoder of each domain is trained on its train images alone (or read
from `--encoders`), transfers with several settings are fitted to the train pairs, and each test image's
partner is ranked. "within 10" is the share of test pairs whose true partner is among the 10 nearest codes;
"times chance" is the ratio to the share expected by chance. "five nearest pairs" predicts the mean code of
the five train pairs with the nearest source codes. The codes of "ITQ" and of the encoder's starts need no
training. Rows that exist already are skipped; every test pair's rank goes to a CSV file.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from benchmarks import results
from benchmarks.limits import add_limits, check_limits, limited_threads, limits_used, training_clock
from benchmarks.paired_images import PAIRS, PairedImages
from benchmarks.rivals import RIVALS
from dmzrep import DMZEncoder, DomainTransfer
from dmzrep.codes._protocol import code_probabilities
from dmzrep.estimator._parameters import nested_names
from dmzrep.transfer._validation import partner_ranks

RESULTS = "domain_transfer"
ENCODER = "DMZEncoder"
NEAREST = "five nearest pairs"
K = 10

#: Settings of the transfer that differ from the defaults.
CHOICES: dict[str, dict[str, Any]] = {
    "default": {},
    "perceptron": {"mapping": "mlp"},
    "from bits": {"features": "bits"},
    "perceptron from bits": {"mapping": "mlp", "features": "bits"},
    "calibration shared": {"calibration": "shared"},
}


class RivalCodes:
    """Codes of a rival as logits; they are not decoded here."""

    output = "logits"

    def __init__(self, name: str, n_bits: int, seed: int):
        self.rival = RIVALS[name](n_bits, seed)

    def fit(self, X: np.ndarray) -> RivalCodes:
        """Fit the rival, and scale its floats to the size of an encoder's logits at the start."""
        self.rival.fit(X)
        self.scale = 3.0 / np.abs(self._floats(X)).mean()
        return self

    def _floats(self, X: np.ndarray) -> np.ndarray:
        forms = self.rival.transform(X)
        return forms["logits"] if "logits" in forms else forms["floats"]

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return logits."""
        return self._floats(X) * self.scale

    def inverse_transform(self, Z: np.ndarray) -> np.ndarray:
        """Raise NotImplementedError."""
        raise NotImplementedError("Rivals' codes are compared, not decoded.")


def train_encoder(images: np.ndarray, path: Path | None, parsed: argparse.Namespace, seed: int) -> DMZEncoder:
    """Load the encoder at a path, or train one and save it there."""
    if path is not None and path.exists():
        return DMZEncoder.load(path)
    params = {"max_time": parsed.seconds, "max_iter": 100_000, "random_state": seed, "verbose": 1}
    with training_clock(parsed):
        encoder = DMZEncoder(parsed.latent_dim).set_params(**nested_names(params | parsed.params)).fit(images)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        encoder.save(path)
    return encoder


def fit_encoders(
    codes: str, pairs: str, data: PairedImages, parsed: argparse.Namespace, seed: int
) -> tuple[Any, Any]:
    """Return the encoders of the source and of the target."""
    fitted = []
    for domain, images in (("source", data.source_images), ("target", data.target_images)):
        if codes != ENCODER and codes in RIVALS:
            fitted.append(RivalCodes(codes, parsed.latent_dim, seed).fit(images))
            continue
        path = None
        if parsed.encoders is not None:
            name = (
                f"{codes}_{pairs}_{domain}_{parsed.side}px_{parsed.latent_dim}bits_{parsed.seconds:g}s_{seed}"
            )
            path = parsed.encoders / f"{name}.safetensors"
        fitted.append(train_encoder(images, path, parsed, seed))
    return fitted[0], fitted[1]


def shares(ranks: np.ndarray, prefix: str = "") -> dict[str, float]:
    """Summarise the ranks of the true partners."""
    within, chance = float((ranks <= K).mean()), K / len(ranks)
    return {
        f"{prefix}within_{K}": within,
        f"{prefix}times_chance": within / chance,
        f"{prefix}first": float((ranks <= 1).mean()),
        f"{prefix}median_rank": float(np.median(ranks)),
    }


def measure(transfer: DomainTransfer, data: PairedImages) -> tuple[dict[str, float], pd.DataFrame]:
    """Return the scores of a fitted transfer, and a table of the ranks of the test pairs."""
    X, Y = data.test_source, data.test_target
    ranks = {
        metric: transfer.retrieval_ranks(X, Y, metric=metric) for metric in ("hamming", "log_likelihood")
    }
    right = code_probabilities(transfer.target, Y) > 0.5
    held_out = transfer.validation_.mean()
    row = shares(ranks["hamming"]) | shares(ranks["log_likelihood"], "log_likelihood_")
    row |= {
        "accuracy": float((transfer.predict_codes(X) == right).mean()),
        "score": transfer.score(X, Y),
        "held_out_accuracy": float(held_out["accuracy"]),
        "held_out_cross_entropy": float(held_out["cross_entropy"]),
        "most_frequent_accuracy": float(held_out["most_frequent_accuracy"]),
    }
    return row, pd.DataFrame({"name": data.test_names, **ranks})


def measure_nearest(source: Any, target: Any, data: PairedImages) -> tuple[dict[str, float], pd.DataFrame]:
    """Return the same for the mean code of the five train pairs with the nearest source codes."""
    train, test = (code_probabilities(source, X) for X in (data.source, data.test_source))
    known, right = (code_probabilities(target, Y) > 0.5 for Y in (data.target, data.test_target))
    # By logits, as the transfer sees codes.
    logits = [np.log(np.clip(p, 1e-4, 1 - 1e-4) / np.clip(1 - p, 1e-4, 1 - 1e-4)) for p in (train, test)]
    rows = NearestNeighbors(n_neighbors=5).fit(logits[0]).kneighbors(logits[1], return_distance=False)
    probabilities = (known[rows].sum(axis=1) + 0.5) / 6.0
    ranks = partner_ranks(probabilities, right, "hamming")
    row = shares(ranks) | {"accuracy": float(((probabilities > 0.5) == right).mean())}
    return row, pd.DataFrame({"name": data.test_names, "hamming": ranks})


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark, append its rows and print them as a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", required=True, help="folder of emoji64.npz, avatar_edges64.npz, avatars64.npz"
    )
    parser.add_argument("--pairs", nargs="+", choices=list(PAIRS), default=list(PAIRS))
    parser.add_argument("--codes", nargs="+", default=[ENCODER], help="an encoder's name, or rivals'")
    parser.add_argument("--only", nargs="+", choices=[*CHOICES, NEAREST], default=["default", NEAREST])
    parser.add_argument("--seconds", type=float, default=600.0, help="training time of each encoder")
    parser.add_argument("--side", type=int, default=32, help="pixels per side")
    parser.add_argument("--latent-dim", type=int, default=128)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--params", type=json.loads, default={}, help="parameters of DMZEncoder as JSON")
    parser.add_argument("--encoders", type=Path, help="folder of trained encoders, which are reused")
    parser.add_argument("--rows", type=int, help="largest number of images and pairs of each part")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    add_limits(parser)
    parsed = parser.parse_args(arguments)
    check_limits(parser, parsed)
    if parsed.params and ENCODER in parsed.codes:
        parser.error("give encoders with other parameters a name of their own by --codes")
    with limited_threads(parsed.threads):
        made = [
            row
            for pairs in parsed.pairs
            for seed in parsed.seeds
            for codes in parsed.codes
            for row in run(pairs, codes, seed, parsed)
        ]
    columns = ["pairs", "codes", "choice", "seed", f"within_{K}", "times_chance", "median_rank", "accuracy"]
    print(pd.DataFrame(made)[columns].to_string(index=False, float_format="{:.3f}".format))


def run(pairs: str, codes: str, seed: int, parsed: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of one kind of pairs and codes and one seed: those that are there, and the others."""
    about = {"pairs": pairs, "codes": codes, "seed": seed, "latent_dim": parsed.latent_dim}
    about |= {"side": parsed.side, "params": {} if codes in RIVALS else parsed.params, "rows": parsed.rows}
    about["seconds_asked"] = None if codes in RIVALS else parsed.seconds
    past, made, data, encoders = results.read(RESULTS, parsed.results), [], None, None
    for choice in parsed.only:
        wanted = about | {"choice": choice}
        same = [row for row in past if all(row.get(key) == wanted[key] for key in wanted)]
        if same:
            made += same
            continue
        if data is None or encoders is None:
            data = PAIRS[pairs](parsed.data, parsed.side)
            if parsed.rows:
                data = PairedImages(**{name: part[: parsed.rows] for name, part in vars(data).items()})
            encoders = fit_encoders(codes, pairs, data, parsed, seed)
        begun = time.perf_counter()
        if choice == NEAREST:
            figures, ranks = measure_nearest(*encoders, data)
        else:
            transfer = DomainTransfer(*encoders, random_state=seed, **CHOICES[choice])
            transfer.fit(data.source, data.target, groups=data.groups)
            figures, ranks = measure(transfer, data)
        row = wanted | {"n_pairs": len(data.source), "n_test": len(data.test_source)}
        row |= {key: round(value, 5) for key, value in figures.items()}
        row |= {"seconds": round(time.perf_counter() - begun, 1), **limits_used(parsed)}
        folder = parsed.results / "domain_transfer_ranks"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{pairs}_{codes}_{parsed.latent_dim}_{choice}_{seed}".replace(" ", "-")
        ranks.to_csv(folder / f"{name}.csv", index_label="pair")
        results.append(RESULTS, row, parsed.results)
        made.append(row)
        print(row, flush=True)
    return made


if __name__ == "__main__":
    main()
