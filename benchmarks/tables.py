"""Markdown tables with means and spreads over seeds."""

from __future__ import annotations

import statistics
from typing import Any


def table(header: list[str], rows: list[list[Any]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def groups_of(rows: list[dict[str, Any]], *keys: str) -> dict[tuple, list[dict[str, Any]]]:
    """Return the rows grouped by the values of some keys, in order of appearance."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def spread(values: list[float], digits: int = 3) -> str:
    """Return the mean and, for at least two values, the standard deviation over seeds."""
    if not values:
        return ""
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def measured(group: list[dict[str, Any]], key: str, digits: int = 3) -> str:
    """Return mean and spread of a measure over the rows that have it, with their number if others lack it."""
    values = [row[key] for row in group if row.get(key) is not None]
    few = f" ({len(values)} seed{'s' if len(values) > 1 else ''})" if 0 < len(values) < len(group) else ""
    return spread(values, digits) + few


def machine(rows: list[dict[str, Any]]) -> str:
    """Return a sentence on the machine and versions of the last row."""
    env = rows[-1]["environment"]
    threads = f"{env['threads']} thread{'s' if env['threads'] != 1 else ''}"
    return (
        f"{env['processor']}, {threads}, {env['device']}, torch {env['torch']}, "
        f"scikit-learn {env['scikit-learn']}, {env['date']}."
    )


def machines(rows: list[dict[str, Any]]) -> str:
    """Return a sentence for each machine of the rows, as of its last row."""
    keys = ("processor", "threads", "device", "torch", "scikit-learn")
    kinds: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(tuple(row["environment"][key] for key in keys), []).append(row)
    return " ".join(machine(kind) for kind in kinds.values())
