"""Choosing a prior by held-out likelihood."""

from __future__ import annotations

import numpy as np
from sklearn.base import clone

from dmzrep.priors.base import CodePrior, check_bits
from dmzrep.priors.chow_liu import ChowLiuPrior
from dmzrep.priors.independent import IndependentPrior, UniformPrior
from dmzrep.priors.mixture import MixturePrior

#: Priors by name, from the simplest.
PRIORS: dict[str, type[CodePrior]] = {
    prior.name: prior for prior in (UniformPrior, IndependentPrior, ChowLiuPrior, MixturePrior)
}
#: Mean log-probability, in nats, by which a richer prior must beat a simpler one.
MINIMUM_GAIN = 0.01


def fit_prior(prior: str | CodePrior, bits: np.ndarray, seed: int = 0) -> CodePrior:
    """Fit a prior given by name, by instance, or as ``"auto"``.

    Parameters
    ----------
    prior : {"auto", "uniform", "independent", "chow_liu", "mixture"} or CodePrior
        ``"auto"`` fits each on nine tenths of the rows, scores it on the rest, and refits the best
        on all rows; on fewer than 20 rows it takes the independent prior.
    bits : array-like of shape (n, latent_dim)
        Zeros and ones.
    seed : int, default=0
        Decides the split.

    Returns
    -------
    CodePrior
        Fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors import fit_prior
    >>> bits = np.repeat([[0, 0, 0], [1, 1, 1]], 100, axis=0)
    >>> fit_prior("auto", bits).name in ("chow_liu", "mixture")
    True
    """
    bits = check_bits(bits)
    if isinstance(prior, CodePrior):
        return clone(prior).fit(bits)
    if prior != "auto" and prior not in PRIORS:
        raise ValueError(f"prior must be 'auto', a CodePrior or one of {sorted(PRIORS)}, got {prior!r}.")
    if prior != "auto":
        return PRIORS[prior]().fit(bits)
    if len(bits) < 20:
        return IndependentPrior().fit(bits)
    order = np.random.default_rng(seed).permutation(len(bits))
    held_out, kept = order[: len(bits) // 10], order[len(bits) // 10 :]
    best, best_score = UniformPrior, -np.inf
    for candidate in PRIORS.values():
        score = candidate().fit(bits[kept]).score(bits[held_out])
        if score > best_score + MINIMUM_GAIN:
            best, best_score = candidate, score
    return best().fit(bits)
