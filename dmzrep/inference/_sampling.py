"""Options of sampling: names, defaults and checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._validation import (
    check_bool,
    check_choice,
    check_int,
    check_number,
    did_you_mean,
    short_repr,
)
from dmzrep._base._warnings import warn
from dmzrep.diffusion._grids import SPACINGS, Grid, timestep_grid, timesteps_from
from dmzrep.diffusion._objective import Denoised, Objective
from dmzrep.diffusion._samplers import Denoiser
from dmzrep.diffusion._sampling import SAMPLERS, draws_noise
from dmzrep.diffusion._scheduler_adapter import SchedulerSampler, is_scheduler
from dmzrep.inference._model import FittedModel
from dmzrep.networks._relaxation import MASKED_BIT

#: Called as ``callback(step, n_steps, samples)`` after each step.
StepCallback = Callable[[int, int, np.ndarray], object]


class SamplingOptions(TypedDict, total=False):
    """Keyword arguments of methods that draw samples; see `Sampling`."""

    n_steps: int | None
    sampler: Any
    spacing: str
    eta: float
    guidance: float
    match_perturbation: bool | str
    progress: bool
    callback: StepCallback | None
    return_trajectory: bool


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Options of sampling from a diffusion model.

    All methods that draw samples accept them as keyword arguments.

    Parameters
    ----------
    n_steps : int or None, default=None
        Denoising steps, from 1 to the number of timesteps (with `strength`, that fraction of them). None is
        20, or 50 with inverted noise (or all timesteps, where there are fewer).
    sampler : str or scheduler of diffusers, default="auto"
        ``"ddim"`` and the second-order solvers ``"dpm++"`` (DPM-Solver++ 2M) and ``"heun"``, which are more
        accurate at equal cost, solve an ODE and are deterministic given the initial noise. ``"ddpm"`` and
        ``"dpm++_sde"`` draw noise at each step. Each step evaluates the network once, or twice for
        ``"heun"`` except for the last. ``"auto"`` is DDIM, or DDPM for a model with learned variance and
        random noise. Inverted noise needs DDIM. Schedulers of diffusers have their own settings, and cannot
        begin from samples or inverted noise.
    spacing : {"auto", "trailing", "uniform", "quadratic", "log_snr"}, default="auto"
        Spacing of the timesteps. ``"auto"`` is ``"trailing"``, which is (nearly) the most accurate with few
        steps; from 50 steps on, ``"uniform"`` can be more accurate.
    eta : float, default=0.0
        Stochasticity of DDIM, in [0, 1]; 0 with inverted noise and for other samplers.
    guidance : float, default=1.0
        Weight of classifier-free guidance, at least 0: above 1, samples follow the code more closely and
        vary less, and each step costs twice as much. Needs a model trained with code dropout.
    match_perturbation : bool or "auto", default="auto"
        For a model trained with input perturbation: evaluate the network at the timestep at which training
        had the same noise level. ``"auto"`` does so for schedulers and for samplers that solve an ODE, which
        are inaccurate otherwise. No effect on other models.
    progress : bool, default=False
        Show a progress bar of steps.
    callback : callable or None, default=None
        Called as ``callback(step, n_steps, samples)`` after each step, counted from 1, with the current
        estimate of the clean samples in the user's layout. Samples come in batches, each of which goes
        through all steps.
    return_trajectory : bool, default=False
        Return these estimates of all steps: an array of shape ``(n_steps, n, *sample_shape)`` that ends with
        the samples.

    See Also
    --------
    DMZEncoder.sample : New samples.
    DMZEncoder.inverse_transform : Samples of given codes.
    DMZEncoder.reconstruct : Reconstructions of given samples.

    References
    ----------
    Song, Meng, Ermon, "Denoising Diffusion Implicit Models", 2021; Lu et al., "DPM-Solver++", 2022; Karras
    et al., "Elucidating the Design Space of Diffusion-Based Generative Models", 2022 (Heun); Ho, Salimans,
    "Classifier-Free Diffusion Guidance", 2022.

    Examples
    --------
    >>> from dmzrep.inference import Sampling
    >>> Sampling(n_steps=10, sampler="dpm++").n_steps
    10
    """

    n_steps: int | None = None
    sampler: Any = "auto"
    spacing: str = "auto"
    eta: float = 0.0
    guidance: float = 1.0
    match_perturbation: bool | str = "auto"
    progress: bool = False
    callback: StepCallback | None = None
    return_trajectory: bool = False

    def __post_init__(self) -> None:
        if self.n_steps is not None:
            check_int(self.n_steps, "n_steps", also=", or None")
        if not is_scheduler(self.sampler):
            check_choice("sampler", self.sampler, ("auto", *SAMPLERS), " or a scheduler of diffusers")
        check_choice("spacing", self.spacing, ("auto", *SPACINGS))
        check_number(self.eta, "eta", 0, 1, "both")
        also = " (1 is without guidance, larger values follow the code more closely)"
        check_number(self.guidance, "guidance", 0, None, "left", also)
        if self.match_perturbation != "auto" and not isinstance(self.match_perturbation, (bool, np.bool_)):
            raise ValueError(
                "match_perturbation must be True, False or 'auto', got "
                f"{short_repr(self.match_perturbation)}."
            )
        if self.callback is not None and not callable(self.callback):
            raise ValueError(
                "callback must be a function of (step, n_steps, samples) or None, got "
                f"{short_repr(self.callback)}."
            )
        for name in ("progress", "return_trajectory"):
            check_bool(getattr(self, name), name)

    def _plan(self, model: FittedModel, *, noise: str = "random", strength: float = 1.0) -> SamplingPlan:
        """Resolve the options for a model; raise if one does not fit it or the others.

        Initial noise is "random", "inverted" or "zero"; `strength` is the fraction of the timesteps that are
        denoised, in (0, 1].
        """
        model.check_trained()
        objective = model.objective
        n_timesteps = objective.schedule.n_timesteps
        n_visited = timesteps_from(n_timesteps, strength)
        n_steps = self.n_steps
        if n_steps is None:
            n_steps = min(50 if noise == "inverted" else 20, n_visited)
        limit = "n_timesteps" if n_visited == n_timesteps else "round(strength * n_timesteps)"
        n_steps = check_int(n_steps, "n_steps", 1, n_visited, limit=limit)
        self._check_guidance(model)
        if is_scheduler(self.sampler):
            return self._scheduler_plan(model, n_steps, noise, strength)
        name = self._sampler_name(objective, noise)
        # With the exact denoiser of 600 digits, trailing spacing had (nearly) the smallest error for each
        # sampler at 5 to 20 network evaluations, with both noise schedules.
        spacing = "trailing" if self.spacing == "auto" else self.spacing
        grid = timestep_grid(n_timesteps, n_steps, spacing, strength=strength, schedule=objective.schedule)
        solves_ode = not draws_noise(name, self.eta)
        matches = self._matches(solves_ode)
        if objective.input_perturbation > 0.0 and solves_ode and not matches:
            warn(
                "This model was trained with input perturbation, on noise of more than unit variance. "
                f"{name!r}, which draws no noise, is then inexact. Leave match_perturbation at 'auto', use "
                "sampler='ddpm', or DDIM with eta=0.5."
            )
        return SamplingPlan(self, name, grid, n_steps, matches)

    def _scheduler_plan(self, model: FittedModel, n_steps: int, noise: str, strength: float) -> SamplingPlan:
        if noise == "inverted" or strength < 1.0:
            raise ValueError(
                f"sampler={type(self.sampler).__name__} begins from noise only; noise='inverted' needs "
                "sampler='ddim', and strength below 1 one of the samplers with a name."
            )
        if self.spacing != "auto":
            raise ValueError(
                f"spacing={self.spacing!r} is not for {type(self.sampler).__name__}, which has its own. "
                "Set its timestep_spacing, for instance to 'trailing'."
            )
        sampler = SchedulerSampler(
            self.sampler, model.objective.schedule, n_steps, clip=model.clip, eta=float(self.eta)
        )
        return SamplingPlan(self, sampler, [], sampler.n_steps, self._matches(solves_ode=True))

    def _check_guidance(self, model: FittedModel) -> None:
        if self.guidance == 1.0:
            return
        if not model.has_code:
            raise ValueError(
                f"guidance={self.guidance!r} needs a model with codes; this one has conditioning='none'. "
                "Use guidance=1."
            )
        if model.code_dropout == 0.0:
            raise ValueError(
                f"guidance={self.guidance!r} needs a model that was trained with code dropout, and this one "
                "was not. Fit with code_dropout=0.1, or use guidance=1."
            )

    def _matches(self, solves_ode: bool) -> bool:
        return solves_ode if self.match_perturbation == "auto" else bool(self.match_perturbation)

    def _sampler_name(self, objective: Objective, noise: str) -> str:
        sampler = self.sampler
        if noise == "inverted":
            if sampler not in ("auto", "ddim") or self.eta != 0.0:
                raise ValueError(
                    "noise='inverted' needs sampler='ddim' (or 'auto') and eta=0, which undo the inversion; "
                    f"got {sampler!r} and eta={self.eta!r}."
                )
            return "ddim"
        if sampler == "auto":
            unmatched = objective.input_perturbation > 0.0 and not self._matches(solves_ode=True)
            draws = noise != "zero" and (objective.learn_variance or unmatched)
            sampler = "ddpm" if draws else "ddim"
        if sampler != "ddim" and self.eta != 0.0:
            raise ValueError(f"eta={self.eta!r} is an option of DDIM; pass sampler='ddim' with it.")
        return str(sampler)


