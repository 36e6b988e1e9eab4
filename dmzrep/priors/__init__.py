"""Probability models of binary codes: fit, sample, log-probability."""

from dmzrep.priors.base import CodePrior
from dmzrep.priors.chow_liu import ChowLiuPrior
from dmzrep.priors.independent import IndependentPrior, UniformPrior
from dmzrep.priors.mixture import MixturePrior
from dmzrep.priors.selection import PRIORS, fit_prior

__all__ = [
    "PRIORS",
    "ChowLiuPrior",
    "CodePrior",
    "IndependentPrior",
    "MixturePrior",
    "UniformPrior",
    "fit_prior",
]
