"""Metrics of generated images, of codes and of reconstructions."""

from dmzrep.codes import code_report, code_summary
from dmzrep.metrics._classifier import ClassifierFeatures
from dmzrep.metrics._dci import DCIScores, dci
from dmzrep.metrics._disentanglement import DisentanglementScore, mig, tad
from dmzrep.metrics._distances import frechet_distance, kernel_distance, precision_recall
from dmzrep.metrics._features import (
    DistanceResult,
    FeatureSet,
    FeatureSource,
    FeatureStatistics,
    extract_features,
)
from dmzrep.metrics._images import mse, psnr, ssim
from dmzrep.metrics._inception import InceptionFeatures
from dmzrep.metrics._information import mutual_information_over_time
from dmzrep.metrics._reconstruction import code_cycle_accuracy, inversion_error, reconstruction_report

__all__ = [
    "ClassifierFeatures",
    "DCIScores",
    "DisentanglementScore",
    "DistanceResult",
    "FeatureSet",
    "FeatureSource",
    "FeatureStatistics",
    "InceptionFeatures",
    "code_cycle_accuracy",
    "code_report",
    "code_summary",
    "dci",
    "extract_features",
    "frechet_distance",
    "inversion_error",
    "kernel_distance",
    "mig",
    "mse",
    "mutual_information_over_time",
    "precision_recall",
    "psnr",
    "reconstruction_report",
    "ssim",
    "tad",
]
