"""Prefixes of ordered codes."""

from typing import Any

from dmzrep._base._validation import check_int

#: Length of the shortest prefix, for codes that are longer.
SHORTEST_PREFIX = 8


def prefix_lengths(latent_dim: int) -> list[int]:
    """Return the lengths of the prefixes that an ordered code is trained at, ascending.

    Powers of two from 8 on (from 1 on for codes of up to 8 bits), and `latent_dim`.

    >>> prefix_lengths(100), prefix_lengths(6)
    ([8, 16, 32, 64, 100], [1, 2, 4, 6])
    """
    lengths = []
    length = SHORTEST_PREFIX if latent_dim > SHORTEST_PREFIX else 1
    while length < latent_dim:
        lengths.append(length)
        length *= 2
    return [*lengths, latent_dim]


def check_n_bits(n_bits: Any, latent_dim: int, *, ordered: bool) -> int:
    """Return the length of a prefix of codes; raise unless a fitted model can decode it."""
    shortest = prefix_lengths(latent_dim)[0]
    n_bits = check_int(n_bits, "n_bits", shortest, latent_dim, ", or None", "latent_dim")
    if not ordered and n_bits < latent_dim:
        raise ValueError(
            f"n_bits={n_bits!r} asks for the first bits of codes, but this model was trained on whole codes. "
            "Fit with ordered=True, or use n_bits=None."
        )
    return n_bits
