"""Inference with a fitted model: encode, decode, invert, likelihood."""

from dmzrep.inference._bounds import variational_bound
from dmzrep.inference._decoder import Decoder
from dmzrep.inference._decoding import StartingSamples, mask_missing_bits
from dmzrep.inference._encoding import CODE_DTYPES, encode
from dmzrep.inference._inversion import StartingNoise, between_noises, invert
from dmzrep.inference._rates import rate_table, sample_rates
from dmzrep.inference._sampling import Sampling, SamplingOptions, SamplingPlan

__all__ = [
    "CODE_DTYPES",
    "Decoder",
    "Sampling",
    "SamplingOptions",
    "SamplingPlan",
    "StartingNoise",
    "StartingSamples",
    "between_noises",
    "encode",
    "invert",
    "mask_missing_bits",
    "rate_table",
    "sample_rates",
    "variational_bound",
]
