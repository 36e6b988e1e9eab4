"""A custom denoiser for the tests of estimators."""

import torch
from torch import nn


class ImageDenoiser(nn.Module):
    """A small convolutional denoiser."""

    def __init__(self, latent_dim, channels=1, width=8, outputs=1):
        super().__init__()
        self.features = nn.Conv2d(channels, width, 3, padding=1)
        self.code = nn.Linear(latent_dim + 1, width)
        self.last = nn.Conv2d(width, outputs * channels, 3, padding=1)

    def forward(self, x, t, z):
        code = self.code(torch.cat([t[:, None] / 1000.0, z], dim=1))
        return self.last(torch.relu(self.features(x) + code[:, :, None, None]))
