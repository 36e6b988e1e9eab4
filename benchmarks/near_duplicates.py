"""Near-duplicates among images: edited copies are planted, and pairs are ranked by their distance.

    python -m benchmarks.near_duplicates --data DATA [--sets cifar10 avatars emoji] [--seconds 60] \\
        [--threads 1 --cpu-time]

Encoders and linear maps are fitted to train images. At most 2,000 test images are the collection, with a copy
of every second one by an edit of `EDITS`, in turn. All pairs of images are ranked; those of an image and its
copy are right. Images of the sets that are alike by nature count as wrong pairs, for all contenders alike.
Average precision; the best F1 score over thresholds; and the recall of each edit at that threshold. Rows go
to `results/near_duplicates.jsonl`; rows that exist already are skipped.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from scipy.fft import dctn
from sklearn.metrics import precision_recall_curve
from torch.nn import functional as F

from benchmarks import results
from benchmarks.contenders import BinaryCode
from benchmarks.datasets import load_avatars, load_cifar10
from benchmarks.limits import (
    NO_LIMIT,
    add_limits,
    check_limits,
    chosen_clock,
    limited_threads,
    limits_used,
    training_clock,
)
from benchmarks.paired_images import load_emoji
from benchmarks.rivals import ITQ, Pixels

RESULTS, BITS = "near_duplicates", 64
#: Largest number of images before copies are added.
COLLECTION = 2000


def moved(image: np.ndarray, random: np.random.Generator, kind: str) -> np.ndarray:
    """Crop (to 80 to 92 % of the side), rotate (by 3 to 8 degrees), or shift (by 4 to 10 % of the side)."""
    matrix, shift, sign = np.eye(2), np.zeros(2), random.choice([-1.0, 1.0], 2)
    if kind == "crop":
        kept = random.uniform(0.8, 0.92)
        matrix, shift = kept * matrix, random.uniform(-1.0, 1.0, 2) * (1.0 - kept)
    elif kind == "rotation":
        angle = np.deg2rad(sign[0] * random.uniform(3.0, 8.0))
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    else:
        shift = 2.0 * sign * random.uniform(0.04, 0.1, 2)  # The side is 2 in the units of the grid.
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    theta = torch.from_numpy(np.column_stack([matrix, shift]))[None].float()
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return _as_uint8(F.grid_sample(x, grid, padding_mode="border", align_corners=False))


def mirrored(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Mirror left and right."""
    return image[:, ::-1].copy()


def recompressed(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Compress as JPEG of quality 20 to 60."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(random.integers(20, 61)))
    return np.asarray(Image.open(file))


def brightened(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Change brightness and contrast by up to a quarter."""
    contrast, offset = random.uniform(0.75, 1.25), random.uniform(-32.0, 32.0)
    return ((image - 127.5) * contrast + 127.5 + offset).round().clip(0, 255).astype(np.uint8)


def resized(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Shrink to a half, and enlarge again."""
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    small = F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True)
    return _as_uint8(F.interpolate(small, size=image.shape[:2], mode="bilinear"))


def _as_uint8(x: torch.Tensor) -> np.ndarray:
    return x[0].round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


EDITS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    **{kind: partial(moved, kind=kind) for kind in ("crop", "rotation", "shift")},
    "mirror": mirrored,
    "JPEG": recompressed,
    "brightness": brightened,
    "half size": resized,
}


