"""Terms of the loss that regularise codes: against reference formulas, and in the training loop."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from dmzrep.training._code_terms import (
    SHARPNESS,
    agreement_loss,
    disagreement,
    kl_to_uniform,
    missing_coding_rate,
    missing_entropy,
    mmd_to_uniform,
    squared_correlation,
)
from dmzrep.training._state import load_trainer_state, trainer_state
from tests.training.trainers import VECTORS, make_data
from tests.training.trainers import make_trainer as make_any_trainer

TERMS = {
    "marginal_entropy": lambda views, z: missing_entropy(torch.sigmoid(views[0])),
    "decorrelation": lambda views, z: squared_correlation(torch.sigmoid(views[0])),
    "kl_weight": lambda views, z: kl_to_uniform(views[0]),
    "mmd_weight": lambda views, z: mmd_to_uniform(z),
}


def all_codes(n_bits):
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=n_bits)), dtype=torch.float64)


# -- reference formulas ------------------------------------------------------------------------------


def reference_entropy(logits):
    return (1.0 - Bernoulli(torch.sigmoid(logits).mean(dim=0)).entropy() / math.log(2.0)).sum()


def reference_correlation(logits):
    squares = torch.corrcoef(torch.sigmoid(logits).T).square()
    return (squares.sum() - squares.trace()) / (len(squares) * (len(squares) - 1))


def reference_kl(logits):
    uniform = Bernoulli(torch.tensor(0.5, dtype=logits.dtype))
    bits = kl_divergence(Bernoulli(logits=logits), uniform).mean(dim=0) / math.log(2.0)
    return sum(bit if bit > 0.3 else 0.3 for bit in bits)


def reference_mmd(logits):
    z, uniform, n = torch.sigmoid(logits), all_codes(logits.shape[1]), len(logits)

    def kernel(a, b):
        return torch.exp(-(2 * a[:, None] - 2 * b).square().sum(dim=2) / (2 * a.shape[1]))

    within = (kernel(z, z).sum() - n) / (n * (n - 1))
    return within - 2 * kernel(z, uniform).mean() + kernel(uniform, uniform).mean()


@pytest.mark.parametrize(
    ("term", "reference"),
    [
        (lambda logits: missing_entropy(torch.sigmoid(logits)), reference_entropy),
        (lambda logits: squared_correlation(torch.sigmoid(logits)), reference_correlation),
        (lambda logits: kl_to_uniform(logits, 0.3), reference_kl),
        (lambda logits: mmd_to_uniform(torch.sigmoid(logits)), reference_mmd),
    ],
    ids=["entropy", "correlation", "kl", "mmd"],
)
def test_terms_match_reference_formulas_in_value_and_gradient(term, reference):
    logits = 2.0 * torch.randn(7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits.requires_grad_(True)
    value, expected = term(logits), reference(logits)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
    gradients = (torch.autograd.grad(v, logits)[0] for v in (value, expected))
    torch.testing.assert_close(*gradients, rtol=1e-7, atol=1e-9)


def test_gradients_are_finite_for_constant_bits():
    logits = torch.tensor([[2.0, -3.0, 60.0, -60.0]]).repeat(4, 1).requires_grad_(True)
    assert squared_correlation(torch.sigmoid(logits)) == 0.0
    assert torch.autograd.grad(kl_to_uniform(logits, 0.25), logits)[0].isfinite().all()
    missing_entropy(torch.sigmoid(logits)).backward()
    # Gradient descent balances bits that are not saturated.
    assert (logits.grad[:, 0] > 0).all() and (logits.grad[:, 1] < 0).all() and logits.grad.isfinite().all()


def test_agreement_of_views_matches_its_definition():
    generator = torch.Generator().manual_seed(0)
    views, initial = torch.randn(2, 2, 7, 12, generator=generator, dtype=torch.float64).unbind()
    both = 0.0
    for logits, other in zip(views, initial.flip(0), strict=True):
        target = Bernoulli(logits=SHARPNESS * other)
        both += (kl_divergence(target, Bernoulli(logits=logits)) + target.entropy()).mean()
    torch.testing.assert_close(disagreement([*views], [*initial]), both / 2)
    first, second = views
    same, other, opposite = (disagreement([first, last], [first, last]) for last in (first, second, -first))
    assert same < other < opposite
    anchored, free = agreement_loss([*views], [*initial]), agreement_loss([*views], [])
    torch.testing.assert_close(anchored, disagreement([*views], [*(views + initial) / 2]))
    missing = missing_coding_rate(views.flatten(0, 1))
    torch.testing.assert_close(free, disagreement([*views], [*views]) + missing)


@pytest.mark.parametrize("shape", [(7, 12), (30, 4)], ids=["few", "many"])
def test_missing_coding_rate_is_a_log_determinant_and_falls_with_spread(shape):
    logits = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = logits / logits.norm(dim=1, keepdim=True)
    n, d = shape
    determinant = torch.linalg.det(torch.eye(d) + d / (n * 0.05) * unit.T @ unit)
    found = missing_coding_rate(logits)
    torch.testing.assert_close(found, math.log(21.0) / 2 - determinant.log() / (2 * d))
    assert 0.0 < found < missing_coding_rate(logits[:1] + 0.01 * logits)
    # Zero for samples in all directions; the loss reports divergence.
    assert missing_coding_rate(3.0 * torch.eye(d)).item() == pytest.approx(0.0, abs=1e-6)
    assert missing_coding_rate(torch.full_like(logits, math.nan)).isnan()


# -- in the training loop --------------------------------------------------------------------------


def make_trainer(**settings):
    return make_any_trainer(replace(VECTORS, latent_dim=5), **settings)


@pytest.fixture
def batch():
    return make_data(n=48).batch(torch.arange(16))


@pytest.mark.parametrize("masks", [{}, {"code_dropout": 0.9, "ordered": True}], ids=["whole", "masked"])
@pytest.mark.parametrize("name", TERMS)
def test_terms_of_unmasked_bits_are_added_to_the_loss_and_reach_the_encoder(batch, name, masks):
    trainers = make_trainer(**masks), make_trainer(**masks, **{name: 0.5})
    usual, loss = (trainer._batch_loss(batch, 48) for trainer in trainers)
    reference = make_trainer(**masks)
    views, _, z = reference._code(batch, 48)
    term = TERMS[name](views, z)
    assert abs(term.item()) > 1e-4
    assert (loss - usual).item() == pytest.approx(0.5 * term.item(), rel=1e-3, abs=1e-6)
    (gradient,) = torch.autograd.grad(term, reference.model.encoder.head.linear.weight)
    without, with_term = (trainer.model.encoder.head.linear.weight.grad for trainer in trainers)
    assert gradient.abs().max() > 0.0
    torch.testing.assert_close(with_term - without, 0.5 * gradient, atol=1e-6, rtol=1e-3)


def test_automatic_weight_makes_the_term_a_tenth_of_the_first_loss_and_is_kept(batch):
    usual = make_trainer()._batch_loss(batch, 48)
    trainer = make_trainer(decorrelation="auto")
    loss = trainer._batch_loss(batch, 48)
    assert (loss - usual).item() == pytest.approx(0.1 * usual.item(), rel=1e-4)
    weight = trainer.code_terms.decorrelation
    trainer.fit(make_data())
    assert trainer.code_terms.decorrelation == weight > 0.0
    for decorrelation, expected in (("auto", weight), (0.25, 0.25)):
        resumed = make_trainer(decorrelation=decorrelation)
        load_trainer_state(resumed, trainer_state(trainer))
        assert resumed.code_terms.decorrelation == expected
