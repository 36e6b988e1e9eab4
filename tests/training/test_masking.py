"""What training hides of codes, seen from the denoiser."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dmzrep.codes._prefixes import prefix_lengths
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.networks._model import DiffusionAutoencoder, NetworkConfig
from dmzrep.networks._relaxation import code_features
from dmzrep.training import Trainer, TrainingData
from dmzrep.training._masking import drop_codes, keep_prefixes
from tests.encoders import make_config

NETWORK = NetworkConfig((6,), 32, "mlp", (32,), (2,), encoder_width=16)
SETTINGS = make_config(max_epochs=1, batch_size=64, warmup_steps=2, ema_half_life=100.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw_bits(n, n_bits):
    return torch.rand(n, n_bits, generator=generator(1)) * 0.4


@pytest.mark.parametrize(
    ("latent_dim", "lengths"),
    [
        (64, [8, 16, 32, 64]),
        (48, [8, 16, 32, 48]),
        (9, [8, 9]),
        (8, [1, 2, 4, 8]),
        (5, [1, 2, 4, 5]),
        (1, [1]),
    ],
)
def test_lengths_of_prefixes(latent_dim, lengths):
    assert prefix_lengths(latent_dim) == lengths


def test_prefixes_stay_as_they_are_and_each_length_is_as_likely():
    z = draw_bits(4000, 64)
    shown = keep_prefixes(z, generator())
    kept = (shown != 0.5).sum(dim=1)
    ends = torch.arange(64) >= kept[:, None]
    assert (shown[ends] == 0.5).all() and torch.equal(shown[~ends], z[~ends])
    lengths, counts = kept.unique(return_counts=True)
    assert lengths.tolist() == [8, 16, 32, 64]
    # Half of the rows are shortened, a quarter of these to all 64 bits.
    np.testing.assert_allclose(counts / len(z), [0.125, 0.125, 0.125, 0.625], atol=0.02)


@pytest.mark.parametrize("probability", [0.1, 0.6])
def test_whole_codes_are_dropped(probability):
    z = draw_bits(4000, 16)
    shown = drop_codes(z, probability, generator())
    dropped = (shown == 0.5).all(dim=1)
    assert dropped.float().mean() == pytest.approx(probability, abs=0.02)
    assert torch.equal(shown[~dropped], z[~dropped])
    assert (code_features(shown[dropped], "signed") == 0.0).all()


def seen_by_the_denoiser(n_steps=30, **settings):
    torch.manual_seed(0)
    model = DiffusionAutoencoder(NETWORK)
    config = replace(SETTINGS, **settings)
    trainer, seen = Trainer(model, Objective(NoiseSchedule.named("cosine", 50)), config, 0), []
    model.denoiser.register_forward_pre_hook(lambda _, given: seen.append(given[2].detach()))
    x0 = torch.randn(64, 6, generator=generator())
    for _ in range(n_steps):
        trainer.train_step(x0, 64)
    return torch.cat(seen)


def test_by_default_the_denoiser_sees_every_bit():
    assert not (seen_by_the_denoiser(2) == 0.5).any()


def test_the_denoiser_sees_prefixes_and_no_codes():
    z = seen_by_the_denoiser(ordered=True, code_dropout=0.25, learning_rate=1e-5)
    kept = (z != 0.5).sum(dim=1)
    assert (z[torch.arange(32) >= kept[:, None]] == 0.5).all()
    lengths, counts = kept.unique(return_counts=True)
    assert lengths.tolist() == [0, 8, 16, 32]
    np.testing.assert_allclose(counts / len(z), [0.25, 0.125, 0.125, 0.5], atol=0.03)


def test_masked_bits_carry_no_information_and_get_no_gradient():
    torch.manual_seed(0)
    model = DiffusionAutoencoder(NETWORK)
    x0, t = torch.randn(4, 6), torch.full((4,), 9)
    z = draw_bits(4, 32).requires_grad_(True)
    with torch.no_grad():
        for parameter in model.denoiser.parameters():
            parameter.normal_(std=0.2, generator=generator())
    shown = torch.where(torch.arange(32) < 8, z, 0.5)
    model.denoiser(x0, t, shown).sum().backward()
    assert (z.grad[:, 8:] == 0.0).all() and (z.grad[:, :8] != 0.0).any()


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_the_loss_without_a_code_is_measured_where_it_was_learned(dropout):
    torch.manual_seed(0)
    model = DiffusionAutoencoder(NETWORK)
    rows = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    data = TrainingData(rows, lambda raw: raw, np.arange(40), torch.device("cpu"))
    config = replace(SETTINGS, code_dropout=dropout)
    trainer, seen = Trainer(model, Objective(NoiseSchedule.named("cosine", 50)), config, 0), []
    trainer.fit(data)
    denoiser = trainer.average.model.denoiser
    denoiser.register_forward_pre_hook(lambda _, given: seen.append(given[2]))
    losses = trainer.validate(data)
    assert ("validation_loss_no_code" in losses) is (dropout > 0.0)
    assert sum(bool((z == 0.5).all()) for z in seen) == (dropout > 0.0)
    # What is measured besides changes none of the other losses.
    trainer.config = SETTINGS
    others = trainer.validate(data)
    assert others == {name: losses[name] for name in others} and len(others) == 3
