"""Memory of `fit` and `transform` on images that do not fit into it.

    python -m benchmarks.memory [--gigabytes 4] [--seconds 30]

Images of 64 x 64 pixels are stored in a sparse file (every eighth is noise, the others are black) and read
through a memory map. Anonymous memory, `RssAnon` in /proc/self/status, is measured every 20 ms; pages of the
memory map are `RssFile`, which the system can reclaim. Each phase runs in a fresh process.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
import warnings
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.results import append
from dmzrep import DMZEncoder

SIDE, LATENT_DIM = 64, 64
MIB = 2**20


def anonymous_bytes() -> int:
    """Return the resident memory of this process that is not backed by a file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


class Peak:
    """Largest anonymous memory while the context lasts, less what there was before."""

    def __enter__(self) -> Peak:
        self.before = self.most = anonymous_bytes()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        return self

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.most = max(self.most, anonymous_bytes())

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watcher.join()
        self.most = max(self.most, anonymous_bytes())


def make_images(path: Path, n_bytes: int) -> int:
    """Write a sparse array file; return its number of images."""
    shape = (n_bytes // (SIDE * SIDE * 3), SIDE, SIDE, 3)
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    generator = np.random.default_rng(0)
    for row in range(0, len(images), 8):
        images[row] = generator.integers(0, 256, shape[1:], dtype=np.uint8)
    images.flush()
    return len(images)


def fit(folder: Path, seconds: float) -> dict[str, float]:
    """Train on all images; keep the encoder."""
    X = np.load(folder / "images.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Noise has no code.
        encoder = DMZEncoder(LATENT_DIM, max_time=seconds, random_state=0)
        begun = time.perf_counter()
        with Peak() as peak:
            encoder.fit(X)
    encoder.save(folder / "encoder.safetensors")
    return measured(peak, begun)


def transform(folder: Path, n_images: int) -> dict[str, float]:
    """Encode images into another memmap."""
    X = np.load(folder / "images.npy", mmap_mode="r")[:n_images]
    encoder = DMZEncoder.load(folder / "encoder.safetensors")
    out = np.lib.format.open_memmap(
        folder / "codes.npy", mode="w+", dtype=np.float32, shape=(len(X), LATENT_DIM)
    )
    begun = time.perf_counter()
    with Peak() as peak:
        encoder.transform(X, out=out)
    return measured(peak, begun)


def measured(peak: Peak, begun: float) -> dict[str, float]:
    """Return the row of a phase."""
    return {
        "before_mib": round(peak.before / MIB),
        "peak_mib": round(peak.most / MIB),
        "grown_mib": round((peak.most - peak.before) / MIB),
        "seconds": round(time.perf_counter() - begun, 1),
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and append its rows to the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--seconds", type=float, default=30.0, help="training time (default: 30)")
    parser.add_argument("--encode", type=int, default=50_000, help="images to encode (default: 50000)")
    parser.add_argument("--folder", type=Path, help="folder for temporary files (default: /tmp)")
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=parsed.folder) as name:
        folder = Path(name)
        n_images = make_images(folder / "images.npy", int(parsed.gigabytes * 1e9))
        for what, work, amount in (("fit", fit, parsed.seconds), ("transform", transform, parsed.encode)):
            with get_context("spawn").Pool(1) as pool:
                row = pool.apply(work, (folder, amount))
            row = {"what": what, "images": n_images, "file_mib": round(parsed.gigabytes * 1e9 / MIB), **row}
            row |= {"side": SIDE, "encoded": parsed.encode if what == "transform" else None}
            append("memory", row)
            print(row)


if __name__ == "__main__":
    main()
