import numpy as np
import pytest
import torch

from dmzrep._base._fit_network import fit_network
from dmzrep._base._isolation import isolated


@isolated
def fitted(target=3.0, **options):
    """Fit one weight to a target; return its value, the best loss and the batches."""
    network = torch.nn.utils.skip_init(torch.nn.Linear, 1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    batches = []

    def loss_of(batch):
        batches.append(batch.tolist())
        return (network.weight - target).square().sum()

    settings = {"n_steps": 30, "batch_size": 4, "learning_rate": 0.1} | options
    if "validation" in settings:
        validation = settings.pop("validation")
        settings["validation_loss"] = lambda: validation(float(network.weight.detach()))
    best = fit_network(network, loss_of, 10, generator=torch.Generator().manual_seed(0), **settings)
    assert not network.training
    return float(network.weight.detach()), best, batches


def test_each_epoch_uses_each_sample_once():
    _, _, batches = fitted(n_steps=6)
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2]
    assert (
        sorted([i for batch in batches[:3] for i in batch])
        == sorted([i for batch in batches[3:] for i in batch])
        == list(range(10))
    )
    assert batches[:3] != batches[3:]
    _, _, batches = fitted(n_steps=5, drop_last=True)
    assert [len(batch) for batch in batches] == [4] * 5


def test_weights_of_the_best_epoch_are_kept():
    weight, best, _ = fitted(n_steps=90, validation=lambda w: (w - 1.0) ** 2)
    assert weight == pytest.approx(1.0, abs=0.2) and best == pytest.approx((weight - 1.0) ** 2)


def test_training_stops_without_improvement():
    _, _, batches = fitted(n_steps=300, validation=lambda w: w, patience=2)
    assert len(batches) == 9  # The first epoch is the best; two more follow.
    assert fitted(validation=lambda w: np.nan, patience=2)[1] == np.inf


def test_fits_are_reproducible_in_any_autograd_mode():
    state = torch.get_rng_state()
    with torch.inference_mode():
        found = fitted()
    assert found == fitted() and found[0] == pytest.approx(3.0, abs=0.5)
    assert torch.equal(state, torch.get_rng_state())
