"""Features of a small classifier, trained on labelled images of the kind that is compared."""

from __future__ import annotations

import hashlib
import os
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from dmzrep._base._batching import batches, run_padded
from dmzrep._base._device import available_device, on_cpu, resolve_device
from dmzrep._base._random import draw_seed
from dmzrep._base._validation import as_array, check_int, check_learning_rate
from dmzrep.data import ImageFormat
from dmzrep.errors import PersistenceError
from dmzrep.files._container import read_file, write_file
from dmzrep.metrics._small_network import make_network, train_network
from dmzrep.metrics._unit_images import read_format, unit_tensor

#: Source of a batch; a row's features do not depend on the others of its batch.
ROWS = 256


class ClassifierFeatures(TransformerMixin, BaseEstimator):
    """Features of images from the last hidden layer of a convolutional classifier.

    For images that have labels and look like nothing that public networks have seen, such as digits or
    drawings. Distances hold for one fitted classifier only; its hash goes with every result. Compare with
    images that the classifier was not trained on: of those it is surer than of new ones, however real.

    Parameters
    ----------
    n_features : int, default=64
        Width of the last hidden layer. A Frechet distance needs more images than features.
    width : int, default=32
        Channels of the first convolution; they double twice.
    max_iter : int, default=5
        Passes over the images.
    batch_size : int, default=128
        Images a step.
    learning_rate : float, default=4e-3
        Peak learning rate of AdamW.
    channels : {"auto", "first", "last"}, default="auto"
        Where the channel axis of images stands.
    value_range : tuple of two floats or "auto", default="auto"
        Smallest and largest possible pixel; ``"auto"`` is 0 to 255 for uint8, 0 to 1 for floats.
    device : str or torch.device, default="auto"
        Where the network runs.
    random_state : int, RandomState or None, default=0
        Decides the weights' start and the order of the images.

    Attributes
    ----------
    network_ : SmallNetwork
        The classifier.
    classes_ : ndarray or None
        Classes, sorted; None for attributes.
    data_shape_ : tuple of int
        (channels, H, W) of the images.
    sha256 : str
        Of the weights; kept with results.

    See Also
    --------
    InceptionFeatures : A public network, for numbers that compare with the literature's.

    Examples
    --------
    >>> from dmzrep.datasets import load_digits_images
    >>> from dmzrep.metrics import ClassifierFeatures, frechet_distance
    >>> images, labels = load_digits_images(return_X_y=True)
    >>> features = ClassifierFeatures(n_features=16, width=8, max_iter=2).fit(images[:1000], labels[:1000])
    >>> features.transform(images[:3]).shape
    (3, 16)
    >>> distance = frechet_distance(images[1000:1400], images[1400:], features)
    >>> distance.source.name, distance.n_generated
    ('classifier', 397)
    """

    name: ClassVar[str] = "classifier"
    #: Images are taken as they are.
    resize: ClassVar[None] = None

    def __init__(
        self,
        n_features=64,
        *,
        width=32,
        max_iter=5,
        batch_size=128,
        learning_rate=4e-3,
        channels="auto",
        value_range="auto",
        device="auto",
        random_state=0,
    ):
        self.n_features = n_features
        self.width = width
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.channels = channels
        self.value_range = value_range
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Train the classifier.

        Parameters
        ----------
        X : array-like of shape (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images.
        y : array-like of shape (n,), or DataFrame or array of shape (n, n_attributes)
            Classes; or attributes, each 0 or 1, learned all at once.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Images or labels are not as they should be.
        """
        for name in ("n_features", "width", "max_iter", "batch_size"):
            check_int(getattr(self, name), name)
        learning_rate = check_learning_rate(self.learning_rate)
        images, image_format = read_format(X, self.channels, self.value_range, "X")
        target, classes = _read_target(y, len(images))
        seed, device = draw_seed(self.random_state), resolve_device(self.device)
        n_outputs = target.shape[1] if classes is None else len(classes)
        network = make_network(
            image_format.shape, self.n_features, n_outputs, width=self.width, seed=seed, device=device
        )

        def loss_of(rows: Tensor, _: torch.Generator) -> Tensor:
            x = _centred(images[rows.numpy()], image_format, device)
            wanted = target[rows].to(device)
            if classes is None:
                return F.binary_cross_entropy_with_logits(network(x), wanted)
            return F.cross_entropy(network(x), wanted)

        train_network(
            network,
            loss_of,
            len(images),
            steps=self.max_iter * max(1, len(images) // self.batch_size),
            batch_size=self.batch_size,
            learning_rate=learning_rate,
            seed=seed,
        )
        self.network_, self.classes_, self.data_shape_ = network, classes, image_format.shape
        return self

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights, by name and value."""
        check_is_fitted(self, "network_")
        digest = hashlib.sha256()
        for name, weights in self.network_.state_dict().items():
            digest.update(f"{name} {tuple(weights.shape)}".encode())
            digest.update(weights.cpu().numpy().tobytes())
        return digest.hexdigest()

    @torch.inference_mode()
    def _outputs(self, X: Any, layer: str) -> np.ndarray:
        check_is_fitted(self, "network_")
        images, image_format = read_format(X, self.channels, self.value_range, "X")
        if image_format.shape != self.data_shape_:
            raise ValueError(
                f"X must hold images of {self.data_shape_} (channels, height, width), as the classifier was "
                f"fitted on, got {image_format.shape}."
            )
        device = next(self.network_.parameters()).device
        run = self.network_.features if layer == "features" else self.network_
        parts = []
        for rows in batches(len(images), ROWS):
            x = _centred(images[rows], image_format, device)
            parts.append(run_padded(run, ROWS, x).cpu().numpy())
        return np.concatenate(parts)

    def transform(self, X: Any) -> np.ndarray:
        """Give features of images, shape (n, n_features), float32."""
        return self._outputs(X, "features")

    def __call__(self, X: Any) -> np.ndarray:
        """Give features, as extractors do."""
        return self.transform(X)

    def predict(self, X: Any) -> np.ndarray:
        """Give classes of shape (n,), or attributes of shape (n, n_attributes), 0 or 1."""
        outputs = self._outputs(X, "outputs")
        return (outputs > 0.0).astype(np.int64) if self.classes_ is None else self.classes_[outputs.argmax(1)]

    def score(self, X: Any, y: Any) -> float:
        """Share of right classes or, over all attributes, of right values."""
        predicted = self.predict(X)
        wanted = as_array(y, "y")
        if wanted.shape != predicted.shape:
            raise ValueError(f"y must have shape {predicted.shape}, got {wanted.shape}.")
        return float((predicted == wanted).mean())

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "network_" in state:
            state["network_"] = on_cpu(self.network_)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "network_" in state:
            self.network_ = self.network_.to(available_device(self.device))

    def save(self, path: str | os.PathLike) -> None:
        """Write the fitted classifier to one file, so that later distances use the same features."""
        check_is_fitted(self, "network_")
        arrays = {f"network.{k}": w.cpu().numpy() for k, w in self.network_.state_dict().items()}
        settings = {k: getattr(self, k) for k in ("n_features", "width", "channels", "value_range")}
        values: dict[str, Any] = {
            "kind": "ClassifierFeatures",
            "settings": settings,
            "data_shape": self.data_shape_,
        }
        values["n_outputs"] = self.network_.head.out_features
        values["classes"] = None if self.classes_ is None else self.classes_.tolist()
        write_file(path, values, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike, *, device: str | torch.device = "auto") -> Self:
        """Read what `save` wrote.

        Raises
        ------
        PersistenceError
            The file is damaged, or holds something else.
        """
        values, arrays = read_file(path)
        if values.get("kind") != "ClassifierFeatures":
            raise PersistenceError(
                f"{path} does not hold ClassifierFeatures; it was saved by something else."
            )
        features = cls(**values["settings"], device=device)
        features.data_shape_ = tuple(values["data_shape"])
        features.classes_ = None if values["classes"] is None else np.asarray(values["classes"])
        features.network_ = make_network(
            features.data_shape_,
            features.n_features,
            values["n_outputs"],
            width=features.width,
            seed=0,
            device=available_device(device),
        )
        weights = {k.removeprefix("network."): torch.from_numpy(w.copy()) for k, w in arrays.items()}
        features.network_.load_state_dict(weights)
        features.network_.eval()
        return features


def _centred(images: np.ndarray, image_format: ImageFormat, device: torch.device) -> Tensor:
    return unit_tensor(images, image_format, device) * 2.0 - 1.0


def _read_target(y: Any, n_rows: int) -> tuple[Tensor, np.ndarray | None]:
    """Give positions of classes and the classes; or attributes as float32, and None."""
    labels = as_array(y, "y")
    if labels.ndim not in (1, 2) or len(labels) != n_rows:
        raise ValueError(f"y must have a row for each of the {n_rows} images, got shape {labels.shape}.")
    if pd.isna(labels).any():
        raise ValueError("y has labels that are not known (NaN); train on the images that have one.")
    if labels.ndim == 2:
        if not np.isin(labels, (0, 1)).all():
            raise ValueError(
                "y of shape (n, n_attributes) must be 0 or 1; turn classes into columns with "
                "pandas.get_dummies, or pass one column of classes, of shape (n,)."
            )
        return torch.from_numpy(labels.astype(np.float32)), None
    classes, positions = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError("y shows a single class; a classifier needs at least two.")
    return torch.from_numpy(positions.astype(np.int64)), classes
