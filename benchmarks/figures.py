"""Figures of the results pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox

from benchmarks.report_choices import DESIGN, design_groups
from benchmarks.report_samples import RELATIVE, best_sampler, distances, models_of
from benchmarks.report_time_to_quality import RESULTS, TITLES, label, measures, test_rows
from benchmarks.report_training import KINDS, SHOWN_STEPS, codes, samples, training_sets
from benchmarks.results import read
from benchmarks.tables import FORMER, Rows, groups_of, having, is_former

#: Colours that colour-blind readers can tell apart (Okabe and Ito 2008); others are grey.
BLUE, ORANGE, GREEN, SKY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#CC79A7"
COLOURS = {
    "DMZEncoder, default": BLUE,
    f"DMZEncoder, default{FORMER}": BLUE,
    "DMZEncoder, initialisation only (max_iter=0)": GREEN,
    "real-valued code, AdaGN": ORANGE,
    f"real-valued code, AdaGN{FORMER}": ORANGE,
    "convolutional VAE": PURPLE,
    "DMZEncoder, fitted prior": BLUE,
    "DMZEncoder, autoregressive prior": GREEN,
    "DMZEncoder, uniform prior": SKY,
    "k-means labels as the code": PURPLE,
    "unconditional": ORANGE,
}
#: Models whose samples are compared after equal training times; codes have the colour of the first.
TRAINED = dict(zip((words for words, _ in KINDS.values()), (BLUE, SKY, PURPLE, ORANGE), strict=True))
GREY = "0.45"


def draw_quality(path: Path) -> None:
    """Draw the quality of bits on test images against the time of training or fitting."""
    sets = groups_of(test_rows(), "set").items()
    figure, axes = _panels(len(sets), columns=2)
    for ax, ((name,), of_set) in zip(axes, sets, strict=True):
        floats, _, bits, *_ = measures(name)
        for _, of_name in groups_of(of_set, "name").items():
            # A line must not join versions.
            group = [row for row in of_name if not is_former(row)] or of_name
            colour = COLOURS.get(label(group), GREY)
            budgets = sorted(groups_of(group, "seconds_asked").values(), key=lambda same: same[0]["seconds"])
            points = [
                ([row["seconds"] for row in same], _values(same, measures(name)[bits])) for same in budgets
            ]
            if points[-1][1]:
                _line(ax, points, label(group).replace(", initialisation only (", "("), colour)
            elif scores := _values(group, measures(name)[floats]):  # Pixels have no bits.
                _reference(ax, scores[-1], f"{label(group)}, floats")
        measure = "accuracy" if bits.startswith("probe") else "mean AUROC"
        ax.set(
            xscale="log",
            xlabel="training time, s (one core)",
            ylabel=f"{measure}, logistic regression on bits",
        )
        ax.set_title(f"{TITLES[name]}, {of_set[0]['latent_dim']} bits", fontsize=10)
        ax.set_xlim(right=12 * max(row["seconds"] for row in of_set))
        ax.xaxis.set_major_formatter("{x:g}")
    _save(figure, axes, path)


def draw_generation(path: Path) -> None:
    """Draw distances of samples against denoising steps, each model with its best sampler."""
    panels = [
        group
        for group in groups_of(distances(), "set", "seconds_asked", "n_samples").values()
        if len({row["steps"] for row in group}) > 2 and any(row["kind"] == "bits" for row in group)
    ]
    figure, axes = _panels(len(panels), columns=2)
    for ax, group in zip(axes, panels, strict=True):
        all_former = all(map(is_former, group))
        for words, of_model in models_of(group):
            former = FORMER if all(map(is_former, of_model)) and not all_former else ""
            by_steps = sorted(groups_of(of_model, "steps").items())
            points = [([n], _values(best_sampler(same), (RELATIVE,))) for (n,), same in by_steps]
            if words in COLOURS:
                _line(ax, points, words + former, COLOURS[words])
        _reference(ax, 1.0, "training images")
        ticks = sorted({row["steps"] for row in group})
        ax.set(xscale="log", yscale="log", xlabel="denoising steps", ylabel="relative Fréchet distance")
        old = ", earlier version" if all_former else ""
        title = f"{TITLES[group[0]['set']]}, {group[0]['seconds_asked']:g} s of training{old}"
        ax.set_title(title, fontsize=10)
        ax.set_xlim(right=4 * ticks[-1])
        ax.set_xticks(ticks, [str(n) for n in ticks], minor=False)
        ax.xaxis.set_minor_locator(NullLocator())
    _save(figure, axes, path)


def draw_training_time(path: Path) -> None:
    """Draw codes, reconstructions and samples against training images, a column for each set of images."""
    names = training_sets()
    figure, axes = _panels(3 * len(names), columns=len(names), height=3.0)
    for i, name in enumerate(names):
        _, _, bits, *_ = measures(name)
        ours, drawn, keys = codes(name), samples(name), measures(name)[bits]
        initial = having(read(RESULTS), set=name, name="initialisation", part="test")
        measure = "accuracy" if bits.startswith("probe") else "mean AUROC"
        panels = [
            (f"{measure} of bits", {"DMZEncoder": ours}, keys, initial, "initialisation"),
            ("mean squared error", {"DMZEncoder": ours}, ("reconstruction_mse",), [], ""),
            (
                "relative Fréchet distance",
                {
                    model if steps == SHOWN_STEPS else f"{model}, {steps} steps": rows
                    for (model, steps), rows in drawn.items()
                },
                (RELATIVE,),
                [],
                "",
            ),
        ]
        for ax, (words, lines, wanted, reference, its_name) in zip(
            axes[i :: len(names)], panels, strict=True
        ):
            for model, rows in lines.items():
                # Machines differ in speed, so the time is in the table only.
                points = sorted(
                    ([row["images_seen"] / 1000 for row in same], _values(same, wanted))
                    for same in groups_of(rows, "seconds_asked").values()
                )
                _line(ax, points, model, TRAINED[model.partition(", ")[0]])
            if values := _values(reference, wanted):
                _reference(ax, float(np.mean(values)), its_name)
            most = max(row["images_seen"] for rows in drawn.values() for row in rows) / 1000
            ax.set(xscale="log", xlabel="thousand images processed in training", ylabel=words)
            ax.xaxis.set_major_formatter("{x:g}")
            if wanted == (RELATIVE,):
                ax.set_yscale("log")
                ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
                ax.yaxis.set_major_formatter("{x:g}")
                ax.yaxis.set_minor_formatter(NullFormatter())
                ax.set_ylim(bottom=0.6 * ax.get_ylim()[0])  # Room for the names of lines, as on the right.
            ax.set_title(TITLES[name], fontsize=10)
            ax.set_xlim(right=100 * most)
    _save(figure, axes, path)


#: Methods of the figure of embeddings: their query, label and colour.
EMBEDDINGS = {
    "initialisation": ("asymmetric", "DMZEncoder(max_iter=0)", BLUE),
    "ITQ": ("asymmetric", "ITQ", ORANGE),
    "PQ of PCA, random rotation": ("asymmetric", "PQ of PCA", GREEN),
    "RaBitQ of PCA": ("asymmetric", "RaBitQ of PCA", PURPLE),
    "random rotation": ("asymmetric", "random rotation", GREY),
}


def draw_embeddings(path: Path) -> None:
    """Draw recall with rescoring against bytes per vector, a line for each method."""
    rows = having(read("embeddings"), part="test")
    sets = groups_of(rows, "set").items()
    figure, axes = _panels(len(sets), columns=3)
    for ax, ((name,), of_set) in zip(axes, sets, strict=True):
        for method, (search, text, colour) in EMBEDDINGS.items():
            sizes = groups_of(having(of_set, method=method, search=search), "bytes")
            points = [([size], _values(sizes[size,], ("recall@10 of 40",))) for (size,) in sorted(sizes)]
            if points:
                _line(ax, points, text, colour)
        ax.set(xlabel="bytes per vector", ylabel="recall@10, of 40 candidates", title=name)
        ax.set_ylim(top=1.1)  # Labels above the lines.
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set_xlim(right=6 * max(row["bytes"] for row in of_set if row["method"] in EMBEDDINGS))
    _save(figure, axes, path)


def draw_design_choices(path: Path) -> None:
    """Draw the accuracies and the reconstruction error of each of the paper's design choices."""
    groups = design_groups()
    panels: dict[str, tuple[str, ...]] = {
        "accuracy, bits": ("probe_bits",),
        "accuracy, logits or floats": ("probe_logits", "probe_floats"),
        "mean squared error": ("reconstruction_mse",),
    }
    choices = list(DESIGN)
    places = np.arange(len(groups)) + [0.6 * choices.index(choice) for choice, _, _ in groups]
    figure, axes = _panels(len(panels), columns=3, height=0.26 * len(groups) + 1.2, sharey=True)
    for ax, (heading, keys) in zip(axes, panels.items(), strict=True):
        for place, (choice, _, group) in zip(places, groups, strict=True):
            values = _values(group, keys)
            colour = (BLUE, ORANGE, GREEN, PURPLE, SKY)[choices.index(choice) % 5]
            ax.errorbar(np.mean(values), place, xerr=np.std(values), fmt="o", color=colour, capsize=2)
        ax.set_xlabel(heading)
        ax.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(places, [f"{choice}: {word}" for choice, word, _ in groups])
    axes[0].invert_yaxis()
    _save(figure, [], path)


