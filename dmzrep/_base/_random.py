"""Randomness: one convention for `random_state`, and one generator per image."""

import contextlib
import hashlib
import secrets
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._validation import as_array, short_repr


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Return an integer seed for scikit-learn's `random_state`.

    An integer is returned as is, a `RandomState` draws the seed, and None takes a fresh seed from the
    operating system; NumPy's global generator is not used.
    """
    if random_state is None:
        return secrets.randbits(31)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    seed: Any = random_state
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise ValueError(
            "random_state must be an integer from 0 to 2**63 - 1, a numpy.random.RandomState or None, got "
            f"{short_repr(random_state)}."
        )
    return int(random_state)


def numpy_generator(random_state: int | np.random.RandomState | None) -> np.random.RandomState:
    """Return a `RandomState`; None gives a freshly seeded one, not NumPy's global one."""
    if isinstance(random_state, np.random.RandomState):
        return random_state
    return np.random.RandomState(draw_seed(random_state) % 2**32)


#: torch's global generators are shared by all threads: only one at a time may seed and use them.
_TORCH_GENERATORS = threading.RLock()


@contextlib.contextmanager
def seeded_torch(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's global generators within the context, and restore them on exit; other threads wait.

    The generators are those of the CPU and of the type of `device`. For operations that do not accept a
    generator: weight initialisation and dropout.
    """
    kind = "cpu" if device is None else device.type
    devices = list(range(torch.cuda.device_count())) if kind == "cuda" else []
    with _TORCH_GENERATORS, torch.random.fork_rng(devices=devices), contextlib.ExitStack() as stack:
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed_all(seed)
        elif kind == "mps":
            stack.callback(torch.mps.set_rng_state, torch.mps.get_rng_state())
            torch.mps.manual_seed(seed)
        yield


def torch_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of torch's global generators, the CPU's and the device's, by device type."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_torch_states(states: dict[str, Tensor], device: torch.device) -> None:
    """Set torch's global generators to states from `torch_states`; skip those of other devices."""
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])


def image_seeds(seed: int, n: int) -> list[int]:
    """Return seeds for n images; a larger n extends the same sequence."""
    return [int(s) for s in np.random.SeedSequence(seed).generate_state(n, np.uint64) >> np.uint64(1)]


def sample_seeds(random_state: int | np.random.RandomState | Sequence[int] | None, n: int) -> list[int]:
    """Return seeds for n samples from one `random_state`, or from one integer per sample.

    An integer of a sample seeds it as it would seed a single sample, so equal integers give equal noise.
    """
    if not isinstance(random_state, (Sequence, np.ndarray)):
        return image_seeds(draw_seed(random_state), n)
    seeds = as_array(random_state, "random_state")
    if seeds.shape != (n,) or seeds.dtype.kind not in "iu" or (n and seeds.min() < 0):
        raise ValueError(
            f"random_state as a sequence must hold one non-negative integer for each of {n} samples, "
            f"got shape {seeds.shape} and dtype {seeds.dtype}. Pass one integer to seed all samples."
        )
    first = {int(seed): image_seeds(int(seed), 1)[0] for seed in np.unique(seeds)}
    return [first[int(seed)] for seed in seeds]


def content_seeds(X: np.ndarray) -> list[int]:
    """Return a seed for each sample that depends only on its content."""
    digests = (hashlib.blake2b(x.tobytes(), digest_size=8).digest() for x in np.ascontiguousarray(X))
    return [int.from_bytes(digest, "little") >> 1 for digest in digests]


class ImageNoise:
    """Standard Gaussian noise from one generator per image: batch-invariant and equal on all devices."""

    def __init__(self, seeds: Sequence[int], shape: tuple[int, ...], device: torch.device):
        self.shape = shape
        self.device = device
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def draw(self) -> Tensor:
        """Draw noise for each image; return it as float32 of shape (n_images, *shape)."""
        out = torch.empty(len(self.generators), *self.shape)
        for noise, generator in zip(out, self.generators, strict=True):
            noise.normal_(generator=generator)
        return out.to(self.device)
