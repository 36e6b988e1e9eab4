"""A linear model of codes for one or several attributes."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import ClassifierTags, RegressorTags, Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from dmzrep._base._isolation import isolated
from dmzrep._base._validation import check_magnitude
from dmzrep._base._warnings import warn
from dmzrep.codes._labels import TASKS, position_of, read_labels
from dmzrep.probing._linear_map import LinearMap, fit_linear_map, join_columns, named_table


def _has_classes(probe: LinearProbe) -> bool:
    """Whether a probe classifies an attribute, or may do so after `fit`."""
    if not hasattr(probe, "attributes_"):
        return probe.task != "regression"
    return any(model.classes is not None for model in probe._maps)


class LinearProbe(BaseEstimator):
    """Linear classifier or regressor on codes, for one attribute or several at once.

    The score of a linear model measures how explicitly a code represents an attribute. Each attribute has
    its own model, logistic regression or ridge regression with an L2 penalty; samples whose label is NaN
    (None, NA) are ignored for that attribute only.

    Parameters
    ----------
    task : {"auto", "classification", "regression"}, default="auto"
        Kind of the labels. With ``"auto"``, attributes with fractions are continuous, others are classes.
    C : float, default=1.0
        Inverse strength of the penalty, as in scikit-learn's `LogisticRegression`; ridge regression uses
        ``alpha=1/C``, the same penalty.
    scale : bool, default=False
        Whether to standardise codes before fitting. `coef_` is always in the units of the codes.
    class_weight : dict, "balanced" or None, default=None
        As in scikit-learn; for classes only.
    max_iter : int, default=1000
        Maximum number of iterations of the logistic solver.
    n_jobs : int or None, default=None
        Number of attributes fitted in parallel, as in joblib.

    Attributes
    ----------
    attributes_ : list
        Column names of a DataFrame, else 0, 1, ...
    classes_ : ndarray or list of ndarray
        Classes; a list with an entry for each attribute if there are several (None for a continuous
        one). None for one continuous target.
    coef_ : ndarray or list of ndarray
        Weights in code units. One target: (1, latent_dim) for two classes, (n_classes, latent_dim)
        for more, (latent_dim,) for values. Several: (n_attributes, latent_dim), or a list where one
        has more than two classes.
    intercept_ : ndarray, float or list of ndarray
        Intercepts.
    n_labels_ : list of int
        Samples with a label, for each attribute.
    n_iter_ : int
        Iterations of the solver, the maximum over attributes; ridge regression counts as one.
    n_features_in_ : int
        Number of bits.
    feature_names_in_ : ndarray of shape ``(n_features_in_,)``
        Column names, if the codes were a table with names.

    See Also
    --------
    probe_report : Accuracy, AUROC and average precision of many attributes over folds.
    sklearn.multioutput.MultiOutputClassifier : Several targets with any classifier, without missing labels.

    Notes
    -----
    `predict`, `predict_proba` and `decision_function` return a DataFrame with the attributes' names if
    the labels were a DataFrame, else arrays in scikit-learn's shapes.

    References
    ----------
    G. Alain, Y. Bengio, "Understanding intermediate layers using linear classifier probes", 2016,
    arXiv 1610.01644.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from dmzrep.probing import LinearProbe
    >>> Z = np.random.default_rng(0).random((200, 8))
    >>> Y = pd.DataFrame({"hat": Z[:, 0] > 0.5, "age": 20.0 + 50.5 * Z[:, 1]})
    >>> probe = LinearProbe(C=100.0).fit(Z, Y)
    >>> list(probe.predict(Z[:3]).columns)
    ['hat', 'age']
    >>> int(np.abs(probe.direction("hat")).argmax())
    0
    """

    _parameter_constraints: ClassVar[dict] = {
        "task": [StrOptions(set(TASKS))],
        "C": [Interval(Real, 0, None, closed="neither")],
        "scale": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
    }

    classes_: np.ndarray | list[np.ndarray | None] | None
    coef_: np.ndarray | list[np.ndarray]
    intercept_: np.ndarray | float | list[np.ndarray]

    def __init__(self, task="auto", *, C=1.0, scale=False, class_weight=None, max_iter=1000, n_jobs=None):
        self.task = task
        self.C = C
        self.scale = scale
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.n_jobs = n_jobs

    @isolated
    def fit(self, Z: Any, y: Any) -> Self:
        """Fit a linear model for each attribute.

        Parameters
        ----------
        Z : array-like of shape (n, latent_dim)
            Codes: bits, probabilities, logits or any numbers.
        y : array-like of shape (n,) or (n, n_attributes), Series or DataFrame
            Classes or values. NaN where unknown.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Labels differ in length from the codes, have a single class, are infinite or all missing, or do
            not match `task`.
        """
        self._validate_params()
        Z = validate_data(self, Z, dtype=(np.float64, np.float32), ensure_min_samples=2)
        check_magnitude(Z, "Z")
        labels = read_labels(y, len(Z), self.task, "y")
        for target in labels.targets:
            if target.classes is not None and len(target.classes) < 2:
                raise ValueError(
                    "A classifier needs at least two classes, but all known labels of attribute "
                    f"{target.name!r} are {target.classes.tolist()[0]!r}. Omit the attribute, or use more "
                    "samples."
                )
        options = {name: getattr(self, name) for name in ("C", "scale", "class_weight", "max_iter")}
        maps = Parallel(n_jobs=self.n_jobs)(
            delayed(fit_linear_map)(Z, target, **options) for target in labels.targets
        )
        unconverged = [name for name, model in zip(labels.names, maps, strict=True) if not model.converged]
        if unconverged:
            warn(
                f"The logistic solver did not converge within max_iter={self.max_iter} for "
                f"{len(unconverged)} of {len(maps)} attributes ({', '.join(map(str, unconverged[:5]))}). "
                "Increase max_iter, or pass scale=True.",
                ConvergenceWarning,
            )
        self._maps: list[LinearMap] = maps
        self._form = labels.form
        self.attributes_ = labels.names
        self.n_iter_ = max(model.n_iter for model in maps)
        self.n_labels_ = [int(target.known.sum()) for target in labels.targets]
        self._set_weights()
        return self

    def _set_weights(self) -> None:
        maps = self._maps
        if self._form == "vector":
            only = maps[0]
            self.classes_ = only.classes
            self.coef_ = only.weights[0] if only.classes is None else only.weights
            self.intercept_ = float(only.intercepts[0]) if only.classes is None else only.intercepts
            return
        self.classes_ = [model.classes for model in maps]
        if all(len(model.weights) == 1 for model in maps):
            self.coef_ = np.concatenate([model.weights for model in maps])
            self.intercept_ = np.concatenate([model.intercepts for model in maps])
        else:
            self.coef_ = [model.weights for model in maps]
            self.intercept_ = [model.intercepts for model in maps]

    @isolated
    def predict(self, Z: Any) -> np.ndarray | pd.DataFrame:
        """Predict classes or values.

        Parameters
        ----------
        Z : array-like of shape (n, latent_dim)
            Codes.

        Returns
        -------
        ndarray of shape (n,) or (n, n_attributes), or DataFrame
            In the form of the fitted labels.
        """
        codes = self._check_codes(Z)
        columns = [model.predict(codes) for model in self._maps]
        if self._form == "vector":
            return columns[0]
        if self._form == "array":
            return np.column_stack(columns)
        return named_table(dict(zip(self.attributes_, columns, strict=True)), Z)

    @available_if(_has_classes)
    @isolated
    def predict_proba(self, Z: Any) -> np.ndarray | list[np.ndarray] | pd.DataFrame:
        """Return probabilities of the classes; continuous attributes are skipped.

        Parameters
        ----------
        Z : array-like of shape (n, latent_dim)
            Codes.

        Returns
        -------
        ndarray, list of ndarray or DataFrame
            One target: (n, n_classes). Several with two classes each: (n, n_attributes), the
            probability of the second class. Where one has more than two: a list of (n, n_classes), or
            a DataFrame with columns (attribute, class).
        """
        codes = self._check_codes(Z)
        if self._form == "vector":
            return self._maps[0].probabilities(codes)
        return join_columns(self._per_class(lambda model: model.probabilities(codes)), self._form, Z)

    @available_if(_has_classes)
    @isolated
    def decision_function(self, Z: Any) -> np.ndarray | list[np.ndarray] | pd.DataFrame:
        """Return log odds of the second of two classes, or logits; continuous attributes are skipped.

        Parameters
        ----------
        Z : array-like of shape (n, latent_dim)
            Codes.

        Returns
        -------
        ndarray, list of ndarray or DataFrame
            One target: (n,) for two classes, (n, n_classes) for more. Several: as `predict_proba`.
        """
        codes = self._check_codes(Z)
        if self._form == "vector":
            return self._maps[0].scores(codes)
        return join_columns(self._per_class(lambda model: model.scores(codes)), self._form, Z)

    def _per_class(
        self, values: Callable[[LinearMap], np.ndarray]
    ) -> dict[Any, tuple[np.ndarray, np.ndarray]]:
        """Return classes and values of each attribute that has classes."""
        found = {
            name: (model.classes, values(model))
            for name, model in zip(self.attributes_, self._maps, strict=True)
            if model.classes is not None
        }
        if self._form == "array" and len(found) < len(self.attributes_):
            raise ValueError(
                "Some targets are continuous and have no classes, so columns would not be those of y. "
                "Fit with a DataFrame, whose columns have names, or on the classes only."
            )
        return found

    def direction(self, attribute: Any = None, label: Any = None) -> np.ndarray:
        """Return the direction in code space along which an attribute's score grows fastest.

        Parameters
        ----------
        attribute : hashable, optional
            Name, or position for unnamed targets; optional if there is one only.
        label : object, optional
            The class to move towards, by default the second of two. Required where there are more than two;
            then the direction points away from the mean of the others.

        Returns
        -------
        ndarray of shape (latent_dim,), float64
            Of unit length, in code units; zeros where the attribute has no weights.

        Raises
        ------
        ValueError
            There is no such attribute or class.

        Examples
        --------
        >>> import numpy as np
        >>> from dmzrep.probing import LinearProbe
        >>> Z = np.eye(2)[[0, 0, 1, 1]]
        >>> LinearProbe().fit(Z, ["no", "no", "yes", "yes"]).direction().round(3).tolist()
        [-0.707, 0.707]
        """
        check_is_fitted(self)
        if attribute is None:
            if len(self._maps) > 1:
                raise ValueError(
                    f"This probe has {len(self._maps)} attributes; name one of {self.attributes_[:10]}."
                )
            position = 0
        else:
            position = position_of(attribute, self.attributes_)
        return self._maps[position].direction(label, self.attributes_[position])

    @isolated
    def score(self, Z: Any, y: Any) -> float:
        """Return the mean over attributes of the accuracy, or of R squared for values.

        Parameters
        ----------
        Z : array-like of shape (n, latent_dim)
            Codes.
        y : array-like of shape (n,) or (n, n_attributes), Series or DataFrame
            Labels in the form of those fitted. NaN where unknown.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            The attributes are not those fitted, or some are classes and others values: use `probe_report`.
        """
        codes = self._check_codes(Z)
        kinds = {model.classes is None for model in self._maps}
        if len(kinds) > 1:
            raise ValueError(
                "Accuracy of classes and R squared of values have no common mean; use probe_report."
            )
        task = "regression" if kinds.pop() else "auto"
        # The fitted kind counts, as test labels may have a single class, or integers only.
        labels = read_labels(y, len(codes), task, "y")
        if labels.form != self._form or (labels.form != "vector" and labels.names != self.attributes_):
            raise ValueError(
                f"y has the attributes {labels.names[:10]}, but the probe was fitted on "
                f"{self.attributes_[:10]}."
            )
        pairs = zip(self._maps, labels.targets, strict=True)
        return float(np.mean([model.score(codes, target) for model, target in pairs]))

    def _check_codes(self, Z: Any) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, Z, dtype=(np.float64, np.float32), reset=False)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "attributes_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        regresses = self.task == "regression" or (hasattr(self, "attributes_") and not _has_classes(self))
        tags.estimator_type = "regressor" if regresses else "classifier"
        tags.classifier_tags = None if regresses else ClassifierTags(multi_label=True)
        tags.regressor_tags = RegressorTags() if regresses else None
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags
