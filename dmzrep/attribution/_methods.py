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

#: From a batch, its baseline and further inputs of the score, to maps and convergence deltas.
Attribute = Callable[[Tensor, Tensor, tuple[Tensor, ...]], tuple[Tensor, Tensor | None]]


class ScoredEncoder(nn.Module):
    """An encoder network followed by a score of its logits: data in model units to one value per sample."""

    def __init__(self, network: ConvEncoder | MLPEncoder, score: Score):
        super().__init__()
        self.network = network
        self.score = score

    def forward(self, x: Tensor, *extra: Tensor) -> Tensor:
        return self.score(self.network(x), *extra)


@dataclass(frozen=True)
class MethodOptions:
    """Options of all methods, as documented in `attribute_bits`; each method uses its own."""

    method: str
    batch_size: int
    n_steps: int
    window: int
    stride: int
    layer: int


def check_options(
    model: Decoder, method: Any, batch_size: Any, n_steps: Any, window: Any, stride: Any, layer: Any
) -> MethodOptions:
    """Resolve the options of all methods; raise where one is invalid."""
    check_choice("method", method, METHODS)
    size = check_int(model.encoder_batch if batch_size is None else batch_size, "batch_size")
    side = min(model.data_shape[1:], default=1)
    window = check_int(max(1, side // 8) if window is None else window, "window", 1, side)
    stride = check_int(max(1, window // 2) if stride is None else stride, "stride", 1, window)
    layer = check_int(layer, "layer", -sys.maxsize)  # Grad-CAM checks the number of convolutions.
    return MethodOptions(method, size, check_int(n_steps, "n_steps"), window, stride, layer)


def attributor(scored: ScoredEncoder, options: MethodOptions) -> Attribute:
    """Set up one of captum's methods."""
    from captum.attr import IntegratedGradients

    if options.method == "grad_cam":
        return _grad_cam(scored, options.layer)
    if options.method == "occlusion":
        return _occlusion(scored, options)
    integrated = IntegratedGradients(scored)

    def attribute(x: Tensor, baseline: Tensor, extra: tuple[Tensor, ...]) -> tuple[Tensor, Tensor | None]:
        return integrated.attribute(
            x.requires_grad_(),
            baseline,
            additional_forward_args=extra or None,
            n_steps=options.n_steps,
            # captum runs empty batches where this exceeds the number of points.
            internal_batch_size=min(max(options.batch_size, len(x)), options.n_steps * len(x)),
            return_convergence_delta=True,
        )

    return attribute


def _occlusion(scored: ScoredEncoder, options: MethodOptions) -> Attribute:
    from captum.attr import Occlusion

    occlusion = Occlusion(scored)

    def attribute(x: Tensor, baseline: Tensor, extra: tuple[Tensor, ...]) -> tuple[Tensor, Tensor | None]:
        with torch.no_grad():
            maps = occlusion.attribute(
                x,
                sliding_window_shapes=(x.shape[1], options.window, options.window),
                strides=(x.shape[1], options.stride, options.stride),
                baselines=baseline,
                additional_forward_args=extra or None,
                perturbations_per_eval=min(max(1, options.batch_size // len(x)), math.prod(x.shape[2:])),
            )
        return maps, None

    return attribute


def _grad_cam(scored: ScoredEncoder, layer: int) -> Attribute:
    from captum.attr import LayerAttribution, LayerGradCam

    assert isinstance(scored.network, ConvEncoder)
    activations = [module for module in scored.network.convolutions if isinstance(module, nn.LeakyReLU)]
    if not -len(activations) <= layer < len(activations):
        raise ValueError(
            f"layer must be from {-len(activations)} to {len(activations) - 1}: the encoder has "
            f"{len(activations)} convolutions. Got {layer!r}."
        )
    method = LayerGradCam(scored, activations[layer])

    def attribute(x: Tensor, baseline: Tensor, extra: tuple[Tensor, ...]) -> tuple[Tensor, Tensor | None]:
        coarse = method.attribute(x.requires_grad_(), additional_forward_args=extra or None)
        maps = LayerAttribution.interpolate(coarse, tuple(x.shape[2:]), interpolate_mode="bilinear")
        return maps.expand_as(x), None

    return attribute
