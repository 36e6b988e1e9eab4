"""Scores of the representations of a contender, for images with classes or attributes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from benchmarks.code_quality import (
    agreement,
    attribute_auroc,
    average_precision,
    bit_use,
    linear_probe,
    majority_accuracy,
)
from benchmarks.datasets import ImageData
from dmzrep.metrics import ssim
from dmzrep.retrieval import hamming_neighbors

#: Numbers of neighbours for the scores of search, and for k-NN classification.
K, VOTERS = 100, 10
#: Number of images to reconstruct, and window of the residue.
REBUILT, FLAT = 500, 5
#: Probes of wider representations, that is of pixels, are fitted to at most this many samples to save time.
WIDE_COLUMNS, WIDE_ROWS = 1024, 2_000


def score_codes(
    data: ImageData, train: dict[str, np.ndarray], test: dict[str, np.ndarray], probe_rows: int
) -> dict[str, Any]:
    """Score representations of the train and test images of `data`.

    Parameters
    ----------
    data : ImageData
        Images with labels.
    train, test : dict of str to ndarray
        Representations by name; search uses "bits".
    probe_rows : int
        Number of train codes to which probes are fitted, from the first.
    """
    attributes = isinstance(data.train_labels, pd.DataFrame)
    row: dict[str, Any] = {"probe_rows": min(probe_rows, len(data.train))}
    row |= {"index_rows": len(data.train), "scored_rows": len(data.test)}
    with warnings.catch_warnings():
        # Probes of raw pixels can need more than the default number of iterations.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name, codes in train.items():
            if attributes:
                row |= attribute_scores(data, codes, test[name], name, row)
            else:
                used, labels = codes[: row["probe_rows"]], data.train_labels[: row["probe_rows"]]
                row[f"probe_{name}"] = linear_probe(used, labels, test[name], data.test_labels)
    if "bits" not in train:
        return row
    k = min(K, len(data.train))
    neighbors = hamming_neighbors(test["bits"], train["bits"], k)[1]
    row |= bit_use(test["bits"])
    if attributes:
        row["attributes_alike"] = agreement(data.train_labels, data.test_labels, neighbors)[2]
        if data.train_factors is not None and data.test_factors is not None:
            row["factors_alike"] = agreement(data.train_factors, data.test_factors, neighbors)[2]
        return row
    known = data.train_labels, data.test_labels
    row["map_at_100"] = average_precision(*known, neighbors)
    row["map_at_100_found"] = average_precision(*known, neighbors, "found")
    # A separate search, since ties at the k-th distance are broken arbitrarily.
    voters = hamming_neighbors(test["bits"], train["bits"], min(VOTERS, k))[1]
    row["knn_10"] = majority_accuracy(*known, voters)
    return row


def attribute_scores(
    data: ImageData, train: np.ndarray, test: np.ndarray, name: str, row: dict[str, Any]
) -> dict[str, Any]:
    """Return mean, minimum and standard deviation of the AUROC over attributes."""
    n_rows, extra = row["probe_rows"], {}
    if train.shape[1] > WIDE_COLUMNS and n_rows > WIDE_ROWS:
        n_rows = WIDE_ROWS
        extra = {f"auroc_{name}_rows": n_rows}
    found = attribute_auroc(train[:n_rows], data.train_labels[:n_rows], test, data.test_labels).dropna()
    spread = {f"auroc_{name}_min": float(found.min()), f"auroc_{name}_std": float(found.std(ddof=0))}
    return {f"auroc_{name}": float(found.mean()), **spread, **extra}


def score_reconstructions(contender: Any, X: np.ndarray) -> dict[str, Any]:
    """Return errors of reconstructed uint8 images, scaled to [-1, 1], and the structural similarity."""
    images = X[:REBUILT]
    rebuilt = contender.reconstruct(images)
    similarity = ssim(images, rebuilt)
    return {
        "reconstruction_mse": float(np.square((rebuilt.astype(np.float64) - images) / 127.5).mean()),
        "reconstruction_ssim": float(similarity.mean()),
        "flat_residue": flat_residue(images, rebuilt),
        "reconstructed_from": contender.decoded_from,
    }


def flat_residue(X: np.ndarray, rebuilt: np.ndarray) -> float | None:
    """Return the standard deviation of reconstructions where the images are constant.

    Parameters
    ----------
    X, rebuilt : ndarray of shape (n, height, width[, channels]), uint8

    Returns
    -------
    float or None
        The root mean square deviation from the mean of each channel and window of 5 x 5 pixels that have one
        colour in the image; pixels are scaled to [-1, 1]. None without such windows.
    """
    windows, others = (
        np.lib.stride_tricks.sliding_window_view(images.reshape(*images.shape[:3], -1), (FLAT, FLAT), (1, 2))
        for images in (X, rebuilt)
    )
    flat = (np.ptp(windows, axis=(-2, -1)) == 0).all(axis=-1)
    if not flat.any():
        return None
    return float(np.sqrt((others[flat] / 127.5).var(axis=(-2, -1)).mean()))


def score_training(history: pd.DataFrame) -> dict[str, Any]:
    """Return images, speed and time of training, validation losses, and the differences between them."""
    last = history.iloc[-1].to_dict()
    row: dict[str, Any] = {"seconds": last["seconds"], "images_seen": int(last["images"])}
    row["images_per_second"] = last["images"] / max(last["seconds"], 1e-9)
    row |= {key: last[key] for key in last if key.startswith("validation")}
    soft, hard = last.get("validation_loss"), last.get("validation_loss_hard")
    shuffled = last.get("validation_loss_shuffled")
    if soft is not None and hard is not None:
        row["soft_hard_gap"] = hard - soft
    used = soft if hard is None else hard
    if shuffled is not None and used is not None:
        row["shuffled_code_gap"] = shuffled - used
    return row
