"""Training objectives: the prediction of the network and its loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from dmzrep.diffusion._likelihood import discretised_gaussian_log_likelihood, gaussian_kl
from dmzrep.diffusion._perturbation import matched_levels
from dmzrep.diffusion._schedule import NoiseSchedule, per_sample

OBJECTIVES = ("v", "epsilon", "sample")

#: A raw network: (x_t, network time, code) -> prediction.
Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class Denoised(NamedTuple):
    """Estimates of a denoiser: clean data, unit noise, and the learned variance, if any.

    `variance_fraction` places the log-variance between its two bounds, in [0, 1].
    """

    x0: Tensor
    epsilon: Tensor
    variance_fraction: Tensor | None


@dataclass(frozen=True)
class Objective:
    """What the network predicts, and its loss.

    The prediction is the velocity ``"v"`` = sqrt(alpha_bar) * noise - sqrt(1 - alpha_bar) * x_0, the noise
    ``"epsilon"``, or the clean data ``"sample"``. Squared errors of clean data are weighted by
    `loss_weights`, nearly as with velocity; otherwise nearly clean timesteps, on which sharp images depend,
    would hardly count. With `learn_variance` the network has twice the channels: the second half places the
    reverse variance between its bounds and is trained by the variational bound alone. `input_perturbation`
    is the standard deviation of extra noise in x_t that is not in the target. `data_bin` is the width of a
    grey level in model units, for the last term of the bound; None for continuous data.

    References
    ----------
    Salimans, Ho, "Progressive Distillation", 2022 (v). Nichol, Dhariwal, "Improved Denoising
    Diffusion Probabilistic Models", 2021, equations 15 and 16 (variance). Ning et al.,
    "Input Perturbation Reduces Exposure Bias in Diffusion Models", 2023, algorithm 1.
    """

    schedule: NoiseSchedule
    kind: str = "v"
    learn_variance: bool = False
    input_perturbation: float = 0.0
    data_bin: float | None = None

    LOSS_OFFSET: ClassVar[float] = 0.02

    def interpret(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Denoised:
        """Convert the network's output to estimates of clean data and noise."""
        prediction, fraction = self._split(prediction)
        signal, sigma = self.schedule.signal_and_noise(t, x_t)
        if self.kind == "v":
            return Denoised(signal * x_t - sigma * prediction, sigma * x_t + signal * prediction, fraction)
        if self.kind == "epsilon":
            return Denoised((x_t - sigma * prediction) / signal, prediction, fraction)
        return Denoised(prediction, (x_t - signal * prediction) / sigma, fraction)

    def denoise(
        self, network: Network, x_t: Tensor, t: Tensor, z: Tensor | None, *, match_perturbation: bool = False
    ) -> Denoised:
        """Run the network on x_t, without input perturbation, at integer timesteps of shape (n,).

        `match_perturbation` scales x_t and shifts the timestep to match the signal-to-noise ratio in training
        with input perturbation. The estimates are then those of a network trained without it, as ODE solvers
        need.
        """
        if not (match_perturbation and self.input_perturbation > 0.0):
            return self.interpret(network(x_t, self.schedule.network_time(t), z), x_t, t)
        precision = torch.float32 if t.device.type == "mps" else torch.float64
        tables = matched_levels(self.schedule, self.input_perturbation)
        tau, alpha_bar = (torch.from_numpy(table).to(t.device, precision)[t] for table in tables)
        signal, sigma = per_sample(alpha_bar.sqrt(), x_t), per_sample((1 - alpha_bar).sqrt(), x_t)
        spread = 1.0 + self.input_perturbation**2
        seen = x_t * (signal.square() + spread * sigma.square()).sqrt()
        prediction, fraction = self._split(network(seen, self.schedule.network_time(tau), z))
        # seen = signal * x_0 + sigma * n, with n of variance `spread`; the expected noise of the target given
        # n is n / spread.
        if self.kind == "epsilon":
            x0 = (seen - spread * sigma * prediction) / signal
        elif self.kind == "v":
            x0 = (signal * seen - spread * sigma * prediction) / (signal.square() + spread * sigma.square())
        else:
            x0 = prediction
        signal, sigma = self.schedule.signal_and_noise(t, x_t)
        return Denoised(x0, (x_t - signal * x0) / sigma, fraction)

    def _split(self, prediction: Tensor) -> tuple[Tensor, Tensor | None]:
        """Split the output into the prediction and the learned position of the log-variance, in [0, 1]."""
        if not self.learn_variance:
            return prediction, None
        prediction, raw = prediction.chunk(2, dim=1)
        return prediction, (raw + 1.0) / 2.0

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        if self.kind == "epsilon":
            return noise
        if self.kind == "sample":
            return x0
        signal, sigma = self.schedule.signal_and_noise(t, x0)
        return signal * noise - sigma * x0

    def losses(
        self,
        network: Network,
        x0: Tensor,
        t: Tensor,
        z: Tensor | None,
        noise: Tensor,
        perturbation: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of each sample, shape (n,), given unit noise for x_t and the input perturbation.

        The weighted mean squared error, plus, with `learn_variance`, the variational bound (in nats per
        dimension, times T / 1000), with gradients to the output for the variance only.
        """
        perturbed = noise
        if self.input_perturbation and perturbation is not None:
            perturbed = noise + self.input_perturbation * perturbation
        x_t = self.schedule.add_noise(x0, perturbed, t)
        prediction = network(x_t, self.schedule.network_time(t), z)
        mean_part = prediction.chunk(2, dim=1)[0] if self.learn_variance else prediction
        error = (mean_part.float() - self.target(x0, noise, t).float()).square().flatten(1).mean(dim=1)
        error = error * self.loss_weights(t)
        if not self.learn_variance:
            return error
        frozen = torch.cat([mean_part.detach(), prediction.chunk(2, dim=1)[1]], dim=1)
        bound = self.bound_terms(self.interpret(frozen, x_t, t), x0, x_t, t)
        return error + bound * (self.schedule.n_timesteps / 1000.0)

    def loss_weights(self, t: Tensor) -> Tensor:
        """Return the weights of the squared errors at timesteps of shape (n,), 1 at the last."""
        if self.kind != "sample":
            return torch.ones(len(t), device=t.device)
        variance = 1.0 - self.schedule.alpha_bar_at(t).float()
        return (1.0 + self.LOSS_OFFSET) / (variance + self.LOSS_OFFSET)

    def bound_terms(
        self, denoised: Denoised, x0: Tensor, x_t: Tensor, t: Tensor, squared_error: Tensor | None = None
    ) -> Tensor:
        """Return the term of the variational bound at each sample's timestep, in nats per dimension.

        KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) for t > 0; for t = 0 the negative
        log-likelihood of x_0, discretised for discrete data. With `squared_error`, that of `denoised.x0` in
        expectation, the reverse variance is the one that minimises the bound (Bao et al., "Analytic-DPM",
        2022, theorem 1).
        """
        to_x0, to_xt, variance, _ = (per_sample(c, x0) for c in self.schedule.posterior(t, t - 1))
        true_mean = to_x0 * x0 + to_xt * x_t
        mean = to_x0 * denoised.x0 + to_xt * x_t
        if squared_error is None:
            log_variance = self.schedule.reverse_log_variance(denoised.variance_fraction, t, t - 1, x0)
        else:
            log_variance = (variance + to_x0.square() * squared_error).log()
        true_log_variance = variance.clamp(min=1e-20).log()
        kl = gaussian_kl(true_mean, true_log_variance, mean, log_variance)
        if self.data_bin is None:
            last = 0.5 * ((x0 - mean).square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi))
        else:
            last = -discretised_gaussian_log_likelihood(x0, mean, log_variance, self.data_bin)
        return torch.where((t == 0)[:, None], last.flatten(1), kl.flatten(1)).mean(dim=1)
