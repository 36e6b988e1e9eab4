"""Speed of a device: matrix products, training, encoding and sampling."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_scale import Scale, random_images
from benchmarks.rates import flops_a_row, matmul_rate, synchronize
from dmzrep import DMZEncoder, paper_backbone
from dmzrep.data import learn_image_format
from dmzrep.estimator._fit import build_trainer
from dmzrep.estimator._parameters import nested_names
from dmzrep.networks._device import resolve_precision
from dmzrep.training import Trainer, TrainingData

#: Networks whose training is timed; the first two have the same recipe, channels, depth and attention.
CONTENDERS = ("ours, the paper's recipe", "authors' network type, the paper's recipe", "ours, default")


def free_memory(device: torch.device) -> None:
    """Free the memory of earlier parts, including compiled code."""
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def machine(device: torch.device, scale: Scale) -> dict[str, Any]:
    """Return properties of the device, and the best rate of square matrix products."""
    row: dict[str, Any] = {"type": device.type, "cuda": torch.version.cuda, "cpus": torch.get_num_threads()}
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        row |= {"name": about.name, "memory_gib": round(about.total_memory / 2**30, 1)}
        row |= {"capability": f"{about.major}.{about.minor}", "multiprocessors": about.multi_processor_count}
        row["cudnn"] = torch.backends.cudnn.version()
    row["precision_auto"] = resolve_precision("auto", device)
    for dtype in (torch.bfloat16, torch.float32):
        name = str(dtype).removeprefix("torch.")
        row[f"matmul_tflops_{name}"] = round(matmul_rate(device, dtype, scale.matmul_side) / 1e12, 3)
    return row


def contender(name: str, scale: Scale, batch_size: int, device: torch.device, compiled: bool) -> DMZEncoder:
    """Return an estimator whose training step is timed."""
    common = {"batch_size": batch_size, "device": str(device), "random_state": 0, "compile": compiled}
    if name == "ours, default":
        return DMZEncoder(init="random").set_params(**nested_names(common))
    if name.startswith("ours"):
        return DMZEncoder.paper("cifar10", **nested_names(dict(scale.speed) | common))
    backbone = paper_backbone("cifar10", heads=scale.heads, **scale.speed)
    return DMZEncoder.paper(
        "cifar10", backbone=backbone, latent_dim=backbone.latent_dim, **nested_names(common)
    )


def training_speed(
    name: str,
    batch_size: int,
    compiled: bool,
    device: torch.device,
    scale: Scale,
    peak: float,
    *,
    autotuned: bool = False,
) -> dict[str, Any]:
    """Return the images per second of a training step, its memory, and its fraction of the matmul rate.

    Parameters
    ----------
    name : str
        One of `CONTENDERS`.
    batch_size : int
        Number of images per step.
    compiled : bool
        Whether the networks are compiled.
    device : torch.device
        Device of the networks.
    scale : Scale
        Sizes of all parts.
    peak : float
        Measured rate of bf16 matrix products, in operations per second.
    autotuned : bool, default=False
        Whether cuDNN benchmarks its algorithms first.
    """
    free_memory(device)
    before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, autotuned
    try:
        step, trainer = _step(contender(name, scale, batch_size, device, compiled), batch_size)
        begun = time.perf_counter()
        for _ in range(3):
            step()
        synchronize(device)
        warm = time.perf_counter() - begun
        rates = [_rate(step, batch_size, device, scale.speed_seconds) for _ in range(scale.rounds)]
        memory = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
        # Operations of compiled code are not counted; those of the uncompiled network are the same.
        plain = trainer
        if compiled:
            step, plain = _step(contender(name, scale, batch_size, device, False), batch_size)
        flops = flops_a_row(step, batch_size)
    except torch.OutOfMemoryError:
        return {"out_of_memory": True}
    finally:
        torch.backends.cudnn.benchmark = before
    rate = statistics.median(rates)
    return {
        "images_per_second": round(rate, 1),
        "spread": [round(min(rates), 1), round(max(rates), 1)],
        "warm_up_seconds": round(warm, 2),
        "precision": trainer.config.precision,
        "gflop_an_image": round(flops / 1e9, 3),
        "tflops": round(flops * rate / 1e12, 3),
        "share_of_bf16_matmul": round(flops * rate / peak, 4),
        "peak_memory_gib": None if memory is None else round(memory, 2),
        "parameters": plain.model.parameter_counts(),
    }


def _step(encoder: DMZEncoder, batch_size: int) -> tuple[Callable[[], Any], Trainer]:
    X = random_images(4 * batch_size)
    data_format = learn_image_format(X)
    encoder._validate_params()
    trainer, _ = build_trainer(encoder, X, data_format, 0, False)
    data = TrainingData(X, data_format.to_model, np.arange(len(X)), trainer.device)
    trainer.model.train()
    positions = torch.arange(len(X)).split(batch_size)
    count = 0

    def step() -> torch.Tensor:
        nonlocal count
        count += 1
        return trainer.train_step(data.batch(positions[count % len(positions)]), len(X))

    return step, trainer


def _rate(step: Callable[[], Any], batch_size: int, device: torch.device, seconds: float) -> float:
    n_steps, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        for _ in range(2):
            step()
        synchronize(device)
        n_steps += 2
    return n_steps * batch_size / (time.perf_counter() - begun)


def use_speed(name: str, device: torch.device, scale: Scale) -> dict[str, Any]:
    """Return the images per second of `transform`, and of `sample` for several numbers of steps."""
    free_memory(device)
    encoder = contender(name, scale, scale.batch_sizes[0], device, False)
    encoder.set_params(max_iter=1, validation_fraction=0.0, prior="uniform")
    encoder.fit(random_images(max(2 * scale.batch_sizes[0], 16)))
    X = random_images(scale.used_rows)
    encoder.transform(X[:8])
    row: dict[str, Any] = {}
    begun = time.perf_counter()
    encoder.transform(X)
    row["encoded_per_second"] = round(len(X) / (time.perf_counter() - begun), 1)
    encoder.sample(1, n_steps=1, random_state=0)
    for n_steps in scale.sample_steps:
        begun = time.perf_counter()
        encoder.sample(scale.sample_rows, n_steps=n_steps, random_state=0)
        rate = scale.sample_rows / (time.perf_counter() - begun)
        row[f"drawn_per_second_{n_steps}_steps"] = round(rate, 2)
    return row
