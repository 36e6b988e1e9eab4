"""Figures of the GPU suite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_quality import QualitySet

Rows = list[dict[str, Any]]
#: Number of images per row of a figure.
COLUMNS = 10


def draw_all(rows: Rows, sets: Mapping[str, QualitySet], folder: Path) -> list[str]:
    """Draw all figures for which there are rows; return the names of the files."""
    rows = [row for row in rows if "error" not in row and "skipped" not in row]
    drawn = []
    for name, draw in (
        ("speed.png", draw_speed),
        ("training.png", draw_training),
        ("frechet.png", draw_frechet),
    ):
        figure = draw(rows)
        if figure is not None:
            figure.savefig(folder / name, dpi=110)
            drawn.append(name)
    for row in (row for row in rows if row["part"] == "training" and row["set"] in sets):
        images = sets[row["set"]]
        if images.path(row["config"], row["seconds_asked"]).exists():
            name = f"pictures-{row['set']}-{row['config'].replace(' ', '-')}.png"
            draw_pictures(images, row["config"], row["seconds_asked"]).savefig(folder / name, dpi=110)
            drawn.append(name)
    return drawn


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, np.ndarray]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def draw_speed(rows: Rows) -> Any:
    """Draw the training images per second of each contender."""
    rows = [row for row in rows if row["part"] == "speed" and "images_per_second" in row]
    if not rows:
        return None
    figure, (ax,) = _figure(9, 1.0 + 0.35 * len(rows))
    labels = []
    for row in rows:
        extra = [f"batch {row['batch_size']}"]
        extra += ["compiled"] * row["compiled"] + ["cuDNN tuned"] * row["autotuned"]
        labels.append(f"{row['contender']}, {', '.join(extra)}")
    bars = ax.barh(labels[::-1], [row["images_per_second"] for row in rows[::-1]])
    shares = [f" {row['share_of_bf16_matmul']:.0%} of bf16 matmul" for row in rows[::-1]]
    ax.bar_label(bars, shares, fontsize=8)
    ax.margins(x=0.35)
    ax.set(xlabel="training images per second")
    return figure


def draw_training(rows: Rows) -> Any:
    """Draw the loss against the training time, with a panel for each dataset."""
    rows = [row for row in rows if row["part"] == "training"]
    if not rows:
        return None
    names = list(dict.fromkeys(row["set"] for row in rows))
    figure, axes = _figure(5 * len(names), 3.5, len(names))
    for ax, name in zip(axes, names, strict=True):
        for i, row in enumerate(row for row in rows if row["set"] == name):
            for kind, style in (("loss", ":"), ("validation_loss", "-")):
                if kind in row["curve"]:
                    label = f"{row['config']}, {kind.replace('_', ' ')}"
                    ax.plot(row["curve"]["seconds"], row["curve"][kind], style, color=f"C{i}", label=label)
        ax.set(title=name, xlabel="seconds of training", ylabel="loss")
        ax.legend(fontsize=7)
    return figure


def draw_frechet(rows: Rows) -> Any:
    """Draw the Fréchet distance against denoising steps, with a panel for each dataset."""
    rows = [row for row in rows if row["part"] == "samples"]
    names = list(dict.fromkeys(row["set"] for row in rows if row["steps"] is not None))
    if not names:
        return None
    figure, axes = _figure(5 * len(names), 3.5, len(names))
    for ax, name in zip(axes, names, strict=True):
        of_set = [row for row in rows if row["set"] == name]
        for config in dict.fromkeys(row["config"] for row in of_set if row["steps"] is not None):
            points = sorted(
                (row["steps"], row["frechet_distance"]) for row in of_set if row["config"] == config
            )
            ax.plot(*zip(*points, strict=True), "o-", label=config)
        for row in of_set:
            if row["steps"] is None:
                ax.axhline(row["frechet_distance"], linestyle="--", color="grey", label="train images")
        ax.set(title=name, xlabel="denoising steps", ylabel="Fréchet distance", xscale="log", yscale="log")
        ax.legend(fontsize=7)
    return figure


def draw_pictures(images: QualitySet, config: str, seconds: float) -> Any:
    """Draw test images, their reconstructions from bits, and samples."""
    encoder = images.model(config, seconds)
    shown = images.data.test[:COLUMNS]
    samples = encoder.sample(2 * COLUMNS, random_state=0)
    rows = [shown, encoder.reconstruct(shown), *np.split(samples, 2)]
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    figure, (ax,) = _figure(COLUMNS, len(rows) + 0.5)
    ax.imshow(sheet, cmap="gray", interpolation="nearest")
    ax.set(title=f"{images.name}, {config}, {seconds:g} s: images, from their bits, samples")
    ax.axis("off")
    return figure
