"""Images of the benchmarks: MNIST, CIFAR-10 and the avatars, aligned or in seeded random poses."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.limits import NO_LIMIT

#: Ranges of random poses: shift as a fraction of the image width, scale, and rotation in degrees.
SHIFT, SCALE, ROTATION = 1 / 16, (0.85, 1.15), 12.0
#: Seeds of the poses of train and test images.
TRAIN_SEED, TEST_SEED = 0, 1


@dataclass
class ImageData:
    """Train and test images with their labels.

    Parameters
    ----------
    train, test : ndarray of shape (n, H, W) or (n, H, W, 3), uint8
        Images.
    train_labels, test_labels : ndarray of shape (n,) or DataFrame
        Classes, or a column of zeros and ones for each attribute.
    train_factors, test_factors : DataFrame or None
        Index of the value of each generating factor, where the data have them.
    """

    train: np.ndarray
    test: np.ndarray
    train_labels: Any
    test_labels: Any
    train_factors: pd.DataFrame | None = None
    test_factors: pd.DataFrame | None = None

    @property
    def pooled(self) -> tuple[np.ndarray, Any, np.ndarray]:
        """Return pooled train and test images and labels, and "train" or "test" for each image."""
        images = np.concatenate([self.train, self.test])
        if isinstance(self.train_labels, pd.DataFrame):
            labels = pd.concat([self.train_labels, self.test_labels], ignore_index=True)
        else:
            labels = np.concatenate([self.train_labels, self.test_labels])
        return images, labels, np.repeat(["train", "test"], [len(self.train), len(self.test)])


def load_mnist(folder: str | Path) -> ImageData:
    """Read `mnist.npz`: 60,000 + 10,000 images of 28 x 28, labels 0 to 9."""
    with np.load(Path(folder) / "mnist.npz") as data:
        return ImageData(data["x_train"], data["x_test"], data["y_train"], data["y_test"])


def load_cifar10(folder: str | Path) -> ImageData:
    """Read `cifar10_jpeg.npz`: 50,000 + 10,000 images of 32 x 32 x 3, labels 0 to 9."""
    with np.load(Path(folder) / "cifar10_jpeg.npz") as data:
        images = [_decode(data[f"jpeg_{part}"], data[f"offsets_{part}"]) for part in ("train", "test")]
        return ImageData(*images, data["y_train"], data["y_test"])


def load_avatars(folder: str | Path, side: int = 32, posed: bool = False) -> ImageData:
    """Read `avatars64.npz`: 20,000 + 4,000 cartoon faces with 47 attributes and 14 factors.

    Parameters
    ----------
    folder : path-like
        Holds the file.
    side : int, default=32
        Pixels per side, a divisor of 64; pixels are averaged.
    posed : bool, default=False
        Whether each face is moved, scaled, turned and perhaps mirrored at random. Aligned faces are
        linear in their pixels; posed ones tell a representation from a projection.
    """
    if side < 1 or 64 % side:
        raise ValueError(f"side must divide 64, got {side}.")
    with np.load(Path(folder) / "avatars64.npz") as data:
        names, factors = list(data["attr_names"]), list(data["factor_names"])
        seeds = (TRAIN_SEED, TEST_SEED) if posed else (None, None)
        return ImageData(
            _resized(data["x_train"], side, seeds[0]),
            _resized(data["x_test"], side, seeds[1]),
            pd.DataFrame(data["a_train"], columns=names),
            pd.DataFrame(data["a_test"], columns=names),
            pd.DataFrame(data["f_train"], columns=factors),
            pd.DataFrame(data["f_test"], columns=factors),
        )


def random_poses(n: int, seed: int) -> Tensor:
    """Draw n affine maps from output to input positions, shape (n, 2, 3), as `affine_grid` takes them."""
    random = np.random.default_rng(seed)
    shift = random.uniform(-SHIFT, SHIFT, (n, 2)) * 2.0  # A width is 2 in the grid's units.
    scale = random.uniform(*SCALE, n)
    angle = np.deg2rad(random.uniform(-ROTATION, ROTATION, n))
    mirror = np.where(random.random(n) < 0.5, -1.0, 1.0)
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    rows = [[mirror * cosine, mirror * -sine, shift[:, 0]], [sine, cosine, shift[:, 1]]]
    return torch.from_numpy(np.array(rows).transpose(2, 0, 1)).float()


def _resized(images: np.ndarray, side: int, seed: int | None, batch: int = 1000) -> np.ndarray:
    """Pose images if there is a seed, then average them to `side` pixels."""
    out = np.empty((len(images), side, side, images.shape[3]), np.uint8)
    poses = None if seed is None else random_poses(len(images), seed)
    for begin in range(0, len(images), batch):
        rows = slice(begin, begin + batch)
        x = torch.from_numpy(images[rows]).permute(0, 3, 1, 2).float()
        if poses is not None:
            grid = F.affine_grid(poses[rows], list(x.shape), align_corners=False)
            x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
        x = F.avg_pool2d(x, images.shape[1] // side)
        out[rows] = x.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return out


def _decode(jpegs: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    from PIL import Image

    files = (jpegs[a:b].tobytes() for a, b in itertools.pairwise(offsets))
    return np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])


@dataclass(frozen=True)
class ImageSet:
    """A dataset: its loader, default bits of a code, held-out images, and codes for probes."""

    load: Callable[[str], ImageData]
    latent_dim: int
    held_out: int
    probe_rows: int


SETS = {
    "mnist": ImageSet(load_mnist, 64, 10_000, 15_000),
    "avatars": ImageSet(load_avatars, 64, 4_000, NO_LIMIT),
    "posed": ImageSet(partial(load_avatars, posed=True), 64, 4_000, NO_LIMIT),
    "cifar10": ImageSet(load_cifar10, 128, 10_000, NO_LIMIT),
}
