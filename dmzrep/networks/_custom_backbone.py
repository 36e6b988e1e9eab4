"""Custom modules: copying and descriptions for files; checks of custom denoisers on a small batch."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from dmzrep._base._warnings import warn
from dmzrep.errors import CodeWarning

#: Value of `backbone` and `conditioning` in `NetworkConfig` for a custom denoiser.
CUSTOM = "custom"


def describe_module(module: nn.Module) -> str:
    """Return the name of a module's class and a digest of the shapes of its state."""
    shapes = [f"{name} {tuple(value.shape)}" for name, value in sorted(module.state_dict().items())]
    return f"{type(module).__qualname__} {hashlib.sha256(repr(shapes).encode()).hexdigest()[:12]}"


def copy_module(module: nn.Module, name: str) -> nn.Module:
    """Copy the custom module that parameter `name` holds; raise if it cannot be copied or saved."""
    kinds = sorted({str(p.dtype) for p in module.parameters()} - {"torch.float32"})
    if kinds:
        raise ValueError(
            f"{name} has weights of {', '.join(kinds)}; float32 is needed, and `precision` sets the "
            f"arithmetic. Use {name}={name}.float()."
        )
    if any(tensor.is_meta for tensor in [*module.parameters(), *module.buffers()]):
        raise ValueError(
            f"{name} has tensors on the 'meta' device, which hold no values. Materialise them "
            f"with {name}.to_empty(device='cpu') and load its weights."
        )
    others = sorted(key for key, value in module.state_dict().items() if not isinstance(value, Tensor))
    if others:
        raise ValueError(f"{name} has {others} in its state_dict, but files hold tensors only. Remove them.")
    try:
        return copy.deepcopy(module)
    except Exception as error:
        raise ValueError(
            f"{name} cannot be copied, which fit does to leave it unchanged: {error!r}. "
            f"copy.deepcopy({name}) has to work: keep parameters, buffers and plain values only."
        ) from error


def keep_frozen(trained: nn.Module, module: nn.Module) -> None:
    """Freeze the parameters of a copy that are frozen in the original module."""
    original = dict(module.named_parameters())
    for name, parameter in trained.named_parameters():
        parameter.requires_grad_(original[name].requires_grad)


def check_backbone(
    denoiser: nn.Module,
    data_shape: tuple[int, ...],
    latent_dim: int,
    learn_variance: bool,
    device: torch.device,
    arithmetic: AbstractContextManager | None = None,
) -> None:
    """Run a custom denoiser on two samples, forward and backward as in training, without changing it.

    `denoiser` is the copy to be trained, on `device`; `arithmetic` is the autocast context of training. Raise
    unless it returns a finite tensor of the right shape with gradients; warn if the output ignores z.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, *data_shape, generator=generator).to(device)
    if len(data_shape) == 3:
        x = x.contiguous(memory_format=torch.channels_last)
    t = torch.tensor([1.0, 998.5], device=device)
    z = torch.rand(2, latent_dim, generator=generator).to(device)
    was_training = denoiser.training
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices), arithmetic or nullcontext():
            # Without dropout, so that outputs can be compared.
            denoiser.eval()
            z.requires_grad_(True)
            out = _run(denoiser, x.clone(memory_format=torch.preserve_format), t, z)
            remedy = "Return the tensor in it (dmzrep.DiffusersBackbone does so for UNets of diffusers)."
            check_tensor("backbone(x, t, z)", out, remedy)
            _check_shape(out, x, learn_variance)
            if _gradient(denoiser, out, z) is None:
                _warn_about_code(denoiser, x, t, z)
            kept = x.clone()
            with torch.no_grad():
                _run(denoiser, x, t, z.detach())
            if not torch.equal(x, kept):
                raise ValueError(
                    "backbone changes its input x in place. Clone x in forward before modifying it."
                )
    finally:
        denoiser.train(was_training)


def _run(denoiser: nn.Module, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
    shapes = f"x {tuple(x.shape)} float32, t {tuple(t.shape)} float32 and z {tuple(z.shape)} float32"
    timesteps = " Timesteps are float32 in [0, 1000); t.long() makes them indices."
    with explained(f"backbone(x, t, z) on {shapes}, on {x.device},", timesteps):
        return denoiser(x, t, z)


@contextmanager
def explained(call: str, about_dtypes: str = "") -> Iterator[None]:
    """Name the call in errors of a custom module, with a hint; `about_dtypes` is that for a wrong dtype."""
    try:
        yield
    except Exception as error:
        hint = ""
        if "view" in str(error):
            hint = " Images are in channels-last memory format: use reshape in place of view."
        elif "device" in str(error):
            hint = " Every tensor must be a parameter or a buffer, so that it moves with the module."
        elif any(word in str(error).lower() for word in ("dtype", "scalar type", "indices")):
            hint = about_dtypes
        raise ValueError(f"{call} failed: {type(error).__name__}: {error}.{hint}") from error


def check_tensor(call: str, out: Any, remedy: str) -> None:
    """Raise unless a custom module returns a tensor of finite numbers; `remedy` is for other types."""
    if not isinstance(out, Tensor):
        raise ValueError(f"{call} must return a tensor, got {type(out).__name__}. {remedy}")
    if not out.is_floating_point():
        raise ValueError(f"{call} must return floating-point numbers, got {out.dtype}.")
    if not torch.isfinite(out).all():
        raise ValueError(f"{call} returns NaN or infinity for noise. Check its weights.")


def _check_shape(out: Tensor, x: Tensor, learn_variance: bool) -> None:
    single = tuple(x.shape)
    double = (single[0], 2 * single[1], *single[2:])
    wanted, other = (double, single) if learn_variance else (single, double)
    if tuple(out.shape) != wanted:
        why = "twice x's channels, for learn_variance=True" if learn_variance else "x's own shape"
        remedy = f" Or set learn_variance={not learn_variance}." if tuple(out.shape) == other else ""
        raise ValueError(
            f"backbone(x, t, z) must return {why}: {wanted} for x {single}, got {tuple(out.shape)}.{remedy}"
        )


def _gradient(denoiser: nn.Module, out: Tensor, z: Tensor) -> Tensor | None:
    """Return the gradient with respect to z, if any; raise if no parameter has a gradient."""
    message = (
        "backbone's output has no gradient for its parameters, so that nothing can be trained. "
        "forward must not detach, use torch.no_grad, or convert to NumPy."
    )
    parameters = [p for p in denoiser.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(
            "backbone has no parameters that require a gradient, so that nothing can be trained. "
            "Call backbone.requires_grad_(True), or pass another module."
        )
    if not out.requires_grad:
        raise ValueError(message)
    gradients = torch.autograd.grad(out.float().square().mean(), [z, *parameters], allow_unused=True)
    if all(gradient is None for gradient in gradients[1:]):
        raise ValueError(message)
    return gradients[0]


def _warn_about_code(denoiser: nn.Module, x: Tensor, t: Tensor, z: Tensor) -> None:
    with torch.no_grad():
        outputs = [_run(denoiser, x.clone(), t, torch.full_like(z, bit)) for bit in (0.0, 1.0)]
    same = torch.equal(*outputs)
    what = "ignores z: its output is the same for all codes" if same else "passes no gradient back to z"
    warn(
        f"backbone {what}, so that the encoder cannot learn. Use z (relaxed bits in [0, 1]) in "
        "differentiable operations in forward.",
        CodeWarning,
    )
