"""Choosing a prior by held-out likelihood."""

from __future__ import annotations

import numpy as np
from sklearn.base import clone

from dmzrep._base._validation import check_choice, check_int
from dmzrep.priors._autoregressive import AutoregressivePrior
from dmzrep.priors._base import CodePrior, check_bits
from dmzrep.priors._chow_liu import ChowLiuPrior
from dmzrep.priors._dataset import DatasetPrior
from dmzrep.priors._independent import IndependentPrior, UniformPrior
from dmzrep.priors._mixture import MixturePrior

#: Priors by name, from the simplest.
PRIORS: dict[str, type[CodePrior]] = {
    prior.name: prior
    for prior in (
        UniformPrior,
        IndependentPrior,
        ChowLiuPrior,
        MixturePrior,
        DatasetPrior,
        AutoregressivePrior,
    )
}
#: What ``"auto"`` compares: the same, with a network that fits 20,000 codes of 64 bits in about 2 s.
CANDIDATES: tuple[CodePrior, ...] = (
    UniformPrior(),
    IndependentPrior(),
    ChowLiuPrior(),
    MixturePrior(),
    DatasetPrior(),
    AutoregressivePrior(256, n_layers=1, max_iter=10, learning_rate=6e-3),
)
#: Mean log-probability, in nats, by which a richer prior must beat a simpler one.
MINIMUM_GAIN = 0.01


def fit_prior(prior: str | CodePrior, bits: np.ndarray, seed: int = 0) -> CodePrior:
    """Fit a prior given by name, by instance, or as ``"auto"``.

    Parameters
    ----------
    prior : {"auto", "uniform", "independent", "chow_liu", "mixture", "dataset", "autoregressive"} \
            or CodePrior
        ``"auto"`` fits each on nine tenths of the rows, scores it on the rest, and refits the best
        on all rows; on fewer than 20 rows it takes the independent prior. A prior must beat those
        named before it by 0.01 nats a code. Its autoregressive one is a smaller network than
        ``"autoregressive"`` itself, so that the choice takes seconds.
    bits : array-like of shape (n, latent_dim)
        Zeros and ones.
    seed : int, default=0
        Decides the split.

    Returns
    -------
    CodePrior
        Fitted.

    Raises
    ------
    ValueError
        There is no such prior, `bits` are no bits, or `seed` is no whole number.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors import fit_prior
    >>> bits = np.repeat([[0, 0, 0], [1, 1, 1]], 100, axis=0)
    >>> fit_prior("auto", bits).name
    'chow_liu'
    """
    bits, seed = check_bits(bits), check_int(seed, "seed", 0)
    if isinstance(prior, CodePrior):
        return clone(prior).fit(bits)
    check_choice("prior", prior, ("auto", *PRIORS), " or a CodePrior")
    if prior != "auto":
        return PRIORS[prior]().fit(bits)
    if len(bits) < 20:
        return IndependentPrior().fit(bits)
    order = np.random.default_rng(seed).permutation(len(bits))
    held_out, kept = order[: len(bits) // 10], order[len(bits) // 10 :]
    best, best_score = CANDIDATES[0], -np.inf
    for candidate in CANDIDATES:
        score = clone(candidate).fit(bits[kept]).score(bits[held_out])
        if score > best_score + MINIMUM_GAIN:
            best, best_score = candidate, score
    return clone(best).fit(bits)
