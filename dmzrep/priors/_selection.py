"""Selection of a prior by held-out likelihood."""

import numpy as np
from sklearn.base import clone

from dmzrep._base._isolation import isolated
from dmzrep._base._random import draw_seed
from dmzrep._base._validation import check_choice
from dmzrep.codes._checks import check_codes
from dmzrep.priors._autoregressive import AutoregressivePrior, split_codes
from dmzrep.priors._base import CodePrior
from dmzrep.priors._chow_liu import ChowLiuPrior
from dmzrep.priors._dataset import DatasetPrior
from dmzrep.priors._independent import IndependentPrior, UniformPrior
from dmzrep.priors._mixture import MixturePrior
from dmzrep.priors._resampled import ResampledPrior

_SIMPLE = (UniformPrior, IndependentPrior, ChowLiuPrior, MixturePrior, DatasetPrior)
#: Priors by name, from the simplest.
PRIORS: dict[str, type[CodePrior]] = {
    prior.name: prior for prior in (*_SIMPLE, AutoregressivePrior, ResampledPrior)
}
#: Mean log-probability, in nats, by which a richer prior must beat a simpler one.
MINIMUM_GAIN = 0.01


@isolated
def fit_prior(
    prior: str | CodePrior, codes: np.ndarray, random_state: int | np.random.RandomState | None = None
) -> CodePrior:
    """Fit a prior by name or instance, or select one with ``"auto"``.

    Parameters
    ----------
    prior : {"auto", "uniform", "independent", "chow_liu", "mixture", "dataset", "autoregressive", \
            "resampled"} or CodePrior
        ``"auto"`` fits each to nine tenths of the codes (at least 50 of them, up to half, are held out),
        scores it on the rest, and refits the best to all codes; for fewer than 20 codes it is the
        independent prior. A prior must beat simpler ones by 0.01 nats per code. The autoregressive and
        resampled priors stop early on the held-out codes and are not refitted; they must gain 0.01 nats plus
        one standard error of the gain. The resampled prior is tried only if the autoregressive one is the
        best so far.
    codes : array-like of shape (n, latent_dim)
        Zeros and ones, or probabilities of ones, such as those of `DMZEncoder.transform`. Bits are one where
        the probability exceeds 0.5; the autoregressive priors also use the probabilities.
    random_state : int, RandomState or None, default=None
        Determines the split, and the fit of priors whose own `random_state` is None. Pass an int for a
        reproducible prior.

    Returns
    -------
    CodePrior
        Fitted.

    Raises
    ------
    ValueError
        `prior` is unknown, or `codes` are not in [0, 1].

    See Also
    --------
    prior_gap : Compare priors on held-out codes.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors import fit_prior
    >>> bits = np.repeat([[0, 0, 0], [1, 1, 1]], 100, axis=0)
    >>> fit_prior("auto", bits, random_state=0).name
    'chow_liu'
    """
    codes, seed = check_codes(codes, "codes"), draw_seed(random_state) % 2**32
    if isinstance(prior, CodePrior):
        return _seeded(prior, seed).fit(codes)
    check_choice("prior", prior, ("auto", *PRIORS), " or a CodePrior")
    if prior != "auto":
        return _seeded(PRIORS[prior](), seed).fit(codes)
    if len(codes) < 20:
        return IndependentPrior().fit(codes)
    held_out, kept = split_codes(len(codes), seed)
    held_out_bits = codes[held_out] > 0.5
    simplest, *others = PRIORS.values()
    best = simplest().fit(codes[kept])
    scores = best.log_prob(held_out_bits)
    for kind in others:
        candidate = _seeded(kind(), seed)
        # These hold out the same codes themselves.
        stops_early = isinstance(candidate, AutoregressivePrior)
        if isinstance(candidate, ResampledPrior):
            if not isinstance(best, AutoregressivePrior):
                continue
            candidate._fit_to(best, codes)
        else:
            candidate.fit(codes if stops_early else codes[kept])
        found = candidate.log_prob(held_out_bits)
        gain = found - scores
        if gain.mean() > MINIMUM_GAIN + stops_early * gain.std() / np.sqrt(len(gain)):
            best, scores = candidate, found
    return best if isinstance(best, AutoregressivePrior) else best.fit(codes)


def _seeded(prior: CodePrior, seed: int) -> CodePrior:
    """Return an unfitted clone of a prior, seeded where its `random_state` is None."""
    prior = clone(prior)
    if prior.get_params().get("random_state", seed) is None:
        prior.set_params(random_state=seed)
    return prior