def plant(images: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images followed by the edited copies of every second one, and the indices of the originals."""
    random, originals = np.random.default_rng(seed), np.arange(0, len(images), 2)
    edits = list(EDITS.values())
    copies = [edits[i % len(edits)](images[original], random) for i, original in enumerate(originals)]
    return np.concatenate([images, np.stack(copies)]), originals


class PerceptualHash:
    """A perceptual hash of 64 bits of grey images, without learning.

    "average": whether the mean of a cell of an 8 x 8 grid is above that of the image. "difference": whether a
    cell of an 8 x 9 grid is darker than its right neighbour. "dct": whether one of the 8 x 8 lowest
    frequencies of the discrete cosine transform of 32 x 32 pixels is above their median. Zauner,
    "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010; Krawetz, "Kind of Like That",
    2013.
    """

    def __init__(self, kind: str, n_bits: int = 64, seed: int = 0):
        self.kind = kind

    def fit(self, X: np.ndarray) -> Self:
        """Learn nothing."""
        return self

    def transform(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"bits"}."""
        grey = torch.from_numpy(X @ np.array([0.299, 0.587, 0.114]))[:, None]
        sides = {"average": (8, 8), "difference": (8, 9), "dct": (32, 32)}[self.kind]
        cells = F.interpolate(grey, sides, mode="bilinear", antialias=True)[:, 0].numpy()
        if self.kind == "difference":
            bits = cells[:, :, :-1] < cells[:, :, 1:]
        elif self.kind == "average":
            bits = cells > cells.mean(axis=(1, 2), keepdims=True)
        else:
            low = dctn(cells, axes=(1, 2))[:, :8, :8]
            bits = low > np.median(low.reshape(len(X), -1), axis=1)[:, None, None]
        return {"bits": bits.reshape(len(X), -1).astype(np.float32)}


def closeness(codes: np.ndarray, form: str) -> np.ndarray:
    """Return a score of each pair of codes, larger for nearer ones.

    Minus the Hamming distance of bits, the cosine of logits, and minus the Euclidean distance of other
    floats.
    """
    if form == "bits":
        codes = 2.0 * codes - 1.0
    elif form == "logits":
        codes = codes / np.linalg.norm(codes, axis=1, keepdims=True).clip(min=1e-12)
    products = codes @ codes.T
    if form != "floats":
        return products
    norms = np.diag(products)
    return 2.0 * products - norms[:, None] - norms


def score(codes: np.ndarray, form: str, originals: np.ndarray) -> dict[str, Any]:
    """Rank all pairs by closeness, and score the ranking."""
    n = len(codes)
    first, second = np.triu_indices(n, 1)
    ranks = closeness(codes, form)
    copies = np.arange(n - len(originals), n)
    right = np.zeros((n, n), dtype=bool)
    right[originals, copies] = True
    precision, recall, thresholds = precision_recall_curve(right[first, second], ranks[first, second])
    f1 = 2.0 * precision * recall / (precision + recall).clip(min=1e-12)
    found = ranks[originals, copies] >= thresholds[f1[:-1].argmax()]
    kinds = np.arange(len(originals)) % len(EDITS)
    return {
        "average_precision": float(-np.sum(np.diff(recall) * precision[:-1])),
        "best_f1": float(f1.max()),
        "recall": {name: float(found[kinds == kind].mean()) for kind, name in enumerate(EDITS)},
    }


def load(name: str, folder: str) -> tuple[np.ndarray, np.ndarray]:
    """Return train images, and at most `COLLECTION` test images."""
    if name == "emoji":
        emoji = load_emoji(folder)
        return emoji.source_images, emoji.test_source[:COLLECTION]
    data = load_cifar10(folder) if name == "cifar10" else load_avatars(folder)
    return data.train, data.test[:COLLECTION]


CONTENDERS: dict[str, Callable[..., Any]] = {
    "initialised, mirrored views": partial(BinaryCode, max_iter=0, encoder_augment="affine_flip"),
    "initialised": partial(BinaryCode, max_iter=0),
    "default": BinaryCode,
    "ITQ": ITQ,
    "average hash": partial(PerceptualHash, "average"),
    "difference hash": partial(PerceptualHash, "difference"),
    "DCT hash": partial(PerceptualHash, "dct"),
    "pixels": Pixels,
}
#: Contenders that are trained for the given time.
TIMED = ("default",)
#: Forms of codes that are ranked.
FORMS = ("bits", "logits", "floats")


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, append its rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder that holds the images")
    parser.add_argument("--sets", nargs="+", default=["cifar10"], choices=("cifar10", "avatars", "emoji"))
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--seconds", type=float, default=60.0, help="training time of the default encoder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of fits and of edits")
    add_limits(parser)
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parsed = parser.parse_args(arguments)
    check_limits(parser, parsed)
    with limited_threads(parsed.threads), training_clock(parsed):
        for images in parsed.sets:
            measure(images, parsed)


def measure(images: str, parsed: argparse.Namespace) -> None:
    """Measure all contenders on one set of images."""
    past = results.read(RESULTS, parsed.results)
    train, test = load(images, parsed.data)
    for seed in parsed.seeds:
        collection, originals = plant(test, seed)
        for name in parsed.contenders:
            is_timed = name in TIMED
            key = {"set": images, "name": name, "seed": seed, "images": len(test), "copies": len(originals)}
            key["seconds_asked"] = parsed.seconds if is_timed else None
            if results.is_done(past, key):
                continue
            budget = {"max_time": parsed.seconds, "max_iter": NO_LIMIT} if is_timed else {}
            clock = chosen_clock(parsed)
            begun = clock()
            contender = CONTENDERS[name](BITS, seed=seed, **budget).fit(train)
            fitted = {"fit_seconds": round(clock() - begun, 1)} | limits_used(parsed)
            for form, codes in contender.transform(collection).items():
                if form in FORMS:
                    row = key | {"form": form} | fitted | score(codes, form, originals)
                    results.append(RESULTS, row, parsed.results)
                    print(row, flush=True)


if __name__ == "__main__":
    main()
