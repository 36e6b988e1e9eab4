"""Linear probes of codes: single attributes, reports of many, few labels."""

from dmzrep.probing._few_labels import label_efficiency
from dmzrep.probing._linear_probe import LinearProbe
from dmzrep.probing._scores import probe_report, probe_scores
from dmzrep.probing._summary import average_folds, probe_summary

__all__ = [
    "LinearProbe",
    "average_folds",
    "label_efficiency",
    "probe_report",
    "probe_scores",
    "probe_summary",
]
