"""Parameters of the constructor: constraints and groups."""

from __future__ import annotations

import functools
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import torch
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from dmzrep._base._parameters import ParameterGroup
from dmzrep.datasets import ImageReader
from dmzrep.networks import Network
from dmzrep.networks._device import PRECISIONS
from dmzrep.networks._efficientnet import EFFICIENTNET
from dmzrep.priors import PRIORS, CodePrior
from dmzrep.training import RandomViews, Training

OUTPUTS = ("probabilities", "logits", "bits")
#: Parameters of the estimator that are groups.
GROUPS: dict[str, type[ParameterGroup]] = {"network": Network, "training": Training}

_POSITIVE_INT = Interval(Integral, 1, None, closed="left")
_COUNT = Interval(Integral, 0, None, closed="left")
_POSITIVE = Interval(Real, 0, None, closed="neither")

#: Constraints for scikit-learn's parameter validation, in the order of the constructor.
PARAMETER_CONSTRAINTS: dict = {
    "latent_dim": [_POSITIVE_INT],
    "output": [StrOptions(set(OUTPUTS))],
    "image_shape": [tuple, list, None],
    "channels": [StrOptions({"auto", "first", "last"})],
    "value_range": [StrOptions({"auto"}), tuple, list],
    "image_reader": [ImageReader, None],
    "encoder": [StrOptions({"auto", "paper", EFFICIENTNET}), torch.nn.Module, HasMethods("transform")],
    "backbone": [StrOptions({"auto", "unet", "mlp"}), torch.nn.Module],
    "init": [StrOptions({"auto", "cca", "contrast_pca", "itq", "neighbours", "pca", "random"})],
    "augment": [StrOptions({"flip"}), None],
    "encoder_augment": [StrOptions({"auto", "affine", "affine_flip"}), RandomViews, None],
    "code_dropout": [Interval(Real, 0, 1, closed="left")],
    "ordered": ["boolean"],
    "prior": [StrOptions({"auto", *PRIORS}), CodePrior],
    "max_iter": [_COUNT],
    "max_time": [_POSITIVE, None],
    "batch_size": [_POSITIVE_INT],
    "learning_rate": [_POSITIVE],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "early_stopping": ["boolean"],
    "n_iter_no_change": [_POSITIVE_INT],
    "warm_start": ["boolean"],
    "checkpoint_dir": [str, HasMethods("__fspath__"), None],
    "checkpoint_every": [StrOptions({"epoch"}), _POSITIVE],
    "network": [Network, None],
    "training": [Training, None],
    "device": [str, torch.device],
    "precision": [StrOptions(set(PRECISIONS))],
    "random_state": ["random_state"],
    "verbose": ["boolean", _COUNT],
}


def validate_parameters(estimator: Any) -> None:
    """Check each parameter of an estimator and its groups independently."""
    estimator._validate_params()
    for name in (*GROUPS, "encoder_augment", "image_reader"):
        group = getattr(estimator, name)
        if isinstance(group, ParameterGroup):
            group._validate_params()


def own_parameters(estimator: Any) -> dict[str, Any]:
    """Return the parameters, including those that the constructor of a subclass sets."""
    return {name: getattr(estimator, name) for name in PARAMETER_CONSTRAINTS}


def all_parameters(estimator: Any) -> dict[str, Any]:
    """Return the parameters of an estimator and its groups in one dictionary, without the groups."""
    params = own_parameters(estimator)
    for name, kind in GROUPS.items():
        group = params.pop(name)
        params |= (kind() if group is None else group).get_params(deep=False)
    return params


def split_parameters(params: dict[str, Any]) -> dict[str, Any]:
    """Undo `all_parameters`: put the parameters of groups into groups."""
    result = dict(params)
    for name, kind in GROUPS.items():
        own = {key: result.pop(key) for key in kind._parameter_constraints if key in result}
        if own:
            result[name] = kind(**own)
    return result


def nested_names(params: dict[str, Any]) -> dict[str, Any]:
    """Rename the parameters of groups to the nested names that `set_params` takes."""
    groups = {name: group_of(name) for name in params}
    return {f"{groups[name]}__{name}" if groups[name] else name: value for name, value in params.items()}


def group_of(name: str) -> str | None:
    """Return the group that holds a parameter, or None."""
    return next((group for group, kind in GROUPS.items() if name in kind._parameter_constraints), None)


def point_to_groups(init: Callable[..., None]) -> Callable[..., None]:
    """Make a constructor raise for parameters of groups, with the name of the group."""

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            group = group_of(name)
            if group is not None:
                raise TypeError(
                    f"{type(self).__name__} has no parameter {name!r}: it belongs to `{group}`. Use "
                    f"{group}={GROUPS[group].__name__}({name}=...), or {group}__{name} in set_params and "
                    "in parameter grids."
                )
        init(self, *args, **kwargs)

    return checked
