"""The training loop."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmzrep._base._random import set_torch_states
from dmzrep.diffusion._objective import Objective
from dmzrep.errors import TrainingDivergedError
from dmzrep.networks._encoders import ConvEncoder
from dmzrep.networks._model import DiffusionAutoencoder
from dmzrep.training._augmentation import flip
from dmzrep.training._batch_loss import FREEZE_FRACTION, BatchLoss
from dmzrep.training._batch_statistics import STATISTICS_SAMPLES, refresh_statistics, synchronized_batch_norm
from dmzrep.training._budget import VALIDATION_SHARE, Budget
from dmzrep.training._data import Epoch, TrainingData
from dmzrep.training._divergence import DivergenceGuard
from dmzrep.training._hooks import Hooks
from dmzrep.training._optimization import make_optimizer, set_learning_rates
from dmzrep.training._options import TrainingConfig
from dmzrep.training._validation import VALIDATION_SAMPLES, validation_losses
from dmzrep.training._weights import EarlyStopping, WeightAverage

#: Largest number of samples for the code report and the prior after training.
REPORT_SAMPLES = 20_000
#: Values of every epoch in the history. The loss includes the terms of the code.
HISTORY_COLUMNS = ("epoch", "seconds", "images", "images_per_second", "loss", "learning_rate")


class Trainer(BatchLoss):
    """Trains a diffusion autoencoder in place, on its device; the averaged weights are the result.

    `seed` determines the order of the data, the timesteps and all noise. `budget` holds the time limit and
    the processes that train together; by default `config.max_time`, from construction, and a single process.
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
        linear_init = model.encoder.linear_init if isinstance(model.encoder, ConvEncoder) else None
        if config.anchored and linear_init is not None:
            # The convolutions correct what was initialised from data.
            linear_init.requires_grad_(False)
        super().__init__(model, objective, config, seed, self.budget.processes)
        #: The result of training.
        self.average: WeightAverage[DiffusionAutoencoder] = WeightAverage(model, config.options.ema_half_life)
        self.optimizer = make_optimizer(model, config)
        self.validation_seed = seed + 2
        self.epoch = self.step = self.images_seen = 0
        self.start_epoch = self.start_step = 0
        self.start_seconds = 0.0
        #: For each epoch: `HISTORY_COLUMNS` and, with validation data, the losses of `validation_losses`.
        self.history: list[dict[str, float]] = []
        #: "max_iter", "max_time", "early_stopping", "callback", "interrupted" or "diverged" at the end.
        self.stopped = ""
        #: The epoch in progress.
        self.current: Epoch | None = None
        self.guard = DivergenceGuard(self.average.model)
        self.early_stopping = EarlyStopping(config.n_iter_no_change)
        #: Step at which early stopping froze the encoder.
        self.freeze_step: int | None = None
        self.torch_states: dict[str, Tensor] = {}
        self._n_validation = VALIDATION_SAMPLES
        self._is_planned, self._begun, self._validates = False, 0.0, False

    @property
    def seconds(self) -> float:
        """Seconds of training so far, including earlier runs."""
        return self.start_seconds + self.budget.elapsed()

    @property
    def draws_from_torch(self) -> bool:
        """Whether dropout or a custom module may draw from torch's global generators."""
        config = self.model.config
        trains_custom = config.module is not None or (config.extractor and not config.extractor_frozen)
        return config.dropout > 0.0 or bool(trains_custom)

    def fit(
        self,
        data: TrainingData,
        validation: TrainingData | None = None,
        *,
        hooks: Hooks | None = None,
        refresh: bool = True,
        freeze: bool = True,
    ) -> Trainer:
        """Train until `max_epochs`, `max_time`, early stopping, a callback or Ctrl-C ends the run.

        `refresh` re-estimates batch normalisation at the end; `freeze` freezes the encoder near the end; pass
        False for a chunk of the data. If losses or weights become non-finite, the last finite state is
        restored and TrainingDivergedError is raised.
        """
        if not self._batch_size(len(data)):
            raise ValueError(
                f"There are {len(data)} training samples, too few for {self.processes.size} processes. Use "
                "more samples, a smaller validation_fraction, or fewer processes."
            )
        hooks = hooks or Hooks()
        self.freezes = freeze
        for model in (self.model, self.average.model):
            self.processes.broadcast([*model.parameters(), *model.buffers()])
        self.processes.synchronize()
        self._is_planned, self._begun = False, self.budget.elapsed()
        self._validates = validation is not None and len(validation) > 0
        # A new run makes at least one step, even if its initialisation took all the time.
        self.stopped = "max_time" if self.step > self.start_step and self.budget.is_over() else ""
        if not self.stopped and self.current is None:
            self._stop_early_if_due(len(data))
        if self.draws_from_torch:
            set_torch_states(self.torch_states, self.device)
            if self.torch_states and not self.processes.is_first:
                # The states are those of the first process; the samples of others need independent draws.
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
        """Run epochs, and set `stopped`."""
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
        """Train and validate until the run ends; set `stopped` unless it ends with the last epoch."""
        while not self.stopped and self.epoch - self.start_epoch < self.config.max_epochs:
            hooks.epoch_begin(self)
            self.run_epoch(data, hooks)
            if validation is not None and self._validates:
                self.history[-1].update(self.processes.broadcast_object(self.validate(validation)))
            self.early_stopping.update(self.history[self.start_epoch :], self.average.model)
            if any(self.processes.all_gather_object(hooks.epoch_end(self))):
                self.stopped = "callback"
            elif self.budget.is_over():
                self.stopped = "max_time"
            else:
                self._stop_early_if_due(len(data))

    def run_epoch(self, data: TrainingData, hooks: Hooks) -> None:
        """Train for one epoch, or until the time is over; continue an epoch in progress."""
        self.model.train()
        self.processes.synchronize()
        if self.current is None:
            self.current = Epoch.begin(self.order, len(data), self.seconds, self.images_seen)
        n_seen = self.images_seen - self.current.images
        for positions in self.current.batches(len(data), self._batch_size(len(data)), n_seen):
            self.processes.barrier()
            loss = self.train_step(data.batch(self.processes.shard(positions)), len(data))
            self.current.losses.append(loss)
            self.guard.step_end(self, loss)
            hooks.step_end(self, loss)
            if not self._is_planned:
                self._plan(data, loss)
            if self.budget.is_over() or self._freeze_is_over():
                break
        self.guard.check(self)
        self._end_epoch()

    def _end_epoch(self) -> None:
        """Append the epoch in progress to the history if it has at least one step."""
        epoch, self.current = self.current, None
        if epoch is None or not epoch.losses:
            return
        self.epoch += 1
        self.processes.synchronize()
        # Buffers of a custom module may depend on the shard, and processors may round differently.
        models = self.model, self.average.model
        self.processes.broadcast([t for m in models for t in (*m.parameters(), *m.buffers())])
        seconds, images = self.seconds - epoch.seconds, self.images_seen - epoch.images
        speed, loss = images / max(seconds, 1e-9), torch.stack(epoch.losses).mean().item()
        values = self.epoch, self.seconds, self.images_seen, speed, loss, self.optimizer.param_groups[0]["lr"]
        self.history.append(dict(zip(HISTORY_COLUMNS, values, strict=True)))

    def train_step(self, x0: Tensor, n_samples: int) -> Tensor:
        """Make one step on this process's shard of a batch; return the mean loss of the batch."""
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
        """Return the number of samples per step, of all processes."""
        size = min(self.config.batch_size, n_samples)
        return size - size % self.processes.size

    def progress(self, n_samples: int) -> float:
        """Return the completed fraction of the run, by epochs or time, whichever is further."""
        if self.freeze_step is not None:
            done = (self.step - self.freeze_step) / max(1, self._n_frozen_steps())
            return min(1.0 - FREEZE_FRACTION * (1.0 - done), 1.0)
        steps_per_epoch = max(1, n_samples // self._batch_size(n_samples))
        done = (self.step - self.start_step) / (self.config.max_epochs * steps_per_epoch)
        return min(max(done, self.budget.progress(), 0.0), 1.0)

    def _stop_early_if_due(self, n_samples: int) -> None:
        """Stop if the score no longer improves: immediately, or after steps with a frozen encoder."""
        if self.freeze_step is not None:
            self.stopped = "early_stopping" if self._freeze_is_over() else ""
        elif self.early_stopping.is_due(self.history[self.start_epoch :]):
            freezes = self.freezes and self.model.config.conditioning != "none"
            if freezes and not self._is_frozen(n_samples) and self._n_frozen_steps():
                self.freeze_step = self.step
                if self.early_stopping.restore(self.average.model):
                    self._restart_from_average()
            else:
                self.stopped = "early_stopping"

    def _n_frozen_steps(self) -> int:
        """Return the number of steps with a frozen encoder that follow early stopping."""
        last = self.step if self.freeze_step is None else self.freeze_step
        return int(FREEZE_FRACTION * (last - self.start_step))

    def _freeze_is_over(self) -> bool:
        return self.freeze_step is not None and self.step - self.freeze_step >= self._n_frozen_steps()

    def _restart_from_average(self) -> None:
        """Reset the weights to their average, and the optimiser."""
        self.model.load_state_dict(self.average.model.state_dict())
        self.optimizer.state.clear()

    @torch.no_grad()
    def _plan(self, data: TrainingData, loss: Tensor) -> None:
        """Reserve time for the steps after training, given the speed of the encoder and the first step."""
        self._is_planned = True
        if self.budget.limit is None:
            return
        size = min(len(data), max(1, self.config.batch_size // self.processes.size))
        loss.item()  # Wait for the device.
        begun = self.budget.left()
        per_step = self.budget.elapsed() - self._begun
        x = data.batch(torch.arange(size))
        self.average.model.encode(x).sum().item()
        per_sample = (begun - self.budget.left()) / size
        n_encoded = min(len(data), STATISTICS_SAMPLES) + min(len(data), REPORT_SAMPLES)
        # Validation takes three forward passes of the denoiser, about as long as a step.
        per_validated = max(per_step / self._batch_size(len(data)), per_sample)
        affordable = VALIDATION_SHARE * self.budget.limit / max(per_validated, 1e-9)
        self._n_validation = int(min(max(affordable, 1), VALIDATION_SAMPLES))
        validating = per_validated * self._n_validation if self._validates else 0.0
        self.budget.reserve_for_end(per_sample * n_encoded + validating + self.budget.fixed)

    def validate(self, data: TrainingData) -> dict[str, float]:
        """Return losses of the averaged weights on validation samples; see `validation_losses`."""
        shard = max(1, self.config.batch_size // self.processes.size)
        at_a_time = self.micro_batches.size or (shard if self.processes.size > 1 else None)
        settings = self.config, data, self.validation_seed, at_a_time, self._n_validation
        return validation_losses(self.average.model, self.objective, *settings)

    def refresh_statistics(self, data: TrainingData) -> None:
        """Re-estimate batch normalisation for the averaged weights."""
        refresh_statistics(self.average.model.encoder, data, self._batch_size(len(data)), self.budget)
