"""Group normalisation fused with scale, shift and activation; batch normalisation across processes."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Scale and shift per channel, each of shape (n, channels).
ScaleShiftPair = tuple[Tensor, Tensor]
#: Number of values per operation on CPUs: few enough for the cache, enough to use all cores.
CHUNK = 2**20


def group_norm(channels: int) -> nn.GroupNorm:
    """Return group normalisation with at most 32 groups of at least four channels."""
    return nn.GroupNorm(math.gcd(channels, max(1, min(32, channels // 4))), channels)


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation (Ioffe, Szegedy, 2015) of vectors or feature maps.

    `all_reduce` sums a tensor over the processes that share the batch, in place; None for one process.
    (`torch.nn.SyncBatchNorm` does not run on CPUs.)
    """

    all_reduce: Callable[[Tensor], Any] | None = None
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept vectors and feature maps of any dimension."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, ...) to the same shape."""
        if self.all_reduce is None or not self.training:
            return super().forward(x)
        # Centring keeps the variance from sums of squares accurate.
        centred = x.movedim(1, -1).float() - self.running_mean
        positions = centred.reshape(-1, centred.shape[-1])
        count = torch.full_like(self.running_mean, len(positions))
        sums = torch.stack([positions.sum(0), positions.square().sum(0), count])
        total, squares, count = _AllReduce.apply(sums, self.all_reduce)
        mean = total / count
        variance = (squares / count - mean * mean).clamp(min=0.0)
        h = (centred - mean) * (variance + self.eps).rsqrt()
        if self.weight is not None:
            h = h * self.weight + self.bias
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            share = 1.0 / self.num_batches_tracked if self.momentum is None else self.momentum
            self.running_var.lerp_(variance * count / (count - 1.0), share)
            self.running_mean.lerp_(self.running_mean + mean, share)
        return h.movedim(-1, 1).to(x.dtype)


