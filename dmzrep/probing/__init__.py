"""How much codes tell linearly: probes, reports of many attributes, few labels."""

from dmzrep.probing.few_labels import label_efficiency
from dmzrep.probing.linear_probe import LinearProbe
from dmzrep.probing.report import probe_report
from dmzrep.probing.scores import probe_scores
from dmzrep.probing.summary import average_folds, probe_summary

__all__ = [
    "LinearProbe",
    "average_folds",
    "label_efficiency",
    "probe_report",
    "probe_scores",
    "probe_summary",
]
