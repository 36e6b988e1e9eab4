"""Callbacks of scikit-learn, called from the training loop."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dmzrep.data import ImageFormat, VectorFormat
from dmzrep.estimator._attributes import model_attributes
from dmzrep.priors import fit_prior
from dmzrep.training import Hooks, Trainer

if TYPE_CHECKING:
    from sklearn.callback import CallbackContext


@dataclass(eq=False)
class CallbackHooks(Hooks):
    """Calls callbacks of scikit-learn at every epoch, a subtask of the fit with the root `context`.

    `arguments` are the estimator, X and y; `attributes` are the fitted attributes known before training.
    """

    context: CallbackContext
    arguments: dict[str, Any]
    data_format: ImageFormat | VectorFormat
    attributes: dict[str, Any]
    _epoch: CallbackContext | None = None

    def epoch_begin(self, trainer: Trainer) -> None:
        self._epoch = self.context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self.arguments)

    def epoch_end(self, trainer: Trainer) -> bool:
        if self._epoch is None:
            return False
        epoch, self._epoch = self._epoch, None
        return epoch.call_on_fit_task_end(
            reconstruction_attributes=lambda: self._fitted_so_far(trainer), **self.arguments
        )

    def fit_end(self, trainer: Trainer) -> None:
        self.epoch_end(trainer)  # Also ends an interrupted epoch.

    def _fitted_so_far(self, trainer: Trainer) -> dict[str, Any]:
        """Return all fitted attributes; the prior is uniform until the codes are final."""
        model = trainer.average.model
        has_code = model.config.conditioning != "none"
        return (
            model_attributes(trainer, self.data_format)
            | {
                "model_": copy.deepcopy(model),
                "prior_": fit_prior("uniform", np.zeros((1, model.config.latent_dim))) if has_code else None,
                "n_features_in_": int(np.prod(self.data_format.shape)),
            }
            | self.attributes
        )
