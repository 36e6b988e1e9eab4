"""Settings for custom and pretrained feature extractors of the encoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dmzrep.data import ImageFormat, VectorFormat
from dmzrep.networks._custom_encoder import check_extractor, describe_extractor, is_frozen, make_extractor
from dmzrep.networks._options import Network

#: Values of the parameter `encoder` that name a built-in encoder.
BUILT_IN = ("auto", "paper")
#: Parameters of the built-in encoders, with their defaults.
ENCODER_PARAMETERS: dict[str, Any] = {
    name: getattr(Network(), name) for name in ("encoder_width", "encoder_depth")
}
#: Values of `init` for vectors, and for an extractor.
INITS = ("auto", "cca", "itq", "neighbours", "pca", "random")


def has_extractor(encoder: Any) -> bool:
    """Whether a value of the parameter `encoder` is a feature extractor, not a built-in encoder."""
    return not (isinstance(encoder, str) and encoder in BUILT_IN)


def open_extractor(
    params: dict[str, Any], data_format: ImageFormat | VectorFormat, device: torch.device
) -> tuple[nn.Module | None, dict[str, Any]]:
    """Return a copy of the extractor on the device, and its fields of `NetworkConfig`.

    Without an extractor, None and no fields. Raises ValueError if it cannot be used, or if parameters
    conflict with it.
    """
    encoder = params["encoder"]
    if not has_extractor(encoder):
        return None, {}
    name = repr(encoder) if isinstance(encoder, str) else type(encoder).__name__
    for parameter, default in ENCODER_PARAMETERS.items():
        if params[parameter] != default:
            raise ValueError(
                f"{parameter}={params[parameter]!r} configures the built-in encoders, but encoder is "
                f"{name}. Use {parameter}={default!r}."
            )
    if params["init"] not in INITS:
        raise ValueError(
            f"init={params['init']!r} initialises the built-in encoder from images, but encoder is {name}. "
            f"Use one of {INITS}."
        )
    if params["conditioning"] == "none":
        raise ValueError(
            f"encoder is {name}, but a model with conditioning='none' has no code. Use encoder='auto', or "
            "another conditioning."
        )
    shape = data_format.shape
    extractor = make_extractor(encoder, data_format.from_model, shape).to(device)
    settings = {
        "extractor": describe_extractor(encoder),
        "extractor_features": check_extractor(extractor, shape, device),
        "extractor_frozen": is_frozen(extractor),
    }
    return extractor, settings
