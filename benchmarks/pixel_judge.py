"""A classifier of attributes from pixels, to judge pictures without their codes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH = 128


class PixelJudge:
    """A small convolutional network for all attributes at once.

    Parameters
    ----------
    images : ndarray of shape (n, H, W, 3), uint8
        Training images; H and W divisible by 4.
    labels : DataFrame of shape (n, n_attributes)
        Zeros and ones.
    epochs : int, default=4
        Passes; two give 99 % on aligned avatars.
    random_state : int, default=0
        Seed.
    """

    def __init__(self, images: np.ndarray, labels: pd.DataFrame, *, epochs: int = 4, random_state: int = 0):
        self.names = list(labels.columns)
        side, n_outputs = images.shape[1], len(self.names)
        x, y = torch.from_numpy(images), torch.from_numpy(labels.to_numpy(np.float32, copy=True))
        generator = torch.Generator().manual_seed(random_state)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(random_state)
            self.network = nn.Sequential(
                nn.PixelUnshuffle(2),
                *_convolution(12, 48),
                *_convolution(48, 64, stride=2),
                *_convolution(64, 64),
                nn.Flatten(),
                nn.Linear(64 * (side // 4) ** 2, n_outputs),
            )
        optimizer = torch.optim.AdamW(self.network.parameters(), weight_decay=0.01)
        n_batches = len(x) // BATCH
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * n_batches)
        for _ in range(epochs):
            order = torch.randperm(len(x), generator=generator)
            for rows in order[: n_batches * BATCH].split(BATCH):
                loss = F.binary_cross_entropy_with_logits(self.network(_units(x[rows])), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        self.network.eval()

    @torch.inference_mode()
    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return whether each attribute is predicted, shape (n, n_attributes), bool."""
        batches = torch.from_numpy(np.ascontiguousarray(images)).split(500)
        return torch.cat([self.network(_units(x)) > 0.0 for x in batches]).numpy()


def _units(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def _convolution(n_in: int, n_out: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return nn.Conv2d(n_in, n_out, 3, stride, padding=1), nn.BatchNorm2d(n_out), nn.ReLU()
