"""Cost of use: images per second and memory of `transform`, seconds of `import dmzrep`.

    python -m benchmarks.use_cost [--rounds 5]

Images are random; the speed of `transform` does not depend on their content. Peak memory is measured in a
fresh process for each number of images, relative to the peak before the call of `transform`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

import numpy as np

from benchmarks.results import append
from dmzrep import DMZEncoder

MEMORY_CHILD = """
import resource, sys, numpy as np
from dmzrep import DMZEncoder
encoder = DMZEncoder.load(sys.argv[1])
X = np.random.default_rng(0).integers(0, 256, (int(sys.argv[2]), 28, 28), dtype=np.uint8)
encoder.transform(X[:512])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Z = encoder.transform(X)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * 1024, Z.nbytes, X.nbytes)
"""
IMPORT_CHILD = """
import time, torch, sklearn.base, sklearn.callback, pandas, scipy.sparse.csgraph
begun = time.perf_counter()
import dmzrep
print(time.perf_counter() - begun)
"""


def child(code: str, *arguments: str) -> list[float]:
    """Run code in a fresh interpreter and return the numbers that it prints."""
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return [float(word) for word in result.stdout.split()]


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and append its rows to the results."""
    import tempfile
    from pathlib import Path

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parsed = parser.parse_args(arguments)
    X = np.random.default_rng(0).integers(0, 256, (20_000, 28, 28), dtype=np.uint8)
    encoder = DMZEncoder(max_time=1.0, random_state=0).fit(X[:1000])
    encoder.transform(X[:1000])
    rates = []
    for _ in range(parsed.rounds):
        begun = time.perf_counter()
        encoder.transform(X)
        rates.append(len(X) / (time.perf_counter() - begun))
    row = {"what": "transform, 28x28", "images_per_second": round(statistics.median(rates))}
    row["spread"] = [round(min(rates)), round(max(rates))]
    append("use_cost", row)
    print(row)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "encoder.safetensors")
        encoder.save(path)
        for n in (10_000, 100_000, 400_000):
            grown, output, given = child(MEMORY_CHILD, path, str(n))
            row = {"what": "memory of transform", "images": n, "grown_mb": round(grown / 1e6, 1)}
            row |= {"output_mb": round(output / 1e6, 1), "input_mb": round(given / 1e6, 1)}
            append("use_cost", row)
            print(row)
    seconds = [child(IMPORT_CHILD)[0] for _ in range(parsed.rounds)]
    row = {
        "what": "import dmzrep beyond torch and scikit-learn",
        "seconds": round(statistics.median(seconds), 3),
    }
    append("use_cost", row)
    print(row)


if __name__ == "__main__":
    main()
