"""Probability models of binary codes: fit, sample, log-probability."""

from dmzrep.priors._autoregressive import AutoregressivePrior
from dmzrep.priors._base import CodePrior
from dmzrep.priors._chow_liu import ChowLiuPrior
from dmzrep.priors._dataset import DatasetPrior
from dmzrep.priors._gap import prior_gap, two_sample_auc
from dmzrep.priors._independent import IndependentPrior, UniformPrior
from dmzrep.priors._mixture import MixturePrior
from dmzrep.priors._resampled import ResampledPrior
from dmzrep.priors._selection import PRIORS, fit_prior

__all__ = [
    "PRIORS",
    "AutoregressivePrior",
    "ChowLiuPrior",
    "CodePrior",
    "DatasetPrior",
    "IndependentPrior",
    "MixturePrior",
    "ResampledPrior",
    "UniformPrior",
    "fit_prior",
    "prior_gap",
    "two_sample_auc",
]
