"""Exponential moving average of a model's weights."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


class WeightAverage(Generic[Model]):
    """An exponential moving average of weights, its memory given in images.

    Parameters
    ----------
    model : nn.Module
        The model that trains; copied.
    half_life : float
        Images after which a weight's share in the average has halved; 0 copies the latest.
    ramp : float, default=0.05
        The half-life is at most this share of the images seen, so that early weights are forgotten.

    Notes
    -----
    In images rather than steps, so that it depends neither on the batch size nor on the length
    of the run (as in Karras et al., "Elucidating the Design Space of Diffusion-Based Generative
    Models", 2022). Buffers, such as the running statistics of batch normalisation, are averaged
    with the weights that they belong to.
    """

    def __init__(self, model: Model, half_life: float, ramp: float = 0.05):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.half_life = half_life
        self.ramp = ramp
        self._averaged, self._copied = self._float_tensors(self.model)
        self._source: tuple[list[Tensor], list[Tensor]] = self._float_tensors(model)

    @staticmethod
    def _float_tensors(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
        tensors = list(model.parameters()) + list(model.buffers())
        floats = [t for t in tensors if t.is_floating_point()]
        return floats, [t for t in tensors if not t.is_floating_point()]

    def decay(self, images_seen: int, batch_size: int) -> float:
        """Share of the average that is kept in a step."""
        half_life = min(self.half_life, self.ramp * images_seen)
        return 0.5 ** (batch_size / half_life) if half_life > 0 else 0.0

    @torch.no_grad()
    def update(self, images_seen: int, batch_size: int) -> None:
        """Move the average towards the training model's present weights."""
        weight = 1.0 - self.decay(images_seen, batch_size)
        floats, others = self._source
        torch._foreach_lerp_(self._averaged, [t.detach() for t in floats], weight)
        for target, source in zip(self._copied, others, strict=True):
            target.copy_(source)

    @torch.no_grad()
    def restart(self, model: nn.Module) -> None:
        """Forget the average and copy the model's present weights."""
        self.model.load_state_dict(model.state_dict())
