"""The state of a training run from which it can be resumed."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dmzrep._base._random import torch_states
from dmzrep._base._validation import is_finite, is_int
from dmzrep.files._modules import check_weights
from dmzrep.files._state import require, take
from dmzrep.networks._model import custom_prefixes
from dmzrep.training._data import Epoch
from dmzrep.training._loop import Trainer
from dmzrep.training._optimization import align_moments


def trainer_state(trainer: Trainer) -> dict[str, Any]:
    """Return a copy of the state on the CPU."""
    state = {
        "model": trainer.model.state_dict(),
        "average": trainer.average.model.state_dict(),
        "best": trainer.early_stopping.weights,
        "optimizer": trainer.optimizer.state_dict()["state"],
        "order": trainer.order.get_state(),
        "noise": trainer.noise.get_state(),
        "noise_device": trainer.device.type,
        "torch_states": torch_states(trainer.device),
        "timesteps": trainer.timesteps,
        "decorrelation": trainer.code_terms.decorrelation,
        "counters": (trainer.epoch, trainer.step, trainer.images_seen, trainer.seconds),
        "start": (trainer.start_epoch, trainer.start_step, trainer.start_seconds),
        "freeze_step": trainer.freeze_step,
        "current": None if trainer.current is None else trainer.current.state(),
        "history": trainer.history,
        "scaler": trainer.scaler.state_dict(),
    }
    return _on_cpu(state)


def load_trainer_state(trainer: Trainer, state: dict[str, Any], *, new_run: bool = False) -> None:
    """Load the result of `trainer_state`, but keep the settings of this trainer.

    With `new_run`, epochs, time and the learning rate schedule start anew instead of being resumed.
    """
    trainer.model.load_state_dict(state["model"])
    trainer.average.model.load_state_dict(state["average"])
    groups = trainer.optimizer.state_dict()["param_groups"]
    slots = trainer.optimizer.usable(_on_cpu(state["optimizer"]))
    trainer.optimizer.load_state_dict({"state": slots, "param_groups": groups})
    align_moments(trainer.optimizer)
    trainer.order.set_state(state["order"])
    trainer.epoch, trainer.step, trainer.images_seen, seconds = state["counters"]
    if state["noise_device"] == trainer.device.type:
        trainer.noise.set_state(state["noise"])
    else:
        # States do not transfer between device types; the step avoids repeating noise.
        trainer.noise.manual_seed(trainer.validation_seed + trainer.step)
    trainer.torch_states = state["torch_states"]
    old = state["timesteps"]
    if (old.kind, old.n_timesteps) == (trainer.timesteps.kind, trainer.timesteps.n_timesteps):
        trainer.timesteps = copy.deepcopy(old)
    if trainer.code_terms.decorrelation is None:
        trainer.code_terms.decorrelation = state["decorrelation"]
    trainer.history = copy.deepcopy(state["history"])
    if trainer.scaler.is_enabled() and state["scaler"]:
        trainer.scaler.load_state_dict(state["scaler"])
    trainer.current = None
    if new_run:
        trainer.start_epoch, trainer.start_step, trainer.start_seconds = trainer.epoch, trainer.step, seconds
        return
    trainer.start_epoch, trainer.start_step, trainer.start_seconds = state["start"]
    trainer.freeze_step = state["freeze_step"]
    trainer.budget.before = seconds - trainer.start_seconds
    trainer.early_stopping.weights = {
        name: tensor.to(trainer.device, copy=True) for name, tensor in state["best"].items()
    }
    if state["current"] is not None:
        trainer.current = Epoch.from_state(_on_cpu(state["current"]), trainer.device)


def _on_cpu(value: Any) -> Any:
    """Copy nested dictionaries, lists and tensors to the CPU."""
    if isinstance(value, Tensor):
        # This keeps the memory format, in which the fused optimiser's moments must equal their weights.
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _on_cpu(part) for key, part in value.items()}
    return copy.deepcopy(value)


def encoded_state(trainer: Trainer) -> dict[str, Any]:
    """Return the state of a trainer in types that files support."""
    state = trainer_state(trainer)
    state["timesteps"] = {name: getattr(state["timesteps"], name) for name in ("history", "counts")}
    state["history"] = pd.DataFrame(state["history"])
    return state


def decoded_state(state: dict[str, Any], trainer: Trainer) -> dict[str, Any]:
    """Convert the result of `encoded_state` back; raise if it does not match the trainer."""
    template = trainer_state(trainer)
    take(state, *template)
    custom = custom_prefixes(trainer.model.config)
    for name in ("model", "average", "best"):
        if state[name] or name != "best":
            check_weights(trainer.model, state[name], custom)
    _check_optimizer(state["optimizer"], trainer)
    for name in ("counters", "start"):
        require(len(state[name]) == len(template[name]), f"{name} has another length")
        for value, like in zip(state[name], template[name], strict=True):
            valid = is_int(value) if is_int(like) else is_finite(value)
            require(valid and value >= 0, f"{name} must be counts")
    frozen = state["freeze_step"]
    require(frozen is None or (is_int(frozen) and frozen >= 0), "freeze_step must be a step")
    for generator_state in (state["order"], *state["torch_states"].values()):
        require(generator_state.dtype == torch.uint8, "states of generators must be bytes")
    torch.Generator().set_state(state["order"])
    if state["current"] is not None:
        order, seconds, images, losses = take(state["current"], "order", "seconds", "images", "losses")
        torch.Generator().set_state(order)
        require(is_finite(seconds) and is_int(images), "the current epoch must begin at a count")
        require(losses.ndim == 1 and losses.is_floating_point(), "losses must be floats")
    scalars = [*state["scaler"].values(), state["decorrelation"] or 0.0]
    require(all(map(is_finite, scalars)), "scaler and decorrelation must be finite")
    table = state["history"]
    require(isinstance(table, pd.DataFrame), "history must be a table")
    require(all(dtype.kind in "iuf" for dtype in table.dtypes), "history must be numeric")
    # NaN marks values that an epoch does not have.
    history = [
        {str(name): value for name, value in row.items() if value == value}
        for row in table.to_dict("records")
    ]
    return state | {"timesteps": _timesteps(state["timesteps"], trainer), "history": history}


def _check_optimizer(slots_of: dict[int, dict[str, Tensor]], trainer: Trainer) -> None:
    parameters = [one for group in trainer.optimizer.param_groups for one in group["params"]]
    for index, slots in slots_of.items():
        require(is_int(index) and 0 <= index < len(parameters), "the optimiser has other parameters")
        # The other optimiser may have trained a kernel before; see `MuonAdamW.usable`.
        take(slots, "step", "exp_avg", *slots.keys() & {"exp_avg_sq"})
        for name, value in slots.items():
            shape = torch.Size() if name == "step" else parameters[index].shape
            same = value.shape == shape and value.dtype == torch.float32
            require(same and bool(torch.isfinite(value).all()), f"{name} of the optimiser is invalid")


def _timesteps(values: dict[str, np.ndarray], trainer: Trainer) -> Any:
    timesteps = copy.deepcopy(trainer.timesteps)
    for name, value in zip(("history", "counts"), take(values, "history", "counts"), strict=True):
        like = getattr(timesteps, name)
        same = (value.shape, value.dtype) == (like.shape, like.dtype)
        valid = same and np.isfinite(value).all() and (name == "history" or (value >= 0).all())
        require(valid, f"{name} of timesteps is invalid")
        setattr(timesteps, name, value)
    return timesteps
