"""Losses on validation samples."""

from __future__ import annotations

import torch
from torch import Tensor

from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._timesteps import TimestepSampler
from dmzrep.networks._device import autocast
from dmzrep.networks._model import DiffusionAutoencoder
from dmzrep.networks._relaxation import MASKED_BIT, hard_bits, relaxed_bernoulli
from dmzrep.training._data import TrainingData
from dmzrep.training._options import TrainingConfig

#: Largest number of held-out samples, which are scored at the end of each epoch.
VALIDATION_SAMPLES = 1024


@torch.no_grad()
def validation_losses(
    model: DiffusionAutoencoder,
    objective: Objective,
    config: TrainingConfig,
    data: TrainingData,
    seed: int,
    at_a_time: int | None = None,
    n_samples: int = VALIDATION_SAMPLES,
) -> dict[str, float]:
    """Return losses on validation samples, with timesteps and noise that depend only on the seed.

    ``validation_loss`` uses codes as in training. With a code, ``validation_loss_hard`` uses bits as at
    inference, ``validation_loss_shuffled`` the bits of another sample (which shows whether the denoiser uses
    the code) and, after training with code dropout, ``validation_loss_no_code`` masked bits. The model is in
    eval mode; its denoiser processes `at_a_time` samples of a batch at a time.
    """
    device = data.device
    generator = torch.Generator(device).manual_seed(seed)
    order = torch.Generator().manual_seed(seed)
    sampler = TimestepSampler(objective.schedule.n_timesteps)
    n_samples = min(len(data), n_samples)
    parts = torch.randperm(len(data), generator=order)[:n_samples].split(config.batch_size)
    conditional = model.config.conditioning != "none"
    codes: dict[str, Tensor] = {}
    with autocast(config.precision, device):
        if conditional:
            logits = torch.cat([model.encode(data.batch(part)) for part in parts]).float()
            options = config.options
            codes["validation_loss"] = relaxed_bernoulli(
                logits, options.temperature, straight_through=options.straight_through, generator=generator
            )
            codes["validation_loss_hard"] = bits = hard_bits(torch.sigmoid(logits))
            if n_samples > 1:
                # Samples are in random order, so the preceding one is a random other sample.
                codes["validation_loss_shuffled"] = bits.roll(1, dims=0)
            if config.code_dropout:
                codes["validation_loss_no_code"] = torch.full_like(bits, MASKED_BIT)
        totals = dict.fromkeys(codes or ["validation_loss"], 0.0)
        for i, part in enumerate(parts):
            x0 = data.batch(part)
            t = sampler.sample(len(x0), order)[0].to(device)
            noise = torch.randn(x0.shape, generator=generator, device=device)
            first, size = i * config.batch_size, at_a_time or len(x0)
            for start in range(0, len(x0), size):
                here = slice(start, start + size)
                for name in totals:
                    z = codes[name][first : first + len(x0)][here] if conditional else None
                    losses = objective.losses(model.denoiser, x0[here], t[here], z, noise[here])
                    totals[name] += losses.sum().item() / n_samples
    return totals
