"""Early stopping, and the best weights so far."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class EarlyStopping:
    """Stops after `patience` epochs without a lower score, and keeps the weights of the best epoch.

    The score is the validation loss, or the training loss without validation. None never stops.
    """

    def __init__(self, patience: int | None):
        self.patience = patience
        #: State of the model after the best epoch; empty before the first.
        self.weights: dict[str, Tensor] = {}

    def update(self, history: list[dict[str, float]], model: nn.Module) -> None:
        """Keep the weights of a model if the last epoch of the run is the best."""
        scores = _scores(history)
        if self.patience is not None and scores and min(scores) == scores[-1] not in scores[:-1]:
            self.weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def is_due(self, history: list[dict[str, float]]) -> bool:
        """Whether the last `patience` epochs of the run have not improved the score."""
        scores = _scores(history)
        if self.patience is None or not scores:
            return False
        return len(scores) - 1 - scores.index(min(scores)) >= self.patience

    @torch.no_grad()
    def restore(self, model: nn.Module) -> bool:
        """Load the best weights; return whether they differ from those of the model."""
        present = model.state_dict()
        if all(torch.equal(present[name], tensor) for name, tensor in self.weights.items()):
            return False
        model.load_state_dict(self.weights)
        return True


def _scores(history: list[dict[str, float]]) -> list[float]:
    # An epoch that was interrupted has no validation loss and is left out.
    scores = [row["validation_loss"] for row in history if "validation_loss" in row]
    return scores or [row["loss"] for row in history]
