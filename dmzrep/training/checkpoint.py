"""Checkpoints: a training run written to a file at the end of each epoch, and taken up again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmzrep.errors import CheckpointMismatchError
from dmzrep.persistence import read_file, write_file
from dmzrep.training.hooks import Hooks
from dmzrep.training.loop import Trainer

CHECKPOINT_NAME = "checkpoint.safetensors"


class CheckpointWriter(Hooks):
    """Writes the run's state to a folder at the end of every epoch, whole or not at all.

    Parameters
    ----------
    folder : path-like
        Made if missing.
    identity : dict
        Plain values that a run must share to go on from the checkpoint.
    """

    def __init__(self, folder: Any, identity: dict[str, Any]):
        self.path = Path(folder) / CHECKPOINT_NAME
        self.identity = identity
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def epoch_end(self, trainer: Trainer) -> bool:
        values, arrays = _flatten(trainer.state())
        write_file(self.path, {"identity": self.identity, **values}, arrays)
        return False


def read_checkpoint(folder: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Read the checkpoint of a folder, or give None where there is none."""
    path = Path(folder) / CHECKPOINT_NAME
    return read_file(path) if path.exists() else None


def resume(
    trainer: Trainer, identity: dict[str, Any], values: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Take up a run where its checkpoint left it.

    Raises
    ------
    CheckpointMismatchError
        The checkpoint is of another configuration or other data; the message lists the differences.
    """
    stored = values["identity"]
    differences = [
        f"{name}: checkpoint {stored.get(name)!r}, now {identity.get(name)!r}"
        for name in sorted(set(stored) | set(identity))
        if stored.get(name) != identity.get(name)
    ]
    if differences:
        raise CheckpointMismatchError(
            "checkpoint_dir holds a run of another configuration: " + "; ".join(differences) + ". "
            "Use another folder, or delete the checkpoint."
        )
    state = trainer.state()
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    for part in ("model", "average"):
        state[part] = {name: tensors[f"{part}.{name}"] for name in state[part]}
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = tensor
    state["optimizer"] = slots
    state |= {name: tensors[name] for name in ("order", "noise", "torch_random")}
    state["noise_device"] = values["noise_device"]
    state["timesteps"].history, state["timesteps"].counts = arrays["losses"], arrays["loss_counts"]
    state["counters"], state["history"] = tuple(values["counters"]), values["history"]
    state["scaler"], state["decorrelation"] = values["scaler"], values["decorrelation"]
    trainer.load_state(state)


def _flatten(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    tensors: dict[str, Tensor] = {name: state[name] for name in ("order", "noise", "torch_random")}
    for part in ("model", "average"):
        tensors.update({f"{part}.{name}": tensor for name, tensor in state[part].items()})
    for index, slots in state["optimizer"].items():
        tensors.update({f"optimizer.{index}.{name}": tensor for name, tensor in slots.items()})
    arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
    arrays["losses"], arrays["loss_counts"] = state["timesteps"].history, state["timesteps"].counts
    names = ("counters", "history", "scaler", "noise_device", "decorrelation")
    values = {name: state[name] for name in names}
    return values, arrays
