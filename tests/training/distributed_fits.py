"""Fits encoders in several processes, and writes the results of each.

    torchrun --nproc-per-node N distributed_fits.py FOLDER

Launching takes seconds, so all tests share one launch. The tests also fit the parameters in `CASES` in one
process.
"""

import os
import pickle
import signal
import sys
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import distributed as dist

from dmzrep import DMZEncoder
from dmzrep.datasets import load_digits_images
from dmzrep.training import Trainer
from tests.encoders import make_encoder

#: Parameters that cover every use of random numbers and of batch statistics.
CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "aligned": {"init": "contrast_pca"},
    "views and terms": {
        "encoder_augment": "affine_flip",
        "augment": "flip",
        "init": "cca",
        "ordered": True,
        "code_dropout": 0.2,
        "input_perturbation": 0.1,
        "marginal_entropy": 0.02,
        "decorrelation": "auto",
        "kl_weight": 0.01,
        "kl_free_bits": 0.3,
        "mmd_weight": 0.1,
        "timestep_sampling": "loss_second_moment",
        "micro_batch_size": 3,
        "learn_variance": True,
        "objective": "epsilon",
    },
    "early stopping": {"early_stopping": True, "n_iter_no_change": 1, "max_iter": 30, "learning_rate": 0.02},
}
ALONE = {"latent_dim": 8, "width": (8,), "encoder_width": 8, "prior": "independent", "random_state": 0}
ALONE |= {"batch_size": 16, "max_iter": 3, "precision": "float32", "device": "cpu"}
DISTRIBUTED = ALONE | {"distributed": True}


def load_images() -> np.ndarray:
    return load_digits_images().images[:96]


def describe(encoder: DMZEncoder, X: np.ndarray) -> dict[str, np.ndarray]:
    """Return what an encoder has learned, as arrays."""
    weights = {name: tensor.numpy() for name, tensor in encoder.model_.state_dict().items()}
    columns = [name for name in encoder.history_ if "loss" in name or name in ("images", "learning_rate")]
    return weights | {
        "codes": encoder.transform(X),
        "history": encoder.history_[columns].to_numpy(),
        "stopped": np.array(encoder.stopped_),
    }


def fit_in_parts(X: np.ndarray, params: dict[str, Any]) -> DMZEncoder:
    """Call `partial_fit` twice, then `fit` with a warm start."""
    encoder = make_encoder(**params)
    for part in np.array_split(X, 2):
        encoder.partial_fit(part)
    return encoder.set_params(warm_start=True, max_iter=1).fit(X)


def fit_observed(X: np.ndarray, observe: Any, **params: Any) -> DMZEncoder:
    """Fit, and call `observe` with the batch before each step."""
    train_step = Trainer.train_step

    def observed_step(self, x0, n_samples):
        observe(x0)
        return train_step(self, x0, n_samples)

    with patch.object(Trainer, "train_step", observed_step):
        return make_encoder(**DISTRIBUTED | params).fit(X)


def error_of(X: Any, **params: Any) -> str:
    """Return the message of the error of a fit that should fail."""
    try:
        make_encoder(**DISTRIBUTED | params).fit(X)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


class UnevenDenoiser(torch.nn.Module):
    """Denoiser whose batch statistics and layers in use differ between processes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(1, 8, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(8)
        self.code = torch.nn.Linear(8, 8)
        self.extra = torch.nn.Conv2d(8, 8, 3, padding=1)
        self.last = torch.nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x, t, z):
        h = self.norm(self.first(x)) + self.code(z)[:, :, None, None]
        if self.training and torch.rand(()) < 0.5:
            h = h + self.extra(h)
        return self.last(torch.relu(h))


class DamagedImages:
    """Dataset that raises an error when it is read for the `at`-th time."""

    def __init__(self, images: np.ndarray, at: int | None):
        self.images, self.at, self.n_reads = images, at, 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        self.n_reads += 1
        if self.n_reads == self.at:
            raise OSError("damaged")
        return self.images[index]


def run_all(folder: Path, rank: int) -> dict[str, Any]:
    X = load_images()
    results: dict[str, Any] = {}

    def keep(name: str, encoder: DMZEncoder) -> None:
        results[name] = describe(encoder, X)

    # A fit with distributed=False is independent of the other processes.
    if rank == 1:
        keep("alone", make_encoder(**ALONE).fit(X))
    environment = dict(os.environ)
    for name, params in CASES.items():
        keep(name, make_encoder(**DISTRIBUTED | params).fit(X))
    results["left"] = dist.is_initialized(), dict(os.environ) == environment
    results["samples"] = []
    fit_observed(
        X, lambda x0: results["samples"].append([x.numpy().tobytes() for x in x0]), validation_fraction=0.0
    )
    keep("parts", fit_in_parts(X, DISTRIBUTED))
    keep("no seed", make_encoder(**DISTRIBUTED | {"random_state": None}).fit(X))
    keep("time", make_encoder(**DISTRIBUTED | {"max_iter": 10_000, "max_time": 0.5}).fit(X))
    steps: list[int] = []

    def interrupt(x0: torch.Tensor) -> None:
        steps.append(len(x0))
        if len(steps) == 7 and rank == 1:
            os.kill(os.getpid(), signal.SIGINT)

    keep("interrupted", fit_observed(X, interrupt, max_iter=500))
    # Each process has its own folder, as on machines without a shared disk; only the first is used.
    checkpoints = {"checkpoint_dir": folder / f"checkpoints {rank}", "checkpoint_every": 1e-9}
    keep("resumed", make_encoder(**DISTRIBUTED | checkpoints | {"max_iter": 5}).fit(X))
    (folder / "file").touch()
    results["errors"] = {
        "differ in max_iter": error_of(X, max_iter=2 + rank),
        "differ in checkpoint_dir": error_of(X, checkpoint_dir=None if rank else folder / "another"),
        "differ in data": error_of(X[rank:]),
        "differ in temperature": error_of(X, temperature=1.0 + rank),
        "There are 1 training samples, too few for 2 processes": error_of(X[:8], validation_fraction=0.9),
        "must be a folder": error_of(X, checkpoint_dir=folder / "file"),
        "batch_size must be a multiple of 2": error_of(X, batch_size=15),
    }
    keep("custom", make_encoder(**DISTRIBUTED | {"backbone": UnevenDenoiser(), "width": "auto"}).fit(X))
    damaged = DamagedImages(X, at=250 if rank else None)
    results["failed"] = error_of(damaged, max_iter=1000), dist.is_initialized()
    # A process group created by the script is used and survives an error.
    dist.init_process_group("gloo")
    group = dist.group.WORLD
    failed = error_of(DamagedImages(X, at=250 if rank else None), max_iter=1000)
    keep("script's group", make_encoder(**DISTRIBUTED).fit(X))
    total = torch.ones(1)
    dist.all_reduce(total)
    results["survived"] = failed != "no error", dist.group.WORLD is group, total.item()
    dist.destroy_process_group()
    return results


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    directory, own_rank = Path(sys.argv[1]), int(os.environ["RANK"])
    (directory / f"{own_rank}.pickle").write_bytes(pickle.dumps(run_all(directory, own_rank)))
