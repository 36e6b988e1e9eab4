"""Initialisation of the encoder: spatial alignment of images, and linear maps of several kinds of features.

    python -m benchmarks.starts --data DATA

For every set of images, how much worse the principal subspace of train images holds augmented views of them
(`dmzrep.training.init._alignment`); for aligned avatars, how well starts without any training serve linear
probes. Maps, probes and scores use train images only. Rows go to `results/starts.jsonl`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import results
from benchmarks.code_quality import attribute_auroc
from benchmarks.datasets import SETS, load_avatars
from benchmarks.rivals import signs
from dmzrep.data import learn_image_format
from dmzrep.networks._linear_init import PLAIN_WEIGHT, Contrast, LinearInit
from dmzrep.training import RandomViews, init_linear
from dmzrep.training.init._alignment import residual_ratio

#: Images that maps and probes are fitted on, images that are scored, and bits.
FITTED, SCORED, BITS = 6000, 4000, 64


def pixels(x: Tensor) -> Tensor:
    """Return the pixels unchanged."""
    return x.flatten(1)


def differences(x: Tensor) -> Tensor:
    """Return the differences from the local mean, and a fraction of those from the mean image."""
    plain = x - x[:FITTED].mean(dim=0)
    local = plain - F.avg_pool2d(plain, 3, stride=1, padding=1, count_include_pad=False)
    return torch.cat([local.flatten(1), PLAIN_WEIGHT * plain.flatten(1)], dim=1)


def contrast(x: Tensor) -> Tensor:
    """Signed roots of these differences, as the start from the layout takes them."""
    layer = Contrast(tuple(x.shape[1:]))
    layer.centre.copy_(x[:FITTED].mean(dim=0))
    return layer(x)


FEATURES: dict[str, Callable[[Tensor], Tensor]] = {
    "pixels": pixels,
    "differences": differences,
    "roots of differences": contrast,
}


def measure_starts(folder: str) -> None:
    """Score linear maps of features of aligned avatars."""
    data = load_avatars(folder)
    kept = np.random.default_rng(0).permutation(len(data.train))[: FITTED + SCORED]
    images, labels = data.train[kept], data.train_labels.iloc[kept]
    x = learn_image_format(images).to_model(torch.from_numpy(images))
    for name, features in FEATURES.items():
        columns = features(x)
        for kind in ("pca", "itq"):
            start = LinearInit((columns.shape[1],), BITS)
            init_linear(start, columns[:FITTED], kind, torch.Generator().manual_seed(0))
            with torch.no_grad():
                logits = start(columns).numpy()
            row = {"what": "start", "set": "avatars", "features": name, "map": kind, "scored_rows": SCORED}
            for form, codes in (("logits", logits), ("bits", signs(logits))):
                scores = attribute_auroc(
                    codes[:FITTED], labels.iloc[:FITTED], codes[FITTED:], labels.iloc[FITTED:]
                )
                row[f"auroc_{form}"] = round(float(scores.dropna().mean()), 5)
            results.append("starts", row)
            print(row, flush=True)


def measure_alignment(folder: str) -> None:
    """Measure how much farther augmented views are from the subspace, for every set of images."""
    for name, chosen in SETS.items():
        images = chosen.load(folder).train
        for n in (10_000, 1_000, 200):
            some = images[np.random.default_rng(0).permutation(len(images))[:n]]
            x = learn_image_format(some).to_model(torch.from_numpy(some))
            misfit = residual_ratio(x, RandomViews(), torch.Generator().manual_seed(0))
            row = {"what": "misfit of augmented views", "set": name, "images": n, "ratio": round(misfit, 3)}
            results.append("starts", row)
            print(row, flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and append its rows to the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the datasets")
    parsed = parser.parse_args(arguments)
    assert Path(parsed.data).is_dir(), f"--data: there is no folder {parsed.data}."
    measure_alignment(parsed.data)
    measure_starts(parsed.data)


if __name__ == "__main__":
    main()
