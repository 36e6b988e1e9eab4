"""Fits encoders in as many processes as a launcher starts, and writes what each process ends with.

    torchrun --nproc-per-node N fitted_together.py FOLDER

A launch takes seconds, so one does for all tests. `CASES` are parameters, which `test_processes.py` fits
in one process too.
"""

import json
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import GridSearchCV

from dmzrep import DMZEncoder
from dmzrep.datasets import load_digits_images
from dmzrep.training import Trainer
from tests.encoders import make_encoder

#: Every kind of draw and of statistics that a batch has is in one of them.
CASES: dict[str, dict[str, Any]] = {
    "default": {},
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
    },
    "micro-batches": {"micro_batch_size": 3, "learn_variance": True, "objective": "epsilon"},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 1, "max_iter": 30, "learning_rate": 0.02},
}
TINY = {
    "latent_dim": 8,
    "width": (8,),
    "encoder_width": 8,
    "batch_size": 16,
    "max_iter": 3,
    "precision": "float32",
    "prior": "independent",
    "device": "cpu",
    "random_state": 0,
}


def images() -> np.ndarray:
    return load_digits_images().images[:96]


def ends_with(encoder: DMZEncoder, X: np.ndarray) -> dict[str, np.ndarray]:
    """What an encoder has learned, as arrays."""
    weights = {name: tensor.numpy() for name, tensor in encoder.model_.state_dict().items()}
    columns = [name for name in encoder.history_ if "loss" in name or name in ("images", "learning_rate")]
    return {
        "codes": encoder.transform(X),
        "history": encoder.history_[columns].to_numpy(),
        "stopped": np.array(encoder.stopped_),
        **weights,
    }


def fit_by_and_by(X: np.ndarray) -> DMZEncoder:
    """Two chunks, and a fit that goes on from them."""
    encoder = make_encoder(**TINY)
    for part in np.array_split(X, 2):
        encoder.partial_fit(part)
    return encoder.set_params(warm_start=True, max_iter=1).fit(X)


def grid_search(X: np.ndarray) -> list[float]:
    """Scores of a grid search, one fit after the other."""
    search = GridSearchCV(make_encoder(**TINY), {"latent_dim": [8, 16]}, cv=2, refit=False)
    return search.fit(X).cv_results_["mean_test_score"].tolist()


def fit_watched(X: np.ndarray, **params: Any) -> tuple[DMZEncoder, list[list[str]]]:
    """Fit; give what `ends_with` gives, and the images of each step, by their content."""
    made, seen = Trainer.train_step, []

    def train_step(self, x0, n_rows):
        seen.append([row.numpy().tobytes().hex() for row in x0])
        return made(self, x0, n_rows)

    Trainer.train_step = train_step
    try:
        return make_encoder(**TINY | params).fit(X), seen
    finally:
        Trainer.train_step = made


def interrupted(X: np.ndarray, rank: int) -> DMZEncoder:
    """Fit, and press Ctrl-C in the last process in the midst of the seventh step."""
    made, steps = Trainer.train_step, []

    def train_step(self, x0, n_rows):
        steps.append(len(x0))
        if len(steps) == 7 and rank == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return made(self, x0, n_rows)

    Trainer.train_step = train_step
    try:
        return make_encoder(**TINY | {"max_iter": 500}).fit(X)
    finally:
        Trainer.train_step = made


def refused(X: np.ndarray, **params: Any) -> str:
    """Message of the error of a fit that should fail."""
    try:
        make_encoder(**TINY | params).fit(X)
    except ValueError as error:
        return str(error)
    return "no error"


class Uneven(torch.nn.Module):
    """A denoiser whose batch normalisation and use of its layers differ from process to process."""

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


class Damaged:
    """Images of which one read fails, counted from 1."""

    def __init__(self, images: np.ndarray, at: int | None):
        self.images, self.at, self.reads = images, at, 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        self.reads += 1
        if self.reads == self.at:
            raise OSError("damaged")
        return self.images[index]


def failure(X: Any) -> str:
    """What a fit of many epochs fails with."""
    try:
        make_encoder(**TINY | {"max_iter": 1000}).fit(X)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    X, rank = images(), int(os.environ["RANK"])

    def write(name: str, encoder: DMZEncoder) -> None:
        np.savez(folder / f"{name} {rank}.npz", **ends_with(encoder, X))

    for name, params in CASES.items():
        write(name, make_encoder(**TINY | params).fit(X))
    _, seen = fit_watched(X, validation_fraction=0.0)
    (folder / f"rows {rank}.json").write_text(json.dumps(seen))
    write("by and by", fit_by_and_by(X))
    (folder / f"scores {rank}.json").write_text(json.dumps(grid_search(X)))
    write("no seed", make_encoder(**TINY | {"random_state": None}).fit(X))
    write("time", make_encoder(**TINY | {"max_iter": 10_000, "max_time": 1.0}).fit(X))
    write("interrupted", interrupted(X, rank))
    # A folder of its own for each process, as on machines that share no disk; only the first is used.
    ended = {"checkpoint_dir": folder / f"checkpoints {rank}", "checkpoint_every": 1e-9}
    write("resumed", make_encoder(**TINY | ended | {"max_iter": 5}).fit(X))
    messages = {
        "epochs": refused(X, max_iter=2 + rank),
        "checkpoints": refused(X, checkpoint_dir=None if rank else folder / "another"),
        "rows": refused(X[:8], validation_fraction=0.9),
        "folder": refused(X, checkpoint_dir=folder / "rows 0.json"),
        "data": refused(X[rank:]),
        "parameters": refused(X, temperature=1.0 + rank),
        "batch size": refused(X, batch_size=15),
    }
    (folder / f"messages {rank}.json").write_text(json.dumps(messages))
    write("own backbone", make_encoder(**TINY | {"backbone": Uneven(), "width": "auto"}).fit(X))
    # Last, for the processes part.
    told = [failure(Damaged(X, at=500 if rank else None)), failure(X)]
    (folder / f"parted {rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
