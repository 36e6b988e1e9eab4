from dataclasses import replace

import pytest
import torch

from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.errors import MemoryWarning
from dmzrep.training._micro_batches import MicroBatches, is_out_of_memory
from tests.training import trainers

NETWORK = replace(trainers.IMAGES, normalize_logits=True)


def make_trainer(size="auto"):
    objective = Objective(NoiseSchedule.named("cosine", 50), input_perturbation=0.1)
    terms = {"marginal_entropy": 0.1, "mmd_weight": 0.1, "gradient_clip": 1e9}
    return trainers.make_trainer(NETWORK, objective=objective, micro_batch_size=size, **terms)


@pytest.fixture
def batch():
    return torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)


def step(trainer, batch):
    """Return the loss and the gradients of a step."""
    loss = trainer.train_step(batch, 64)
    return loss, {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}


def run_out_of_memory(trainer, is_full):
    """Make memory run out if `is_full(sizes)` is true of the sizes of all batches, which are returned."""
    sizes = []

    def run_out(module, args, output):
        sizes.append(len(output))
        if is_full(sizes):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    trainer.model.denoiser.register_forward_hook(run_out)
    return sizes


def assert_is_step_of(found, size, batch):
    loss, gradients = step(make_trainer(size), batch)
    assert torch.equal(found[0], loss)
    assert all(torch.equal(found[1][name], gradients[name]) for name in gradients)


@pytest.mark.parametrize("size", [1, 3, 8, 99])
def test_micro_batches_accumulate_the_gradients_of_the_batch(batch, size):
    (loss, gradients), (loss_in_parts, in_parts) = (step(make_trainer(n), batch) for n in ("auto", size))
    assert loss_in_parts.item() == pytest.approx(loss.item(), rel=1e-5)
    assert in_parts.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(in_parts[name], gradient, atol=1e-6, rtol=1e-4)


def test_micro_batches_are_halved_when_memory_runs_out(batch):
    trainer = make_trainer()
    sizes = run_out_of_memory(trainer, lambda sizes: sizes[-1] > 5)
    with pytest.warns(MemoryWarning) as caught:
        found = step(trainer, batch)
    messages = [str(w.message) for w in caught]
    assert len(messages) == 2 and "ran out for 16 samples" in messages[0]
    assert "with 4 at a time" in messages[1] and "set micro_batch_size=4" in messages[1]
    assert sizes == [16, 8, 4, 4, 4, 4]
    assert_is_step_of(found, 4, batch)
    # Later steps begin with the smaller size, without a warning.
    step(trainer, batch)
    assert sizes[6:] == [4, 4, 4, 4]


def test_gradients_of_earlier_micro_batches_are_discarded_when_memory_runs_out(batch):
    trainer = make_trainer(8)
    sizes = run_out_of_memory(trainer, lambda sizes: len(sizes) == 2)
    with pytest.warns(MemoryWarning):
        found = step(trainer, batch)
    assert sizes == [8, 8, 4, 4, 4, 4]
    assert_is_step_of(found, 4, batch)


def test_too_little_memory_for_one_sample_is_an_error(batch):
    trainer = make_trainer(2)
    run_out_of_memory(trainer, lambda sizes: True)
    with pytest.warns(MemoryWarning), pytest.raises(torch.OutOfMemoryError):
        trainer.train_step(batch, 64)


def test_only_out_of_memory_errors_are_handled():
    def fail(part):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        MicroBatches().run(8, fail, lambda: None)
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**14)
    assert is_out_of_memory(caught.value)
