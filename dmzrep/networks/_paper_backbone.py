"""The authors' denoiser: a conditional UNet of diffusers with the code as its only context token."""

from __future__ import annotations

from typing import Any

from dmzrep._base._validation import (
    check_bool,
    check_choice,
    check_int,
    check_number,
    did_you_mean,
    is_int,
    short_repr,
)
from dmzrep.networks._defaults import paper_recipe
from dmzrep.networks._diffusers_backbone import DiffusersBackbone

#: Side of the images in pixels and, equal to it, attention_head_dim of the authors' commands, which diffusers
#: reads as the number of heads.
SIDES = {"cifar10": 32, "celeba64": 64, "edges2handbags64": 64}
_DOWN = {"none": "DownBlock2D", "self": "AttnDownBlock2D", "cross": "CrossAttnDownBlock2D"}
#: Parameters of the recipe that can be overridden.
_OVERRIDES = ("latent_dim", "width", "depth", "attention", "dropout", "learn_variance")
_UP = {"none": "UpBlock2D", "self": "AttnUpBlock2D", "cross": "CrossAttnUpBlock2D"}


def paper_backbone(
    name: str,
    *,
    n_channels: int = 3,
    side: int | None = None,
    heads: int | None = None,
    attention_kinds: tuple[str, ...] | None = None,
    **params: Any,
) -> DiffusersBackbone:
    """Build the denoiser of one of the paper's experiments with random weights.

    ``DMZEncoder.paper(name)`` has an equivalent network that is faster; this one is for comparisons, and for
    the authors' checkpoints.

    Parameters
    ----------
    name : {"cifar10", "celeba64", "edges2handbags64"}
        The experiment.
    n_channels : int, default=3
        Channels of the images.
    side : int or None, default=None
        Side of the images in pixels; None is the experiment's.
    heads : int or None, default=None
        Heads of each attention layer; None is the experiment's, 32 or 64.
    attention_kinds : tuple of {"none", "self", "cross"} or None, default=None
        Attention at each level. None has cross-attention to the code, and self-attention before it, at
        the recipe's resolutions.
    **params
        Parameters that override the recipe's: "latent_dim", "width" (each a multiple of 32),
        "depth", "attention", "dropout", "learn_variance".

    Returns
    -------
    DiffusersBackbone

    Raises
    ------
    ValueError
        The experiment is unknown, or a parameter is invalid.
    TypeError
        There is no such parameter.

    See Also
    --------
    DMZEncoder.paper : An encoder with the settings of the paper.
    load_authors_checkpoint : The authors' weights.

    Examples
    --------
    >>> from dmzrep import DMZEncoder, paper_backbone
    >>> backbone = paper_backbone("cifar10", width=(32, 32), depth=1, latent_dim=8, heads=4)
    >>> encoder = DMZEncoder.paper("cifar10", backbone=backbone, latent_dim=8)
    >>> encoder.training.learn_variance, backbone.learns_variance
    (True, True)
    """
    recipe = paper_recipe(name) | params
    _check_recipe(recipe, params)
    n_channels = check_int(n_channels, "n_channels")
    side = SIDES[name] if side is None else check_int(side, "side", also=", or None")
    widths = tuple(recipe["width"])
    if attention_kinds is None:
        sides = [side // 2**level for level in range(len(widths))]
        attention_kinds = tuple("cross" if s in recipe["attention"] else "none" for s in sides)
    _check_attention(attention_kinds, len(widths))
    heads = SIDES[name] if heads is None else check_int(heads, "heads", also=", or None")
    # The block in the middle has attention too.
    attended = {widths[-1], *(w for w, kind in zip(widths, attention_kinds, strict=True) if kind != "none")}
    if any(width % heads for width in attended):
        raise ValueError(
            f"heads must divide the channels of each level with attention, {sorted(attended)}, got {heads}. "
            "Pass another number of heads, or other widths."
        )
    import diffusers

    unet = diffusers.UNet2DConditionModel(
        sample_size=side,
        in_channels=n_channels,
        out_channels=(2 if recipe["learn_variance"] else 1) * n_channels,
        layers_per_block=recipe["depth"],
        block_out_channels=widths,
        down_block_types=tuple(_DOWN[kind] for kind in attention_kinds),
        up_block_types=tuple(_UP[kind] for kind in reversed(attention_kinds)),
        mid_block_type="UNetMidBlock2DCrossAttn",
        attention_head_dim=heads,
        cross_attention_dim=2 * recipe["latent_dim"],
        resnet_time_scale_shift="scale_shift",
        dropout=recipe["dropout"],
    )
    return DiffusersBackbone(unet, recipe["latent_dim"])


def _check_recipe(recipe: dict[str, Any], params: dict[str, Any]) -> None:
    """Raise unless the parameters that override a recipe exist and are valid."""
    for name in params:
        if name not in _OVERRIDES:
            raise TypeError(
                f"Unknown parameter {name!r}. Those of the recipe are {', '.join(_OVERRIDES)}."
                f"{did_you_mean(name, _OVERRIDES)}"
            )
    for name, multiple, fewest in (("width", 32, 1), ("attention", 1, 0)):
        values = recipe[name]
        valid = isinstance(values, (tuple, list)) and len(values) >= fewest
        if not valid or not all(is_int(value) and value > 0 and value % multiple == 0 for value in values):
            what = "multiples of 32, one for each level" if name == "width" else "sides of feature maps"
            raise ValueError(f"{name} must be a tuple of {what}, got {short_repr(values)}.")
    check_int(recipe["latent_dim"], "latent_dim")
    check_int(recipe["depth"], "depth")
    check_number(recipe["dropout"], "dropout", 0, 1, "left")
    check_bool(recipe["learn_variance"], "learn_variance")


def _check_attention(kinds: Any, n_levels: int) -> None:
    if not isinstance(kinds, (tuple, list)) or len(kinds) != n_levels:
        raise ValueError(
            f"attention_kinds must be a tuple of {n_levels} kinds, one for each level, got "
            f"{short_repr(kinds)}."
        )
    for kind in kinds:
        check_choice("attention_kinds", kind, tuple(_DOWN))
