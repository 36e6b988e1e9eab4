"""Hooks of the training loop."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm


class Hooks:
    """Methods that the training loop calls with its `Trainer`; by default, they do nothing."""

    def fit_begin(self, trainer: Any, n_samples: int) -> None:
        """Called once, before the first epoch."""

    def epoch_begin(self, trainer: Any) -> None:
        """Called before an epoch."""

    def step_end(self, trainer: Any, loss: Any) -> None:
        """Called after a step with its loss."""

    def epoch_end(self, trainer: Any) -> bool:
        """Called after an epoch has been added to the history; return True to stop training."""
        return False

    def fit_end(self, trainer: Any) -> None:
        """Called once, however training ended."""


class HookList(Hooks):
    """Several hooks, called in order."""

    def __init__(self, hooks: list[Hooks]):
        self.hooks = hooks

    def fit_begin(self, trainer: Any, n_samples: int) -> None:
        for hook in self.hooks:
            hook.fit_begin(trainer, n_samples)

    def epoch_begin(self, trainer: Any) -> None:
        for hook in self.hooks:
            hook.epoch_begin(trainer)

    def step_end(self, trainer: Any, loss: Any) -> None:
        for hook in self.hooks:
            hook.step_end(trainer, loss)

    def epoch_end(self, trainer: Any) -> bool:
        stops = [hook.epoch_end(trainer) for hook in self.hooks]
        return any(stops)

    def fit_end(self, trainer: Any) -> None:
        for hook in self.hooks:
            hook.fit_end(trainer)


class ProgressBar(Hooks):
    """A progress bar over the run, by epochs or time, whichever is further."""

    def __init__(self) -> None:
        self._n_samples = 1

    def fit_begin(self, trainer: Any, n_samples: int) -> None:
        self._n_samples = n_samples
        self._bar = tqdm(
            total=100.0,
            desc="DMZEncoder.fit",
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
        )

    def step_end(self, trainer: Any, loss: Any) -> None:
        self._bar.update(100.0 * trainer.progress(self._n_samples) - self._bar.n)

    def epoch_end(self, trainer: Any) -> bool:
        row = trainer.history[-1]
        postfix = {"epoch": trainer.epoch, "loss": f"{row['loss']:.4f}"}
        if "validation_loss" in row:
            postfix["val"] = f"{row['validation_loss']:.4f}"
        self._bar.set_postfix({**postfix, "img/s": round(row["images_per_second"])}, refresh=False)
        return False

    def fit_end(self, trainer: Any) -> None:
        self._bar.close()
