"""Probability models of binary codes: fit, sample, log-probability."""

from dmzrep.priors.autoregressive import AutoregressivePrior
from dmzrep.priors.base import CodePrior
from dmzrep.priors.chow_liu import ChowLiuPrior
from dmzrep.priors.dataset import DatasetPrior
from dmzrep.priors.gap import prior_gap, two_sample_auc
from dmzrep.priors.independent import IndependentPrior, UniformPrior
from dmzrep.priors.mixture import MixturePrior
from dmzrep.priors.selection import PRIORS, fit_prior

__all__ = [
    "PRIORS",
    "AutoregressivePrior",
    "ChowLiuPrior",
    "CodePrior",
    "DatasetPrior",
    "IndependentPrior",
    "MixturePrior",
    "UniformPrior",
    "fit_prior",
    "prior_gap",
    "two_sample_auc",
]
