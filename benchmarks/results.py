"""Result files: one JSON object per line, with machine and versions."""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy
import sklearn
import torch

from dmzrep import __version__

#: Version of networks and training, which increases when they change what is measured (docs/decisions.md).
ENCODER = 9
#: Oldest version that trains as the present one does, by set of images, and for others: version 8 changed the
#: training of spatially aligned images.
CURRENT, DEFAULT = {"avatars": 8, "demo": 8}, 7
#: Oldest version with the present denoiser, for models without our codes.
DENOISER = 6
#: Oldest version that fits priors to probabilities, rather than bits, after long training.
PRIOR = 9
FOLDER = Path(__file__).parent / "results"


def environment() -> dict[str, Any]:
    """Return the machine and versions of this run, without host names or paths."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "numpy": numpy.__version__,
        "dmzrep": __version__,
        "encoder": ENCODER,
    }


def append(name: str, row: dict[str, Any], folder: Path = FOLDER) -> None:
    """Append a row with the environment to the file `name`.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name}.jsonl", "a") as file:
        file.write(json.dumps({**row, "environment": environment()}) + "\n")


def is_done(rows: list[dict[str, Any]], key: dict[str, Any]) -> bool:
    """Return whether one of the rows has all values of a key, compared as JSON values."""
    key = json.loads(json.dumps(key))
    return any(all(row.get(name) == value for name, value in key.items()) for row in rows)


def read(name: str, folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Return the rows of the file `name`.jsonl, or none if there is no file."""
    path = folder / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