def _values(group: Rows, keys: tuple[str, ...]) -> list[float]:
    return [row[key] for row in group for key in keys if key in row]


def _panels(n: int, columns: int, height: float = 3.6, **options: Any) -> tuple[Any, list[Any]]:
    """Return a figure and n axes in a grid."""
    n_rows, columns = -(-n // columns), min(n, columns)
    figure = Figure(figsize=(11, height * n_rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(n_rows, columns, squeeze=False, **options).flat)
    for ax in axes[n:]:
        ax.remove()
    for ax in axes[:n]:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes[:n]


def _line(ax: Any, points: list[tuple[list[float], list[float]]], words: str, colour: str) -> None:
    """Draw means with standard deviations; the words are placed when the figure is saved."""
    points = [(x, y) for x, y in points if y]
    x, y = ([np.mean(values) for values in axis] for axis in zip(*points, strict=True))
    deviations = [np.std(values) for _, values in points]
    width = 1.0 if colour == GREY else 1.8
    ax.errorbar(
        x, y, deviations, fmt="o-", color=colour, label=words, markersize=4, linewidth=width, capsize=2
    )


def _reference(ax: Any, y: float, words: str) -> None:
    """Draw a dotted horizontal line with its name."""
    ax.axhline(y, color=GREY, linestyle=":")
    where = {"xycoords": ("axes fraction", "data"), "xytext": (0, 2), "textcoords": "offset points"}
    ax.annotate(words, (0.01, y), **where, color=GREY, fontsize=8)


def _save(figure: Any, axes: list[Any], path: Path) -> None:
    """Name each line beside its last point, where nothing else is drawn, and write the figure."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    renderer = figure.canvas.get_renderer()
    near, far = (0, 5, -5, 10, -10), (15, -15, 20, -20, 27, -27, 36, -36, 48, -48, 60, -60)
    offsets = [(side, dy) for heights in (near, far) for side in (1, -1) for dy in heights]
    for ax in axes:
        lines = [(line[0], line.get_label()) for line in ax.containers]
        taken = [text.get_window_extent(renderer) for text in ax.texts]
        for line, _ in lines:
            ends = ax.transData.transform(line.get_xydata())
            steps = np.linspace(0, len(ends) - 1, 40 * len(ends) - 39)
            drawn = np.stack([np.interp(steps, np.arange(len(ends)), axis) for axis in ends.T], axis=1)
            taken += [Bbox.from_bounds(x - 3, y - 3, 6, 6) for x, y in drawn]
        for line, words in sorted(lines, key=lambda item: -item[0].get_ydata()[-1]):
            end, colour = line.get_xydata()[-1], line.get_color()
            for side, dy in offsets:
                where = {"xytext": (6 * side, dy), "textcoords": "offset points", "va": "center"}
                aligned = "left" if side > 0 else "right"
                text = ax.annotate(words, end, **where, ha=aligned, color=colour, fontsize=8)
                box = text.get_window_extent(renderer)
                if box.count_overlaps(taken) == 0 and ax.bbox.x0 < box.x0 and box.x1 < ax.bbox.x1:
                    break
                text.remove()
            else:
                raise ValueError(f"There is no room for the name of the line {words!r} in {path.name}.")
            taken.append(box)
            if abs(dy) > 5:
                ax.annotate(
                    "", end, **where, arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6}
                )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
