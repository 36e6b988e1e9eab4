"""What a trained model does with rows: encode, decode, bound. Streams in batches of one shape."""

from dmzrep.inference._bounds import variational_bound
from dmzrep.inference._decoding import StartingRows, decode, whole_codes
from dmzrep.inference._encoding import CODE_DTYPES, encode
from dmzrep.inference._inversion import StartingNoise, between_noises, invert
from dmzrep.inference._rates import rate_table, row_rates
from dmzrep.inference._trained import TrainedModel

__all__ = [
    "CODE_DTYPES",
    "StartingNoise",
    "StartingRows",
    "TrainedModel",
    "between_noises",
    "decode",
    "encode",
    "invert",
    "rate_table",
    "row_rates",
    "variational_bound",
    "whole_codes",
]
