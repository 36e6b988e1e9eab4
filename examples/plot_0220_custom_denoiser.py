"""
Train a denoiser of your own
============================

The denoiser of :class:`~dmzrep.DMZEncoder` can be any ``torch.nn.Module`` with ``forward(x, t, z)``.
Everything else stays as it is: codes, samplers, editing and search.
"""

# %%
# A small convolutional network
# -----------------------------
#
# ``x`` are noisy images of shape (n, channels, height, width) with values from -1 to 1, ``t`` timesteps from
# 0 to 999, and ``z`` codes with values from 0 to 1. By default, the network predicts the velocity, in the
# shape of ``x``.

import torch
from torch import nn


class Denoiser(nn.Module):
    """Convolutions whose channels are scaled and shifted by the code and the timestep."""

    def __init__(self, latent_dim, width=64, depth=4):
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(depth))
        self.condition = nn.Sequential(
            nn.Linear(latent_dim + 8, 128), nn.SiLU(), nn.Linear(128, 2 * width * depth)
        )
        self.place = nn.Parameter(torch.zeros(width, 8, 8))
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x, t, z):
        angles = t[:, None] / 1000 * torch.pi * 2 ** torch.arange(4, device=t.device)
        condition = self.condition(torch.cat([z, angles.sin(), angles.cos()], dim=1))
        h = self.first(x) + self.place
        for block, part in zip(self.blocks, condition.chunk(len(self.blocks), dim=1), strict=True):
            scale, shift = part[..., None, None].chunk(2, dim=1)
            h = h + nn.functional.silu(block(h) * (1 + scale) + shift)
        return self.last(h)


# %%
# Training
# --------
#
# ``fit`` trains a copy, after a check on two samples. Twenty seconds are enough to see digits; minutes make
# them clear.

from dmzrep import DMZEncoder
from dmzrep.datasets import load_digits_images

X, y = load_digits_images(return_X_y=True)
encoder = DMZEncoder(32, backbone=Denoiser(32), max_time=20, random_state=0).fit(X)

# %%
# Reconstructions and samples
# ---------------------------

import matplotlib.pyplot as plt

from dmzrep.plotting import ReconstructionDisplay, SampleDisplay

ReconstructionDisplay.from_estimator(encoder, X, n_draws=2, random_state=0)
SampleDisplay.from_estimator(encoder, 40, n_columns=10, random_state=0)
plt.show()

# %%
# Files
# -----
#
# A file holds the weights of the network, not its code. To load it, pass a network of the same class.

from pathlib import Path
from tempfile import mkdtemp

path = Path(mkdtemp(), "digits.safetensors")
encoder.save(path)
loaded = DMZEncoder.load(path, backbone=Denoiser(32))
print((loaded.transform(X[:100]) == encoder.transform(X[:100])).all())
