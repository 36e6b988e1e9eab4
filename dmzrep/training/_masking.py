"""Masking of codes in training: code dropout and nested dropout."""

from __future__ import annotations

import torch
from torch import Tensor

from dmzrep.codes._prefixes import prefix_lengths
from dmzrep.networks._relaxation import MASKED_BIT

#: Fraction of samples with a random prefix length; the others keep all bits.
SHORTENED_SHARE = 0.5


def drop_codes(z: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Mask the whole code of each sample with a probability; masked bits are 0.5.

    Ho, Salimans, "Classifier-Free Diffusion Guidance", 2022, algorithm 1.
    """
    dropped = torch.rand(len(z), 1, generator=generator, device=z.device) < probability
    return torch.where(dropped, MASKED_BIT, z)


def keep_prefixes(z: Tensor, generator: torch.Generator) -> Tensor:
    """Nested dropout: mask the bits after a prefix whose length is drawn for each sample.

    Half of the samples keep all bits; for the others, the lengths of `prefix_lengths` are equally likely
    (Rippel, Gelbart, Adams, "Learning Ordered Representations with Nested Dropout", 2014).
    """
    drawn = torch.rand(2, len(z), generator=generator, device=z.device)
    lengths = torch.tensor(prefix_lengths(z.shape[1]), device=z.device)
    kept = lengths[(drawn[0] * len(lengths)).long().clamp_(max=len(lengths) - 1)]
    kept = torch.where(drawn[1] < SHORTENED_SHARE, kept, z.shape[1])
    return torch.where(torch.arange(z.shape[1], device=z.device) < kept[:, None], z, MASKED_BIT)
