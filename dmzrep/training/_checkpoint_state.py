"""The state of a trainer from a file, checked against a new trainer."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dmzrep._base._validation import is_finite, is_int
from dmzrep.files._modules import check_weights
from dmzrep.files._state import require, take
from dmzrep.training._loop import Trainer


def checked_state(state: dict[str, Any], trainer: Trainer) -> dict[str, Any]:
    """Return the state of a checkpoint as `Trainer.load_state` takes it.

    Raises
    ------
    Exception
        Of any kind, where it is not the state of such a trainer.
    """
    template = trainer.state()
    take(state, *template)
    custom = "denoiser." if trainer.model.config.module is not None else None
    check_weights(trainer.model, state["model"], custom)
    check_weights(trainer.average.model, state["average"], custom)
    if state["best"]:
        check_weights(trainer.average.model, state["best"], custom)
    _check_optimizer(state["optimizer"], trainer)
    for name in ("counters", "start"):
        wanted = template[name]
        same = isinstance(state[name], tuple) and len(state[name]) == len(wanted)
        require(
            same and all(is_finite(number) and number >= 0 for number in state[name]),
            f"{name} must be counts",
        )
        counts = zip(state[name], wanted, strict=True)
        require(all(is_int(number) for number, one in counts if is_int(one)), f"{name} must be whole numbers")
    for generator_state in (state["order"], *state["torch_states"].values()):
        require(generator_state.dtype == torch.uint8, "states of generators must be bytes")
    _check_generator(state["order"])
    if state["current"] is not None:
        order, seconds, images, losses = take(state["current"], "order", "seconds", "images", "losses")
        _check_generator(order)
        require(is_finite(seconds) and is_int(images), "the epoch in progress must begin at a count")
        require(losses.ndim == 1 and losses.is_floating_point(), "losses must be numbers")
    require(all(is_finite(number) for number in state["scaler"].values()), "the scaler must hold numbers")
    require(
        state["decorrelation"] is None or is_finite(state["decorrelation"]), "decorrelation must be finite"
    )
    return state | {
        "timesteps": _timesteps(state["timesteps"], trainer),
        "history": _history(state["history"]),
    }


def _history(table: pd.DataFrame) -> list[dict[str, float]]:
    """Return the rows of a history, without the numbers that an epoch does not have."""
    require(isinstance(table, pd.DataFrame), "history must be a table")
    require(all(dtype.kind in "iuf" for dtype in table.dtypes), "history must be numbers")
    rows = table.to_dict("records")
    return [{str(name): number for name, number in row.items() if number == number} for row in rows]


def _check_optimizer(slots_of: dict[int, dict[str, Tensor]], trainer: Trainer) -> None:
    parameters = [one for group in trainer.optimizer.param_groups for one in group["params"]]
    for index, slots in slots_of.items():
        require(is_int(index) and 0 <= index < len(parameters), "the optimiser has other parameters")
        take(slots, "step", "exp_avg", "exp_avg_sq")
        for name, value in slots.items():
            shape = torch.Size() if name == "step" else parameters[index].shape
            require(
                value.shape == shape and value.dtype == torch.float32, f"{name} has another shape or dtype"
            )
            require(bool(torch.isfinite(value).all()), f"{name} must be finite")


def _check_generator(state: Tensor) -> None:
    torch.Generator().set_state(state)


def _timesteps(values: dict[str, np.ndarray], trainer: Trainer) -> Any:
    history, counts = take(values, "history", "counts")
    timesteps = copy.deepcopy(trainer.timesteps)
    same = (history.shape, history.dtype) == (timesteps.history.shape, timesteps.history.dtype)
    require(same and np.isfinite(history).all(), "losses of timesteps must be finite")
    same = (counts.shape, counts.dtype) == (timesteps.counts.shape, timesteps.counts.dtype)
    require(same and (counts >= 0).all(), "counts of timesteps must be counts")
    timesteps.history, timesteps.counts = history, counts
    return timesteps
