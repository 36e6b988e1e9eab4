"""captum's methods behind one signature: a batch in model units to maps of its shape."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dmzrep._base._validation import check_choice, check_int
from dmzrep.attribution._targets import Score
from dmzrep.inference import Decoder
from dmzrep.networks._encoders import ConvEncoder, MLPEncoder

METHODS = ("integrated_gradients", "occlusion", "grad_cam")

#: From a batch, its baseline and what else its rows bring, to maps and convergence deltas.
Attribute = Callable[[Tensor, Tensor, tuple[Tensor, ...]], tuple[Tensor, Tensor | None]]


def check_method(method: str) -> None:
    """Raise unless the method is one that there is."""
    check_choice("method", method, METHODS)


class ScoredEncoder(nn.Module):
    """An encoder network followed by a score of its logits.

    Parameters
    ----------
    network : ConvEncoder or MLPEncoder
        Data in model units to logits.
    score : callable
        Logits, and what else rows bring, to one number a row.
    """

    def __init__(self, network: ConvEncoder | MLPEncoder, score: Score):
        super().__init__()
        self.network = network
        self.score = score

    def forward(self, x: Tensor, *extra: Tensor) -> Tensor:
        """Give one score a row, shape (n,)."""
        return self.score(self.network(x), *extra)


@dataclass(frozen=True)
class MethodOptions:
    """Options of all methods; each reads its own.

    Parameters
    ----------
    batch_size : int
        Rows that go through the network at once, at most.
    n_steps : int
        Of integrated gradients.
    window, stride : int
        Of occlusion, in pixels.
    layer : int
        Of Grad-CAM: place in the list of convolutions.
    """

    batch_size: int
    n_steps: int
    window: int
    stride: int
    layer: int


def check_options(
    model: Decoder, batch_size: Any, n_steps: Any, window: Any, stride: Any, layer: Any
) -> MethodOptions:
    """Settle the options of all methods; raise where one cannot be."""
    size = check_int(model.encoder_batch if batch_size is None else batch_size, "batch_size")
    side = min(model.data_shape[1:], default=1)
    window = check_int(max(1, side // 8) if window is None else window, "window", 1, side)
    stride = check_int(max(1, window // 2) if stride is None else stride, "stride", 1, window)
    # How many convolutions there are, Grad-CAM sees itself.
    layer = check_int(layer, "layer", -sys.maxsize)
    return MethodOptions(size, check_int(n_steps, "n_steps"), window, stride, layer)


def attributor(method: str, scored: ScoredEncoder, options: MethodOptions) -> Attribute:
    """Set up one of captum's methods."""
    if method == "occlusion":
        return _occlusion(scored, options)
    return _grad_cam(scored, options) if method == "grad_cam" else _integrated_gradients(scored, options)


def _integrated_gradients(scored: ScoredEncoder, options: MethodOptions) -> Attribute:
    from captum.attr import IntegratedGradients

    method = IntegratedGradients(scored)

    def attribute(x: Tensor, baseline: Tensor, extra: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        return method.attribute(
            x.requires_grad_(),
            baseline,
            additional_forward_args=extra or None,
            n_steps=options.n_steps,
            # captum goes through what it is told, rows or none.
            internal_batch_size=min(max(options.batch_size, len(x)), options.n_steps * len(x)),
            return_convergence_delta=True,
        )

    return attribute


def _occlusion(scored: ScoredEncoder, options: MethodOptions) -> Attribute:
    from captum.attr import Occlusion

    method = Occlusion(scored)

    def attribute(x: Tensor, baseline: Tensor, extra: tuple[Tensor, ...]) -> tuple[Tensor, None]:
        with torch.no_grad():
            maps = method.attribute(
                x,
                sliding_window_shapes=(x.shape[1], options.window, options.window),
                strides=(x.shape[1], options.stride, options.stride),
                baselines=baseline,
                additional_forward_args=extra or None,
                perturbations_per_eval=min(max(1, options.batch_size // len(x)), math.prod(x.shape[2:])),
            )
        return maps, None

    return attribute


def _grad_cam(scored: ScoredEncoder, options: MethodOptions) -> Attribute:
    from captum.attr import LayerAttribution, LayerGradCam

    assert isinstance(scored.network, ConvEncoder)
    activations = [layer for layer in scored.network.convolutions if isinstance(layer, nn.LeakyReLU)]
    if not -len(activations) <= options.layer < len(activations):
        raise ValueError(
            f"layer must be from {-len(activations)} to {len(activations) - 1}: the encoder has "
            f"{len(activations)} convolutions. Got {options.layer!r}."
        )
    method = LayerGradCam(scored, activations[options.layer])

    def attribute(x: Tensor, baseline: Tensor, extra: tuple[Tensor, ...]) -> tuple[Tensor, None]:
        coarse = method.attribute(x.requires_grad_(), additional_forward_args=extra or None)
        maps = LayerAttribution.interpolate(coarse, tuple(x.shape[2:]), interpolate_mode="bilinear")
        return maps.expand_as(x), None

    return attribute
