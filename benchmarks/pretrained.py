"""Bits from the features of a pretrained network, EfficientNet-Lite0, on CIFAR-10.

    python -m benchmarks.pretrained --data DATA --features FOLDER [--part validation|test] [--images 6000] \\
        [--scored 5000] [--seconds 120] [--seeds 0 1 2] [--threads 1 --cpu-time] [--picture FILE]

Compares the features themselves, signs of their principal components and ITQ with the bits of
`DMZEncoder(encoder="efficientnet_lite0")`, trained for some time beyond the computation of the features.
These are computed once and kept in `--features`, which should not be in the repository. `--part validation`,
for choices, scores the held-out train images of `benchmarks.time_to_quality`, `--part test` the test images;
both train on the other train images. `--images` and `--scored` take only the first of them. Rows are appended
to `results/pretrained.jsonl`; those that exist already are skipped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import results
from benchmarks.contenders import BinaryCode
from benchmarks.datasets import SETS, ImageData
from benchmarks.limits import NO_LIMIT, add_limits, check_limits, limited_threads, limits_used, training_clock
from benchmarks.rivals import signs
from benchmarks.sample_pictures import save
from benchmarks.scoring import score_codes, score_reconstructions, score_training
from benchmarks.time_to_quality import divide
from dmzrep.data import learn_image_format
from dmzrep.networks._efficientnet import EfficientNetLite0
from dmzrep.networks._feature_cache import FeatureCache
from dmzrep.networks._linear_init import LinearInit
from dmzrep.training import init_linear, init_neighbour_cca, init_neighbours

RESULTS = "pretrained"
BITS = 128
#: Images from which linear maps are fitted, as many as the encoder is initialised from.
FIT_SAMPLES = 10_000
#: Images that pass through the network at a time.
BATCH = 250
#: Images of the picture.
N_SHOWN = 12


#: Linear maps of the features by name; the encoder starts from CCA with neighbours.
LINEAR: dict[str, Callable[[LinearInit, Tensor, torch.Generator], None]] = {
    "PCA": lambda linear, features, generator: init_linear(linear, features, "pca", generator),
    "ITQ": lambda linear, features, generator: init_linear(linear, features, "itq", generator),
    "CCA": init_neighbour_cca,
    "neighbours": init_neighbours,
}


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
            # One by one, since only the features of new samples are asked for.
            for i, sample in enumerate(x.split(1), start=begin):
                extractor.known.features(sample, lambda _, i=i: torch.from_numpy(found[i : i + 1]))
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
    """Return floats and bits of linear maps of the features: a kind of `LINEAR`."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(train), generator=generator)[:FIT_SAMPLES].numpy()
    linear = LinearInit((train.shape[1],), BITS)
    LINEAR[kind](linear, torch.from_numpy(train[chosen]), generator)
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
    elif name in LINEAR:
        codes = list(linear_codes(name, *features, about["seed"]))
    else:
        options = {"max_time": about["seconds_asked"], "max_iter": NO_LIMIT, **about["parameters"]}
        if options.get("encoder") != "auto":
            options["encoder"] = extractor.requires_grad_(False)
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
    parser.add_argument("--scored", type=int, help="images that are scored; default: all")
    parser.add_argument("--seconds", type=float, default=120.0, help="training beyond the features")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--names", nargs="+", default=["features", *LINEAR, "DMZEncoder"])
    parser.add_argument("--params", type=json.loads, default={}, help="parameters of DMZEncoder as JSON")
    parser.add_argument("--picture", type=Path, help="file for a picture of reconstructions and samples")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    add_limits(parser)
    parsed = parser.parse_args(arguments)
    check_limits(parser, parsed)
    with limited_threads(parsed.threads):
        everything = SETS["cifar10"].load(parsed.data)
        data = divide(everything, "validation", SETS["cifar10"].held_out)
        if parsed.part == "test":
            data.test, data.test_labels = everything.test, everything.test_labels
        n, scored = parsed.images or len(data.train), parsed.scored or len(data.test)
        data.train, data.train_labels = data.train[:n], data.train_labels[:n]
        data.test, data.test_labels = data.test[:scored], data.test_labels[:scored]
        extractor = StoredFeatures()
        features = [
            stored_features(images, parsed.features / f"{kind}_{len(images)}.npy", extractor)
            for kind, images in (("train", data.train), (parsed.part, data.test))
        ]
        for seed in parsed.seeds:
            for name in parsed.names:
                trained = name not in ("features", *LINEAR)
                about = {"part": parsed.part, "seed": seed, "bits": BITS}
                about |= {"train_images": n, "scored_images": scored}
                about |= {"seconds_asked": parsed.seconds, "parameters": parsed.params} if trained else {}
                if results.is_done(results.read(RESULTS, parsed.results), {"name": name, **about}):
                    continue
                with training_clock(parsed):
                    row, contender = score(name, about, data, features, extractor)
                results.append(RESULTS, {"name": name, **about, **row, **limits_used(parsed)}, parsed.results)
                print({"name": name, **about, **row}, flush=True)
                if contender is not None and parsed.picture is not None and seed == parsed.seeds[0]:
                    encoder, shown = contender.encoder, data.test[:N_SHOWN]
                    rebuilt = [
                        encoder.reconstruct(shown, noise=noise, random_state=0)
                        for noise in ("zero", "random")
                    ]
                    drawn = [encoder.sample(N_SHOWN, random_state=s) for s in (0, 1)]
                    labels = ["image", "from its bits", "random details", "sample", "sample"]
                    save(parsed.picture, [shown, *rebuilt, *drawn], labels, "Bits of a pretrained network")


if __name__ == "__main__":
    main()
