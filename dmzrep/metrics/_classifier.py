"""Features of a small classifier trained on labelled images like those to compare."""

import hashlib
import math
import os
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from dmzrep._base._batching import batches, run_padded
from dmzrep._base._isolation import isolated
from dmzrep._base._random import draw_seed
from dmzrep._base._validation import as_array, check_choice, check_int, check_number, is_int
from dmzrep.data import ImageFormat
from dmzrep.files._modules import build_module
from dmzrep.files._state import read_state, require, restoring, take, write_state
from dmzrep.metrics._images import read_images, unit_tensor
from dmzrep.metrics._small_network import SmallNetwork, fit_small_network
from dmzrep.networks._device import available_device, on_cpu, resolve_device

#: Images per batch at inference.
BATCH_SIZE = 256
#: Upper limit of the number of values per image that a file may specify.
MAX_PIXELS = 2**31


class ClassifierFeatures(ClassifierMixin, TransformerMixin, BaseEstimator):
    """Features of images from the last hidden layer of a convolutional classifier.

    For labelled images unlike those that public networks were trained on, such as digits or drawings.
    Distances are comparable only with the same fitted classifier, whose hash is stored in every result. Use
    reference images that the classifier was not trained on, as it is more confident on its training images.

    Parameters
    ----------
    n_features : int, default=64
        Size of the last hidden layer. A Fréchet distance needs more images than features.
    width : int, default=32
        Channels of the first convolution; each of the other two doubles them.
    max_iter : int, default=5
        Number of epochs.
    batch_size : int, default=128
        Images per training step.
    learning_rate : float, default=4e-3
        Peak learning rate of AdamW.
    channels : {"auto", "first", "last"}, default="auto"
        Position of the channel axis.
    value_range : tuple of two floats or "auto", default="auto"
        Smallest and largest possible pixel; ``"auto"`` is 0 to 255 for uint8, 0 to 1 for floats.
    device : str or torch.device, default="auto"
        Device of the network.
    random_state : int, RandomState or None, default=None
        Controls the initialisation of the weights and the order of the images.

    Attributes
    ----------
    network_ : SmallNetwork
        The classifier.
    classes_ : ndarray or None
        Sorted classes; None after a fit on attributes.
    data_shape_ : tuple of int
        (channels, H, W) of the images.
    sha256 : str
        Hash of the weights, stored in results.

    See Also
    --------
    InceptionFeatures : A public network, for scores that are comparable with the literature.

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
        random_state=None,
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

    @isolated
    def fit(self, X: Any, y: Any) -> Self:
        """Train the classifier.

        Parameters
        ----------
        X : array-like of shape (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images.
        y : array-like of shape (n,), or DataFrame or array of shape (n, n_attributes)
            Classes; or binary attributes, 0 or 1, that are learned together.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            X or y has the wrong shape or values out of range, or labels are missing.
        """
        learning_rate = self._check_parameters()
        images, image_format = read_images(X, self.channels, self.value_range, "X")
        target, classes = _read_target(y, len(images))
        device = resolve_device(self.device)

        def loss_of(network: SmallNetwork, batch: Tensor, _: torch.Generator) -> Tensor:
            logits = network(_centred(images[batch.numpy()], image_format, device))
            y_batch = target[batch].to(device)
            if classes is None:
                return F.binary_cross_entropy_with_logits(logits, y_batch)
            return F.cross_entropy(logits, y_batch)

        self.network_ = fit_small_network(
            image_format.shape,
            self.n_features,
            target.shape[1] if classes is None else len(classes),
            loss_of,
            len(images),
            width=self.width,
            n_steps=self.max_iter * max(1, len(images) // self.batch_size),
            batch_size=self.batch_size,
            learning_rate=learning_rate,
            seed=draw_seed(self.random_state),
            device=device,
        )
        self.classes_, self.data_shape_ = classes, image_format.shape
        return self

    def _check_parameters(self) -> float:
        """Raise unless the parameters are valid; return the learning rate."""
        for name in ("n_features", "width", "max_iter", "batch_size"):
            check_int(getattr(self, name), name)
        check_choice("channels", self.channels, ("auto", "first", "last"))
        return check_number(self.learning_rate, "learning_rate", 0)

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
    def _run(self, X: Any, output: str) -> np.ndarray:
        check_is_fitted(self, "network_")
        images, image_format = read_images(X, self.channels, self.value_range, "X")
        if image_format.shape != self.data_shape_:
            raise ValueError(
                f"X must be images of shape {self.data_shape_} (channels, height, width), like those that "
                f"the classifier was fitted on, got {image_format.shape}."
            )
        device = next(self.network_.parameters()).device
        run = self.network_.features if output == "features" else self.network_
        outputs = []
        for part in batches(len(images), BATCH_SIZE):
            x = _centred(images[part], image_format, device)
            outputs.append(run_padded(run, BATCH_SIZE, x).cpu().numpy())
        return np.concatenate(outputs)

    @isolated
    def transform(self, X: Any) -> np.ndarray:
        """Return the features of images.

        Parameters
        ----------
        X : array-like of shape (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images.

        Returns
        -------
        ndarray of shape (n, n_features), float32
        """
        return self._run(X, "features")

    def __call__(self, X: Any) -> np.ndarray:
        """Return features, as extractors do."""
        return self.transform(X)

    @isolated
    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted classes, or binary attributes.

        Parameters
        ----------
        X : array-like of shape (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images.

        Returns
        -------
        ndarray of shape (n,) or (n, n_attributes)
        """
        logits = self._run(X, "logits")
        return (logits > 0.0).astype(np.int64) if self.classes_ is None else self.classes_[logits.argmax(1)]

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
        """Save the fitted classifier to one file, so that later distances use the same features.

        Parameters
        ----------
        path : path-like
            The file.
        """
        check_is_fitted(self, "network_")
        state = {
            "params": self.get_params(deep=False),
            "weights": dict(self.network_.state_dict()),
            "n_outputs": self.network_.head.out_features,
            "data_shape": self.data_shape_,
            "classes": self.classes_,
        }
        write_state(path, "ClassifierFeatures", state)

    @classmethod
    def load(cls, path: str | os.PathLike, *, device: str | torch.device = "auto") -> Self:
        """Load a classifier from a file.

        Parameters
        ----------
        path : path-like
            Written by `save`.
        device : str or torch.device, default="auto"
            Device of the network.

        Returns
        -------
        ClassifierFeatures

        Raises
        ------
        PersistenceError
            The file is damaged, or holds something else.
        """
        placed_on, state = available_device(device), read_state(path, "ClassifierFeatures")
        with restoring(path, "ClassifierFeatures"):
            params, weights, n_outputs, shape, classes = take(
                state, "params", "weights", "n_outputs", "data_shape", "classes"
            )
            features = cls(**(params | {"device": device}))
            features._check_parameters()
            valid = isinstance(shape, tuple) and len(shape) == 3 and all(is_int(n) and n > 0 for n in shape)
            require(valid and math.prod(shape) < MAX_PIXELS, "data_shape must be that of images")
            check_int(n_outputs, "n_outputs")
            if classes is not None:
                is_array = isinstance(classes, np.ndarray) and classes.shape == (n_outputs,)
                require(is_array and len(np.unique(classes)) == n_outputs, "classes must be distinct")
            network: Any = build_module(
                lambda: SmallNetwork(shape, features.n_features, n_outputs, features.width), weights
            )
            features.network_ = network.to(placed_on).eval()
            features.data_shape_, features.classes_ = shape, classes
        return features


def _centred(images: np.ndarray, image_format: ImageFormat, device: torch.device) -> Tensor:
    return unit_tensor(images, image_format, device) * 2.0 - 1.0


def _read_target(y: Any, n_samples: int) -> tuple[Tensor, np.ndarray | None]:
    """Return indices of classes and the classes; or attributes as float32, and None."""
    labels = as_array(y, "y")
    if labels.ndim not in (1, 2) or len(labels) != n_samples:
        raise ValueError(f"y must have a label for each of the {n_samples} images, got shape {labels.shape}.")
    if pd.isna(labels).any():
        raise ValueError("y has missing labels (NaN); leave out the images without one.")
    if labels.ndim == 2:
        if not np.isin(labels, (0, 1)).all():
            raise ValueError(
                "y of shape (n, n_attributes) must be 0 or 1; turn classes into columns with "
                "pandas.get_dummies, or pass one column of classes, of shape (n,)."
            )
        return torch.from_numpy(labels.astype(np.float32)), None
    classes, indices = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError("y has a single class; a classifier needs at least two.")
    return torch.from_numpy(indices.astype(np.int64)), classes
