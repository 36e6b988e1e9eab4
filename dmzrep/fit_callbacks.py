"""From the training loop's hooks to scikit-learn's callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    X : object
        What was given to fit.
    """

    def __init__(self, estimator: BaseEstimator, context: CallbackContext, X: Any):
        self.estimator = estimator
        self.context = context
        self.X = X

    def epoch_begin(self, trainer: Trainer) -> None:
        self._epoch = self.context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(estimator=self.estimator, X=self.X)

    def epoch_end(self, trainer: Trainer) -> bool:
        return self._epoch.call_on_fit_task_end(estimator=self.estimator, X=self.X)
