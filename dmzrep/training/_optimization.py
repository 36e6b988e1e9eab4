"""The optimiser and the learning rate schedule."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dmzrep.networks._gaussian_denoiser import CorrectedDenoiser
from dmzrep.networks._model import DiffusionAutoencoder
from dmzrep.networks._unet import UNet
from dmzrep.training._muon import MuonAdamW
from dmzrep.training._options import TrainingConfig

#: Learning rate of the mean image of codes, which is initialised from data, relative to the denoiser.
GAUSSIAN_RATE = 0.1
#: Kernels with fewer input or output channels are trained by AdamW.
FEWEST_CHANNELS = 16


def parameter_groups(model: DiffusionAutoencoder, weight_decay: float, encoder_rate: float) -> list[dict]:
    """Group parameters by network and weight decay, which biases and normalisation layers do not have.

    The "rate" of a group is its learning rate as a fraction of that of the denoiser.
    """
    parts: list[tuple[nn.Module, float]] = [(model.denoiser, 1.0), (model.encoder, encoder_rate)]
    if isinstance(model.denoiser, CorrectedDenoiser):
        parts[:1] = [(model.denoiser.network, 1.0), (model.denoiser.gaussian, GAUSSIAN_RATE)]
    groups = []
    for network, rate in parts:
        for decayed in (True, False):
            chosen = [p for p in network.parameters() if (p.dim() > 1) == decayed]
            groups.append({"params": chosen, "weight_decay": weight_decay if decayed else 0.0, "rate": rate})
    return groups


def hidden_kernels(model: DiffusionAutoencoder) -> list[Tensor]:
    """Return the convolution kernels of the built-in UNet, without those from and to pixels."""
    found: list[Tensor] = []
    for unet in (module for module in model.denoiser.modules() if isinstance(module, UNet)):
        outer = (unet.conv_in.weight, unet.conv_out.weight)
        for parameter in unet.parameters():
            is_kernel = parameter.dim() == 4 and min(parameter.shape[:2]) >= FEWEST_CHANNELS
            if is_kernel and all(parameter is not one for one in outer):
                found.append(parameter)
    return found


def make_optimizer(model: DiffusionAutoencoder, config: TrainingConfig) -> MuonAdamW:
    options = config.options
    groups = parameter_groups(model, options.weight_decay, config.encoder_rate)
    kernels = hidden_kernels(model) if options.optimizer == "muon" else []
    return MuonAdamW(groups, kernels, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)


def set_learning_rates(
    optimizer: torch.optim.Optimizer, config: TrainingConfig, step: int, progress: float
) -> None:
    """Set the learning rates of a step, counted from 0: linear warm-up and cosine decay over the run."""
    final = config.options.final_learning_rate
    decayed = final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * progress))
    share = min(1.0, (step + 1) / max(1, config.options.warmup_steps)) * decayed
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * group["rate"] * share


def align_moments(optimizer: torch.optim.Optimizer) -> None:
    """Convert the optimiser's moments to the memory format of their weights.

    The fused optimiser ignores strides: moments in another format would silently be applied to the wrong
    elements.
    """
    for weight, slots in optimizer.state.items():
        for name, value in slots.items():
            if value.shape == weight.shape and value.stride() != weight.stride():
                slots[name] = torch.empty_like(weight).copy_(value)
