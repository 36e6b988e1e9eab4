"""Groups of parameters that `clone`, `get_params` and `GridSearchCV` understand."""

from __future__ import annotations

from typing import Any, ClassVar

from sklearn.base import BaseEstimator


class ParameterGroup(BaseEstimator):
    """Parameters of an estimator that belong together; a parameter of the estimator itself.

    A subclass has keyword arguments only, stores them unchanged, and states their constraints in
    `_parameter_constraints`, as scikit-learn's estimators do.
    """

    _parameter_constraints: ClassVar[dict] = {}

    def validate(self) -> None:
        """Check each parameter by itself.

        Raises
        ------
        InvalidParameterError
            A parameter is outside its constraints. The message names it and the group.
        """
        self._validate_params()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), *(repr(item) for item in self._values().items())))

    def _values(self) -> dict[str, Any]:
        return self.get_params(deep=False)
