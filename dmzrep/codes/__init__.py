"""Binary codes: validation, labels, packing, reports and information."""

from dmzrep.codes._information import information_bounds
from dmzrep.codes._packing import pack, unpack
from dmzrep.codes._prefixes import prefix_lengths
from dmzrep.codes._protocol import Encoder
from dmzrep.codes._report import code_report, code_summary, warn_of_poor_code

__all__ = [
    "Encoder",
    "code_report",
    "code_summary",
    "information_bounds",
    "pack",
    "prefix_lengths",
    "unpack",
    "warn_of_poor_code",
]
