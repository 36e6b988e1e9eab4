"""Bits that training hides from the denoiser: whole codes, and the ends of ordered codes."""

from __future__ import annotations

import torch
from torch import Tensor

from dmzrep.networks._relaxation import MASKED_BIT

#: Bits of the shortest prefix that training shows, for longer codes.
SHORTEST_PREFIX = 8
#: Share of rows whose prefix length is drawn; the others keep all bits.
SHORTENED_SHARE = 0.5


def prefix_lengths(latent_dim: int) -> list[int]:
    """Lengths of the prefixes that an ordered code is trained at, ascending.

    Powers of two from 8 on (from 1 on for codes of 8 bits or fewer), and the whole.

    Examples
    --------
    >>> from dmzrep.training._masking import prefix_lengths
    >>> prefix_lengths(100), prefix_lengths(6)
    ([8, 16, 32, 64, 100], [1, 2, 4, 6])
    """
    lengths = []
    length = SHORTEST_PREFIX if latent_dim > SHORTEST_PREFIX else 1
    while length < latent_dim:
        lengths.append(length)
        length *= 2
    return [*lengths, latent_dim]


def drop_codes(z: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Hide the whole code of each row with a probability, so that the denoiser learns to do without.

    Parameters
    ----------
    z : Tensor of shape (n, latent_dim)
        Relaxed bits.
    probability : float
        That a row's code is hidden.
    generator : torch.Generator
        On the device of `z`.

    Returns
    -------
    Tensor of shape (n, latent_dim)
        0.5 in every bit of a hidden code, which the signed input shows the denoiser as zeros.

    References
    ----------
    Ho, Salimans, "Classifier-Free Diffusion Guidance", 2022, algorithm 1.
    """
    dropped = torch.rand(len(z), 1, generator=generator, device=z.device) < probability
    return torch.where(dropped, MASKED_BIT, z)


def keep_prefixes(z: Tensor, generator: torch.Generator) -> Tensor:
    """Nested dropout: hide the bits after a prefix, whose length is drawn for each row.

    Half of the rows keep all bits; of the others, each length of `prefix_lengths` is as likely. With
    lengths that double, each stage of the order gets its share of the training, however long the code.

    Parameters
    ----------
    z : Tensor of shape (n, latent_dim)
        Relaxed bits.
    generator : torch.Generator
        On the device of `z`.

    Returns
    -------
    Tensor of shape (n, latent_dim)
        0.5 in every bit after a row's prefix.

    References
    ----------
    Rippel, Gelbart, Adams, "Learning Ordered Representations with Nested Dropout", 2014.
    """
    drawn = torch.rand(2, len(z), generator=generator, device=z.device)
    lengths = torch.tensor(prefix_lengths(z.shape[1]), device=z.device)
    kept = lengths[(drawn[0] * len(lengths)).long().clamp_(max=len(lengths) - 1)]
    kept = torch.where(drawn[1] < SHORTENED_SHARE, kept, z.shape[1])
    return torch.where(torch.arange(z.shape[1], device=z.device) < kept[:, None], z, MASKED_BIT)
