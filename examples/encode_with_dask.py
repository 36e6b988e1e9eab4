"""Encode a file of images with several processes of Dask, and compare with one process.

Images and codes are .npy files that each worker opens by itself; the encoder is sent to each worker once.
What passes through the scheduler are names of files and numbers of rows.

    python examples/encode_with_dask.py --data images.npy --workers 4 --out out
"""

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import torch
from dask.distributed import Client, LocalCluster

from dmzrep import DMZEncoder
from dmzrep.datasets import load_digits_images

#: Source to train on, at most.
TRAINING_ROWS = 20_000


class ArrayFile:
    """Samples of a .npy file; pickled as the file's name, where a memmap is pickled with its contents."""

    def __init__(self, path: Path):
        self.path = path.resolve()
        rows = np.load(self.path, mmap_mode="r")
        self.shape, self.dtype, self.ndim = rows.shape, rows.dtype, rows.ndim

    def __getitem__(self, key: tuple) -> np.ndarray:
        return np.load(self.path, mmap_mode="r")[key]

    def __setitem__(self, key: tuple, rows: np.ndarray) -> None:
        np.load(self.path, mmap_mode="r+")[key] = rows


def main() -> None:
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    images = options.data or write_digits(options.out / "images.npy", options.images)
    X = np.load(images, mmap_mode="r")
    print(f"Training on {min(len(X), TRAINING_ROWS)} images for {options.seconds:g} seconds.")
    encoder = DMZEncoder(64, max_time=options.seconds, max_iter=10_000, random_state=options.seed, verbose=1)
    encoder.fit(X[:TRAINING_ROWS])

    # One thread, as each of Dask's workers: they set OMP_NUM_THREADS to 1.
    torch.set_num_threads(1)
    expected, alone = timed(lambda: encoder.transform(X))
    begun = time.perf_counter()
    # Dask has workers return freed memory to the system at once, which makes encoding of small images twice
    # as slow; None leaves that to the C library.
    dask.config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None})
    cluster = LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        print(f"{options.workers} workers started in {time.perf_counter() - begun:.1f} seconds.")
        codes = create_codes(options.out / "codes.npy", encoder, len(X))
        everywhere = client.scatter(encoder, broadcast=True)
        together = timed(lambda: encode_file(images, everywhere, codes, options.rows))[1]

    print(f"\n{len(X)} images in chunks of {options.rows}")
    for way, seconds in {"one process": alone, f"{options.workers} workers": together}.items():
        print(f"{way:12}{seconds:8.2f} seconds{len(X) / seconds:10.0f} images per second")
    print(f"{options.workers} workers were {alone / together:.2f} times as fast as one process.")
    same = np.array_equal(np.load(codes, mmap_mode="r"), expected)
    print(f"Their codes are {'the same to the bit' if same else 'NOT THE SAME'}.\nSaved {codes}")


def encode_file(images: Path, encoder: object, codes: Path, rows: int) -> None:
    """Write codes of the images, `rows` of them at a time; the encoder lies on the workers already."""
    X, Z = ArrayFile(images), ArrayFile(codes)
    X = da.from_array(X, chunks=(rows, *X.shape[1:]), name=False)
    # With meta Dask need not call the encoder on no rows to find out what it gives.
    Z_lazy = X.map_blocks(
        encode,
        encoder,
        drop_axis=list(range(1, X.ndim)),
        new_axis=1,
        chunks=(X.chunks[0], (Z.shape[1],)),
        dtype=Z.dtype,
        meta=np.empty((0, 0), Z.dtype),
    )
    # No lock: chunks are different rows of the file.
    da.store(Z_lazy, Z, lock=False)


def encode(X: np.ndarray, encoder: DMZEncoder) -> np.ndarray:
    return encoder.transform(X)


def create_codes(path: Path, encoder: DMZEncoder, n_rows: int) -> Path:
    """Create the file that workers write codes into."""
    shape = (n_rows, encoder.latent_dim)
    np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    return path


def write_digits(path: Path, n_images: int) -> Path:
    """Write as many images as were asked for: the 1,797 digits again and again."""
    digits = load_digits_images().images
    np.save(path, digits[np.arange(n_images) % len(digits)])
    return path


def timed(work: Callable) -> tuple:
    """Result of a call, and its seconds."""
    begun = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begun


def parse_options() -> Namespace:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help=".npy file of images (default: digits, many times over)")
    parser.add_argument("--images", type=int, default=200_000, help="digits to encode (default: 200000)")
    parser.add_argument("--rows", type=int, default=10_000, help="images a chunk (default: 10000)")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread (default: 2)")
    parser.add_argument("--seconds", type=float, default=20.0, help="training time (default: 20)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for files (default: out)")
    parser.add_argument("--seed", type=int, default=0, help="decides all random numbers (default: 0)")
    return parser.parse_args()


# Workers start as new Python processes that import this file.
if __name__ == "__main__":
    main()
