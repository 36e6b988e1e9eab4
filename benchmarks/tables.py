"""Markdown tables with means and spreads over seeds, and how their rows were measured."""

from __future__ import annotations

import statistics
from typing import Any

Rows = list[dict[str, Any]]

#: First day on which rows show the present encoder: docs/decisions.md, 2026-11-28, "Initialisation and training".
PRESENT = "2026-11-29"
#: Commands that remake result files; fields are those of the rows.
COMMANDS = {
    "checkpoint_cost": "taskset -c 0 python -m benchmarks.checkpoint_cost --threads 1 --cpu-time",
    "collections": "python -m benchmarks.collections --data DATA",
    "domain_transfer": "python -m benchmarks.domain_transfer --data DATA --seconds 120 --seeds 0 1 2",
    "edit_success": "python -m benchmarks.edit_success --data DATA --seconds {seconds:g}",
    "embeddings": "python -m benchmarks.embeddings --data DATA",
    "generation": "python -m benchmarks.generation --data DATA --models FOLDER --set {set} "
    "--seconds {seconds_asked:g}",
    "input_perturbation": "python -m benchmarks.input_perturbation --data DATA --seconds {seconds:g}",
    "inversion": "python -m benchmarks.inversion --data DATA --models FOLDER",
    "latency": "python -m benchmarks.latency",
    "likelihood": "python -m benchmarks.likelihood --data DATA",
    "memory": "python -m benchmarks.memory",
    "near_duplicates": "python -m benchmarks.near_duplicates --data DATA --sets cifar10 avatars",
    "ordered_code": "python -m benchmarks.ordered_code --data DATA",
    "priors": "python -m benchmarks.priors --data DATA [--encoder FILE --name NAME]",
    "probe_table": "python -m benchmarks.probe_table --data DATA",
    "processes": "python -m benchmarks.processes --data DATA",
    "protocols": "python -m benchmarks.protocols --data DATA --protocol {protocol}",
    "quickstart": "python -m benchmarks.demo --seed SEED",
    "retrieval_quality": "python -m benchmarks.retrieval_quality --data DATA",
    "retrieval_speed": "python -m benchmarks.retrieval_speed --data DATA",
    "sampling_overhead": "python -m benchmarks.sampling_overhead",
    "starts": "python -m benchmarks.starts --data DATA",
    "time_to_quality": "python -m benchmarks.time_to_quality --data DATA --set {set} --part {part}",
    "training_speed": "python -m benchmarks.training_speed --data DATA",
    "use_cost": "python -m benchmarks.use_cost",
}


def table(header: list[str], rows: list[list[Any]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def groups_of(rows: Rows, *keys: str) -> dict[tuple, Rows]:
    """Return the rows grouped by the values of some keys, in order of appearance."""
    groups: dict[tuple, Rows] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def having(rows: Rows, **values: Any) -> Rows:
    """Return the rows with given values."""
    return [row for row in rows if all(row.get(key) == value for key, value in values.items())]


def spread(values: list[float], digits: int = 3) -> str:
    """Return the mean and, for at least two values, the standard deviation over seeds."""
    if not values:
        return ""
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def measured(group: Rows, key: str, digits: int = 3) -> str:
    """Return mean and spread of a measure over the rows that have it, with their number if others lack it."""
    values = [row[key] for row in group if row.get(key) is not None]
    few = f" ({len(values)} seed{'s' if len(values) > 1 else ''})" if 0 < len(values) < len(group) else ""
    return spread(values, digits) + few


def is_former(row: dict[str, Any]) -> bool:
    """Return whether a row was measured before the present encoder; rows of early runs have no date."""
    return row.get("environment", {}).get("date", "") < PRESENT


def command(rows: Rows, name: str) -> str:
    """Return the command that remakes a result file, with the options of its last row."""
    asked = COMMANDS[name].format(**rows[-1])
    timed = rows[-1].get("clock") == "cpu" and "--cpu-time" not in asked
    return asked + (" --threads 1 --cpu-time" if timed else "")


def made(rows: Rows, name: str, options: str = "", *, encoder: bool = True) -> str:
    """Return sentences on the machines and the command; with `encoder`, also on rows of a former encoder."""
    kinds: dict[str, list[str]] = {}
    for row in rows:
        if env := row.get("environment"):
            threads = f"{env['threads']} thread{'s' if env['threads'] != 1 else ''}"
            versions = f"torch {env['torch']}, scikit-learn {env['scikit-learn']}"
            said = f"{env['processor']}, {threads}, {env['device']}, {versions}"
            kinds.setdefault(said, []).append(env["date"])
    days = {said: " to ".join(dict.fromkeys((min(dates), max(dates)))) for said, dates in kinds.items()}
    said = [f"{said}, {day}." for said, day in days.items()] or ["Date and machine were not recorded."]
    said.append(f"Made by `{command(rows, name)}{options}`.")
    old = [is_former(row) for row in rows]
    if encoder and any(old):
        which = "Measured" if all(old) else f"Rows of `DMZEncoder` before {PRESENT} were measured"
        said.append(f"**{which} with a former version of the encoder.**")
    return " ".join(said)
