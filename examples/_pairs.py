"""Pairs of images for the examples of domain transfer, and the code that both examples share."""

import argparse
import json

import numpy as np
import pandas as pd
from _data import fitted_encoder, halved
from sklearn.utils import Bunch

from dmzrep import DomainTransfer
from dmzrep.datasets import make_sprites
from dmzrep.plotting import ImageGridDisplay

LATENT_DIM, K, N_SHOWN, N_DRAWS = 128, 10, 8, 2


def sprite_pairs(n: int, change) -> Bunch:
    """Return pairs of sprites and transformed sprites; a tenth of the pairs are test pairs."""
    X = make_sprites(n + max(n // 10, 50), return_X_y=True, random_state=0)[0]
    Y = change(X)
    return Bunch(X_a=X[:n], X_b=Y[:n], test_a=X[n:], test_b=Y[n:], images_b=Y[:n], groups=None)


def edges(images: np.ndarray) -> np.ndarray:
    """Return white edges on black where neighbouring pixels differ."""
    grey = images.astype(np.float32).mean(axis=3)
    steps = np.hypot(*np.gradient(grey, axis=(1, 2)))
    return np.clip(4.0 * steps, 0, 255).astype(np.uint8)


def small(images: np.ndarray) -> np.ndarray:
    """Downsample images from 64 x 64 to 32 x 32 pixels by averaging, with or without a channel axis."""
    return halved(images) if images.ndim == 4 else halved(images[..., None])[..., 0]


def show_transfer(pairs: Bunch, options: argparse.Namespace, name: str) -> None:
    """Train both encoders, fit the transfer, rank the true partners and save figures."""
    encoders = []
    for domain, images in (("source", pairs.X_a), ("target", pairs.images_b)):
        path = options.encoder and options.encoder.with_name(f"{options.encoder.stem}_{domain}.safetensors")
        settings = argparse.Namespace(**{**vars(options), "encoder": path})
        encoders.append(fitted_encoder(settings, images, LATENT_DIM))
    transfer = DomainTransfer(*encoders, random_state=options.seed)
    transfer.fit(pairs.X_a, pairs.X_b, groups=pairs.groups)
    means = transfer.validation_.mean()
    print(f"\nPredicted bits of the target codes, cross-validation on {transfer.n_pairs_} pairs")
    for kind in ("", "most_frequent_", "copy_", "nearest_"):
        accuracy, surprise = means[f"{kind}accuracy"], means[f"{kind}cross_entropy"]
        label = kind.strip("_").replace("_", " ") or "transfer"
        print(f"{label:14s} accuracy {accuracy:.3f}, cross-entropy {surprise:.3f}")

    ranks = transfer.retrieval_ranks(pairs.test_a, pairs.test_b)
    within, chance = (ranks <= K).mean(), K / len(ranks)
    print(
        f"\nThe true partner of {within:.3f} of the {len(ranks)} test images is among the {K} nearest codes,"
    )
    print(f"{within / chance:.1f} times as often as by chance.\n")
    options.out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"rank": ranks}).to_csv(options.out / f"{name}_ranks.csv", index_label="pair")
    row = {"pairs": name, "seconds": options.seconds, "seed": options.seed, "n_test": len(ranks)}
    row |= {"within_10": float(within), "chance": chance, "score": transfer.score(pairs.test_a, pairs.test_b)}
    with open(options.out / "transfer.jsonl", "a") as file:
        file.write(json.dumps(row) + "\n")
    draw(transfer, pairs, options, name)


def draw(transfer: DomainTransfer, pairs: Bunch, options: argparse.Namespace, name: str) -> None:
    """Save a figure with source images, samples of the transfer and the true images."""
    shown = np.linspace(0, len(pairs.test_a) - 1, N_SHOWN).astype(int)
    drawn = transfer.transform(pairs.test_a[shown], n_draws=N_DRAWS, random_state=options.seed)
    rows = [pairs.test_a[shown], *np.moveaxis(drawn, 1, 0), pairs.test_b[shown]]
    colour = [np.repeat(row[..., None], 3, axis=-1) if row.ndim == 3 else row for row in rows]
    labels = ["source", *[f"draw {i + 1}" for i in range(N_DRAWS)], "right"]
    display = ImageGridDisplay(np.stack(colour) / 255, title="Transfer", row_labels=labels).plot()
    path = options.out / f"{name}.png"
    display.figure_.savefig(path, dpi=120)
    print(f"Saved {path}")
