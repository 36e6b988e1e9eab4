"""Training speed compared with the authors' network type, and the time of each kind of operation.

    python -m benchmarks.training_speed --data DATA [--rounds 3] [--steps 8] [--compile]

Needs diffusers (extra `bench`). Every contender is timed in turn, several rounds, in one process;
the figures are medians. Ours is the whole training step of `DMZEncoder`: batch from uint8 data,
encoder, relaxed code, denoiser, optimiser, gradient clipping, average of weights, and validation's share
of an epoch. The authors' network type has diffusers' default of 8 attention heads; only its forward pass,
backward pass and AdamW are timed, which is in its favour. Batches of several sizes are timed, and
ratios are to the authors' fastest.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.rates import flops_a_row, matmul_rate
from benchmarks.results import append
from dmzrep import DMZEncoder
from dmzrep.data import learn_image_format
from dmzrep.estimator._fit import build_trainer
from dmzrep.estimator._parameters import nested_names
from dmzrep.networks._device import autocast
from dmzrep.training import TrainingData, split_indices


def authors_step(batch_size: int, precision: str = "float32") -> Callable[[], None]:
    """A training step of the authors' network type at (32, 64, 64) channels."""
    from diffusers import UNet2DConditionModel

    network = UNet2DConditionModel(
        sample_size=28,
        in_channels=1,
        out_channels=1,
        layers_per_block=2,
        block_out_channels=(32, 64, 64),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=64,
        resnet_time_scale_shift="scale_shift",
        norm_num_groups=32,
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    x, z = torch.randn(batch_size, 1, 28, 28), torch.randn(batch_size, 1, 64)
    t = torch.randint(0, 1000, (batch_size,))

    def step() -> None:
        with autocast(precision, torch.device("cpu")):
            loss = (network(x, t, z).sample - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def our_step(X: np.ndarray, **params: object) -> tuple[Callable[[], None], object]:
    """A training step of `DMZEncoder` with everything in it."""
    encoder = DMZEncoder(random_state=0).set_params(**nested_names(params))
    encoder._validate_params()
    data_format = learn_image_format(X)
    trainer, _ = build_trainer(encoder, X, data_format, 0, continued=False)
    kept, held_out = split_indices(len(X), min(encoder.validation_fraction, 1024 / len(X)), 0)
    data, validation = (TrainingData(X, data_format.to_model, i, trainer.device) for i in (kept, held_out))
    trainer.model.train()
    positions = torch.randperm(len(data))
    size = encoder.batch_size
    begun = time.perf_counter()
    trainer.validate(validation)
    validation_seconds_a_row = (time.perf_counter() - begun) / len(data)
    count = 0

    def step() -> None:
        nonlocal count
        start = (count * size) % (len(data) - size)
        trainer.train_step(data.batch(positions[start : start + size]), len(data))
        count += 1

    step.extra_seconds_a_row = validation_seconds_a_row  # type: ignore[attr-defined]
    return step, trainer


def rate(step: Callable[[], None], batch_size: int, n_steps: int) -> float:
    """Return samples per second over n_steps, including the share of validation."""
    begun = time.perf_counter()
    for _ in range(n_steps):
        step()
    seconds_a_row = (time.perf_counter() - begun) / (n_steps * batch_size)
    return 1.0 / (seconds_a_row + getattr(step, "extra_seconds_a_row", 0.0))


def where_time_goes(step: Callable[[], None], n_steps: int) -> dict[str, float]:
    """Return the fraction of CPU time by kind of operation."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(n_steps):
            step()
    kinds = {
        "convolution": ("convolution", "conv"),
        "matrix product": ("aten::mm", "aten::addmm", "aten::linear"),
        "normalisation, activation": ("group_norm", "batch_norm", "leaky_relu"),
        "optimiser, clipping, average": (
            "adam",
            "aten::bmm",
            "aten::baddbmm",
            "lerp",
            "foreach",
            "vector_norm",
        ),
    }
    seconds: dict[str, float] = dict.fromkeys(kinds, 0.0)
    total = 0.0
    for event in profiler.key_averages():
        total += event.self_cpu_time_total
        if event.key.startswith("_Normalisation"):
            # With all that it calls, none of which is of another kind.
            seconds["normalisation, activation"] += event.cpu_time_total
            continue
        kind = next((k for k, words in kinds.items() if any(w in event.key.lower() for w in words)), None)
        if kind is not None:
            seconds[kind] += event.self_cpu_time_total
    seconds["other"] = total - sum(seconds.values())
    return {kind: round(value / total, 4) for kind, value in seconds.items()}


def measure(
    contenders: dict[str, tuple[Callable[[], None], int]], rounds: int, n_steps: int
) -> dict[str, list[float]]:
    """Return the rates of all contenders, measured alternately."""
    for name, (step, _) in contenders.items():
        begun = time.perf_counter()
        step()
        step()
        print(f"warm after {time.perf_counter() - begun:5.1f} s: {name}", flush=True)
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (step, batch_size) in contenders.items():
            rates[name].append(rate(step, batch_size, n_steps))
    return rates


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and append its rows to the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with mnist.npz")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--compile", action="store_true", help="time compile=True too; needs a C++ compiler")
    parsed = parser.parse_args(arguments)
    X = np.load(Path(parsed.data) / "mnist.npz")["x_train"]
    same_shape = {"width": (32, 64, 64), "depth": 2, "patch_size": 1}
    default, trainer = our_step(X)
    contenders = {"ours, default": (default, DMZEncoder().batch_size)}
    for size in (32, 64, 128):
        contenders[f"authors' network type, (32, 64, 64), batch {size}"] = (authors_step(size), size)
        contenders[f"authors' network type, (32, 64, 64), batch {size}, bf16"] = (
            authors_step(size, "bf16"),
            size,
        )
        for attention, at in (((14, 7), "14 and 7 px"), ((7,), "7 px")):
            name = f"ours, (32, 64, 64), no patches, batch {size}, attention at {at}"
            step = our_step(X, **same_shape, attention=attention, batch_size=size)[0]
            contenders[name] = (step, size)
    if parsed.compile:
        for attention, at in (((14, 7), "14 and 7 px"), ((7,), "7 px")):
            name = f"ours, (32, 64, 64), no patches, batch 64, attention at {at}, compiled"
            step = our_step(X, **same_shape, attention=attention, batch_size=64, compile=True)[0]
            contenders[name] = (step, 64)
        contenders["ours, default, compiled"] = (our_step(X, compile=True)[0], DMZEncoder().batch_size)
    rates = measure(contenders, parsed.rounds, parsed.steps)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    reference = max(value for name, value in medians.items() if name.startswith("authors"))
    cpu = torch.device("cpu")
    float32, bf16 = (
        matmul_rate(cpu, dtype, 2048, n_products=1) / 1e9 for dtype in (torch.float32, torch.bfloat16)
    )
    default_size = DMZEncoder().batch_size
    gflops = flops_a_row(default, default_size) / 1e9
    for name, value in medians.items():
        append(
            "training_speed",
            {
                "contender": name,
                "images_per_second": round(value, 1),
                "spread": [round(min(rates[name]), 1), round(max(rates[name]), 1)],
                "ratio_to_authors": round(value / reference, 2),
            },
        )
        print(f"{value:8.1f} images/s  {value / reference:6.2f}x  {name}")
    achieved = gflops * medians["ours, default"]
    row = {
        "contender": "ours, default: share of the machine",
        "gflop_an_image": round(gflops, 4),
        "gflops_achieved": round(achieved, 1),
        "gflops_float32_matmul": round(float32, 1),
        "gflops_bf16_matmul": round(bf16, 1),
        "share_of_float32_matmul": round(achieved / float32, 3),
        "share_of_bf16_matmul": round(achieved / bf16, 3),
        "parameters": trainer.model.parameter_counts(),  # type: ignore[attr-defined]
        "profile": where_time_goes(default, parsed.steps),
    }
    append("training_speed", row)
    print(row)


if __name__ == "__main__":
    main()
