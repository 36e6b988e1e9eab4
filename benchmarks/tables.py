"""Markdown tables with means and spreads over seeds."""

from __future__ import annotations

import statistics
from typing import Any


def table(header: list[str], rows: list[list[Any]]) -> str:
    """Make a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def spread(values: list[float], digits: int = 3) -> str:
    """Mean and, from two values on, the standard deviation over seeds."""
    if not values:
        return ""
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def measured(group: list[dict[str, Any]], key: str) -> str:
    """Mean and spread of a measure over the rows that have it, their number where it differs."""
    values = [row[key] for row in group if key in row]
    return spread(values) + (f" ({len(values)} seed)" if 0 < len(values) < len(group) else "")


def machine(rows: list[dict[str, Any]]) -> str:
    """Name the machine and versions of the last row."""
    env = rows[-1]["environment"]
    return (
        f"{env['processor']}, {env['threads']} threads, {env['device']}, torch {env['torch']}, "
        f"scikit-learn {env['scikit-learn']}, {env['date']}."
    )
