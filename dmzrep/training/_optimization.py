"""The optimiser, the schedule of the learning rate, and the moving average of the weights."""

from __future__ import annotations

import copy
import math
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from dmzrep.networks._model import DiffusionAutoencoder
from dmzrep.training._options import TrainingConfig

Model = TypeVar("Model", bound=nn.Module)


def parameter_groups(model: DiffusionAutoencoder, weight_decay: float, encoder_rate: float) -> list[dict]:
    """Split parameters by network and kind: matrices and kernels decay, biases and normalisation do not.

    A group's "rate" is its learning rate as a fraction of the denoiser's.
    """
    groups = []
    for network, rate in ((model.denoiser, 1.0), (model.encoder, encoder_rate)):
        for decayed in (True, False):
            chosen = [p for p in network.parameters() if (p.dim() > 1) == decayed]
            groups.append({"params": chosen, "weight_decay": weight_decay if decayed else 0.0, "rate": rate})
    return groups


def make_optimizer(model: DiffusionAutoencoder, config: TrainingConfig) -> torch.optim.AdamW:
    """Return AdamW for the parameters of a model."""
    groups = parameter_groups(model, config.options.weight_decay, config.encoder_rate)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)


def set_learning_rates(
    optimizer: torch.optim.Optimizer, config: TrainingConfig, step: int, progress: float
) -> None:
    """Set the rates of a step, counted from 0: linear warm-up, then cosine decay over the run."""
    final = config.options.final_learning_rate
    decayed = final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * progress))
    share = min(1.0, (step + 1) / max(1, config.options.warmup_steps)) * decayed
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * group["rate"] * share


def align_moments(optimizer: torch.optim.Optimizer) -> None:
    """Give the optimiser's moments the memory format of their weights.

    The fused optimiser walks memory, not indices: moments in another format than their weight would
    silently be applied to the wrong elements.
    """
    for weight, slots in optimizer.state.items():
        for name, value in slots.items():
            if value.shape == weight.shape and value.stride() != weight.stride():
                slots[name] = torch.empty_like(weight).copy_(value)


class WeightAverage(Generic[Model]):
    """Exponential moving average of a model's weights and floating-point buffers.

    The half-life is in images rather than steps, so that it depends neither on the batch size nor on the
    length of the run, and is at most the fraction `ramp` of the images seen, so that early weights are
    forgotten (Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", 2022).
    """

    def __init__(self, model: Model, half_life: float, ramp: float = 0.05):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.half_life = half_life
        self.ramp = ramp
        self._averaged, self._copied = self._tensors(self.model)
        self._source = self._tensors(model)

    @staticmethod
    def _tensors(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
        """Return the floating-point parameters and buffers of a model, and the others."""
        tensors = [*model.parameters(), *model.buffers()]
        return (
            [t for t in tensors if t.is_floating_point()],
            [t for t in tensors if not t.is_floating_point()],
        )

    def decay(self, images_seen: int, batch_size: int) -> float:
        """Return the weight of the old average in a step."""
        half_life = min(self.half_life, self.ramp * images_seen)
        return 0.5 ** (batch_size / half_life) if half_life > 0 else 0.0

    @torch.no_grad()
    def update(self, images_seen: int, batch_size: int) -> None:
        """Move the average towards the current weights of the model."""
        floats, others = self._source
        weight = 1.0 - self.decay(images_seen, batch_size)
        torch._foreach_lerp_(self._averaged, [t.detach() for t in floats], weight)
        for target, source in zip(self._copied, others, strict=True):
            target.copy_(source)

    @torch.no_grad()
    def restart(self, model: nn.Module) -> None:
        """Discard the average and copy the current weights of a model."""
        self.model.load_state_dict(model.state_dict())
