"""Masking of codes in training, as seen by the denoiser."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.trainers import VECTORS, generator, make_data, make_trainer

NETWORK = replace(VECTORS, latent_dim=32)


def seen_by_the_denoiser(n_steps=30, **settings):
    trainer, seen = make_trainer(NETWORK, batch_size=64, **settings), []
    trainer.model.denoiser.register_forward_pre_hook(lambda _, args: seen.append(args[2].detach()))
    x0 = torch.randn(64, 6, generator=generator())
    for _ in range(n_steps):
        trainer.train_step(x0, 64)
    return torch.cat(seen)


def test_the_denoiser_is_given_prefixes_and_dropped_codes_on_request():
    assert not (seen_by_the_denoiser(2) == 0.5).any()
    z = seen_by_the_denoiser(ordered=True, code_dropout=0.25, learning_rate=1e-5)
    kept = (z != 0.5).sum(dim=1)
    assert (z[torch.arange(32) >= kept[:, None]] == 0.5).all()
    lengths, counts = kept.unique(return_counts=True)
    assert lengths.tolist() == [0, 8, 16, 32]
    np.testing.assert_allclose(counts / len(z), [0.25, 0.125, 0.125, 0.5], atol=0.03)


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_validation_loss_without_a_code_needs_code_dropout(dropout):
    trainer = make_trainer(NETWORK, max_epochs=1, code_dropout=dropout).fit(make_data())
    losses = trainer.validate(make_data())
    assert ("validation_loss_no_code" in losses) is (dropout > 0.0)
    # The other losses do not depend on whether it is measured.
    trainer.config = make_trainer(NETWORK, max_epochs=1).config
    others = trainer.validate(make_data())
    assert others == {name: losses[name] for name in others} and len(others) == 3
