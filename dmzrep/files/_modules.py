"""Construction of networks for stored weights, within the memory that the weights need."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

#: Number of values that building a network may allocate besides its weights.
SPARE_VALUES = 2**23
#: Functions of torch that create a tensor of a given shape.
_CREATORS = {"empty", "zeros", "ones", "full", "rand", "randn", "randint", "randperm", "eye", "arange"}
#: Methods that draw initial weights; skipped, since stored weights replace them.
_INITIALISERS = {"uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_"}
_INITIALISERS |= {"xavier_uniform_"}


class _Budget(TorchFunctionMode):
    """Refuses, before allocation, a tensor that would exceed a total number of values."""

    def __init__(self, n_values: int):
        super().__init__()
        self.left = n_values

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in _INITIALISERS:
            return args[0] if args else next(iter(kwargs.values()))
        if name in _CREATORS:
            sides = args[0] if args and isinstance(args[0], (tuple, list)) else args
            if name == "eye" and len(sides) == 1:
                sides = (*sides, *sides)
            self.left -= math.prod(side for side in sides if isinstance(side, int))
            if self.left < 0:
                raise ValueError("the networks need more memory than their weights have")
        return func(*args, **(kwargs or {}))


def build_module(
    make: Callable[[], nn.Module], weights: Mapping[str, Tensor], *, custom: tuple[str, ...] = ()
) -> nn.Module:
    """Build a network with `make` and load stored weights.

    Weights of custom modules, whose names begin with one of `custom`, may be non-finite. Raise ValueError if
    the network needs much more memory than the weights, or other weights. The meta device would also avoid
    allocation, but its import takes a second.
    """
    with _Budget(2 * sum(tensor.numel() for tensor in weights.values()) + SPARE_VALUES):
        module = make()
    check_weights(module, weights, custom)
    module.load_state_dict(dict(weights))
    return module


def check_weights(module: nn.Module, weights: Mapping[str, Tensor], custom: tuple[str, ...]) -> None:
    """Raise unless weights are finite and match a module in names, shapes and dtypes."""
    needed = module.state_dict()
    for name in sorted(needed.keys() | weights.keys()):
        stored, wanted = _described(weights.get(name)), _described(needed.get(name))
        if stored != wanted:
            raise ValueError(f"{name[:100]} is {stored} in the file, {wanted} in the network")
        tensor = weights[name]
        if name.startswith(custom):
            continue
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} has non-finite values")
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise ValueError(f"{name} has negative variances")


def _described(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else f"{tensor.dtype} of shape {tuple(tensor.shape)}"
