"""Schedulers of the diffusers library as samplers, without importing the library."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmzrep.diffusion._objective import Denoised
from dmzrep.diffusion._samplers import Denoiser, Observer, estimate_clean
from dmzrep.diffusion._schedule import NoiseSchedule

PREDICTION_TYPES = ("sample", "epsilon", "v_prediction")
#: Relative tolerance for signal and noise powers of equal schedules, which are float32 in diffusers.
SCHEDULE_TOLERANCE = 1e-2
#: Mean and standard deviation of the Gaussian data on which a scheduler is tested, and the largest root mean
#: square difference of its samples from the mean: about 0.4 if it works, above 1 if it returns noise.
TRIAL_MEAN, TRIAL_SPREAD, TRIAL_LIMIT = 0.5, 0.4, 0.7

_ALTERNATIVES = "Use for instance DDIMScheduler or DPMSolverMultistepScheduler"


def is_scheduler(value: object) -> bool:
    """Return whether an object looks like a scheduler of diffusers."""
    return all(hasattr(value, name) for name in ("set_timesteps", "step", "config"))


class SchedulerSampler:
    """A scheduler of diffusers, checked and tested, for a noise schedule and a number of steps.

    Each run uses a copy of the scheduler with the float64 signal powers of the noise schedule. The scheduler
    gets clipped estimates of the denoiser, converted to its ``prediction_type``.
    """

    def __init__(
        self, scheduler: Any, schedule: NoiseSchedule, n_steps: int, *, clip: float, eta: float = 0.0
    ):
        self.name = type(scheduler).__name__
        self.schedule, self.clip, self.eta = schedule, clip, eta
        self._requested_steps = n_steps
        _check_noise(scheduler, schedule, self.name)
        self._check_settings(scheduler)
        self._original = copy.deepcopy(scheduler)
        self._arguments = inspect.signature(scheduler.step).parameters
        if eta != 0.0 and "eta" not in self._arguments:
            raise ValueError(
                f"{self.name} has no option eta, got eta={eta!r}. Leave it at 0, or use DDIMScheduler."
            )
        self._try_scheduler()
        self.n_steps = len(self._prepared(torch.device("cpu")).timesteps)

    def _check_settings(self, scheduler: Any) -> None:
        kind = getattr(scheduler.config, "prediction_type", None)
        if kind not in PREDICTION_TYPES:
            raise ValueError(
                f"{self.name} has prediction_type={kind!r}; one of {PREDICTION_TYPES} is needed. "
                "Make it with prediction_type='sample'."
            )
        limit = getattr(scheduler.config, "clip_sample_range", 1.0)
        if getattr(scheduler.config, "clip_sample", False) and limit < self.clip:
            raise ValueError(
                f"{self.name} clips clean data to {limit:g}, but these data reach {self.clip:g} in model "
                "units. Make it with clip_sample=False: estimates are clipped before they reach it."
            )

    def _try_scheduler(self) -> None:
        """Sample Gaussian data, whose exact denoiser is known, and check the result.

        Some schedulers go from data to noise, some are unstable at the noisy end of the cosine schedule, and
        some do not support every number of steps.
        """

        def denoise(x: Tensor, t: Tensor) -> Denoised:
            signal, sigma = self.schedule.levels(int(t[0]))
            gain = signal * TRIAL_SPREAD**2 / (signal**2 * TRIAL_SPREAD**2 + sigma**2)
            x0 = TRIAL_MEAN + gain * (x - signal * TRIAL_MEAN)
            return Denoised(x0, (x - signal * x0) / sigma, torch.zeros_like(x))

        generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
        x = torch.stack([torch.randn(1, 8, 8, generator=generator) for generator in generators])
        before = torch.get_rng_state()
        try:
            samples = self.run(denoise, x, generators=generators)
        except Exception as error:
            raise ValueError(
                f"{self.name} does not run with n_steps={self._requested_steps}: {type(error).__name__}: "
                f"{error}. {_ALTERNATIVES}, or another number of steps or prediction_type."
            ) from error
        if not torch.equal(before, torch.get_rng_state()):
            torch.set_rng_state(before)
            raise ValueError(
                f"{self.name} draws noise from torch's global generator, so that random_state would not "
                "determine the samples. Use a scheduler whose step takes `generator`, or sampler='dpm++_sde'."
            )
        distance = (samples - TRIAL_MEAN).square().mean().sqrt().item()
        if not distance < TRIAL_LIMIT:
            raise ValueError(
                f"{self.name} does not sample with n_steps={self._requested_steps} under this model's noise "
                f"schedule: on Gaussian data of standard deviation {TRIAL_SPREAD} its samples differ from "
                f"the mean by {distance:.3g}. {_ALTERNATIVES}, or more steps."
            )

    def _prepared(self, device: torch.device) -> Any:
        scheduler = copy.deepcopy(self._original)
        # Apple's MPS has no float64.
        precision = torch.float32 if device.type == "mps" else torch.float64
        rounded = scheduler.alphas_cumprod[0]
        scheduler.alphas_cumprod = torch.from_numpy(self.schedule.alpha_bar).to(precision)
        # With set_alpha_to_one=False, the last step ends at this power; the rounded one would give a
        # negative variance.
        if getattr(scheduler, "final_alpha_cumprod", None) == rounded:
            scheduler.final_alpha_cumprod = scheduler.alphas_cumprod[0]
        scheduler.set_timesteps(self._requested_steps)
        return scheduler

    def run(
        self,
        denoise: Denoiser,
        x: Tensor,
        *,
        generators: Sequence[torch.Generator],
        observe: Observer | None = None,
    ) -> Tensor:
        """Sample from unit noise x of shape (n, ...), with one generator for each sample.

        `observe` is called at each network evaluation with its index and the estimate of the clean data.
        """
        scheduler = self._prepared(x.device)
        options: dict[str, Any] = {"return_dict": False}
        if "generator" in self._arguments:
            options["generator"] = list(generators)
        if "eta" in self._arguments:
            options["eta"] = self.eta
        sample = x
        for i, timestep in enumerate(scheduler.timesteps):
            if i == 0:
                # Some schedulers keep x / signal; their scaling of the input recovers the initial value.
                sample = x / scheduler.scale_model_input(torch.ones((), device=x.device), timestep)
            x_t = scheduler.scale_model_input(sample, timestep).to(x.dtype)
            step = min(max(round(float(timestep)), 0), self.schedule.n_timesteps - 1)
            denoised = estimate_clean(denoise, x_t, step, self.clip)
            if observe is not None:
                observe(i, denoised.x0)
            output = self._output(scheduler, denoised, x_t, step)
            sample = scheduler.step(output, timestep, sample, **options)[0].to(x.dtype)
        return sample

    def _output(self, scheduler: Any, denoised: Denoised, x_t: Tensor, step: int) -> Tensor:
        """Convert the estimates to the scheduler's ``prediction_type``."""
        signal, sigma = self.schedule.levels(step)
        output = denoised.x0
        if scheduler.config.prediction_type == "epsilon":
            output = (x_t - signal * denoised.x0) / sigma
        elif scheduler.config.prediction_type == "v_prediction":
            output = (signal * x_t - denoised.x0) / sigma
        # Only DDPM's scheduler uses a learned variance, scaled to [-1, 1], and only it keeps this setting
        # outside its config.
        if vars(scheduler).get("variance_type") == "learned_range":
            if denoised.variance_fraction is None:
                raise ValueError(
                    f"{self.name} has variance_type='learned_range', but the model has no learned variance. "
                    "Make it with variance_type='fixed_small', or fit with learn_variance=True."
                )
            output = torch.cat([output, 2.0 * denoised.variance_fraction - 1.0], dim=1)
        return output


def _check_noise(scheduler: Any, schedule: NoiseSchedule, name: str) -> None:
    remedy = (
        f"Make it with num_train_timesteps={schedule.n_timesteps}, "
        "trained_betas=encoder.objective_.schedule.betas.tolist(), prediction_type='sample'."
    )
    if not hasattr(scheduler, "alphas_cumprod"):
        raise ValueError(
            f"{name} has no alphas_cumprod: it is not for variance-preserving diffusion in discrete time, "
            f"which this model is trained for. {_ALTERNATIVES}."
        )
    found, expected = np.asarray(scheduler.alphas_cumprod, dtype=np.float64), schedule.alpha_bar
    if found.shape != expected.shape:
        raise ValueError(
            f"{name} has {len(found)} training timesteps, the model {schedule.n_timesteps}. {remedy}"
        )
    difference = np.maximum(np.abs(found / expected - 1.0), np.abs((1.0 - found) / (1.0 - expected) - 1.0))
    if difference.max() > SCHEDULE_TOLERANCE:
        t = int(difference.argmax())
        raise ValueError(
            f"{name} has another noise schedule than the model: at timestep {t} its signal power is "
            f"{found[t]:.4g}, the model's {expected[t]:.4g}. {remedy}"
        )
