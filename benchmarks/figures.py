"""Figure of the results page: quality against training time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report_time_to_quality import PARTS, TITLES, Rows, current, label, measures, several_budgets
from benchmarks.tables import groups_of


def draw_time_to_quality(rows: Rows, path: Path) -> bool:
    """Draw quality on test images for sets with two time budgets or more; return whether there are any."""
    tested = [row for row in current(rows) if row["part"] == "test" and row["images_asked"] is None]
    groups = groups_of(tested, "set", "latent_dim").items()
    shown: dict[tuple[str, int], Rows] = {key: group for key, group in groups if several_budgets(group)}
    if not shown:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.0 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(shown), 2, squeeze=False)
    for pair, ((name, bits), timed) in zip(axes, shown.items(), strict=True):
        floats, _, hard, *_ = measures(name)
        budgets = sorted({row["seconds_asked"] for row in timed if row["seconds_asked"] is not None})
        for ax, heading in zip(pair, (hard, floats), strict=True):
            draw_panel(ax, timed, measures(name)[heading])
            ax.set(xscale="log", xlabel="seconds of training", ylabel=heading)
            ax.set_xticks(budgets, [f"{seconds:g}" for seconds in budgets])
            ax.minorticks_off()
            ax.set_title(f"{TITLES[name]}, {bits} bits, {PARTS['test']}", fontsize=9)
        handles: dict[str, Any] = {}
        for ax in pair:
            lines, names = ax.get_legend_handles_labels()
            handles |= dict(zip(names, lines, strict=True))
        legend = {"fontsize": 7, "loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        pair[1].legend(handles.values(), handles.keys(), **legend)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return True


def draw_panel(ax: Any, rows: Rows, keys: tuple[str, ...]) -> None:
    """Draw a line per contender with its standard deviation over seeds, and a dashed one per rival."""
    # Colours follow the position among all contenders, so that panels of one set agree.
    for i, ((_, threads), group) in enumerate(groups_of(rows, "name", "threads").items()):
        values: dict[float | None, list[float]] = {}
        for row in sorted(group, key=lambda row: row["seconds_asked"] or 0.0):
            found = [row[key] for key in keys if key in row]
            if found:
                values.setdefault(row["seconds_asked"], []).append(found[0])
        if not values:
            continue
        means, deviations = ([f(v) for v in values.values()] for f in (np.mean, np.std))
        cores = f"{threads} core{'s' if threads > 1 else ''}"
        style: dict[str, Any] = {"color": f"C{i % 10}", "label": f"{label(group)} ({cores})"}
        if None in values:
            ax.axhline(means[0], linestyle="--", linewidth=1, **style)
        else:
            style["marker"] = "os^Dv"[i // 10 % 5]
            ax.errorbar(list(values), means, deviations, markersize=4, linewidth=1.2, capsize=2, **style)
