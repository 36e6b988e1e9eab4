"""Markdown tables with means and spreads over seeds, and how their rows were measured."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.results import CURRENT, DEFAULT, DENOISER

Rows = list[dict[str, Any]]

#: End of the labels of rows that were measured with an earlier version of the encoder.
FORMER = " (earlier version)"
#: Result files for which no convolutional encoder is trained, so that its version does not matter.
WITHOUT_ENCODER = {"embeddings", "pretrained", "retrieval_speed", "starts"}
#: Commands that remake result files, where it is not the module with `--data DATA`; fields are those of rows.
COMMANDS = {
    "checkpoint_cost": "taskset -c 0 python -m benchmarks.checkpoint_cost --threads 1 --cpu-time",
    "embeddings": "python -m benchmarks.embeddings --data DATA --features FOLDER --part test",
    "latency": "python -m benchmarks.latency",
    "memory": "python -m benchmarks.memory",
    "quickstart": "python -m benchmarks.demo --seed SEED",
    "sampling_overhead": "python -m benchmarks.sampling_overhead",
    "use_cost": "python -m benchmarks.use_cost",
}
#: Options of the other commands.
OPTIONS = {
    "domain_transfer": " --seconds 120 --seeds 0 1 2",
    "edit_success": " --seconds {seconds:g}",
    "generation": " --models FOLDER --set {set} --seconds {seconds_asked:g}",
    "input_perturbation": " --seconds {seconds:g}",
    "inversion": " --models FOLDER",
    "near_duplicates": " --sets cifar10 avatars emoji",
    "pretrained": " --features FOLDER --part test --seconds {seconds_asked:g}",
    "priors": " [--encoder FILE --name NAME]",
    "protocols": " --protocol {protocol}",
    "time_to_quality": " --set {set} --part {part}",
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
    """Return whether a row was measured with an earlier version of the encoder.

    Rows without a training time, where it has a column, are those of baselines and initialisations.
    """
    untrained = "seconds_asked" in row and row["seconds_asked"] is None
    if untrained or row.get("name") == "convolutional VAE":
        return False
    if row.get("kind") in ("none", "clusters"):
        return _version(row) < DENOISER
    # Rows of the demo have no set, but a table of codes.
    images = "demo" if isinstance(row.get("codes"), dict) else str(row.get("set"))
    return _version(row) < CURRENT.get(images, DEFAULT)


def newest(rows: Rows) -> Rows:
    """Return the rows of the present version of the encoder, or all if there are none."""
    return [row for row in rows if not is_former(row)] or rows


def _version(row: dict[str, Any]) -> int:
    """Return the version of the encoder, which early rows lack."""
    return row.get("environment", {}).get("encoder") or 0


def command(rows: Rows, name: str, options: str = "") -> str:
    """Return the command that remakes a result file, with the options of its last row and further ones."""
    if name in COMMANDS:
        return COMMANDS[name] + options
    timed = " --threads 1 --cpu-time" if rows[-1].get("clock") == "cpu" else ""
    return (
        f"python -m benchmarks.{name} --data DATA{OPTIONS.get(name, '').format(**rows[-1])}{options}{timed}"
    )


def made(rows: Rows, name: str, options: str = "") -> str:
    """Return sentences on the machines, the command, and rows of an earlier version of the encoder."""
    kinds: dict[str, list[str]] = {}
    for row in rows:
        if env := row.get("environment"):
            threads = f"{env['threads']} thread{'s' if env['threads'] != 1 else ''}"
            versions = f"torch {env['torch']}, scikit-learn {env['scikit-learn']}"
            said = f"{env['processor']}, {threads}, {env['device']}, {versions}"
            kinds.setdefault(said, []).append(env["date"])
    days = {said: " to ".join(dict.fromkeys((min(dates), max(dates)))) for said, dates in kinds.items()}
    said = [f"{said}, {day}." for said, day in days.items()] or ["Date and machine were not recorded."]
    said.append(f"Made by `{command(rows, name, options)}`.")
    old = [is_former(row) for row in rows]
    if any(old) and name not in WITHOUT_ENCODER:
        which = "Measured" if all(old) else "Some rows of `DMZEncoder` were measured"
        said.append(f"**{which} with an earlier version of the encoder.**")
    return " ".join(said)
