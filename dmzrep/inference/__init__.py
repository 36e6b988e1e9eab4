"""Inference with a fitted model: encoding, decoding, inversion, likelihood."""

from dmzrep.inference._calibration import LEVELS as CALIBRATION_LEVELS
from dmzrep.inference._calibration import calibrate
from dmzrep.inference._decoder import Decoder
from dmzrep.inference._encoding import CODE_DTYPES, encode, mask_missing_bits
from dmzrep.inference._likelihood import rate_table, sample_rates, variational_bound
from dmzrep.inference._sampling import Sampling, SamplingOptions, sampling_from
from dmzrep.inference._starts import StartingNoise, StartingSamples, between_noises

__all__ = [
    "CALIBRATION_LEVELS",
    "CODE_DTYPES",
    "Decoder",
    "Sampling",
    "SamplingOptions",
    "StartingNoise",
    "StartingSamples",
    "between_noises",
    "calibrate",
    "encode",
    "mask_missing_bits",
    "rate_table",
    "sample_rates",
    "sampling_from",
    "variational_bound",
]