class _AllReduce(torch.autograd.Function):
    """A sum over processes, whose gradient is the sum of the gradients of all processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, all_reduce: Callable[[Tensor], Any]) -> Tensor:
        ctx.all_reduce = all_reduce
        total = x.clone()
        all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous().clone()
        ctx.all_reduce(total)
        return total, None


def normalise(
    norm: nn.GroupNorm, x: Tensor, *modulations: ScaleShiftPair | None, activate: bool = False
) -> Tensor:
    """Apply a group normalisation, then each (scale, shift) of shape (n, channels), then SiLU if `activate`.

    A modulation is ``h * (1 + scale) + shift``; None is skipped. PyTorch's group normalisation of
    channels-last maps is slow on CPUs, especially in bf16, where it took a third of a training step
    (`benchmarks/training_speed.py`); `_Normalisation` sums over positions in float32 instead.
    """
    weight, bias = norm.weight[None], norm.bias[None]
    for modulation in modulations:
        if modulation is not None:
            factor = 1.0 + modulation[0]
            weight, bias = weight * factor, torch.addcmul(modulation[1], bias, factor)
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        return _Normalisation.apply(x, weight, bias, norm.num_groups, norm.eps, activate)
    h = F.group_norm(x, norm.num_groups, eps=norm.eps)
    h = torch.addcmul(bias[:, :, None, None], h, weight[:, :, None, None]).to(x.dtype)
    return F.silu(h) if activate else h


class _Normalisation(torch.autograd.Function):
    """SiLU(weight * (x - mean) / standard deviation + bias); weight and bias have shape (1 or n, channels).

    Computed in place in reused buffers, since allocating memory costs more than the arithmetic, for as many
    images at a time as fit in `CHUNK`.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, activate: bool
    ) -> Tensor:
        flat = _flat(x)
        _, positions, channels = flat.shape
        shape, count = (-1, groups, channels // groups), positions * (channels // groups)
        weight, bias = weight.view(shape), bias.view(shape)
        wide_type = torch.promote_types(x.dtype, torch.float32)
        result, saved = torch.empty_like(flat), []
        for part in _parts(flat):
            wide = _widened(flat[part], wide_type, 0)
            scratch = torch.mul(wide, wide, out=_buffer(1, wide.shape, wide_type))
            mean = wide.sum(1).view(shape).sum(2, keepdim=True).div_(count)
            inverse = scratch.sum(1).view(shape).sum(2, keepdim=True).div_(count)
            inverse.addcmul_(mean, mean, value=-1.0).clamp_min_(0.0).add_(eps).rsqrt_()
            scale = inverse * _of(weight, part)
            shift = torch.addcmul(_of(bias, part), mean, scale, value=-1.0)
            h = torch.addcmul(shift.view(-1, 1, channels), wide, scale.view(-1, 1, channels), out=scratch)
            result[part] = F.silu(h, inplace=True) if activate else h
            saved += [mean, inverse, scale, shift]
        ctx.save_for_backward(flat, weight, *saved)
        ctx.activate, ctx.shared = activate, (len(weight) == 1, len(bias) == 1)
        return _map(result, x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        flat, weight, *saved = ctx.saved_tensors
        _, positions, channels = flat.shape
        shape, count = (-1, *weight.shape[1:]), positions * weight.shape[2]
        above, result, of_weight, of_bias = _flat(gradients[0]), torch.empty_like(flat), [], []
        for i, part in enumerate(_parts(flat)):
            mean, inverse, scale, shift = saved[4 * i : 4 * i + 4]
            wide, gradient = _widened(flat[part], scale.dtype, 0), _widened(above[part], scale.dtype, 1)
            spread = (len(wide), 1, channels)
            scratch = _buffer(2, wide.shape, scale.dtype)
            if ctx.activate:
                torch.addcmul(shift.view(spread), wide, scale.view(spread), out=scratch)
                silued = _buffer(1, wide.shape, scale.dtype)
                gradient = torch.ops.aten.silu_backward(gradient, scratch, grad_input=silued)
            torch.mul(gradient, wide, out=scratch)
            bias_part = gradient.sum(1).view(shape)
            weight_part = scratch.sum(1).view(shape)
            weight_part.addcmul_(mean, bias_part, value=-1.0).mul_(inverse)
            # With y = (x - mean) inverse and g the gradient times weight, x's gradient is
            # inverse (g - mean of g - y mean of g y), means over a group: linear in the gradient and x.
            part_weight = _of(weight, part)
            slope = (weight_part * part_weight).sum(2, keepdim=True).mul_(inverse).mul_(inverse)
            slope.div_(-count)
            offset = (bias_part * part_weight).sum(2, keepdim=True).mul_(inverse).div_(-count)
            offset.addcmul_(mean, slope, value=-1.0)
            offset, slope = (v.expand_as(scale).reshape(spread) for v in (offset, slope))
            torch.addcmul(offset, wide, slope, out=scratch)
            result[part] = scratch.addcmul_(gradient, scale.view(spread))
            of_weight.append(weight_part.view(-1, channels))
            of_bias.append(bias_part.view(-1, channels))
        sums = [parts[0] if len(parts) == 1 else torch.cat(parts) for parts in (of_weight, of_bias)]
        sums = [s.sum(0, keepdim=True) if shared else s for s, shared in zip(sums, ctx.shared, strict=True)]
        return _map(result, gradients[0]), *sums, None, None, None


def _parts(flat: Tensor) -> list[slice]:
    """Return slices of the images, of at most `CHUNK` values unless one image has more."""
    size = max(1, CHUNK // flat[0].numel())
    return [slice(start, start + size) for start in range(0, len(flat), size)]


class _Buffers(threading.local):
    """Buffers of a thread, by slot and dtype."""

    def __init__(self) -> None:
        self.held: dict[tuple[int, torch.dtype], Tensor] = {}


_BUFFERS = _Buffers()


def _buffer(slot: int, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Return uninitialised memory that all calls in a thread reuse, so that it stays in the cache."""
    size = math.prod(shape)
    held = _BUFFERS.held.get((slot, dtype))
    if held is None or held.numel() < size:
        with torch.inference_mode(False):  # Inference tensors cannot be written to in training.
            held = torch.empty(max(size, CHUNK), dtype=dtype)
        _BUFFERS.held[slot, dtype] = held
    return held[:size].view(shape)


def _widened(values: Tensor, dtype: torch.dtype, slot: int) -> Tensor:
    """Convert values to a dtype, in a buffer if it differs."""
    return values if values.dtype == dtype else _buffer(slot, values.shape, dtype).copy_(values)


def _of(values: Tensor, part: slice) -> Tensor:
    """Return the values of some samples; a single value is shared by all."""
    return values if len(values) == 1 else values[part]


def _flat(x: Tensor) -> Tensor:
    """Return a feature map as (n, positions, channels): a view if it is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(len(x), -1, x.shape[1])


def _map(flat: Tensor, like: Tensor) -> Tensor:
    """Undo `_flat`."""
    n, channels, height, width = like.shape
    return flat.view(n, height, width, channels).permute(0, 3, 1, 2)
