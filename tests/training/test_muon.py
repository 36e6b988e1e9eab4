"""Muon: orthogonalised steps of kernels."""

from dataclasses import replace

import pytest
import torch

from dmzrep.networks._unet import UNet
from dmzrep.training._muon import STEP_SIZE, MuonAdamW, orthogonalised
from dmzrep.training._optimization import hidden_kernels
from dmzrep.training._state import load_trainer_state, trainer_state
from tests.training.trainers import IMAGES, make_data, make_trainer

WIDE = replace(IMAGES, widths=(16, 32), patch_size=4)


@pytest.mark.parametrize("shape", [(3, 20, 50), (2, 50, 20), (1, 32, 32)])
def test_singular_values_are_moved_near_to_one(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalised(1e-3 * matrices)
    values = torch.linalg.svdvals(found)
    assert 0.6 < values.median() < 1.3 and values.max() < 1.3
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    nearest = u @ v
    cosine = (found * nearest).sum() / (found.norm() * nearest.norm())
    assert cosine > 0.95


def test_steps_of_kernels_have_one_size_and_others_are_those_of_adamw():
    kernel, bias = torch.nn.Parameter(torch.zeros(16, 24, 3, 3)), torch.nn.Parameter(torch.zeros(8))
    other = torch.nn.Parameter(torch.zeros(8))
    options = {"lr": 0.01, "betas": (0.9, 0.99), "fused": True}
    optimizer = MuonAdamW([{"params": [kernel, bias], "weight_decay": 0.0}], [kernel], **options)
    plain = torch.optim.AdamW([other], weight_decay=0.0, **options)
    for scale in (1.0, 100.0):
        before = kernel.detach().clone()
        kernel.grad, bias.grad = scale * torch.randn(kernel.shape), scale * torch.randn(8)
        other.grad = bias.grad.clone()
        gradient = kernel.grad
        optimizer.step()
        plain.step()
        size = (kernel.detach() - before).square().mean().sqrt().item()
        assert size == pytest.approx(0.01 * STEP_SIZE, rel=0.25)
        assert kernel.grad is gradient
        assert torch.equal(bias, other)


def test_only_kernels_of_hidden_layers_of_the_unet_are_orthogonalised():
    trainer = make_trainer(WIDE)
    kernels = {id(kernel) for kernel in hidden_kernels(trainer.model)}
    of_unet = [m for m in trainer.model.denoiser.modules() if isinstance(m, UNet)]
    assert kernels and len(of_unet) == 1
    assert kernels <= {id(p) for p in of_unet[0].parameters() if p.dim() == 4}
    assert not kernels & {id(of_unet[0].conv_in.weight), id(of_unet[0].conv_out.weight)}


def test_a_run_can_be_continued_by_the_other_optimiser():
    states = []
    for first, second in (("muon", "adamw"), ("adamw", "muon")):
        trainer = make_trainer(WIDE, optimizer=first, max_epochs=1).fit(make_data(WIDE))
        other = make_trainer(WIDE, optimizer=second, max_epochs=1)
        load_trainer_state(other, trainer_state(trainer), new_run=True)
        other.fit(make_data(WIDE))
        states.append({id(p): other.optimizer.state[p] for p in hidden_kernels(other.model)})
        for parameter in other.model.parameters():
            assert torch.isfinite(parameter).all()
    by_adamw, by_muon = states
    assert all("exp_avg_sq" in slots for slots in by_adamw.values())
    assert not any("exp_avg_sq" in slots for slots in by_muon.values())
