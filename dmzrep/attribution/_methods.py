"""Attribution methods of captum with one signature: from a batch in model units to maps of its shape."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dmzrep._base._validation import check_choice, check_int, is_int
from dmzrep.attribution._targets import Score
from dmzrep.inference import Decoder
from dmzrep.networks._encoders import ConvEncoder

METHODS = ("integrated_gradients", "occlusion", "grad_cam")

#: From a batch, its baseline and further inputs of the score, to maps and convergence deltas.
Attribute = Callable[[Tensor, Tensor, tuple[Tensor, ...]], tuple[Tensor, Tensor | None]]


class ScoredEncoder(nn.Module):
    """An encoder network followed by a score of its logits: data in model units to one value per sample."""

    def __init__(self, network: nn.Module, score: Score):
        super().__init__()
        self.network = network
        self.score = score

    def forward(self, x: Tensor, *extra: Tensor) -> Tensor:
        return self.score(self.network(x), *extra)


def attributor(
    scored: ScoredEncoder,
    model: Decoder,
    method: str,
    *,
    batch_size: int,
    n_steps: Any,
    window: Any,
    stride: Any,
    layer: Any,
) -> Attribute:
    """Set up one of captum's methods; options are those of `attribute_bits`."""
    from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam, Occlusion

    check_choice("method", method, METHODS)
    n_steps = check_int(n_steps, "n_steps")
    if not is_int(layer):
        raise ValueError(f"layer must be an integer, negative to count from the last, got {layer!r}.")
    side = min(model.data_shape[1:], default=1)
    window = check_int(max(1, side // 8) if window is None else window, "window", 1, side)
    stride = check_int(max(1, window // 2) if stride is None else stride, "stride", 1, window)

    if method == "integrated_gradients":
        integrated = IntegratedGradients(scored)

        def integrate(x: Tensor, baseline: Tensor, extra: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            return integrated.attribute(
                x.requires_grad_(),
                baseline,
                additional_forward_args=extra or None,
                n_steps=n_steps,
                # captum runs empty batches where this exceeds the number of points.
                internal_batch_size=min(max(batch_size, len(x)), n_steps * len(x)),
                return_convergence_delta=True,
            )

        return integrate
    if method == "occlusion":
        occlusion = Occlusion(scored)

        @torch.no_grad()
        def occlude(x: Tensor, baseline: Tensor, extra: tuple[Tensor, ...]) -> tuple[Tensor, None]:
            maps = occlusion.attribute(
                x,
                sliding_window_shapes=(x.shape[1], window, window),
                strides=(x.shape[1], stride, stride),
                baselines=baseline,
                additional_forward_args=extra or None,
                perturbations_per_eval=min(max(1, batch_size // len(x)), math.prod(x.shape[2:])),
            )
            return maps, None

        return occlude

    assert isinstance(scored.network, ConvEncoder)
    activations = [module for module in scored.network.convolutions if isinstance(module, nn.LeakyReLU)]
    if not -len(activations) <= layer < len(activations):
        raise ValueError(
            f"layer must be from {-len(activations)} to {len(activations) - 1}: the encoder has "
            f"{len(activations)} convolutions. Got {layer!r}."
        )
    grad_cam = LayerGradCam(scored, activations[layer])

    def activate(x: Tensor, baseline: Tensor, extra: tuple[Tensor, ...]) -> tuple[Tensor, None]:
        coarse = grad_cam.attribute(x.requires_grad_(), additional_forward_args=extra or None)
        maps = LayerAttribution.interpolate(coarse, tuple(x.shape[2:]), interpolate_mode="bilinear")
        return maps.expand_as(x), None

    return activate
