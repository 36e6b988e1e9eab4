"""AdamW with orthogonalised steps for convolution kernels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

#: Coefficients of the polynomial of a Newton-Schulz iteration, and the number of iterations (Jordan et al.).
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95
#: Root mean square of a step, as a multiple of the learning rate. Liu et al. take 0.2, that of AdamW's steps.
STEP_SIZE = 0.4


class MuonAdamW(torch.optim.AdamW):
    """AdamW, except for `kernels`, whose steps are orthogonalised momentum (Muon).

    The Nesterov momentum of a kernel, as a matrix of output channels by all other dimensions, is replaced by
    approximately the nearest orthogonal matrix, so that a step changes the output by about as much for every
    direction of the input.

    References
    ----------
    Jordan et al., "Muon: An Optimizer for Hidden Layers in Neural Networks", 2024. Liu et al., "Muon is
    Scalable for LLM Training", 2025 (size of the steps).
    """

    def __init__(self, groups: Iterable[dict[str, Any]], kernels: Iterable[Tensor], **options: Any):
        super().__init__(groups, **options)
        self._kernels = {id(kernel) for kernel in kernels}

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Make a step, as in `torch.optim.Optimizer`."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        # Set by a gradient scaler. AdamW skips steps with non-finite gradients itself.
        overflow = getattr(self, "found_inf", None)
        skipped = overflow is not None and bool(overflow.item())
        gradients = []
        for group in self.param_groups:
            directions = defaultdict(list)
            for kernel in group["params"]:
                if self._is_kernel(kernel) and kernel.grad is not None:
                    if not skipped:
                        directions[kernel.shape].append((kernel, self._direction(kernel)))
                    gradients.append((kernel, kernel.grad))
                    kernel.grad = None  # So that AdamW leaves the kernel as it is.
            for shape, pairs in directions.items():
                matrices = orthogonalised(torch.stack([direction.flatten(1) for _, direction in pairs]))
                size = STEP_SIZE * max(matrices.shape[1:]) ** 0.5
                for (kernel, _), matrix in zip(pairs, matrices, strict=True):
                    kernel.mul_(1.0 - group["lr"] * group["weight_decay"])
                    kernel.add_(matrix.view(shape), alpha=-group["lr"] * size)
        super().step()
        for kernel, gradient in gradients:
            kernel.grad = gradient
        return loss

    def usable(self, slots_of: dict[int, dict[str, Tensor]]) -> dict[int, dict[str, Tensor]]:
        """Return the parts of a saved state that fit parameters which another optimiser may have trained.

        Momentum serves both. Without second moments, AdamW begins anew.
        """
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        usable = {}
        for index, slots in slots_of.items():
            if self._is_kernel(parameters[index]):
                usable[index] = {name: slots[name] for name in ("step", "exp_avg")}
            elif "exp_avg_sq" in slots:
                usable[index] = slots
        return usable

    def _is_kernel(self, parameter: Tensor) -> bool:
        return id(parameter) in self._kernels

    def _direction(self, kernel: Tensor) -> Tensor:
        """Update the momentum of a kernel, and return Nesterov's."""
        gradient, slots = kernel.grad, self.state[kernel]
        assert gradient is not None
        if "exp_avg" not in slots:  # Names of AdamW's slots, which loading a state expects.
            slots |= {"step": torch.zeros(()), "exp_avg": torch.zeros_like(gradient)}
        slots["step"] += 1
        momentum = slots["exp_avg"].lerp_(gradient, 1.0 - MOMENTUM)
        return gradient.lerp(momentum, MOMENTUM)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Return matrices (..., m, n) with singular values moved near to 1, by Newton-Schulz iterations."""
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if is_tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if is_tall else x
