"""Distance between priors and the codes of real data."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from dmzrep._base._isolation import isolated
from dmzrep._base._random import draw_seed
from dmzrep._base._validation import check_number, short_repr
from dmzrep.codes._checks import check_codes
from dmzrep.priors._base import CodePrior
from dmzrep.priors._selection import PRIORS, fit_prior

#: Maximum and minimum number of codes of each sample in a comparison.
MAX_CODES, MIN_CODES = 10_000, 4


@isolated
def prior_gap(
    codes: np.ndarray,
    priors: str | CodePrior | Iterable[str | CodePrior] | Mapping[str, str | CodePrior] | None = None,
    *,
    test_size: float = 0.2,
    random_state: int | np.random.RandomState | None = None,
) -> pd.DataFrame:
    """Fit priors to codes and measure how far each is from held-out codes.

    Parameters
    ----------
    codes : array-like of shape (n, latent_dim)
        Zeros and ones, or probabilities of ones as in `fit_prior`; at least 20 codes.
    priors : str, CodePrior, iterable or mapping of them, or None, default=None
        Names as in `fit_prior`, or instances, which are cloned and fitted. The keys of a mapping are the
        index of the table. None is all priors by name.
    test_size : float, default=0.2
        Fraction of held-out codes, between 0 and 1.
    random_state : int, RandomState or None, default=None
        Determines the held-out codes, the priors' fits, the draws and the classifier. Pass an int for
        reproducible output.

    Returns
    -------
    DataFrame
        A row for each prior with the columns

        - cross_entropy: mean of minus log2 of the probability of held-out codes, in bits per code: the
          code length under this prior, which in expectation is at least the codes' entropy.
        - cross_entropy_per_bit: the same divided by `latent_dim`; 1 for the uniform prior.
        - auc: `two_sample_auc` of held-out codes and as many samples of the prior; 0.5 where they cannot
          be distinguished, 1 where they always can.

    Raises
    ------
    ValueError
        The codes are not in [0, 1] or too few, a prior is unknown or named twice, or `test_size` is not
        between 0 and 1.

    See Also
    --------
    fit_prior : Select a prior by held-out likelihood.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors import prior_gap
    >>> codes = np.repeat(np.random.default_rng(0).integers(0, 2, (5000, 4)), 2, axis=1)
    >>> prior_gap(codes, ["uniform", "chow_liu"], random_state=0).round(1)
              cross_entropy  cross_entropy_per_bit  auc
    prior
    uniform             8.0                    1.0  1.0
    chow_liu            4.0                    0.5  0.5
    """
    codes = check_codes(codes, "codes")
    test_size = check_number(test_size, "test_size", 0, 1)
    n_test = round(test_size * len(codes))
    if len(codes) < 20 or not MIN_CODES <= n_test < len(codes):
        raise ValueError(
            f"prior_gap needs at least 20 codes, of which at least {MIN_CODES} are held out; got "
            f"{len(codes)} codes and test_size={test_size}. Pass more codes."
        )
    chosen = _named(priors)
    seed = draw_seed(random_state)
    order = np.random.default_rng(seed).permutation(len(codes))
    held_out, kept = codes[order[:n_test]] > 0.5, codes[order[n_test:]]
    rows = []
    for prior in chosen.values():
        fitted = fit_prior(prior, kept, seed)
        cost = -fitted.score(held_out) / math.log(2.0)
        draws = fitted.sample(n_test, random_state=seed)
        rows.append((cost, cost / codes.shape[1], two_sample_auc(held_out, draws, random_state=seed)))
    index = pd.Index(chosen, name="prior")
    return pd.DataFrame(rows, index=index, columns=["cross_entropy", "cross_entropy_per_bit", "auc"])


@isolated
def two_sample_auc(
    codes: np.ndarray, draws: np.ndarray, *, random_state: int | np.random.RandomState | None = None
) -> float:
    """Return the AUC of a classifier that distinguishes codes from draws, evaluated on held-out halves.

    Gradient boosted trees are trained on one half of both and scored on the other. They detect
    unequal means, and dependencies of two and three bits.

    Parameters
    ----------
    codes, draws : array-like of shape (n, latent_dim), (m, latent_dim)
        Zeros and ones, at least 4 of each; if there are more than 10,000, a random subset is used.
    random_state : int, RandomState or None, default=None
        Determines samples and halves. Pass an int for reproducible output.

    Returns
    -------
    float
        About 0.5 where the distributions are equal; then its standard deviation is
        ``sqrt((k + l + 1) / (12 * k * l))`` for halves of k and l codes, 0.013 for 1,000 and 1,000. Higher
        is further apart. With fewer than some hundred codes of each the trees detect little, and 0.5 is
        no evidence that the distributions are equal.

    Raises
    ------
    ValueError
        Codes or draws are not bits, are too few, or differ in width.

    See Also
    --------
    prior_gap : This score and the cross-entropy of several priors.

    References
    ----------
    Lopez-Paz, Oquab, "Revisiting Classifier Two-Sample Tests", 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors import two_sample_auc
    >>> rng = np.random.default_rng(0)
    >>> codes, draws = np.repeat(rng.integers(0, 2, (1000, 1)), 2, axis=1), rng.integers(0, 2, (1000, 2))
    >>> round(two_sample_auc(codes, draws, random_state=0), 1)  # Half of the draws never occur.
    0.8
    """
    codes = check_codes(codes, "codes", "bits")
    draws = check_codes(draws, "draws", "bits", n_bits=codes.shape[1])
    for name, Z in (("codes", codes), ("draws", draws)):
        if len(Z) < MIN_CODES:
            raise ValueError(f"{name} must have at least {MIN_CODES} samples, got {len(Z)}.")
    seed = draw_seed(random_state) % 2**32
    generator = np.random.default_rng(seed)
    codes, draws = (Z[generator.permutation(len(Z))[:MAX_CODES]] for Z in (codes, draws))
    real = np.repeat([1, 0], [len(codes), len(draws)])
    both = np.concatenate([codes, draws]).astype(np.float32)
    seen, unseen, is_real, answers = train_test_split(
        both, real, test_size=0.5, stratify=real, random_state=seed
    )
    classifier = HistGradientBoostingClassifier(early_stopping=False, random_state=seed)
    return float(roc_auc_score(answers, classifier.fit(seen, is_real).decision_function(unseen)))


def _named(priors: Any) -> dict[str, str | CodePrior]:
    """Return the priors by name; raise if two have the same name."""
    if isinstance(priors, Mapping):
        named = {str(name): prior for name, prior in priors.items()}
    else:
        listed = [priors] if isinstance(priors, (str, CodePrior)) else PRIORS if priors is None else priors
        if not isinstance(listed, Iterable):
            raise TypeError(f"priors must be names or instances of CodePrior, got {short_repr(priors)}.")
        listed = list(listed)
        names = [prior if isinstance(prior, str) else getattr(prior, "name", repr(prior)) for prior in listed]
        if len(set(names)) < len(names):
            raise ValueError(
                f"priors must differ in name, got {names}. Name them in a mapping, such as "
                "{'small': MixturePrior(8), 'large': MixturePrior(64)}."
            )
        named = dict(zip(names, listed, strict=True))
    if not named:
        raise ValueError(f"priors must hold at least one of {sorted(PRIORS)} or a CodePrior, got none.")
    return named
