"""A denoiser in closed form in float64."""

import pytest
import torch

from dmzrep.diffusion._objective import Denoised


class GaussianMixture:
    """The optimal denoiser of a mixture of isotropic Gaussians in the plane."""

    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    means = torch.tensor([[-0.6, 0.5], [0.7, 0.4], [0.1, -0.8]], dtype=torch.float64)
    spreads = torch.tensor([0.3, 0.25, 0.4], dtype=torch.float64)

    def expected_clean(self, x, signal, noise):
        """Return E[x0 | x] where x = signal * x0 + noise * n and n is standard normal."""
        variances = signal**2 * self.spreads**2 + noise**2
        residuals = x[:, None, :] - signal * self.means
        log_density = -residuals.square().sum(dim=2) / (2 * variances) - variances.log()
        posterior = torch.softmax(self.weights.log() + log_density, dim=1)
        shrunk = self.means + (signal * self.spreads**2 / variances)[:, None] * residuals
        return (posterior[:, :, None] * shrunk).sum(dim=1)

    def denoiser(self, schedule):
        def denoise(x, t):
            signal, sigma = schedule.levels(int(t[0]))
            x0 = self.expected_clean(x, signal, sigma)
            return Denoised(x0, (x - signal * x0) / sigma, None)

        return denoise

    def mean(self):
        return self.weights @ self.means

    def covariance(self):
        centred = self.means - self.mean()
        within = (self.weights * self.spreads**2).sum() * torch.eye(2, dtype=torch.float64)
        return within + (self.weights[:, None] * centred).T @ centred


@pytest.fixture(scope="session")
def mixture():
    return GaussianMixture()
