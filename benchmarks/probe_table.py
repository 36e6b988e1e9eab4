"""Linear probes of the avatars' 47 attributes on codes and rival representations, by four protocols.

    python -m benchmarks.probe_table --data DATA [--seconds 600] [--images posed|aligned] [--jobs 2]

Trains a 64-bit DMZEncoder on the 20,000 train faces at 32 px, fits the rivals on the same faces, and
scores linear probes of every representation. One row is appended for each representation and protocol;
rows that exist already are skipped, so that an interrupted run resumes.

"dmz" and "infodiffusion" fold rows that trained the encoder; in "holdout" and "diti" the encoder never
saw the test faces. "diti" chooses its epoch on the last 2,000 train faces. Raw pixels, 3,072 columns,
are scored by "diti" only unless `--pixels` is given, which takes most of an hour on one core.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from benchmarks import results
from benchmarks.datasets import ImageData, load_avatars
from benchmarks.rivals import RIVALS, encoded
from dmzrep import DMZEncoder
from dmzrep.estimator._parameters import nested_names
from dmzrep.probing import average_folds, probe_scores, probe_summary
from dmzrep.probing._protocols import PROTOCOLS

RESULTS = "probe_table"
ENCODER = "DMZEncoder"
METRICS = ("accuracy", "balanced_accuracy", "roc_auc", "average_precision")
#: Train faces, from the last, by which "diti" chooses its epoch.
N_VALIDATION = 2_000


def splits(data: ImageData) -> dict[str, np.ndarray | None]:
    """Part of each pooled row, for the protocols that need it."""
    held_out = data.pooled[2].astype("<U10")
    with_validation = held_out.copy()
    n_validation = min(N_VALIDATION, len(data.train) // 5)
    with_validation[len(data.train) - n_validation : len(data.train)] = "validation"
    return {"dmz": None, "infodiffusion": None, "holdout": held_out, "diti": with_validation}


def measure(codes: np.ndarray, labels: pd.DataFrame, protocol: str, split: Any, jobs: int) -> dict[str, Any]:
    """Return the means over attributes, and the scores of each attribute."""
    with warnings.catch_warnings():
        # The published protocols leave the solver at 100 iterations; the row counts what that stops.
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = probe_scores(codes, labels, protocol=protocol, split=split, n_jobs=jobs, random_state=0)
    summary, by_attribute = probe_summary(scores).iloc[0], average_folds(scores).set_index("attribute")
    row: dict[str, Any] = {"n_undefined": int(summary["n_undefined"])}
    row["n_unconverged"] = int((~scores["converged"]).sum())
    for metric in METRICS:
        row[metric] = round(float(summary[metric]), 5)
        if np.isfinite(summary[f"{metric}_std"]):
            row[f"{metric}_std"] = round(float(summary[f"{metric}_std"]), 5)
    row["chance"] = round(float(by_attribute["chance"].mean()), 5)
    columns = ["n_positive", "chance", *METRICS]
    # JSON has no NaN.
    row["attributes"] = {
        name: {c: round(float(one[c]), 4) if np.isfinite(one[c]) else None for c in columns}
        for name, one in by_attribute[columns].astype(float).iterrows()
    }
    return row


def train_encoder(data: ImageData, parsed: argparse.Namespace) -> dict[str, np.ndarray]:
    """Train on the train faces; logits, probabilities and bits of all."""
    params = {"max_time": parsed.seconds, "random_state": parsed.seed, "verbose": 1, "output": "logits"}
    encoder = DMZEncoder(parsed.latent_dim).set_params(**nested_names(params | parsed.params)).fit(data.train)
    if parsed.save:
        encoder.save(parsed.save)
    codes = encoded(encoder, data.pooled[0])
    return {"logits": codes["logits"], "probabilities": expit(codes["logits"]), "bits": codes["bits"]}


def fit_rival(name: str, data: ImageData, parsed: argparse.Namespace) -> dict[str, np.ndarray]:
    """Fit a rival on the train faces and give its representations of all."""
    return RIVALS[name](parsed.latent_dim, parsed.seed).fit(data.train).transform(data.pooled[0])


def contenders(data: ImageData, parsed: argparse.Namespace) -> Iterator[tuple[str, Callable, dict[str, Any]]]:
    """Return the name, the source of the representations, and the key of their rows."""
    about = {"images": parsed.images, "side": parsed.side, "latent_dim": parsed.latent_dim}
    about |= {"seed": parsed.seed, "n_train": len(data.train), "n_test": len(data.test)}
    for name in parsed.rivals:
        yield name, lambda name=name: fit_rival(name, data, parsed), {**about, "seconds_asked": None}
    if not parsed.only_rivals:
        ours = {**about, "seconds_asked": parsed.seconds, "params": parsed.params}
        yield parsed.name, lambda: train_encoder(data, parsed), ours


def protocols_of(name: str, parsed: argparse.Namespace) -> list[str]:
    """Return the protocols by which a contender is scored."""
    return ["diti"] if name == "pixels" and not parsed.pixels else parsed.protocols


def arguments_of(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with avatars64.npz")
    parser.add_argument("--seconds", type=float, default=600.0, help="training time of the encoder")
    parser.add_argument("--images", choices=("posed", "aligned"), default="posed")
    parser.add_argument("--side", type=int, default=32, help="pixels per side")
    parser.add_argument("--latent-dim", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--params", type=json.loads, default={}, help="parameters of DMZEncoder as JSON")
    parser.add_argument("--name", default=ENCODER, help="name of the encoder in the rows")
    parser.add_argument("--rivals", nargs="*", choices=list(RIVALS), default=list(RIVALS))
    parser.add_argument("--only-rivals", action="store_true", help="train no encoder")
    parser.add_argument("--protocols", nargs="+", choices=list(PROTOCOLS), default=list(PROTOCOLS))
    parser.add_argument("--pixels", action="store_true", help="score raw pixels by every protocol")
    parser.add_argument("--jobs", type=int, default=1, help="probes fitted at the same time")
    parser.add_argument("--rows", type=int, default=None, help="largest number of train and of test faces")
    parser.add_argument("--save", default=None, help="write the trained encoder to this file")
    parser.add_argument("--results", default=results.FOLDER, type=type(results.FOLDER))
    parsed = parser.parse_args(arguments)
    if parsed.params and parsed.name == ENCODER:
        parser.error("give runs with other parameters a --name of their own")
    return parsed


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and append its rows to the results."""
    parsed = arguments_of(arguments)
    data = load_avatars(parsed.data, parsed.side, posed=parsed.images == "posed")
    if parsed.rows:
        n = parsed.rows
        data = ImageData(data.train[:n], data.test[:n], data.train_labels[:n], data.test_labels[:n])
    labels, parts = data.pooled[1], splits(data)
    past = results.read(RESULTS, parsed.results)
    keys: list[str] = ["images", "side", "latent_dim", "seed", "n_train", "n_test", "seconds_asked"]
    made: list[dict[str, Any]] = []
    for name, make, about in contenders(data, parsed):
        same = [r for r in past if r["name"] == name and all(r[key] == about[key] for key in keys)]
        wanted = protocols_of(name, parsed)
        made += [row for row in same if row["protocol"] in wanted]
        # A contender's forms are known once it is made; its last form is written last.
        missing = [p for p in wanted if p not in {r["protocol"] for r in same if r.get("last_form")}]
        if not missing:
            continue
        begun = time.perf_counter()
        forms = make()
        seconds = round(time.perf_counter() - begun, 1)
        for protocol in missing:
            for form, codes in forms.items():
                if any(r["protocol"] == protocol and r["form"] == form for r in same):
                    continue
                row = {"name": name, "form": form, "protocol": protocol, **about, "seconds": seconds}
                row |= measure(codes, labels, protocol, parts[protocol], parsed.jobs)
                row["last_form"] = form == list(forms)[-1]
                results.append(RESULTS, row, parsed.results)
                made.append(row)
                scores = ", ".join(f"{metric} {row[metric]:.3f}" for metric in METRICS)
                print(f"{name}, {form}, {protocol}: {scores}", flush=True)
    print(overview(made))


def overview(rows: list[dict[str, Any]]) -> str:
    """Return the mean AUROC of each representation by protocol; for "diti" the mean average precision."""
    table = pd.DataFrame(rows)
    table["shown"] = table["roc_auc"].where(table["protocol"] != "diti", table["average_precision"])
    table["representation"] = table["name"] + ", " + table["form"]
    wide = table.pivot_table(index="representation", columns="protocol", values="shown", sort=False)
    return wide.round(3).to_string()


if __name__ == "__main__":
    main()
