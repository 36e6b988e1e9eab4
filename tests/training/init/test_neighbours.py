"""Initialisation that preserves the nearest neighbours of features."""

import math

import pytest
import torch
from sklearn.datasets import load_digits

from dmzrep.networks._linear_init import LinearInit
from dmzrep.training import init_linear, init_neighbour_cca, init_neighbours
from dmzrep.training.init._neighbours import neighbourhood_width


@pytest.fixture(scope="module")
def digits():
    """Return 600 images of digits as vectors."""
    return torch.from_numpy(load_digits().data[:600] / 8.0 - 1.0).float()


def recall(branch, features, n_bits=None):
    """Return the share of the nine nearest neighbours that are among the nine nearest by bits."""
    with torch.no_grad():
        bits = (branch(features) > 0).float()[:, :n_bits]
    found = []
    for x in (features, bits):
        distances = torch.cdist(x, x).fill_diagonal_(math.inf)
        found.append(distances.topk(9, largest=False).indices)
    return (found[0][:, :, None] == found[1][:, None]).float().sum(dim=(1, 2)).mean().item() / 9


@pytest.mark.parametrize("seed", range(3))
def test_bits_preserve_more_neighbours_than_itq(digits, seed):
    learned, itq = LinearInit((64,), 16), LinearInit((64,), 16)
    init_neighbours(learned, digits, torch.Generator().manual_seed(seed))
    init_linear(itq, digits, "itq", torch.Generator().manual_seed(seed))
    assert recall(learned, digits) > recall(itq, digits) + 0.02


def test_prefixes_of_an_ordered_code_preserve_neighbours(digits):
    ordered, plain = LinearInit((64,), 16), LinearInit((64,), 16)
    init_neighbours(ordered, digits, torch.Generator().manual_seed(0), stages=[8, 16])
    init_neighbours(plain, digits, torch.Generator().manual_seed(0))
    assert recall(ordered, digits, 8) > recall(plain, digits, 8)


def test_the_width_gives_the_perplexity(digits):
    similarity = -0.5 * torch.cdist(digits, digits).square().fill_diagonal_(math.inf)
    p = torch.softmax(similarity / neighbourhood_width(similarity, 4.0), dim=1)
    assert torch.special.entr(p).sum(dim=1).mean().exp().item() == pytest.approx(4.0, rel=1e-3)


@pytest.mark.parametrize("initialise", [init_neighbours, init_neighbour_cca])
@pytest.mark.parametrize("n_bits", [2, 80])
def test_codes_may_be_longer_than_features_are_many(digits, initialise, n_bits, monkeypatch):
    monkeypatch.setattr("dmzrep.training.init._neighbour_cca.SEARCHED_AT_A_TIME", 300)
    branch = LinearInit((64,), n_bits)
    initialise(branch, digits, torch.Generator().manual_seed(0), time_left=lambda: 0.0)
    assert torch.isfinite(branch.linear.weight).all() and (branch.linear.weight.norm(dim=1) > 0).all()


def test_equal_samples_are_no_neighbours_and_give_finite_weights(digits):
    branch, copies = LinearInit((64,), 8), digits[:2].repeat(100, 1)
    init_neighbours(branch, copies, torch.Generator().manual_seed(0))
    assert torch.isfinite(branch.linear.weight).all()