def sampling_from(options: Any) -> Sampling:
    """Return the options of sampling from keyword arguments; raise TypeError for an unknown name."""
    names = [field.name for field in fields(Sampling)]
    for name in options:
        if name not in names:
            hint = did_you_mean(name, names)
            raise TypeError(f"Unknown sampling option {name!r}. Options are {', '.join(names)}.{hint}")
    return Sampling(**options)


@dataclass(frozen=True)
class SamplingPlan:
    """Sampling options resolved for a model; the grid is empty for schedulers, which have their own."""

    options: Sampling
    sampler: str | SchedulerSampler
    grid: Grid
    n_steps: int
    match_perturbation: bool

    def denoiser(self, model: FittedModel, z: Tensor | None) -> Denoiser:
        """Return the denoiser (x_t, t) -> `Denoised` given codes z, or None for an unconditional model.

        With guidance g, estimates are those with the code plus (g - 1) times their difference from those
        without it: Ho, Salimans, "Classifier-Free Diffusion Guidance", 2022, equation 6, with g = 1 + w.
        """

        def denoise(x: Tensor, t: Tensor, code: Tensor | None = z) -> Denoised:
            matched = self.match_perturbation
            return model.objective.denoise(model.network, x, t, code, match_perturbation=matched)

        guidance = float(self.options.guidance)
        if guidance == 1.0 or z is None:
            return denoise
        no_code = torch.full_like(z, MASKED_BIT)

        def guided(x: Tensor, t: Tensor) -> Denoised:
            conditional, unconditional = denoise(x, t), denoise(x, t, no_code)
            # Clean data and noise are linear in each other at a given x_t, so both are mixed alike.
            x0, epsilon = (
                known + (guidance - 1.0) * (known - unknown)
                for known, unknown in zip(conditional[:2], unconditional[:2], strict=True)
            )
            return Denoised(x0, epsilon, conditional.variance_fraction)

        return guided
