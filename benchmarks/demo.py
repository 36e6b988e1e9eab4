"""Run the demo for the results page.

    python -m benchmarks.demo --seed 0 --threads 1 --cpu-time

Options that are not listed by `--help` are those of `examples/quickstart.py`.
"""

import argparse
import json
import runpy
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from benchmarks.limits import (
    add_limits,
    check_limits,
    chosen_clock,
    limited_threads,
    limits_used,
    training_clock,
)
from benchmarks.results import append

SCRIPT = Path(__file__).parent.parent / "examples" / "quickstart.py"


def main(arguments: list[str] | None = None) -> None:
    """Run the script and append its row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_limits(parser)
    parsed, others = parser.parse_known_args(arguments)
    check_limits(parser, parsed)
    with tempfile.TemporaryDirectory() as folder, limited_threads(parsed.threads), training_clock(parsed):
        row = Path(folder, "row.json")
        command = [str(SCRIPT), "--results", str(row), *others]
        with patch.object(sys, "argv", command), patch.object(time, "perf_counter", chosen_clock(parsed)):
            runpy.run_path(command[0], run_name="__main__")
        append("quickstart", json.loads(row.read_text()) | limits_used(parsed))


if __name__ == "__main__":
    main()
