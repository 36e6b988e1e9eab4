"""Estimator checks of scikit-learn, which use vectors, not bits."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from dmzrep.retrieval import FaissNeighbors


@parametrize_with_checks(
    [
        FaissNeighbors(metric="l2"),
        FaissNeighbors(metric="cosine"),
        FaissNeighbors(metric="l2", index="hnsw"),
        FaissNeighbors(metric="l2", index="ivf"),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
