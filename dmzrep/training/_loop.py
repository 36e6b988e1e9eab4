"""The training loop."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dmzrep._base._device import keep_freed_memory
from dmzrep._base._random import set_torch_states, torch_states
from dmzrep.diffusion._objective import Objective
from dmzrep.errors import TrainingDivergedError
from dmzrep.networks._model import DiffusionAutoencoder
from dmzrep.networks._normalization import BatchNorm
from dmzrep.training._augmentation import flip
from dmzrep.training._batch_loss import BatchLoss
from dmzrep.training._config import TrainingConfig
from dmzrep.training._data import TrainingData
from dmzrep.training._divergence import DivergenceGuard
from dmzrep.training._ema import WeightAverage
from dmzrep.training._hooks import Hooks
from dmzrep.training._progress import Epoch
from dmzrep.training._validation import validation_losses
from dmzrep.training.distributed._processes import Processes

#: Rows that re-estimate the statistics of batch normalisation after training, at most.
STATISTICS_ROWS = 8192


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


class Trainer(BatchLoss):
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
    processes : Processes, optional
        Those that train the same model together; by default this one alone.

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

    def __init__(
        self,
        model: DiffusionAutoencoder,
        objective: Objective,
        config: TrainingConfig,
        seed: int,
        processes: Processes | None = None,
    ):
        super().__init__(model, objective, config, seed, processes or Processes())
        self.average: WeightAverage[DiffusionAutoencoder] = WeightAverage(model, config.options.ema_half_life)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(model, config.options.weight_decay, config.encoder_rate),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            fused=True,
        )
        self.validation_seed = seed + 2
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
        if not self._batch_rows(len(data)):
            raise ValueError(
                f"Training has {len(data)} rows, too few for {self.processes.size} processes. Use more rows, "
                "a smaller validation_fraction, or fewer processes."
            )
        try:
            return self._fit(data, validation, hooks or Hooks(), refresh)
        except TrainingDivergedError:
            raise
        except BaseException:
            self.processes.part()
            raise

    def _fit(
        self, data: TrainingData, validation: TrainingData | None, hooks: Hooks, refresh: bool
    ) -> Trainer:
        self._come_together()
        self._clock = self.processes.time() - self.seconds
        # A run that has just begun makes a step at least, however long its start took.
        out_of_time = self.step > 0 and self._time_is_up()
        self.stopped = "max_time" if out_of_time else "early_stopping" if self._is_stale() else ""
        if self.draws_from_torch:
            set_torch_states(self._torch_states, self.device)
            if self._torch_states and not self.processes.is_first:
                # The states are the first process's; other rows want other draws.
                torch.manual_seed(self.validation_seed + self.step + self.processes.rank)
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
            shared = self._shared_batches(self.model)
            processes = self.processes
            with (
                keep_freed_memory(self.device),
                processes.keeping_interrupts(),
                shared,
            ):
                self._run_epochs(data, validation, hooks)
                self.processes.meet()
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
                self.history[-1].update(self.processes.from_first(self.validate(validation)))
            if any(self.processes.from_all(hooks.epoch_end(self))):
                self.stopped = "callback"
            elif self._time_is_up():
                self.stopped = "max_time"
            elif self._is_stale():
                self.stopped = "early_stopping"

    def run_epoch(self, data: TrainingData, hooks: Hooks) -> None:
        """Train on each row once, or until the time is up; an epoch in progress is gone on with."""
        self.model.train()
        self.processes.agree_on_time()
        if self.current is None:
            self.current = Epoch.begin(self.order, len(data), self._now(), self.images_seen)
        for positions in self.current.batches(len(data), self._batch_rows(len(data))):
            self.processes.meet()
            loss = self.train_step(data.batch(self.processes.mine(positions)), len(data))
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
        self.processes.agree_on_time()
        # Those of a module of the user's are of its own rows.
        self.processes.copy_from_first([*self.model.buffers(), *self.average.model.buffers()])
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
        """Make one step on this process's share of a batch, in model units; give the batch's mean loss."""
        n = len(x0) * self.processes.size
        if self.config.flip:
            x0 = flip(x0, self.processes.mine(torch.rand(n, generator=self.order) < 0.5))
        self._set_learning_rates(n_rows)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._batch_loss(x0, n_rows)
        own = self.model.config.module is not None
        loss = self.processes.sum_gradients(self.model.parameters(), loss, uneven=own)
        self.scaler.unscale_(self.optimizer)
        if self.config.options.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.options.gradient_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        self.images_seen += n
        self.average.update(self.images_seen, n)
        return loss

    # -- several processes ---------------------------------------------------------------------

    def _come_together(self) -> None:
        """Begin with the weights and the clock of the first process."""
        self.seconds = self.processes.from_first(self.seconds)
        for model in (self.model, self.average.model):
            self.processes.copy_from_first([*model.parameters(), *model.buffers()])
        self.processes.agree_on_time()

    @contextmanager
    def _shared_batches(self, module: nn.Module) -> Iterator[None]:
        """Normalise batches by the rows of all processes, for as long as the context lasts."""
        norms = _batch_norms(module)
        for norm in norms:
            norm.total = self.processes.total
        try:
            yield
        finally:
            for norm in norms:
                norm.total = None

    def _batch_rows(self, n_rows: int) -> int:
        """Rows of a batch, of all processes."""
        size = min(self.config.batch_size, n_rows)
        return size - size % self.processes.size

    # -- time and schedule ---------------------------------------------------------------------

    def _now(self) -> float:
        return self.seconds if self._clock is None else self.processes.time() - self._clock

    def _time_is_up(self) -> bool:
        limit = self.config.max_time
        return limit is not None and self._now() - self._start_seconds >= limit

    def progress(self, n_rows: int) -> float:
        """Share of the run that is done, in [0, 1], by epochs or by time, whichever is further."""
        steps_per_epoch = max(1, n_rows // self._batch_rows(n_rows))
        done = (self.step - self._start_step) / (self.config.max_epochs * steps_per_epoch)
        if self.config.max_time is not None:
            done = max(done, (self._now() - self._start_seconds) / self.config.max_time)
        return min(max(done, 0.0), 1.0)

    def _set_learning_rates(self, n_rows: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * group["rate"] * self._rate(n_rows)

    def _rate(self, n_rows: int) -> float:
        """Share of the peak learning rate at this step: linear warm-up, then cosine decay."""
        final = self.config.options.final_learning_rate
        decayed = final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * self.progress(n_rows)))
        return min(1.0, (self.step + 1) / max(1, self.config.options.warmup_steps)) * decayed

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
        share = max(1, self.config.batch_size // self.processes.size)
        at_a_time = self.micro_batches.size or (share if self.processes.size > 1 else None)
        return validation_losses(
            self.average.model, self.objective, self.config, data, self.validation_seed, at_a_time
        )

    @torch.no_grad()
    def refresh_statistics(self, data: TrainingData) -> None:
        """Re-estimate batch normalisation for the averaged weights, which no batch has seen."""
        encoder = self.average.model.encoder
        norms = _batch_norms(encoder)
        if not norms or not self.step:
            return
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        positions = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:STATISTICS_ROWS]
        size = self._batch_rows(len(data))
        with self._shared_batches(encoder):
            for start in range(0, len(positions) - size + 1, size):
                encoder(data.batch(self.processes.mine(positions[start : start + size])))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def _batch_norms(module: nn.Module) -> list[BatchNorm]:
    return [part for part in module.modules() if isinstance(part, BatchNorm)]


def _on_cpu(value: Any) -> Any:
    """Copy nested dictionaries, lists and tensors, tensors to the CPU."""
    if isinstance(value, Tensor):
        # The memory format is kept: a fused optimiser's moments are laid out as their weights.
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _on_cpu(part) for key, part in value.items()}
    return copy.deepcopy(value)
