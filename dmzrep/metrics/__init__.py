"""Measures of generated images, of codes and of reconstructions: functions of arrays and of encoders."""

from dmzrep.inference import code_report, code_summary
from dmzrep.metrics.classifier import ClassifierFeatures
from dmzrep.metrics.dci import DCIScores, dci
from dmzrep.metrics.distances import frechet_distance, kernel_distance
from dmzrep.metrics.features import FeatureSet, FeatureStatistics, extract_features
from dmzrep.metrics.gaps import GapScores, mig, tad
from dmzrep.metrics.image_errors import mse, psnr, ssim
from dmzrep.metrics.inception import InceptionFeatures
from dmzrep.metrics.information import mutual_information_over_time
from dmzrep.metrics.manifolds import precision_recall
from dmzrep.metrics.reconstruction import code_cycle_accuracy, reconstruction_report
from dmzrep.metrics.results import DistanceResult, FeatureSource

__all__ = [
    "ClassifierFeatures",
    "DCIScores",
    "DistanceResult",
    "FeatureSet",
    "FeatureSource",
    "FeatureStatistics",
    "GapScores",
    "InceptionFeatures",
    "code_cycle_accuracy",
    "code_report",
    "code_summary",
    "dci",
    "extract_features",
    "frechet_distance",
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
