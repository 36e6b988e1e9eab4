"""What a trained model does with rows: encode, decode, bound. Streams in batches of one shape."""

from dmzrep.inference.bounds import variational_bound
from dmzrep.inference.code_information import information_bounds
from dmzrep.inference.code_report import code_report, code_summary, warn_of_poor_code
from dmzrep.inference.decoding import StartingRows, decode, whole_codes
from dmzrep.inference.encoding import encode_bits, encode_logits
from dmzrep.inference.trained import TrainedModel

__all__ = [
    "StartingRows",
    "TrainedModel",
    "code_report",
    "code_summary",
    "decode",
    "encode_bits",
    "encode_logits",
    "information_bounds",
    "variational_bound",
    "warn_of_poor_code",
    "whole_codes",
]
