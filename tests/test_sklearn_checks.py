"""Estimator checks of scikit-learn for LinearProbe, and for FaissNeighbors of vectors."""

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from dmzrep.probing import LinearProbe
from dmzrep.retrieval import FaissNeighbors

NEIGHBORS = [FaissNeighbors(metric="l2"), FaissNeighbors(metric="cosine", index="hnsw")]


def expected_failures(estimator):
    if isinstance(estimator, FaissNeighbors) or estimator.task == "regression":
        return {}
    listed = {
        "check_classifier_multioutput": "it indexes classes_, which is a list for several targets, as "
        "MultiOutputClassifier's is: attributes need not share their classes"
    }
    if estimator.task == "auto":
        reason = "task='auto' takes continuous targets for a regression"
        listed["check_classifiers_regression_target"] = reason
    return listed


@parametrize_with_checks(
    [LinearProbe("regression"), LinearProbe("auto", scale=True), *NEIGHBORS],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", ["check_param_validation", "check_dataframe_column_names_consistency"])
def test_checks_omitted_by_the_decorator(name):
    assert getattr(estimator_checks, name)("LinearProbe", LinearProbe("classification")) is None
