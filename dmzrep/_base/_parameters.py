"""Groups of parameters that `clone`, `get_params` and `GridSearchCV` understand."""

from typing import ClassVar

from sklearn.base import BaseEstimator


class ParameterGroup(BaseEstimator):
    """A group of related parameters, which is itself a parameter of an estimator.

    Subclasses take keyword arguments only, store them unchanged, and declare their constraints in
    `_parameter_constraints`, as scikit-learn's estimators do.
    """

    _parameter_constraints: ClassVar[dict] = {}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_params(deep=False) == other.get_params(deep=False)

    def __hash__(self) -> int:
        return hash((type(self), repr(self.get_params(deep=False))))
