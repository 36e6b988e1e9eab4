"""Corrections for deterministic samplers of models that were trained with input perturbation.

    python -m benchmarks.input_perturbation --data DATA [--seconds 600] [--strengths 0 0.1] [--steps 10 20 50]

For each strength g of the perturbation one model is trained for `--seconds` on MNIST; strength 0 is the
baseline. Then test images are rebuilt from their bits and random noise under every remedy:

- "none": the estimates without correction.
- "matched": `match_perturbation=True`: the network is evaluated at the timestep that matches the noise in x.
- "noise estimate x (1 + g^2)": undoes the shrinkage of the regression, without a change of the timestep.
- "noise estimate / 1.005", "... / 1.01": epsilon scaling (Ning et al., "Elucidating the Exposure Bias in
  Diffusion Models", 2024), with constants.
- "eta 0.5": DDIM with half of DDPM's noise, as in the tables of Ning et al. 2023.
- "ddpm": ancestral sampling, "none" and "matched".

A row holds the Fréchet distance between rebuilt and test images, in the space of 64 principal components of
the train images (lower is better; not comparable with that of other features), and the mean squared error,
pixels in [-1, 1]. Rows are appended to `results/input_perturbation.jsonl`; existing rows are skipped.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from torch import Tensor

from benchmarks import results
from benchmarks.datasets import load_mnist
from benchmarks.limits import add_limits, check_limits, limited_threads, limits_used, training_clock
from dmzrep import DMZEncoder, Training
from dmzrep._base._random import image_seeds
from dmzrep.diffusion._objective import Denoised, Network, Objective
from dmzrep.inference import Decoder, Sampling, encode
from dmzrep.metrics import frechet_distance

RESULTS = "input_perturbation"
N_COMPONENTS = 64


@dataclass(frozen=True)
class ScaledObjective(Objective):
    """An objective whose noise estimates are multiplied by a factor."""

    factor: float = 1.0

    def denoise(
        self, network: Network, x_t: Tensor, t: Tensor, z: Tensor | None, *, match_perturbation: bool = False
    ) -> Denoised:
        """Scale the noise estimate and make the clean one agree with it."""
        found = super().denoise(network, x_t, t, z, match_perturbation=match_perturbation)
        signal, sigma = self.schedule.signal_and_noise(t, x_t)
        epsilon = self.factor * found.epsilon
        return Denoised((x_t - sigma * epsilon) / signal, epsilon, found.variance_fraction)


def remedies(strength: float) -> Iterator[tuple[str, str, float, dict[str, Any]]]:
    """Name of a remedy, sampler, factor of the noise estimate, and options of `decode`."""
    matched = {"match_perturbation": True}
    for sampler in ("ddim", "dpm++"):
        yield "none", sampler, 1.0, {}
        yield "noise estimate / 1.005", sampler, 1 / 1.005, {}
        yield "noise estimate / 1.01", sampler, 1 / 1.01, {}
        if strength > 0:
            yield "matched", sampler, 1.0, matched
            yield "noise estimate x (1 + g^2)", sampler, 1 + strength**2, {}
    yield "eta 0.5", "ddim", 1.0, {"eta": 0.5}
    yield "none", "ddpm", 1.0, {}
    if strength > 0:
        yield "matched", "ddpm", 1.0, matched


def flat(images: np.ndarray) -> np.ndarray:
    """Return pixels in [-1, 1], shape (n, n_pixels)."""
    return images.reshape(len(images), -1) / 127.5 - 1.0


def rebuilt(
    model: Decoder,
    bits: np.ndarray,
    sampler: str,
    n_steps: int,
    seed: int,
    factor: float,
    options: dict[str, Any],
) -> np.ndarray:
    """Return images decoded from bits and random noise."""
    objective = model.objective
    if factor != 1.0:
        objective = ScaledObjective(**vars(objective), factor=factor)
    changed = Decoder(model.network, objective, model.data_format, model.device)
    sampling = Sampling(n_steps=n_steps, sampler=sampler, **options)
    return changed.decode(bits, image_seeds(seed, len(bits)), sampling)


def main(arguments: list[str] | None = None) -> None:
    """Train, reconstruct with every remedy, and append the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with mnist.npz")
    parser.add_argument("--seconds", type=float, default=600.0, help="training time of each model")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.0, 0.1, 0.15])
    parser.add_argument("--objectives", nargs="+", default=["v", "epsilon"])
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 20, 50])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--images", type=int, default=2000, help="number of test images to reconstruct")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    add_limits(parser)
    parsed = parser.parse_args(arguments)
    check_limits(parser, parsed)
    with limited_threads(parsed.threads):
        compare(parsed)


def compare(parsed: argparse.Namespace) -> None:
    """Measure the missing rows."""
    data = load_mnist(parsed.data)
    test = data.test[: parsed.images]
    n_components = min(N_COMPONENTS, math.prod(test.shape[1:]), len(test) - 1)
    features = PCA(n_components, random_state=0).fit(flat(data.train[:10_000]))
    past = results.read(RESULTS, parsed.results)
    for seed in parsed.seeds:
        for objective in parsed.objectives:
            for strength in parsed.strengths:
                about = {"seed": seed, "objective": objective, "strength": strength}
                about |= {"seconds": parsed.seconds, "images": len(test)}
                keys = [
                    (about | {"remedy": name, "sampler": sampler, "steps": n}, factor, options)
                    for n in parsed.steps
                    for name, sampler, factor, options in remedies(strength)
                ]
                missing = [k for k in keys if not results.is_done(past, k[0])]
                if not missing:
                    continue
                encoder = DMZEncoder(
                    max_iter=1_000_000,
                    max_time=parsed.seconds,
                    training=Training(objective=objective, input_perturbation=strength),
                    random_state=seed,
                    prior="uniform",
                )
                with training_clock(parsed):
                    encoder.fit(data.train)
                model = encoder.decoder_
                bits = encode(model, test, "bits")
                for key, factor, options in missing:
                    images = rebuilt(model, bits, key["sampler"], key["steps"], seed, factor, options)
                    a, b = features.transform(flat(images)), features.transform(flat(test))
                    error = float(np.square(flat(images) - flat(test)).mean())
                    row = (
                        key
                        | limits_used(parsed)
                        | {"frechet_pca64": round(float(frechet_distance(a, b)), 4), "mse": round(error, 5)}
                    )
                    results.append(RESULTS, row, parsed.results)
                    print(row, flush=True)


if __name__ == "__main__":
    main()
