import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.errors import MemoryWarning
from dmzrep.networks._model import DiffusionAutoencoder, NetworkConfig
from dmzrep.training import Trainer
from dmzrep.training._micro_batches import MicroBatches, is_out_of_memory
from tests.encoders import make_config, make_encoder

NETWORK = NetworkConfig((1, 8, 8), 4, "unet", (8,), (1, 1), encoder_width=4, normalize_logits=True)
SETTINGS = make_config(max_epochs=1, batch_size=16, marginal_entropy=0.1, mmd_weight=0.1, gradient_clip=1e9)


def make_trainer(**settings):
    torch.manual_seed(0)
    objective = Objective(NoiseSchedule.named("cosine", 50), input_perturbation=0.1)
    return Trainer(DiffusionAutoencoder(NETWORK), objective, replace(SETTINGS, **settings), 0)


@pytest.fixture
def batch():
    return torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)


def step(trainer, batch):
    """Loss and gradients of a step."""
    loss = trainer.train_step(batch, 64)
    return loss, {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}


def full_above(n_rows, seen):
    """Make memory run out when more rows than these are denoised, once their activations are there."""

    def run_out(module, given, output):
        seen.append(len(output))
        if len(output) > n_rows:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    return run_out


@pytest.mark.parametrize("size", [1, 3, 8, 99])
def test_parts_of_a_batch_give_its_gradients(batch, size):
    whole, in_parts = (step(make_trainer(micro_batch_size=n), batch) for n in (None, size))
    assert in_parts[0].item() == pytest.approx(whole[0].item(), rel=1e-5)
    assert in_parts[1].keys() == whole[1].keys()
    for name, gradient in whole[1].items():
        torch.testing.assert_close(in_parts[1][name], gradient, atol=1e-6, rtol=1e-4)


def test_when_memory_runs_out_parts_are_halved_and_the_step_is_the_same(batch):
    trainer, seen = make_trainer(), []
    trainer.model.denoiser.register_forward_hook(full_above(5, seen))
    with pytest.warns(MemoryWarning, match="ran out for 8 rows.*with 4 at a time.*micro_batch_size=4"):
        loss, gradients = step(trainer, batch)
    assert seen == [16, 8, 4, 4, 4, 4]
    expected, gradients_of_parts = step(make_trainer(micro_batch_size=4), batch)
    assert torch.equal(loss, expected)
    assert all(torch.equal(gradients[name], gradients_of_parts[name]) for name in gradients_of_parts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(trainer, batch)
    assert seen[6:] == [4, 4, 4, 4]


def test_what_the_parts_before_have_left_is_forgotten(batch):
    trainer, calls = make_trainer(micro_batch_size=8), []

    def second_fails(module, given, output):
        calls.append(len(output))
        if len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    trainer.model.denoiser.register_forward_hook(second_fails)
    with pytest.warns(MemoryWarning):
        loss, gradients = step(trainer, batch)
    assert calls == [8, 8, 4, 4, 4, 4]
    expected, right = step(make_trainer(micro_batch_size=4), batch)
    assert torch.equal(loss, expected) and all(torch.equal(gradients[name], right[name]) for name in right)


def test_memory_that_does_not_hold_one_row_is_an_error(batch):
    trainer = make_trainer(micro_batch_size=2)
    trainer.model.denoiser.register_forward_hook(full_above(0, []))
    with pytest.warns(MemoryWarning), pytest.raises(torch.OutOfMemoryError):
        trainer.train_step(batch, 64)


def test_other_errors_are_left_alone():
    def fails(part):
        raise RuntimeError("shapes do not fit")

    parts = MicroBatches()
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        parts.run(8, fails, lambda: None)
    assert parts.size is None


def test_the_cpus_memory_runs_out_too():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**14)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("something else"))
    assert not is_out_of_memory(ValueError("not enough memory"))


def test_an_encoder_learns_the_same_in_parts():
    X = np.random.default_rng(0).integers(0, 256, (48, 8, 8), dtype=np.uint8)
    params = {"latent_dim": 8, "width": 8, "encoder_width": 8, "max_iter": 2, "batch_size": 16}
    params |= {"precision": "float32", "random_state": 0, "prior": "uniform", "init": "itq"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole, in_parts = (
            make_encoder(**params, micro_batch_size=size).fit(X).transform(X) for size in ("auto", 5)
        )
    np.testing.assert_allclose(in_parts, whole, atol=1e-5)
