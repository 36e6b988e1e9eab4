"""What a trained model does with rows: encode, decode, bound. Streams in batches of one shape."""

from dmzrep.inference.bounds import variational_bound
from dmzrep.inference.code_information import information_bounds
from dmzrep.inference.code_report import code_report, code_summary, warn_of_poor_code
from dmzrep.inference.decoding import StartingRows, decode, whole_codes
from dmzrep.inference.encoding import CODE_DTYPES, encode
from dmzrep.inference.inversion import StartingNoise, between_noises, invert
from dmzrep.inference.rates import rate_table, row_rates
from dmzrep.inference.trained import TrainedModel

__all__ = [
    "CODE_DTYPES",
    "StartingNoise",
    "StartingRows",
    "TrainedModel",
    "between_noises",
    "code_report",
    "code_summary",
    "decode",
    "encode",
    "information_bounds",
    "invert",
    "rate_table",
    "row_rates",
    "variational_bound",
    "warn_of_poor_code",
    "whole_codes",
]
