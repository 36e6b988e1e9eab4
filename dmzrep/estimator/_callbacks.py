"""From the training loop's hooks to scikit-learn's callbacks."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from dmzrep.data import ImageFormat, VectorFormat
from dmzrep.priors import fit_prior
from dmzrep.training import Hooks, Trainer

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.callback import CallbackContext


class CallbackHooks(Hooks):
    """Tells `sklearn.callback` of every epoch, each a subtask of fit.

    Parameters
    ----------
    estimator : DMZEncoder
        The estimator in training.
    context : CallbackContext
        Its root context.
    X, y : object
        What was given to fit.
    data_format : ImageFormat or VectorFormat
        Format of X.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        context: CallbackContext,
        X: Any,
        y: Any,
        data_format: ImageFormat | VectorFormat,
    ):
        self.estimator = estimator
        self.context = context
        self.data = {"X": X, "y": y}
        self.data_format = data_format
        self._epoch: CallbackContext | None = None

    def epoch_begin(self, trainer: Trainer) -> None:
        self._epoch = self.context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def epoch_end(self, trainer: Trainer) -> bool:
        if self._epoch is None:
            return False
        epoch, self._epoch = self._epoch, None
        return epoch.call_on_fit_task_end(
            estimator=self.estimator,
            reconstruction_attributes=lambda: self._fitted_so_far(trainer),
            **self.data,
        )

    def fit_end(self, trainer: Trainer) -> None:
        # An epoch that was interrupted still ends.
        self.epoch_end(trainer)

    def _fitted_so_far(self, trainer: Trainer) -> dict[str, Any]:
        """Attributes of an estimator that can encode and score now; its prior is uniform."""
        return {
            "model_": copy.deepcopy(trainer.average.model),
            "objective_": trainer.objective,
            "data_format_": self.data_format,
            "device_": trainer.device,
            "prior_": fit_prior("uniform", np.zeros((1, trainer.model.config.latent_dim))),
            "n_features_in_": int(np.prod(self.data_format.shape)),
            "_n_features_out": trainer.model.config.latent_dim,
        }
