"""The training loop."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dmzrep._base._random import set_torch_states
from dmzrep.diffusion._objective import Objective
from dmzrep.errors import TrainingDivergedError
from dmzrep.networks._model import DiffusionAutoencoder
from dmzrep.training._augmentation import flip
from dmzrep.training._batch_loss import FREEZE_FRACTION, BatchLoss
from dmzrep.training._batch_statistics import STATISTICS_SAMPLES, refresh_statistics, synchronized_batch_norm
from dmzrep.training._budget import VALIDATION_SHARE, Budget
from dmzrep.training._config import TrainingConfig
from dmzrep.training._data import TrainingData
from dmzrep.training._divergence import DivergenceGuard
from dmzrep.training._early_stopping import EarlyStopping
from dmzrep.training._ema import WeightAverage
from dmzrep.training._hooks import Hooks
from dmzrep.training._optimization import make_optimizer, set_learning_rates
from dmzrep.training._progress import Epoch
from dmzrep.training._state import load_trainer_state, trainer_state
from dmzrep.training._validation import VALIDATION_SAMPLES, validation_losses

#: Samples that are described after training, at most: those of the code report and the prior.
REPORT_SAMPLES = 20_000


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
    budget : Budget, optional
        The time of the fit and the processes that train together; by default `config.max_time` from here
        on, in this process alone.

    Attributes
    ----------
    average : WeightAverage
        The weights to use afterwards.
    history : list of dict
        One for each epoch: epoch, seconds, images, images_per_second, loss, learning_rate and, with
        validation data, the losses of `validation_losses`. The loss includes the code's terms.
    stopped : str
        Why training ended: "max_iter", "max_time", "early_stopping", "callback", "interrupted" or
        "diverged".
    current : Epoch or None
        The epoch in progress.
    guard : DivergenceGuard
        Ends a run whose losses or weights are non-finite.
    early_stopping : EarlyStopping
        Keeps the best weights.
    freeze_step : int or None
        Step at which early stopping froze the encoder.
    """

    def __init__(
        self,
        model: DiffusionAutoencoder,
        objective: Objective,
        config: TrainingConfig,
        seed: int,
        budget: Budget | None = None,
    ):
        self.budget = budget or Budget(config.max_time)
        super().__init__(model, objective, config, seed, self.budget.processes)
        self.average: WeightAverage[DiffusionAutoencoder] = WeightAverage(model, config.options.ema_half_life)
        self.optimizer = make_optimizer(model, config)
        self.validation_seed = seed + 2
        self.epoch = self.step = self.images_seen = 0
        self.start_epoch = self.start_step = 0
        self.start_seconds = 0.0
        self.history: list[dict[str, float]] = []
        self.stopped = ""
        self.current: Epoch | None = None
        self.guard = DivergenceGuard(self.average.model)
        self.early_stopping = EarlyStopping(config.n_iter_no_change)
        self.freeze_step: int | None = None
        self.torch_states: dict[str, Tensor] = {}
        self._n_validation = VALIDATION_SAMPLES
        self._is_planned, self._begun, self._validates = False, 0.0, False

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those of earlier runs included."""
        return self.start_seconds + self.budget.elapsed()

    @property
    def draws_from_torch(self) -> bool:
        """Whether steps may draw from torch's own generators: by dropout, or in a custom module."""
        return self.model.config.dropout > 0.0 or self.model.config.module is not None

    # -- the ladder: fit, epoch, step ----------------------------------------------------------

    def fit(
        self,
        data: TrainingData,
        validation: TrainingData | None = None,
        *,
        hooks: Hooks | None = None,
        refresh: bool = True,
        freeze: bool = True,
    ) -> Trainer:
        """Train until `max_epochs`, `max_time`, early stopping, a callback or Ctrl-C ends it.

        Parameters
        ----------
        data, validation : TrainingData
            Samples to learn from, and samples to score.
        hooks : Hooks, optional
            Called around steps and epochs.
        refresh : bool, default=True
            Re-estimate batch normalisation from `data` at the end; wrong for a chunk too small to
            stand for all samples.
        freeze : bool, default=True
            End with steps in which an encoder of augmented views is frozen; see `FREEZE_FRACTION`.

        Returns
        -------
        Trainer
            Itself.

        Raises
        ------
        TrainingDivergedError
            Losses or weights became non-finite; weights, counters and history are put back to where they
            were last found to be finite.
        """
        if not self._batch_size(len(data)):
            raise ValueError(
                f"Training has {len(data)} samples, too few for {self.processes.size} processes. Use more "
                "samples, a smaller validation_fraction, or fewer processes."
            )
        hooks = hooks or Hooks()
        self.freezes = freeze
        for model in (self.model, self.average.model):
            self.processes.broadcast([*model.parameters(), *model.buffers()])
        self.processes.synchronize()
        self._is_planned, self._begun = False, self.budget.elapsed()
        self._validates = validation is not None and len(validation) > 0
        # A run that has just begun makes a step at least, however long its initialisation took.
        self.stopped = "max_time" if self.step > self.start_step and self.budget.training_is_over() else ""
        if not self.stopped and self.current is None:
            self._stop_early_if_due(len(data))
        if self.draws_from_torch:
            set_torch_states(self.torch_states, self.device)
            if self.torch_states and not self.processes.is_first:
                # The states are the first process's; other samples want other draws.
                torch.manual_seed(self.validation_seed + self.step + self.processes.rank)
        self.guard.begin(self)
        hooks.fit_begin(self, len(data))
        try:
            self._run(data, validation, hooks)
        except TrainingDivergedError:
            self.stopped = "diverged"
            self.guard.restore(self)
            self._end_epoch()
            self._restart_from_average()
            raise
        finally:
            hooks.fit_end(self)
        if refresh:
            self.refresh_statistics(data)
        return self

    def _run(self, data: TrainingData, validation: TrainingData | None, hooks: Hooks) -> None:
        """Run epochs; `stopped` says what ended them."""
        try:
            shared = synchronized_batch_norm(self.model, self.budget)
            with self.processes.deferred_interrupts(), shared:
                self._run_epochs(data, validation, hooks)
                self.processes.barrier()
            ended = "max_iter" if self.freeze_step is None else "early_stopping"
            self.stopped = self.stopped or ended
        except KeyboardInterrupt:
            self.stopped = "interrupted"
        self.guard.check(self)
        self._end_epoch()
        if self.early_stopping.weights and self.early_stopping.restore(self.average.model):
            self._restart_from_average()

    def _run_epochs(self, data: TrainingData, validation: TrainingData | None, hooks: Hooks) -> None:
        """Train and validate until something stops the run; `stopped` says what, if not the last epoch."""
        while not self.stopped and self.epoch - self.start_epoch < self.config.max_epochs:
            hooks.epoch_begin(self)
            self.run_epoch(data, hooks)
            if validation is not None and self._validates:
                self.history[-1].update(self.processes.broadcast_object(self.validate(validation)))
            self.early_stopping.update(self.history[self.start_epoch :], self.average.model)
            if any(self.processes.all_gather_object(hooks.epoch_end(self))):
                self.stopped = "callback"
            elif self.budget.training_is_over():
                self.stopped = "max_time"
            else:
                self._stop_early_if_due(len(data))

    def run_epoch(self, data: TrainingData, hooks: Hooks) -> None:
        """Train on each sample once, or until the time is up; an epoch in progress is continued."""
        self.model.train()
        self.processes.synchronize()
        if self.current is None:
            self.current = Epoch.begin(self.order, len(data), self.seconds, self.images_seen)
        for positions in self.current.batches(len(data), self._batch_size(len(data))):
            self.processes.barrier()
            loss = self.train_step(data.batch(self.processes.shard(positions)), len(data))
            self.current.losses.append(loss)
            self.guard.step_end(self, loss)
            hooks.step_end(self, loss)
            if not self._is_planned:
                self._plan(data, loss)
            if self.budget.training_is_over() or self._freeze_is_over():
                break
        self.guard.check(self)
        self._end_epoch()

    def _end_epoch(self) -> None:
        """Count the epoch in progress, if it has a step, and append it to the history."""
        epoch, self.current = self.current, None
        if epoch is None or not epoch.losses:
            return
        self.epoch += 1
        self.processes.synchronize()
        # Those of a custom module are of its own samples.
        self.processes.broadcast([*self.model.buffers(), *self.average.model.buffers()])
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

    def train_step(self, x0: Tensor, n_samples: int) -> Tensor:
        """Make one step on this process's shard of a batch, in model units; return the batch's mean loss."""
        n = len(x0) * self.processes.size
        if self.config.flip:
            x0 = flip(x0, self.processes.shard(torch.rand(n, generator=self.order) < 0.5))
        set_learning_rates(self.optimizer, self.config, self.step, self.progress(n_samples))
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._batch_loss(x0, n_samples)
        loss = self.processes.reduce_gradients(self.model.parameters(), loss)
        self.scaler.unscale_(self.optimizer)
        if self.config.options.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.options.gradient_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        self.images_seen += n
        self.average.update(self.images_seen, n)
        return loss

    def _batch_size(self, n_samples: int) -> int:
        """Samples of a batch, of all processes."""
        size = min(self.config.batch_size, n_samples)
        return size - size % self.processes.size

    # -- how far the run is --------------------------------------------------------------------

    def progress(self, n_samples: int) -> float:
        """Share of the run that is done, in [0, 1], by epochs or by time, whichever is further."""
        if self.freeze_step is not None:
            done = (self.step - self.freeze_step) / max(1, self._n_frozen_steps())
            return min(1.0 - FREEZE_FRACTION * (1.0 - done), 1.0)
        steps_per_epoch = max(1, n_samples // self._batch_size(n_samples))
        done = (self.step - self.start_step) / (self.config.max_epochs * steps_per_epoch)
        return min(max(done, self.budget.progress(), 0.0), 1.0)

    def _stop_early_if_due(self, n_samples: int) -> None:
        """End the run once the score no longer improves: at once, or after steps with a frozen encoder."""
        if self.freeze_step is not None:
            self.stopped = "early_stopping" if self._freeze_is_over() else ""
        elif self.early_stopping.is_due(self.history[self.start_epoch :]):
            freezes = self.freezes and self.config.encoder_view is not None
            if freezes and not self._is_frozen(n_samples) and self._n_frozen_steps():
                self.freeze_step = self.step
                if self.early_stopping.restore(self.average.model):
                    self._restart_from_average()
            else:
                self.stopped = "early_stopping"

    def _n_frozen_steps(self) -> int:
        """Steps with a frozen encoder that follow early stopping."""
        last = self.step if self.freeze_step is None else self.freeze_step
        return int(FREEZE_FRACTION * (last - self.start_step))

    def _freeze_is_over(self) -> bool:
        return self.freeze_step is not None and self.step - self.freeze_step >= self._n_frozen_steps()

    def _restart_from_average(self) -> None:
        """Let training continue from the averaged weights."""
        self.model.load_state_dict(self.average.model.state_dict())
        self.optimizer.state.clear()

    # -- state ---------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """A copy of everything that resuming needs, on the CPU."""
        return trainer_state(self)

    def load_state(self, state: dict[str, Any], *, new_run: bool = False) -> None:
        """Continue from what `state` returned.

        Settings stay this trainer's own; what has been learned and drawn is taken over.

        Parameters
        ----------
        state : dict
            From `state`.
        new_run : bool, default=False
            Count epochs, time and the learning rate's schedule from here, instead of resuming the run.
        """
        load_trainer_state(self, state, new_run)

    # -- after a step, an epoch, the run -------------------------------------------------------

    @torch.no_grad()
    def _plan(self, data: TrainingData, loss: Tensor) -> None:
        """Keep time for what follows training, by the measured speed of the encoder and of the first step."""
        self._is_planned = True
        if self.budget.limit is None:
            return
        size = min(len(data), max(1, self.config.batch_size // self.processes.size))
        loss.item()  # Waits for the device.
        begun = self.budget.left()
        per_step = self.budget.elapsed() - self._begun
        x = data.batch(torch.arange(size))
        self.average.model.encode(x).sum().item()
        per_sample = (begun - self.budget.left()) / size
        n_encoded = min(len(data), STATISTICS_SAMPLES) + min(len(data), REPORT_SAMPLES)
        # A validation loss takes some three passes through the denoiser, about as long as a step.
        per_validated = max(per_step / self._batch_size(len(data)), per_sample)
        affordable = VALIDATION_SHARE * self.budget.limit / max(per_validated, 1e-9)
        self._n_validation = int(min(max(affordable, 1), VALIDATION_SAMPLES))
        validating = per_validated * self._n_validation if self._validates else 0.0
        self.budget.plan(per_sample * n_encoded + validating + self.budget.fixed)

    def validate(self, data: TrainingData) -> dict[str, float]:
        """Losses of the averaged weights on validation samples; see `validation_losses`."""
        shard = max(1, self.config.batch_size // self.processes.size)
        at_a_time = self.micro_batches.size or (shard if self.processes.size > 1 else None)
        return validation_losses(
            self.average.model,
            self.objective,
            self.config,
            data,
            self.validation_seed,
            at_a_time,
            self._n_validation,
        )

    def refresh_statistics(self, data: TrainingData) -> None:
        """Re-estimate batch normalisation for the averaged weights, which no batch has seen."""
        if self.step:
            refresh_statistics(self.average.model.encoder, data, self._batch_size(len(data)), self.budget)
