"""The authors' denoiser: a conditional UNet of diffusers with the code as its only context token."""

from __future__ import annotations

from typing import Any

from dmzrep.networks._defaults import paper_recipe
from dmzrep.networks._diffusers_backbone import DiffusersBackbone

#: Side of the images in pixels and, equal to it, attention_head_dim of the authors' commands, which diffusers
#: reads as the number of heads.
SIDES = {"cifar10": 32, "celeba64": 64, "edges2handbags64": 64}
_DOWN = {"none": "DownBlock2D", "self": "AttnDownBlock2D", "cross": "CrossAttnDownBlock2D"}
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
        The experiment is unknown.

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
    import diffusers

    side = side or SIDES[name]
    widths = tuple(recipe["width"])
    if attention_kinds is None:
        sides = [side // 2**level for level in range(len(widths))]
        attention_kinds = tuple("cross" if s in recipe["attention"] else "none" for s in sides)
    unet = diffusers.UNet2DConditionModel(
        sample_size=side,
        in_channels=n_channels,
        out_channels=(2 if recipe["learn_variance"] else 1) * n_channels,
        layers_per_block=recipe["depth"],
        block_out_channels=widths,
        down_block_types=tuple(_DOWN[kind] for kind in attention_kinds),
        up_block_types=tuple(_UP[kind] for kind in reversed(attention_kinds)),
        mid_block_type="UNetMidBlock2DCrossAttn",
        attention_head_dim=heads or SIDES[name],
        cross_attention_dim=2 * recipe["latent_dim"],
        resnet_time_scale_shift="scale_shift",
        dropout=recipe["dropout"],
    )
    return DiffusersBackbone(unet, recipe["latent_dim"])
