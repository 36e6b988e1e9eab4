"""Early stopping: when to stop, and the best weights so far."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class EarlyStopping:
    """Watches the scores of a run's epochs, and keeps the weights of the best.

    Parameters
    ----------
    patience : int or None
        Epochs without a better score after which training stops; None never stops nor keeps anything.

    Attributes
    ----------
    weights : dict of str to Tensor
        State of the model after the best epoch; empty before the first.
    """

    def __init__(self, patience: int | None):
        self.patience = patience
        self.weights: dict[str, Tensor] = {}

    def update(self, history: list[dict[str, float]], model: nn.Module) -> None:
        """Keep a model's weights if the last epoch of the run's history is the best."""
        scores = _scores(history)
        if self.patience is not None and scores and min(scores) == scores[-1] not in scores[:-1]:
            self.weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def is_due(self, history: list[dict[str, float]]) -> bool:
        """Whether the score has not improved for as many epochs of the run as are allowed."""
        scores = _scores(history)
        if self.patience is None or not scores:
            return False
        return len(scores) - 1 - scores.index(min(scores)) >= self.patience

    @torch.no_grad()
    def restore(self, model: nn.Module) -> bool:
        """Put the best weights back; return whether they differ from the model's."""
        present = model.state_dict()
        if all(torch.equal(present[name], tensor) for name, tensor in self.weights.items()):
            return False
        model.load_state_dict(self.weights)
        return True


def _scores(history: list[dict[str, float]]) -> list[float]:
    # An epoch that was interrupted has no validation loss and is left out.
    scores = [row["validation_loss"] for row in history if "validation_loss" in row]
    return scores or [row["loss"] for row in history]
