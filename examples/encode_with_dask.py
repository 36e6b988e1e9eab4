"""Encode a file of images with several Dask workers, and compare with one process.

Images and codes are .npy files that each worker opens; the encoder is sent to each worker once.
Only file names and sample indices pass through the scheduler.

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

#: Largest number of samples to train on.
TRAINING_SAMPLES = 20_000


class ArrayFile:
    """Samples of a .npy file; pickled as the file name, whereas a memory map is pickled with its contents."""

    def __init__(self, path: Path):
        self.path = path.resolve()
        samples = np.load(self.path, mmap_mode="r")
        self.shape, self.dtype, self.ndim = samples.shape, samples.dtype, samples.ndim

    def __getitem__(self, key: tuple) -> np.ndarray:
        return np.load(self.path, mmap_mode="r")[key]

    def __setitem__(self, key: tuple, samples: np.ndarray) -> None:
        np.load(self.path, mmap_mode="r+")[key] = samples


def main() -> None:
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    images = options.data or write_digits(options.out / "images.npy", options.images)
    X = np.load(images, mmap_mode="r")
    print(f"Training on {min(len(X), TRAINING_SAMPLES)} images for {options.seconds:g} seconds.")
    encoder = DMZEncoder(64, max_time=options.seconds, max_iter=10_000, random_state=options.seed, verbose=1)
    encoder.fit(X[:TRAINING_SAMPLES])

    # One thread, as in each of Dask's workers, which set OMP_NUM_THREADS to 1.
    torch.set_num_threads(1)
    expected, single = timed(lambda: encoder.transform(X))
    start = time.perf_counter()
    # By default, Dask workers return freed memory to the system at once, which halves the speed of encoding
    # small images; None leaves that to the C library.
    dask.config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None})
    cluster = LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        print(f"{options.workers} workers started in {time.perf_counter() - start:.1f} seconds.")
        codes = create_codes(options.out / "codes.npy", encoder, len(X))
        scattered = client.scatter(encoder, broadcast=True)
        parallel = timed(lambda: encode_file(images, scattered, codes, options.chunk))[1]

    print(f"\n{len(X)} images in chunks of {options.chunk}")
    for way, seconds in {"one process": single, f"{options.workers} workers": parallel}.items():
        print(f"{way:12}{seconds:8.2f} seconds{len(X) / seconds:10.0f} images per second")
    print(f"{options.workers} workers were {single / parallel:.2f} times as fast as one process.")
    same = np.allclose(np.load(codes, mmap_mode="r"), expected, rtol=0, atol=1e-5)
    print(f"Their codes are {'equal up to rounding' if same else 'NOT EQUAL'}.\nSaved {codes}")


def encode_file(images: Path, encoder: object, codes: Path, chunk: int) -> None:
    """Write the codes of the images in chunks, with the encoder that was sent to the workers."""
    X, Z = ArrayFile(images), ArrayFile(codes)
    X = da.from_array(X, chunks=(chunk, *X.shape[1:]), name=False)
    # With meta, Dask need not call the encoder on an empty array to infer its output.
    Z_lazy = X.map_blocks(
        encode,
        encoder,
        drop_axis=list(range(1, X.ndim)),
        new_axis=1,
        chunks=(X.chunks[0], (Z.shape[1],)),
        dtype=Z.dtype,
        meta=np.empty((0, 0), Z.dtype),
    )
    # No lock: chunks are disjoint parts of the file.
    da.store(Z_lazy, Z, lock=False)


def encode(X: np.ndarray, encoder: DMZEncoder) -> np.ndarray:
    return encoder.transform(X)


def create_codes(path: Path, encoder: DMZEncoder, n_samples: int) -> Path:
    """Create the file that workers write codes into."""
    shape = (n_samples, encoder.latent_dim)
    np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    return path


def write_digits(path: Path, n_images: int) -> Path:
    """Write `n_images` images, the 1,797 digits repeated."""
    digits = load_digits_images().images
    np.save(path, digits[np.arange(n_images) % len(digits)])
    return path


def timed(work: Callable) -> tuple:
    """Return the result of a call, and its duration in seconds."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def parse_options() -> Namespace:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help=".npy file of images (default: digits, repeated)")
    parser.add_argument("--images", type=int, default=200_000, help="digits to encode (default: 200000)")
    parser.add_argument("--chunk", type=int, default=10_000, help="images per chunk (default: 10000)")
    parser.add_argument(
        "--workers", type=int, default=2, help="worker processes, each with one thread (default: 2)"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="training time (default: 20)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for files (default: out)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    return parser.parse_args()


# Workers start as new Python processes that import this file.
if __name__ == "__main__":
    main()
