"""Binary codes: validation, labels, packing, reports and information."""

from dmzrep.codes._information import information_bounds
from dmzrep.codes._report import code_report, code_summary

__all__ = ["code_report", "code_summary", "information_bounds"]
