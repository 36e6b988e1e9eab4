"""What the command line prints: tables, paths or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pandas as pd


def choices(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options --json and --paths to a command, as its argument `form`."""
    for flag, text in (
        ("paths", "Print paths alone, one per line."),
        ("json", "Print one JSON object per line."),
    ):
        command = click.option(f"--{flag}", "form", flag_value=flag, help=text)(command)
    return click.option("--text", "form", flag_value="text", default=True, hidden=True)(command)


def print_table(table: pd.DataFrame, form: str) -> int:
    """Print a table with a column "path"; return the exit code."""
    if form == "json":
        _print_json(table)
    elif form == "paths":
        _print_lines(table["path"])
    else:
        numbers = [name for name in table.columns if name != "path"]
        widths = {name: max([len(name), *(len(_text(value)) for value in table[name])]) for name in numbers}
        if len(table):
            click.echo("  ".join([*(name.rjust(widths[name]) for name in numbers), "path"]))
        for row in table.to_dict("records"):
            click.echo("  ".join([*(_text(row[name]).rjust(widths[name]) for name in numbers), row["path"]]))
    return 0 if len(table) else 1


def print_duplicates(table: pd.DataFrame, form: str) -> int:
    """Print groups of duplicates; as paths, those that need not be kept. Return the exit code."""
    if form == "json":
        _print_json(table)
    elif form == "paths":
        _print_lines(table.loc[~table["keep"], "path"])
    else:
        for number, group in table.groupby("group"):
            click.echo(f"group {number}, {len(group)} pictures")
            for row in group.to_dict("records"):
                size = f"{row['width']} x {row['height']}, {row['bytes']:,} bytes"
                how = "keep" if row["keep"] else f"{row['tier'].replace('_', ' ')}, {row['distance']:.2f}"
                click.echo(f"  {how:<20} {row['path']}  ({size}{', mirrored' if row['mirrored'] else ''})")
        summary = f"{table['group'].nunique()} groups, {len(table)} pictures"
        if "expected_false_pairs" in table.attrs:
            summary += f"; expected false pairs: {table.attrs['expected_false_pairs']:g}"
        if table.attrs.get("undecided_pairs"):
            summary += f"; {table.attrs['undecided_pairs']} more candidate pairs (see --max-false-pairs)"
        click.echo(summary, err=True)
    return 0 if len(table) else 1


def size_of(path: str | Path) -> str:
    """Return the size of a file in megabytes."""
    return f"{Path(path).stat().st_size / 1e6:.1f} MB"


def _print_json(table: pd.DataFrame) -> None:
    for line in table.to_json(orient="records", lines=True, force_ascii=False).split("\n"):
        if line:
            click.echo(json.dumps(json.loads(line), ensure_ascii=False))


def _print_lines(paths: pd.Series) -> None:
    for path in paths:
        click.echo(path)


def _text(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
