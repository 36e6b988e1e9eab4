"""Persistence methods of the estimator: files and pickles."""

from __future__ import annotations

import os
from typing import Any, Self

import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._isolation import isolated
from dmzrep._base._validation import as_path
from dmzrep.datasets import ImageReader
from dmzrep.estimator._model_card import write_card
from dmzrep.estimator._onnx import write_encoder
from dmzrep.estimator._state import CLASSES, KIND, fitted_state, restore_fitted
from dmzrep.files._state import read_state, write_state
from dmzrep.networks._device import available_device, on_cpu
from dmzrep.networks._model import DiffusionAutoencoder, place


class PersistenceMixin(BaseEstimator):
    """Methods of `DMZEncoder` that read, write and copy it."""

    model_: DiffusionAutoencoder
    image_reader_: ImageReader | None

    @isolated
    def save(self, path: str | os.PathLike, *, model_card: bool | str | os.PathLike = False) -> None:
        """Write the fitted estimator to one file: safetensors and JSON, no pickle.

        Parameters
        ----------
        path : path-like
            The file, by convention with the extension ``.safetensors``. Written completely or not at all.
        model_card : bool or path-like, default=False
            True also writes a model card in Markdown next to the file, with the extension ``.md``; a path
            sets its location. It describes data, training, code, limits and versions, and replaces an
            existing file.
        """
        check_is_fitted(self)
        if not isinstance(model_card, bool):  # Before the file is written.
            model_card = as_path(model_card, "model_card", ", or True or False")
        write_state(path, KIND, fitted_state(self), CLASSES)
        if model_card is not False:
            write_card(self, path, model_card)

    @classmethod
    @isolated
    def load(
        cls,
        path: str | os.PathLike,
        *,
        device: str | torch.device = "auto",
        backbone: torch.nn.Module | None = None,
        encoder: Any = None,
    ) -> Self:
        """Load an encoder that `save` wrote, without running code from the file.

        Parameters
        ----------
        path : path-like
            The file.
        device : str or torch.device, default="auto"
            Device of the networks; becomes the parameter `device`.
        backbone : torch.nn.Module or None, default=None
            Required if the encoder was fitted with a custom backbone: a module built in the same way. The
            weights of the file are loaded into a copy.
        encoder : torch.nn.Module, fitted transformer or None, default=None
            Required if the encoder was fitted with a custom encoder: a module built in the same way, also
            copied, or the transformer.

        Returns
        -------
        DMZEncoder
            Fitted.

        Raises
        ------
        PersistenceError
            The file is of another kind, damaged, truncated, or of an unknown version; or `backbone` or
            `encoder` is missing, not needed, of other shapes, or a transformer with other features. The
            message names the file.
        """
        return restore_fitted(cls, read_state(path, KIND, CLASSES), device, path, backbone, encoder)

    @isolated
    def export_encoder(self, path: str | os.PathLike) -> None:
        """Write the encoder to an ONNX file, which runs without torch and dmzrep.

        The model takes any number of samples in the fitted layout, dtype and value range, and returns what
        `transform` returns for the current `output`. It does not check values.

        Parameters
        ----------
        path : path-like
            The file, by convention with the extension ``.onnx``. Written completely or not at all.

        Raises
        ------
        ImportError
            The packages of the extra ``onnx`` are missing.

        Notes
        -----
        The metadata of the file have `input_name`, `input_layout`, `input_shape`, `input_dtype`,
        `value_range`, `output`, `latent_dim`, `dmzrep_version` and, if there is a reader of picture files,
        `image_reader`: how files become arrays, in JSON. Logits of other runtimes agree with torch
        within about 1e-5, so a bit whose probability is near 0.5 can differ.

        Examples
        --------
        >>> import onnxruntime  # doctest: +SKIP
        >>> from dmzrep import DMZEncoder
        >>> from dmzrep.datasets import load_digits_images
        >>> X = load_digits_images().images
        >>> DMZEncoder(max_time=60).fit(X).export_encoder("digits.onnx")  # doctest: +SKIP
        >>> session = onnxruntime.InferenceSession("digits.onnx")  # doctest: +SKIP
        >>> (probabilities,) = session.run(None, {"images": X})  # doctest: +SKIP
        """
        self._check_encodes()
        write_encoder(path, self.model_, self.data_format_, self.output, self.image_reader_)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = on_cpu(self.model_)
            state["device_"] = torch.device("cpu")
        for name in ("backbone", "encoder"):
            if isinstance(state[name], torch.nn.Module):
                state[name] = on_cpu(state[name])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in state:
            self.device_ = available_device(self.device)
            self.model_ = place(self.model_, self.device_)
