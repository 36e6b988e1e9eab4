"""Decoding: codes to data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dmzrep._base._batching import padded_batches
from dmzrep._base._random import ImageNoise
from dmzrep.diffusion._sampling import run_sampler
from dmzrep.inference._model import FittedModel
from dmzrep.inference._monitor import SamplingMonitor
from dmzrep.inference._sampling import Sampling
from dmzrep.inference._starts import StartingNoise, StartingSamples


@torch.inference_mode()
def decode(
    decoder: FittedModel,
    codes: np.ndarray | None,
    seeds: Sequence[int],
    sampling: Sampling,
    *,
    start: StartingSamples | StartingNoise | None = None,
) -> np.ndarray:
    """Draw a sample for each code; see `Decoder.decode`."""
    noise_from, strength = ("random", 1.0) if start is None else (start.noise, start.strength)
    plan = sampling.plan(decoder, noise=noise_from, strength=strength)
    data_format = decoder.data_format
    parts = list(padded_batches(len(seeds), decoder.data_shape, decoder.denoiser_batch))
    out = np.empty((len(seeds), *data_format.sample_shape), dtype=data_format.dtype)
    monitor = SamplingMonitor(data_format, len(seeds), len(parts), plan.n_steps, sampling)
    with monitor.bar:
        for part, size in parts:
            n_samples = part.stop - part.start
            padded = [*seeds[part], *[0] * (size - n_samples)]
            noise = ImageNoise(padded, decoder.data_shape, decoder.device)
            x, z = noise.draw(), None
            if start is not None:
                x, z = start.at(decoder, plan, part, x)
            if codes is not None:
                z = decoder.padded(codes[part], size)
            denoise, observe = plan.denoiser(decoder, z), monitor.observer(part)
            if isinstance(plan.sampler, str):
                x = run_sampler(
                    plan.sampler,
                    denoise,
                    x,
                    plan.grid,
                    decoder.objective.schedule,
                    eta=float(sampling.eta),
                    noise=noise.draw,
                    clip=decoder.clip,
                    observe=observe,
                )
            else:
                x = plan.sampler.run(denoise, x, generators=noise.generators, observe=observe)
            out[part] = data_format.from_model(x[:n_samples])
    if monitor.trajectory is None:
        return out
    monitor.trajectory[-1] = out
    return monitor.trajectory
