"""Initialisation by canonical correlation analysis between samples and their nearest neighbours."""

import pytest
import torch

from dmzrep.networks._linear_init import LinearInit
from dmzrep.training import init_linear, init_neighbour_cca
from dmzrep.training.init._neighbour_cca import neighbour_means


@pytest.fixture
def clusters():
    """Eight clusters in three dimensions of unit variance, and three of larger noise."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(800) % 8
    centres = 2.0 * ((labels[:, None] >> torch.arange(3)) & 1).float() - 1.0
    near = centres + 0.3 * torch.randn(800, 3, generator=generator)
    return torch.cat([near, 1.5 * torch.randn(800, 3, generator=generator)], dim=1), labels


def signal(branch):
    weight = branch.linear.weight.detach()
    return (weight[:, :3].square().sum() / weight.square().sum()).item()


def test_directions_that_neighbours_share_are_kept(clusters):
    features, _ = clusters
    shares = []
    for initialise in (
        init_neighbour_cca,
        lambda *arguments: init_linear(*arguments[:2], "itq", arguments[2]),
    ):
        branch = LinearInit((6,), 3)
        initialise(branch, features, torch.Generator().manual_seed(0))
        shares.append(signal(branch))
    assert shares[0] > shares[1] + 0.1


def test_means_of_neighbours_exclude_the_sample(monkeypatch):
    monkeypatch.setattr("dmzrep.training.init._neighbour_cca.SEARCHED_AT_A_TIME", 3)
    monkeypatch.setattr("dmzrep.training.init._neighbour_cca.NEIGHBOURS", 1)
    angles = torch.tensor([0.0, 0.1, 1.0, 1.2, 2.0, 2.3, 3.0])
    features = torch.stack([angles.cos(), angles.sin()], dim=1)
    means = neighbour_means(features, angles[:, None].double())[:, 0]
    torch.testing.assert_close(means, angles[[1, 0, 3, 2, 5, 4, 5]].double())
    few = neighbour_means(features, angles[:, None].double(), time_left=lambda: 0.0)[:, 0]
    torch.testing.assert_close(few, means[:3])
