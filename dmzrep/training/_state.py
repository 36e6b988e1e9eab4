"""The state of a training run: everything that resuming it needs."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from torch import Tensor

from dmzrep._base._random import torch_states
from dmzrep.training._optimization import align_moments
from dmzrep.training._progress import Epoch

if TYPE_CHECKING:
    from dmzrep.training._loop import Trainer


def trainer_state(trainer: Trainer) -> dict[str, Any]:
    """A copy of everything that resuming needs, on the CPU."""
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
        "start": (trainer.start_epoch, trainer.start_step, trainer.start_seconds, trainer.freeze_step),
        "current": None if trainer.current is None else trainer.current.state(),
        "history": trainer.history,
        "scaler": trainer.scaler.state_dict(),
    }
    return _on_cpu(state)


def load_trainer_state(trainer: Trainer, state: dict[str, Any], new_run: bool) -> None:
    """Take over what `trainer_state` returned; see `Trainer.load_state`."""
    trainer.model.load_state_dict(state["model"])
    trainer.average.model.load_state_dict(state["average"])
    groups = trainer.optimizer.state_dict()["param_groups"]
    trainer.optimizer.load_state_dict({"state": _on_cpu(state["optimizer"]), "param_groups": groups})
    align_moments(trainer.optimizer)
    trainer.order.set_state(state["order"])
    trainer.epoch, trainer.step, trainer.images_seen, seconds = state["counters"]
    if state["noise_device"] == trainer.device.type:
        trainer.noise.set_state(state["noise"])
    else:
        # Generators of two kinds of device share no state; the step keeps noise from repeating.
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
    trainer.start_epoch, trainer.start_step, trainer.start_seconds, trainer.freeze_step = state["start"]
    trainer.budget.before = seconds - trainer.start_seconds
    trainer.early_stopping.weights = {
        name: tensor.to(trainer.device, copy=True) for name, tensor in state["best"].items()
    }
    if state["current"] is not None:
        trainer.current = Epoch.from_state(_on_cpu(state["current"]), trainer.device)


def _on_cpu(value: Any) -> Any:
    """Copy nested dictionaries, lists and tensors, tensors to the CPU."""
    if isinstance(value, Tensor):
        # The memory format is kept: a fused optimiser's moments are laid out as their weights.
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _on_cpu(part) for key, part in value.items()}
    return copy.deepcopy(value)
