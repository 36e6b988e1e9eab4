"""Measures of codes."""

from dmzrep.inference import code_report, code_summary

__all__ = ["code_report", "code_summary"]
