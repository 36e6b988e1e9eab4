"""Default network shapes by the shape of the data, and those of the paper."""

from __future__ import annotations

import math
from typing import Any

from dmzrep._base._validation import check_choice
from dmzrep.networks._options import Network

#: Parameters of `DMZEncoder` for the paper's experiments, by data set, as in the authors' published commands
#: (github.com/exlab-research/dmz).
PAPER_RECIPES: dict[str, dict[str, Any]] = {}

_PAPER_COMMON: dict[str, Any] = {
    "backbone": "unet",
    "depth": 3,
    "patch_size": 1,
    "conditioning": "bias",
    "code_input": "one_hot",
    "encoder": "paper",
    "encoder_width": 32,
    "encoder_depth": 0,
    "normalize_logits": False,
    "init": "random",
    "objective": "epsilon",
    "learn_variance": True,
    "noise_schedule": "cosine",
    "n_timesteps": 1000,
    "timestep_sampling": "loss_second_moment",
    "temperature": 1.0,
    "optimizer": "adamw",
    "prior": "uniform",
    "batch_size": 128,
    "learning_rate": 1e-4,
    "final_learning_rate": 1.0,
    # EMA 0.9999 per step at batch 128: ln 2 / -ln 0.9999 steps of half-life.
    "ema_half_life": 128 * math.log(2.0) / -math.log(0.9999),
    "augment": "flip",
    "encoder_augment": None,
}
PAPER_RECIPES["cifar10"] = _PAPER_COMMON | {
    "latent_dim": 16,
    "width": (128, 256, 256, 256),
    "attention": (16, 8),
    "dropout": 0.3,
    "input_perturbation": 0.15,
}
PAPER_RECIPES["celeba64"] = _PAPER_COMMON | {
    "latent_dim": 64,
    "width": (192, 384, 576, 768),
    "attention": (32, 16, 8),
    "dropout": 0.1,
    "input_perturbation": 0.1,
}
PAPER_RECIPES["edges2handbags64"] = PAPER_RECIPES["celeba64"] | {"latent_dim": 256}

_DENOISER_NAMES = ("width", "depth", "attention", "patch_size", "conditioning", "code_input", "dropout")
#: Parameters of the built-in denoisers, with their defaults; they do not apply to custom denoisers.
DENOISER_PARAMETERS: dict[str, Any] = {name: getattr(Network(), name) for name in _DENOISER_NAMES}


def paper_recipe(name: str, *, custom_backbone: bool = False) -> dict[str, Any]:
    """Return a recipe of the paper, without parameters of the denoiser if that is custom."""
    check_choice("name", name, tuple(PAPER_RECIPES))
    dropped = ("backbone", *DENOISER_PARAMETERS) if custom_backbone else ()
    return {key: value for key, value in PAPER_RECIPES[name].items() if key not in dropped}


def default_patch_size(data_shape: tuple[int, ...]) -> int:
    """Return the patch size that leaves about 16 positions per side at the finest level."""
    side = max(data_shape[1:])
    return 1 if side <= 16 else 2 if side <= 40 else 4 if side <= 96 else 8


def default_widths(data_shape: tuple[int, ...], patch_size: int) -> tuple[int, ...]:
    """Return the number of channels at each level.

    Large images have more levels, so that maps of the code at the coarsest level stay small.
    """
    first = 32 if data_shape[0] * patch_size**2 <= 16 else 64
    sides = [math.ceil(side / patch_size) for side in data_shape[1:]]
    n_levels = 2 if max(sides) <= 20 else 3
    while math.sqrt(math.prod(sides)) > 10 * 2 ** (n_levels - 1):
        n_levels += 1
    return (first, *[64] * (n_levels - 1))


def attention_levels(
    attention: str | tuple[int, ...], data_shape: tuple[int, ...], patch_size: int, n_levels: int
) -> tuple[int, ...]:
    """Return the levels with attention: those whose feature map has a larger side in `attention`.

    ``"auto"`` is no level.
    """
    if isinstance(attention, str):
        return ()
    multiple = patch_size * 2 ** (n_levels - 1)
    padded = math.ceil(max(data_shape[1:]) / multiple) * multiple
    sides = [padded // patch_size // 2**level for level in range(n_levels)]
    unknown = [side for side in attention if side not in sides]
    if unknown:
        raise ValueError(
            f"attention={tuple(attention)} names resolutions {unknown} that the network does not have; "
            f"with patch_size={patch_size} and {n_levels} levels it has {sides}."
        )
    return tuple(level for level, side in enumerate(sides) if side in attention)


def default_objective(data_shape: tuple[int, ...], patch_size: int, widths: tuple[int, ...]) -> str:
    """Return ``"v"``, or ``"sample"`` if patches have too many values for the channels."""
    if len(data_shape) == 1:
        return "v"
    return "sample" if data_shape[0] * patch_size**2 * 4 > widths[0] else "v"
