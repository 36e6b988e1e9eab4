"""Sizes of the GPU suite, for a GPU and for a smoke test on a CPU, and its datasets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets import ImageData, load_avatars, load_cifar10
from dmzrep.datasets import make_sprites

#: Parameters of DMZEncoder by name of the configuration.
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "batch 512": {"batch_size": 512},
    "wide": {"batch_size": 512, "width": (128, 256), "encoder_width": 64},
}
#: Files of the datasets that models are trained on.
FILES = {"cifar10": "cifar10_jpeg.npz", "avatars": "avatars64.npz"}


@dataclass(frozen=True)
class Scale:
    """Sizes of all parts of the suite.

    Parameters
    ----------
    matmul_side : int
        Rows and columns of the matrices whose product is timed.
    speed : dict
        Parameters that override the paper's CIFAR-10 recipe in measurements of speed.
    heads : int or None
        Attention heads of the authors' network type; None is the recipe's number.
    batch_sizes : tuple of int
        Batch sizes of training.
    speed_seconds, rounds : float, int
        Duration of a speed measurement in seconds, and number of repetitions.
    narrow : dict
        Parameters that override the recipes in comparisons with the CPU, which trains the same network.
    steps_compared, rows_compared : int
        Training steps and batch size of these comparisons.
    used_rows, sample_rows : int
        Numbers of images that are encoded and sampled in measurements of speed.
    sample_steps : tuple of int
        Denoising steps of these samples.
    n_samples : int
        Number of samples for a Fréchet distance.
    frechet_steps : tuple of int
        Denoising steps of these samples.
    probe_rows : int
        Maximum number of codes to which a probe is fitted.
    classifier : dict
        Parameters of `ClassifierFeatures`.
    sets : mapping
        Functions that load a dataset from the data folder, by name.
    latent_dims : mapping
        Bits of a code, by dataset.
    configurations : mapping
        Parameters of DMZEncoder by name.
    training_seconds : float or None
        Time of each training; None divides the available time.
    """

    matmul_side: int = 8192
    speed: Mapping[str, Any] = field(default_factory=dict)
    heads: int | None = None
    batch_sizes: tuple[int, ...] = (128, 512)
    speed_seconds: float = 2.0
    rounds: int = 3
    narrow: Mapping[str, Any] = field(default_factory=lambda: {"width": (64, 128, 128), "depth": 1})
    steps_compared: int = 8
    rows_compared: int = 16
    used_rows: int = 10_000
    sample_rows: int = 512
    sample_steps: tuple[int, ...] = (10, 50)
    n_samples: int = 2_000
    frechet_steps: tuple[int, ...] = (1, 2, 5, 10, 20, 50)
    probe_rows: int = 10_000
    classifier: Mapping[str, Any] = field(default_factory=dict)
    sets: Mapping[str, Callable[[Path], ImageData]] = field(
        default_factory=lambda: {"cifar10": load_cifar10, "avatars": load_avatars}
    )
    latent_dims: Mapping[str, int] = field(default_factory=lambda: {"cifar10": 128, "avatars": 64})
    configurations: Mapping[str, dict[str, Any]] = field(default_factory=lambda: CONFIGURATIONS)
    training_seconds: float | None = None


def smoke_scale() -> Scale:
    """Return the sizes of a smoke test on a CPU, with synthetic shapes in place of both datasets."""
    return Scale(
        matmul_side=256,
        speed={"width": (32, 32), "depth": 1, "attention": (16,), "latent_dim": 8},
        heads=4,
        batch_sizes=(4, 8),
        speed_seconds=0.05,
        rounds=1,
        narrow={"width": (8, 16), "depth": 1},
        steps_compared=3,
        rows_compared=8,
        used_rows=32,
        sample_rows=4,
        sample_steps=(2,),
        n_samples=40,
        frechet_steps=(1, 2),
        probe_rows=100,
        classifier={"n_features": 8, "width": 8, "max_iter": 1},
        sets={"cifar10": lambda _: _sprites(classes=True), "avatars": lambda _: _sprites(classes=False)},
        latent_dims={"cifar10": 8, "avatars": 8},
        configurations={"default": {"width": (8, 16), "encoder_width": 8}},
        training_seconds=0.5,
    )


def _sprites(classes: bool) -> ImageData:
    images, attributes = make_sprites(160, side=16, return_X_y=True, random_state=0)
    if classes:
        shape = attributes.to_numpy()[:, :4].argmax(axis=1)
        return ImageData(images[:120], images[120:], shape[:120], shape[120:])
    labels = attributes.iloc[:, :3]
    train, test = labels[:120], labels[120:].reset_index(drop=True)
    return ImageData(images[:120], images[120:], train, test)


def random_images(n: int, side: int = 32) -> np.ndarray:
    """Return uint8 noise of shape (n, side, side, 3), for measurements of speed."""
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
