"""Weights kept in training: the moving average, and the best ones of early stopping."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)

#: Largest half-life of averaged weights, as a fraction of the images seen.
RAMP = 0.05


class WeightAverage(Generic[Model]):
    """Exponential moving average of a model's weights and floating-point buffers.

    The half-life is in images, so that it does not depend on the batch size, and is at most the fraction
    `RAMP` of the images seen, so that early weights are forgotten (Karras et al., "Elucidating the Design
    Space of Diffusion-Based Generative Models", 2022).
    """

    def __init__(self, model: Model, half_life: float):
        # Frozen weights are shared: their average is constant, and a pretrained network may be large.
        frozen = {id(p): p for p in model.parameters() if not p.requires_grad}
        self.model = copy.deepcopy(model, {**frozen}).eval().requires_grad_(False)
        self.half_life = half_life
        self._averaged, self._copied = self._tensors(self.model, frozen)
        self._source = self._tensors(model, frozen)

    @staticmethod
    def _tensors(model: nn.Module, frozen: Mapping[int, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the floating-point parameters and buffers of a model, and the others, except frozen ones."""
        tensors = [t for t in (*model.parameters(), *model.buffers()) if id(t) not in frozen]
        floats = [t for t in tensors if t.is_floating_point()]
        return floats, [t for t in tensors if not t.is_floating_point()]

    def decay(self, images_seen: int, batch_size: int) -> float:
        """Return the weight of the old average in a step."""
        half_life = min(self.half_life, RAMP * images_seen)
        return 0.5 ** (batch_size / half_life) if half_life > 0 else 0.0

    @torch.no_grad()
    def update(self, images_seen: int, batch_size: int) -> None:
        """Move the average towards the current weights of the model."""
        floats, others = self._source
        weight = 1.0 - self.decay(images_seen, batch_size)
        torch._foreach_lerp_(self._averaged, [t.detach() for t in floats], weight)
        for target, source in zip(self._copied, others, strict=True):
            target.copy_(source)


class EarlyStopping:
    """Stops after `patience` epochs without a lower score, and keeps the weights of the best epoch.

    The score is the validation loss, or the training loss without validation. With None, training never
    stops early.
    """

    def __init__(self, patience: int | None):
        self.patience = patience
        #: State of the model after the best epoch; empty before the first.
        self.weights: dict[str, Tensor] = {}

    def update(self, history: list[dict[str, float]], model: nn.Module) -> None:
        """Copy the weights of a model if the last epoch of the run is the best."""
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
    # Interrupted epochs have no validation loss.
    scores = [row["validation_loss"] for row in history if "validation_loss" in row]
    return scores or [row["loss"] for row in history]
