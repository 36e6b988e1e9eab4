"""Precision and recall of sets whose answer is known, and against loops."""

import math

import numpy as np
import pytest

from dmzrep.metrics import precision_recall


def clusters(*centres, n=20, seed=0):
    random = np.random.default_rng(seed)
    return np.concatenate([centre + 0.1 * random.normal(size=(n, 2)) for centre in centres])


def test_a_dropped_mode_lowers_recall_and_coverage():
    real = clusters((0, 0), (10, 0), n=200)
    scores = precision_recall(real, clusters((0, 0), n=400, seed=1)).scores
    assert scores["precision"] > 0.9 and scores["recall"] == pytest.approx(0.5, abs=0.05)
    assert scores["coverage"] == pytest.approx(0.5, abs=0.05)


def test_disjoint_sets_score_0():
    scores = precision_recall(clusters((0, 0)), clusters((10, 0))).scores
    assert scores == {"precision": 0.0, "recall": 0.0, "density": 0.0, "coverage": 0.0}


def test_equal_sets_score_1():
    x = clusters((0, 0), (3, 1))
    scores = precision_recall(x, x).scores
    assert scores["precision"] == scores["recall"] == scores["coverage"] == 1.0
    # Each ball holds its centre and its three neighbours.
    assert scores["density"] == pytest.approx(4 / 3)


@pytest.mark.parametrize("k", [1, 4])
def test_scores_are_those_of_loops(k):
    random = np.random.default_rng(3)
    # More samples than a block of distances has.
    real, fake = random.normal(size=(300, 2)), 1.2 * random.normal(size=(270, 2)) + 0.5

    def radii(points):
        return [sorted(math.dist(p, q) for q in points)[k] for p in points]

    real_radii, fake_radii = radii(real), radii(fake)
    in_real = [[math.dist(x, y) <= r for x, r in zip(real, real_radii, strict=True)] for y in fake]
    in_fake = [[math.dist(x, y) <= r for x, r in zip(fake, fake_radii, strict=True)] for y in real]
    result = precision_recall(real, fake, n_neighbors=k)
    assert result.scores == pytest.approx(
        {
            "precision": np.mean([any(row) for row in in_real]),
            "recall": np.mean([any(row) for row in in_fake]),
            "density": np.sum(in_real) / (k * len(fake)),
            "coverage": np.mean(np.any(in_real, axis=0)),
        }
    )
    assert result.to_dict()["n_neighbors"] == k and result.value == result.scores["precision"]


def test_too_many_neighbours_are_refused():
    x = np.zeros((5, 2))
    with pytest.raises(ValueError, match="n_neighbors must be an integer from 1 to 2, less than"):
        precision_recall(x, x[:3])
