"""Schedulers of the diffusers library as samplers; that library is not imported here."""

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
#: Relative difference of signal and noise powers below which two schedules are the same: theirs are float32.
SAME = 1e-2


def is_scheduler(value: object) -> bool:
    """Whether an object looks like a scheduler of diffusers."""
    return all(hasattr(value, name) for name in ("set_timesteps", "step", "config"))


class SchedulerSampler:
    """A scheduler of diffusers, with its grid settled for a noise schedule.

    The scheduler itself is left as it is: every run works on a copy, whose signal powers are replaced by the
    noise schedule's own in float64. The estimates of the denoiser, clipped, are handed over as the
    scheduler's ``prediction_type`` says. Timesteps, their spacing and what happens in a step are its own.

    Parameters
    ----------
    scheduler : diffusers scheduler
        For variance-preserving diffusion in discrete time: it has ``alphas_cumprod``.
    schedule : NoiseSchedule
        The forward process, which the scheduler's betas must agree with.
    n_steps : int
        For its ``set_timesteps``.
    clip : float
        Largest absolute value of clean estimates.
    eta : float, default=0.0
        Handed on to a scheduler whose ``step`` takes it (DDIM's).

    Attributes
    ----------
    n_steps : int
        Network evaluations, which some schedulers make more than what was asked for (two a step).

    Raises
    ------
    ValueError
        The scheduler's noise, kind of prediction or clipping does not suit the model, or `eta` is not for it.

    Notes
    -----
    Noise comes from one generator a row where ``step`` takes ``generator``. A scheduler that draws from
    torch's global generator all the same (``DPMSolverSDEScheduler``) is stopped. Timesteps with fractions,
    which some sigma spacings give, are rounded for the denoiser.
    """

    def __init__(
        self, scheduler: Any, schedule: NoiseSchedule, n_steps: int, *, clip: float, eta: float = 0.0
    ):
        self.name = type(scheduler).__name__
        self.schedule, self.clip, self.eta = schedule, clip, eta
        self._asked = n_steps
        _check_noise(scheduler, schedule, self.name)
        self._check_settings(scheduler)
        self._original = copy.deepcopy(scheduler)
        self._arguments = inspect.signature(scheduler.step).parameters
        if eta != 0.0 and "eta" not in self._arguments:
            raise ValueError(
                f"eta={eta!r} is not for {self.name}, whose step takes none. Leave it at 0, or use "
                "DDIMScheduler."
            )
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

    def _prepared(self, device: torch.device) -> Any:
        scheduler = copy.deepcopy(self._original)
        # Apple's MPS has no float64.
        precision = torch.float32 if device.type == "mps" else torch.float64
        scheduler.alphas_cumprod = torch.from_numpy(self.schedule.alpha_bar).to(precision)
        scheduler.set_timesteps(self._asked)
        return scheduler

    def run(
        self,
        denoise: Denoiser,
        x: Tensor,
        *,
        generators: Sequence[torch.Generator],
        observe: Observer | None = None,
    ) -> Tensor:
        """Sample from x, unit noise.

        Parameters
        ----------
        denoise : callable
            (x_t, t) -> `Denoised`.
        x : Tensor of shape (n, ...)
            Unit noise.
        generators : sequence of n torch.Generator
            One for each row.
        observe : callable, optional
            Called at each network evaluation with its index, from 0, and the estimate of the clean data.

        Returns
        -------
        Tensor of shape (n, ...)
        """
        scheduler = self._prepared(x.device)
        options: dict[str, Any] = {"return_dict": False}
        if "generator" in self._arguments:
            options["generator"] = list(generators)
        if "eta" in self._arguments:
            options["eta"] = self.eta
        before = torch.get_rng_state()
        sample = x
        for i, timestep in enumerate(scheduler.timesteps):
            if i == 0:
                # Some schedulers keep x / signal; what they divide it by tells how it has to begin.
                sample = x / scheduler.scale_model_input(torch.ones((), device=x.device), timestep)
            x_t = scheduler.scale_model_input(sample, timestep).to(x.dtype)
            step = min(max(round(float(timestep)), 0), self.schedule.n_timesteps - 1)
            denoised = estimate_clean(denoise, x_t, step, self.clip)
            if observe is not None:
                observe(i, denoised.x0)
            output = self._output(scheduler, denoised, x_t, step)
            sample = scheduler.step(output, timestep, sample, **options)[0].to(x.dtype)
        if not torch.equal(before, torch.get_rng_state()):
            torch.set_rng_state(before)
            raise ValueError(
                f"{self.name} draws noise from torch's global generator, so that random_state could not "
                "decide the rows. Use a scheduler whose step takes `generator`, or sampler='dpm++_sde'."
            )
        return sample

    def _output(self, scheduler: Any, denoised: Denoised, x_t: Tensor, step: int) -> Tensor:
        """Give the estimates as the scheduler takes them."""
        signal, sigma = self.schedule.levels(step)
        output = denoised.x0
        if scheduler.config.prediction_type == "epsilon":
            output = (x_t - signal * denoised.x0) / sigma
        elif scheduler.config.prediction_type == "v_prediction":
            output = (signal * x_t - denoised.x0) / sigma
        # DDPM's scheduler alone makes use of a learned variance, which it takes from -1 to 1. It alone keeps
        # the setting outside its config.
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
            "which this model is trained for. Use for instance DDIMScheduler or DPMSolverMultistepScheduler."
        )
    theirs, ours = np.asarray(scheduler.alphas_cumprod, dtype=np.float64), schedule.alpha_bar
    if theirs.shape != ours.shape:
        raise ValueError(
            f"{name} has {len(theirs)} training timesteps, the model {schedule.n_timesteps}. {remedy}"
        )
    apart = np.maximum(np.abs(theirs / ours - 1.0), np.abs((1.0 - theirs) / (1.0 - ours) - 1.0))
    if apart.max() > SAME:
        t = int(apart.argmax())
        raise ValueError(
            f"{name} was made for other noise than the model's: at timestep {t} its signal power is "
            f"{theirs[t]:.4g}, the model's {ours[t]:.4g}. {remedy}"
        )
