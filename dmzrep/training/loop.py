"""The training loop."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dmzrep.device import autocast, keep_freed_memory
from dmzrep.diffusion.objective import Objective
from dmzrep.diffusion.timesteps import TimestepSampler
from dmzrep.errors import TrainingDivergedError
from dmzrep.networks.codes import relaxed_bernoulli
from dmzrep.networks.model import DiffusionAutoencoder, memory_format
from dmzrep.random import set_torch_states, torch_states
from dmzrep.training.augmentation import random_flip
from dmzrep.training.code_terms import CodeTerms
from dmzrep.training.config import TrainingConfig
from dmzrep.training.data import TrainingData
from dmzrep.training.divergence import DivergenceGuard
from dmzrep.training.ema import WeightAverage
from dmzrep.training.hidden_bits import drop_codes, keep_prefixes
from dmzrep.training.hooks import Hooks
from dmzrep.training.progress import Epoch
from dmzrep.training.validation import validation_losses

#: Rows that re-estimate the statistics of batch normalisation after training, at most.
STATISTICS_ROWS = 8192
#: Share of a run, at its end, in which an encoder that was shown other views is kept as it is.
RESTING_SHARE = 0.15


def parameter_groups(model: DiffusionAutoencoder, weight_decay: float, encoder_rate: float) -> list[dict]:
    """Split parameters by network and kind: matrices and kernels decay, biases and normalisation do not.

    A group's "rate" is its learning rate as a share of the denoiser's.
    """
    groups = []
    for network, rate in ((model.denoiser, 1.0), (model.encoder, encoder_rate)):
        parameters = list(network.parameters())
        for decayed in (True, False):
            chosen = [p for p in parameters if (p.dim() > 1) == decayed]
            decay = weight_decay if decayed else 0.0
            groups.append({"params": chosen, "weight_decay": decay, "rate": rate})
    return groups


class Trainer:
    """Trains a diffusion autoencoder.

    Parameters
    ----------
    model : DiffusionAutoencoder
        Trained in place, on its device.
    objective : Objective
        The loss.
    config : TrainingConfig
        Settings.
    seed : int
        Decides the order of the data, the timesteps and all noise.

    Attributes
    ----------
    average : WeightAverage
        The weights to use afterwards.
    history : list of dict
        A row an epoch: epoch, seconds, images, images_per_second, loss, learning_rate and, with
        validation data, the losses of `validation_losses`. The loss includes the code's terms.
    stopped : str
        Why training ended: "max_iter", "max_time", "early_stopping", "callback", "interrupted" or
        "diverged".
    current : Epoch or None
        The epoch in progress.
    guard : DivergenceGuard
        Ends a run whose losses or weights are no numbers.
    """

    def __init__(self, model: DiffusionAutoencoder, objective: Objective, config: TrainingConfig, seed: int):
        self.model = model
        self.objective = objective
        self.config = config
        self.device = next(model.parameters()).device
        self.average: WeightAverage[DiffusionAutoencoder] = WeightAverage(model, config.ema_half_life)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(model, config.weight_decay, config.encoder_rate),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            fused=True,
        )
        self.code_terms = CodeTerms(config)
        self.timesteps = TimestepSampler(objective.schedule.n_timesteps, config.timestep_sampling)
        # Order and timesteps come from a CPU generator, noise from one on the device.
        self.order = torch.Generator().manual_seed(seed)
        self.noise = torch.Generator(self.device).manual_seed(seed + 1)
        self.validation_seed = seed + 2
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        self.epoch = self.step = self.images_seen = 0
        self.seconds = 0.0
        self._start_epoch = self._start_step = 0
        self._start_seconds = 0.0
        self.history: list[dict[str, float]] = []
        self.stopped = ""
        self.current: Epoch | None = None
        self.guard = DivergenceGuard(self.average.model)
        self._clock: float | None = None
        self._torch_states: dict[str, Tensor] = {}
        self._denoiser: Callable[..., Tensor] = model.denoiser
        self._encoder: Callable[..., Tensor] = model.encoder
        if config.compile:
            self._denoiser, self._encoder = torch.compile(model.denoiser), torch.compile(model.encoder)

    @property
    def draws_from_torch(self) -> bool:
        """Whether steps may draw from torch's own generators: by dropout, or in a module of the user's."""
        return self.model.config.dropout > 0.0 or self.model.config.module is not None

    # -- the ladder: fit, epoch, step ----------------------------------------------------------

    def fit(
        self,
        data: TrainingData,
        validation: TrainingData | None = None,
        *,
        hooks: Hooks | None = None,
        refresh: bool = True,
    ) -> Trainer:
        """Train until `max_epochs`, `max_time`, early stopping, a callback or Ctrl-C ends it.

        Parameters
        ----------
        data, validation : TrainingData
            Rows to learn from, and rows to score.
        hooks : Hooks, optional
            Called around steps and epochs.
        refresh : bool, default=True
            Re-estimate batch normalisation from `data` at the end; wrong for a chunk too small to
            stand for all rows.

        Returns
        -------
        Trainer
            Itself.

        Raises
        ------
        TrainingDivergedError
            Losses or weights became infinite or not a number; weights, counters and history are put back
            to where they were last found to be numbers.
        """
        hooks = hooks or Hooks()
        self._clock = time.perf_counter() - self.seconds
        # A run that has just begun makes a step at least, however long its start took.
        out_of_time = self.step > 0 and self._time_is_up()
        self.stopped = "max_time" if out_of_time else "early_stopping" if self._is_stale() else ""
        if self.draws_from_torch:
            set_torch_states(self._torch_states, self.device)
        self.guard.begin(self)
        hooks.fit_begin(self, len(data))
        try:
            self._run(data, validation, hooks)
        except TrainingDivergedError:
            self.stopped = "diverged"
            self.guard.restore(self)
            self._end_epoch()
            # What goes on from here goes on from the averaged weights.
            self.model.load_state_dict(self.average.model.state_dict())
            self.optimizer.state.clear()
            raise
        finally:
            hooks.fit_end(self)
            self._clock = None
        if refresh:
            self.refresh_statistics(data)
        return self

    def _run(self, data: TrainingData, validation: TrainingData | None, hooks: Hooks) -> None:
        """Run epochs; `stopped` says what ended them."""
        try:
            with keep_freed_memory(self.device):
                self._run_epochs(data, validation, hooks)
            self.stopped = self.stopped or "max_iter"
        except KeyboardInterrupt:
            self.stopped = "interrupted"
        self.guard.look(self)
        self._end_epoch()

    def _run_epochs(self, data: TrainingData, validation: TrainingData | None, hooks: Hooks) -> None:
        """Train and validate until something stops the run; `stopped` says what, if not the last epoch."""
        while not self.stopped and self.epoch - self._start_epoch < self.config.max_epochs:
            hooks.epoch_begin(self)
            self.run_epoch(data, hooks)
            if validation is not None and len(validation):
                self.history[-1].update(self.validate(validation))
            if hooks.epoch_end(self):
                self.stopped = "callback"
            elif self._time_is_up():
                self.stopped = "max_time"
            elif self._is_stale():
                self.stopped = "early_stopping"

    def run_epoch(self, data: TrainingData, hooks: Hooks) -> None:
        """Train on each row once, or until the time is up; an epoch in progress is gone on with."""
        self.model.train()
        if self.current is None:
            self.current = Epoch.begin(self.order, len(data), self._now(), self.images_seen)
        for positions in self.current.batches(len(data), min(self.config.batch_size, len(data))):
            loss = self.train_step(data.batch(positions), len(data))
            self.current.losses.append(loss)
            self.guard.step_end(self, loss)
            hooks.step_end(self, loss)
            if self._time_is_up():
                break
        self.guard.look(self)
        self._end_epoch()

    def _end_epoch(self) -> None:
        """Count the epoch in progress, if it has a step, and write its row of the history."""
        epoch, self.current = self.current, None
        if epoch is None or not epoch.losses:
            return
        self.epoch += 1
        self.seconds = self._now()
        seconds, images = self.seconds - epoch.seconds, self.images_seen - epoch.images
        row = {
            "epoch": self.epoch,
            "seconds": self.seconds,
            "images": self.images_seen,
            "images_per_second": images / max(seconds, 1e-9),
            "loss": torch.stack(epoch.losses).mean().item(),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
        }
        self.history.append(row)

    def _is_stale(self) -> bool:
        """Whether the score has not improved for as many epochs of this run as are allowed."""
        rows = self.history[self._start_epoch :]
        # An epoch that was interrupted has no validation loss, and no say.
        scores = [row["validation_loss"] for row in rows if "validation_loss" in row]
        scores = scores or [row["loss"] for row in rows]
        patience = self.config.n_iter_no_change
        return (
            bool(scores) and patience is not None and len(scores) - 1 - scores.index(min(scores)) >= patience
        )

    def train_step(self, x0: Tensor, n_rows: int) -> Tensor:
        """Make one step on a batch in model units; give its mean loss, detached."""
        if self.config.flip:
            x0 = random_flip(x0, self.order)
        self._set_learning_rates(n_rows)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._batch_loss(x0, n_rows)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        if math.isfinite(self.config.gradient_clip):
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        self.images_seen += len(x0)
        self.average.update(self.images_seen, len(x0))
        return loss.detach()

    # -- parts of a step -----------------------------------------------------------------------

    def _set_learning_rates(self, n_rows: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * group["rate"] * self._rate(n_rows)

    def _batch_loss(self, x0: Tensor, n_rows: int) -> Tensor:
        """Mean loss of a batch; the timesteps' sampler takes note of it."""
        t, weights = self.timesteps.sample(len(x0), self.order)
        t, weights = t.to(self.device), weights.to(self.device)
        with autocast(self.config.precision, self.device):
            code = None
            if self.model.config.conditioning != "none":
                code = self._code(x0, n_rows)
            z = None if code is None else self._shown(code[1])
            losses = self.objective.losses(self._denoiser, x0, t, z, self._randn(x0), self._perturbation(x0))
        self.timesteps.update(t, losses.detach())
        loss = (losses * weights).mean()
        if code is None or not self.code_terms.present:
            return loss
        return loss + self.code_terms(*code, loss.detach())

    def _code(self, x0: Tensor, n_rows: int) -> tuple[Tensor, Tensor]:
        """Logits of a batch, and relaxed bits drawn from them."""
        logits = self._logits(x0, n_rows)
        z = relaxed_bernoulli(
            logits,
            self._temperature(n_rows),
            straight_through=self.config.straight_through,
            generator=self.noise,
        )
        return logits, z

    def _shown(self, z: Tensor) -> Tensor:
        """What the denoiser is shown of the relaxed bits."""
        if self.config.ordered:
            z = keep_prefixes(z, self.noise)
        if self.config.code_dropout:
            z = drop_codes(z, self.config.code_dropout, self.noise)
        return z

    def _logits(self, x0: Tensor, n_rows: int) -> Tensor:
        view = self.config.encoder_view
        if view is None:
            return self._encoder(x0).float()
        if not self._encoder_rests(n_rows):
            return self._encoder(view(x0, self.order)).float()
        # The encoder rests, and the denoiser gets to know its codes of images as they are.
        with torch.no_grad():
            return self._encoder(x0).float()

    def _encoder_rests(self, n_rows: int) -> bool:
        return self.progress(n_rows) >= 1.0 - RESTING_SHARE

    def _temperature(self, n_rows: int) -> float:
        return self.config.temperature

    def _randn(self, like: Tensor) -> Tensor:
        noise = torch.randn(like.shape, generator=self.noise, device=like.device)
        return noise.contiguous(memory_format=memory_format(self.model.config))

    def _perturbation(self, x0: Tensor) -> Tensor | None:
        return self._randn(x0) if self.objective.input_perturbation else None

    # -- time and schedule ---------------------------------------------------------------------

    def _now(self) -> float:
        return self.seconds if self._clock is None else time.perf_counter() - self._clock

    def _time_is_up(self) -> bool:
        limit = self.config.max_time
        return limit is not None and self._now() - self._start_seconds >= limit

    def progress(self, n_rows: int) -> float:
        """Share of the run that is done, in [0, 1], by epochs or by time, whichever is further."""
        size = min(self.config.batch_size, n_rows)
        steps_per_epoch = max(1, n_rows // size)
        done = (self.step - self._start_step) / (self.config.max_epochs * steps_per_epoch)
        if self.config.max_time is not None:
            done = max(done, (self._now() - self._start_seconds) / self.config.max_time)
        return min(max(done, 0.0), 1.0)

    def _rate(self, n_rows: int) -> float:
        """Share of the peak learning rate at this step: linear warm-up, then cosine decay."""
        final = self.config.final_learning_rate
        decayed = final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * self.progress(n_rows)))
        return min(1.0, (self.step + 1) / max(1, self.config.warmup_steps)) * decayed

    # -- state ---------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """A copy of everything that going on needs, on the CPU."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict()["state"],
            "order": self.order.get_state(),
            "noise": self.noise.get_state(),
            "noise_device": self.device.type,
            "torch_states": torch_states(self.device),
            "timesteps": self.timesteps,
            "decorrelation": self.code_terms.decorrelation,
            "counters": (self.epoch, self.step, self.images_seen, self._now()),
            "start": (self._start_epoch, self._start_step, self._start_seconds),
            "current": None if self.current is None else self.current.state(),
            "history": self.history,
            "scaler": self.scaler.state_dict(),
        }
        return _on_cpu(state)

    def load_state(self, state: dict[str, Any], *, new_run: bool = False) -> None:
        """Go on from what `state` gave.

        Settings stay this trainer's own; what has been learned and drawn is taken over.

        Parameters
        ----------
        state : dict
            From `state`.
        new_run : bool, default=False
            Count epochs, time and the learning rate's schedule from here, instead of going on with
            the run that was left.
        """
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": _on_cpu(state["optimizer"]), "param_groups": groups})
        self._align_moments()
        self.order.set_state(state["order"])
        self.epoch, self.step, self.images_seen, self.seconds = state["counters"]
        if state["noise_device"] == self.device.type:
            self.noise.set_state(state["noise"])
        else:
            # Generators of two kinds of device share no state; the step keeps noise from repeating.
            self.noise.manual_seed(self.validation_seed + self.step)
        self._torch_states = state["torch_states"]
        old = state["timesteps"]
        if (old.kind, old.n_timesteps) == (self.timesteps.kind, self.timesteps.n_timesteps):
            self.timesteps = copy.deepcopy(old)
        if self.code_terms.decorrelation is None:
            self.code_terms.decorrelation = state["decorrelation"]
        self.history = copy.deepcopy(state["history"])
        if self.scaler.is_enabled() and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        if new_run:
            self._start_epoch, self._start_step, self._start_seconds = self.epoch, self.step, self.seconds
        else:
            self._start_epoch, self._start_step, self._start_seconds = state["start"]
        self.current = None
        if state["current"] is not None and not new_run:
            self.current = Epoch.from_state(_on_cpu(state["current"]), self.device)

    def _align_moments(self) -> None:
        """Lay the optimiser's moments out as their weights are.

        The fused optimiser walks memory, not indices: moments in another memory format than their
        weight would silently be applied to the wrong elements.
        """
        for weight, slots in self.optimizer.state.items():
            for name, value in slots.items():
                if value.shape == weight.shape and value.stride() != weight.stride():
                    slots[name] = torch.empty_like(weight).copy_(value)

    # -- after an epoch ------------------------------------------------------------------------

    def validate(self, data: TrainingData) -> dict[str, float]:
        """Losses of the averaged weights on validation rows; see `validation_losses`."""
        return validation_losses(self.average.model, self.objective, self.config, data, self.validation_seed)

    @torch.no_grad()
    def refresh_statistics(self, data: TrainingData) -> None:
        """Re-estimate batch normalisation for the averaged weights, which no batch has seen."""
        encoder = self.average.model.encoder
        norms = [m for m in encoder.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
        if not norms or not self.step:
            return
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        positions = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:STATISTICS_ROWS]
        size = min(self.config.batch_size, len(data))
        for start in range(0, len(positions) - size + 1, size):
            encoder(data.batch(positions[start : start + size]))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def _on_cpu(value: Any) -> Any:
    """Copy nested dictionaries, lists and tensors, tensors to the CPU."""
    if isinstance(value, Tensor):
        # The memory format is kept: a fused optimiser's moments are laid out as their weights.
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _on_cpu(part) for key, part in value.items()}
    return copy.deepcopy(value)
