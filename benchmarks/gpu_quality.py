"""Quality of codes and samples after a fixed training time on a device."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from benchmarks.code_quality import attribute_auroc, bit_use, linear_probe
from benchmarks.datasets import ImageData
from benchmarks.gpu_scale import Scale
from benchmarks.scoring import score_training
from dmzrep import DMZEncoder
from dmzrep.estimator._parameters import nested_names
from dmzrep.metrics import ClassifierFeatures, FeatureSet, extract_features, frechet_distance

#: Number of epochs that is never reached, and maximum number of points of a stored learning curve.
NO_LIMIT, POINTS = 1_000_000, 60
#: Number of test images to reconstruct.
REBUILT = 500


class QualitySet:
    """A dataset with its models, its classifier and the features of its test images, each computed once.

    Parameters
    ----------
    name : str
        Name of the dataset.
    data : ImageData
        Images and labels.
    folder : Path
        Folder of the models and the classifier.
    scale : Scale
        Sizes of all parts.
    device : str
        Device of the networks.
    """

    def __init__(self, name: str, data: ImageData, folder: Path, scale: Scale, device: str):
        self.name, self.data, self.folder, self.scale, self.device = name, data, folder, scale, device
        folder.mkdir(parents=True, exist_ok=True)
        self._reference: tuple[ClassifierFeatures, FeatureSet] | None = None
        self._latest: tuple[Path, DMZEncoder] | None = None

    def path(self, config: str, seconds: float) -> Path:
        """Return the path of a model."""
        return self.folder / f"{self.name}-{config.replace(' ', '-')}-{seconds:g}s.safetensors"

    def train(self, config: str, seconds: float) -> dict[str, Any]:
        """Train a model for `seconds`, save it, and return the row that describes its training."""
        params = {"max_time": seconds, "max_iter": NO_LIMIT, "random_state": 0, "device": self.device}
        params |= self.scale.configurations[config]
        encoder = (
            DMZEncoder(self.scale.latent_dims[self.name])
            .set_params(**nested_names(params))
            .fit(self.data.train)
        )
        path = self.path(config, seconds)
        encoder.save(path)
        self._latest = path, encoder
        history = encoder.history_
        some = np.unique(np.linspace(0, len(history) - 1, min(POINTS, len(history))).astype(int))
        shown = [name for name in ("seconds", "images", "loss", "validation_loss") if name in history]
        curve = history.iloc[some][shown].round(5).to_dict("list")
        about = {"init": encoder.init_, "encoder_augment": encoder.encoder_augment_}
        about |= {"objective": encoder.objective_.kind, "prior": encoder.prior_.name}
        return score_training(history) | about | {"epochs": len(history), "curve": curve}

    def model(self, config: str, seconds: float) -> DMZEncoder:
        """Return a trained model, loaded from its file unless it is the latest one."""
        path = self.path(config, seconds)
        if self._latest is None or self._latest[0] != path:
            self._latest = path, DMZEncoder.load(path, device=self.device)
        return self._latest[1]

    def score_codes(self, config: str, seconds: float) -> dict[str, Any]:
        """Return probe scores of logits, probabilities and bits, and the error of reconstructions."""
        encoder, data, n_rows = self.model(config, seconds), self.data, self.scale.probe_rows
        encoder.set_params(output="logits")
        codes = {"logits": [encoder.transform(X) for X in (data.train[:n_rows], data.test)]}
        codes["probabilities"] = [expit(logits) for logits in codes["logits"]]
        codes["bits"] = [(logits > 0).astype(np.float32) for logits in codes["logits"]]
        row: dict[str, Any] = {"probe_rows": min(n_rows, len(data.train))}
        for name, (train, test) in codes.items():
            if isinstance(data.train_labels, pd.DataFrame):
                found = attribute_auroc(
                    train, data.train_labels[: len(train)], test, data.test_labels
                ).dropna()
                row[f"auroc_{name}"], row[f"auroc_{name}_min"] = float(found.mean()), float(found.min())
            else:
                known = data.train_labels[: len(train)]
                row[f"accuracy_{name}"] = linear_probe(train, known, test, data.test_labels)
        row |= bit_use(codes["bits"][1])
        images = data.test[:REBUILT]
        rebuilt = encoder.reconstruct(images).astype(np.float64)
        row["reconstruction_mse"] = float(np.square((rebuilt - images) / 127.5).mean())
        return row

    def score_samples(self, config: str, seconds: float, n_steps: int) -> dict[str, Any]:
        """Return the Fréchet distance of samples to the test images, with the features of the classifier."""
        extractor, reference = self.reference()
        encoder = self.model(config, seconds)
        begun = time.perf_counter()
        samples = encoder.sample(self.scale.n_samples, n_steps=n_steps, random_state=0)
        row = {"sampling_seconds": time.perf_counter() - begun}
        return row | self._distance(samples, extractor, reference)

    def score_real(self) -> dict[str, Any]:
        """Return the Fréchet distance of train images to test images, a reference value for samples."""
        extractor, reference = self.reference()
        chosen = np.random.default_rng(0).permutation(len(self.data.train))[: self.scale.n_samples]
        row = self._distance(self.data.train[np.sort(chosen)], extractor, reference)
        return row | {"extractor_accuracy": extractor.score(self.data.test, self.data.test_labels)}

    def reference(self) -> tuple[ClassifierFeatures, FeatureSet]:
        """Return the classifier and the test images' features."""
        if self._reference is None:
            path = self.folder / f"{self.name}-classifier.safetensors"
            if not path.exists():
                features = ClassifierFeatures(device=self.device, random_state=0, **self.scale.classifier)
                features.fit(self.data.train, self.data.train_labels).save(path)
            extractor = ClassifierFeatures.load(path, device=self.device)
            self._reference = extractor, extract_features(self.data.test, extractor)
        return self._reference

    @staticmethod
    def _distance(images: np.ndarray, extractor: Any, reference: FeatureSet) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*covariance is singular")
            found = frechet_distance(reference, extract_features(images, extractor))
        return found.to_dict()
