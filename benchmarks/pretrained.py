"""Bits from the features of a pretrained network, EfficientNet-Lite0, on CIFAR-10.

    python -m benchmarks.pretrained --data DATA --features FOLDER [--part validation|test] [--images 12000] \\
        [--seconds 120] [--seeds 0 1 2] [--threads 1 --cpu-time] [--picture FILE]

Compares the features themselves, signs of their principal components and ITQ with the bits of
`DMZEncoder(encoder="efficientnet_lite0")`, trained for some time beyond the computation of the features.
These are computed once and kept in `--features`, which should not be in the repository. `--part` is as in
`benchmarks.time_to_quality`; `--images` takes a part of the train images only. Rows are appended to
`results/pretrained.jsonl`; those that exist already are skipped.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import results
from benchmarks.contenders import BinaryCode
from benchmarks.datasets import ImageData
from benchmarks.limits import add_limits, check_limits, limited_threads, limits_used, training_clock
from benchmarks.rivals import signs
from benchmarks.sample_pictures import save
from benchmarks.scoring import score_codes, score_reconstructions, score_training
from benchmarks.time_to_quality import NO_LIMIT, SETS, divide
from dmzrep.data import learn_image_format
from dmzrep.networks._efficientnet import EfficientNetLite0
from dmzrep.networks._feature_cache import FeatureCache
from dmzrep.networks._linear_init import LinearInit
from dmzrep.training import init_linear

RESULTS = "pretrained"
BITS = 128
#: Images from which linear maps are fitted, as many as the encoder is initialised from.
FIT_SAMPLES = 10_000
#: Images that pass through the network at a time.
BATCH = 250
#: Images of the picture.
N_SHOWN = 12


class StoredFeatures(nn.Module):
    """EfficientNet-Lite0, whose features of known images were computed before."""

    def __init__(self) -> None:
        super().__init__()
        self.network = EfficientNetLite0().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.known = FeatureCache()

    def forward(self, x: Tensor) -> Tensor:
        return self.known.features(x, self.network)


def stored_features(images: np.ndarray, path: Path, extractor: StoredFeatures) -> np.ndarray:
    """Read features from a file, or compute and write them; the extractor remembers them."""
    to_model = learn_image_format(images).to_model
    found = np.load(path) if path.exists() else None
    parts = []
    for begin in range(0, len(images), BATCH):
        x = to_model(torch.from_numpy(images[begin : begin + BATCH]))
        if found is not None:
            extractor.known.features(x, lambda _, begin=begin: torch.from_numpy(found[begin : begin + BATCH]))
        else:
            with torch.no_grad():
                parts.append(extractor(x).numpy())
    if found is None:
        found = np.concatenate(parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, found)
    return found


def linear_codes(
    kind: str, train: np.ndarray, test: np.ndarray, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return floats and bits of linear maps of the features: PCA or ITQ."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(train), generator=generator)[:FIT_SAMPLES].numpy()
    linear = LinearInit((train.shape[1],), BITS)
    init_linear(linear, torch.from_numpy(train[chosen]), kind, generator)
    codes = []
    for features in (train, test):
        with torch.no_grad():
            floats = linear(torch.from_numpy(features)).numpy()
        codes.append({"floats": floats, "bits": signs(floats)})
    return codes[0], codes[1]


def score(
    name: str, about: dict[str, Any], data: ImageData, features: list[np.ndarray], extractor: StoredFeatures
) -> tuple[dict[str, Any], BinaryCode | None]:
    """Fit one kind of code, and return its scores and, for `DMZEncoder`, the encoder."""
    begun, n, row, contender = time.process_time(), len(data.train), {}, None
    if name == "features":
        codes = [{"floats": (part - features[0].mean(0)) / (features[0].std(0) + 1e-6)} for part in features]
    elif name in ("PCA", "ITQ"):
        codes = list(linear_codes(name.lower(), *features, about["seed"]))
    else:
        options = {"max_time": about["seconds_asked"], "max_iter": NO_LIMIT, **about["parameters"]}
        if options.get("encoder") != "auto":
            options["encoder"] = extractor
        contender = BinaryCode(BITS, about["seed"], **options).fit(data.train)
        row = score_training(contender.history_) | score_reconstructions(contender, data.test)
        codes = [contender.transform(part) for part in (data.train, data.test)]
    row["cpu_seconds"] = time.process_time() - begun
    row |= score_codes(data, codes[0], codes[1], n)
    return {k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()}, contender


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing, append its rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder that holds the images")
    parser.add_argument("--features", required=True, type=Path, help="folder of computed features")
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    parser.add_argument("--images", type=int, help="train images; default: all")
    parser.add_argument("--seconds", type=float, default=120.0, help="training beyond the features")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--names", nargs="+", default=["features", "PCA", "ITQ", "DMZEncoder"])
    parser.add_argument("--params", type=json.loads, default={}, help="parameters of DMZEncoder as JSON")
    parser.add_argument("--picture", type=Path, help="file for a picture of reconstructions and samples")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    add_limits(parser)
    parsed = parser.parse_args(arguments)
    check_limits(parser, parsed)
    with limited_threads(parsed.threads):
        data = divide(SETS["cifar10"].load(parsed.data), parsed.part, SETS["cifar10"].held_out)
        n = parsed.images or len(data.train)
        data.train, data.train_labels = data.train[:n], data.train_labels[:n]
        extractor = StoredFeatures()
        features = [
            stored_features(images, parsed.features / f"{parsed.part}_{kind}_{len(images)}.npy", extractor)
            for kind, images in (("train", data.train), ("test", data.test))
        ]
        for seed in parsed.seeds:
            for name in parsed.names:
                trained = name not in ("features", "PCA", "ITQ")
                about = {"part": parsed.part, "seed": seed, "bits": BITS, "train_images": n}
                about |= {"seconds_asked": parsed.seconds, "parameters": parsed.params} if trained else {}
                if results.is_done(results.read(RESULTS, parsed.results), {"name": name, **about}):
                    continue
                with training_clock(parsed):
                    row, contender = score(name, about, data, features, extractor)
                results.append(RESULTS, {"name": name, **about, **row, **limits_used(parsed)}, parsed.results)
                print({"name": name, **about, **row}, flush=True)
                if contender is not None and parsed.picture is not None and seed == parsed.seeds[0]:
                    encoder, shown = contender.encoder, data.test[:N_SHOWN]
                    rebuilt = [encoder.reconstruct(shown, random_state=s) for s in (0, 1)]
                    drawn = [encoder.sample(N_SHOWN, random_state=s) for s in (0, 1)]
                    labels = ["image", "from its bits", "other noise", "sample", "sample"]
                    save(parsed.picture, [shown, *rebuilt, *drawn], labels, "Bits of a pretrained network")


if __name__ == "__main__":
    main()
