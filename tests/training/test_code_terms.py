"""Terms for the code: against slow formulas and enumeration, and in the training loop."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.networks._model import DiffusionAutoencoder, NetworkConfig
from dmzrep.training import Trainer, TrainingData
from dmzrep.training._code_terms import (
    CodeTerms,
    kl_to_uniform,
    missing_entropy,
    mmd_to_uniform,
    squared_correlation,
)
from tests.encoders import make_config

VECTORS = NetworkConfig((6,), 5, "mlp", (32,), (2,), encoder_width=16)
SETTINGS = make_config(max_epochs=2, batch_size=16, warmup_steps=2, ema_half_life=100.0)
TERMS = {
    "marginal_entropy": lambda logits, z: missing_entropy(torch.sigmoid(logits)),
    "decorrelation": lambda logits, z: squared_correlation(torch.sigmoid(logits)),
    "kl_weight": lambda logits, z: kl_to_uniform(logits),
    "mmd_weight": lambda logits, z: mmd_to_uniform(z),
}


def draw(*shape, scale=2.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def all_codes(n_bits):
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=n_bits)), dtype=torch.float64)


# -- slow formulas ---------------------------------------------------------------------------------


def slow_entropy_term(logits):
    total = 0.0
    for bit in range(logits.shape[1]):
        p = sum(1.0 / (1.0 + torch.exp(-logit)) for logit in logits[:, bit]) / len(logits)
        total = total + 1.0 - (-(p * torch.log(p) + (1 - p) * torch.log(1 - p)) / math.log(2.0))
    return total


def slow_correlation_term(logits):
    p, n_bits, total = torch.sigmoid(logits), logits.shape[1], 0.0
    for i, j in itertools.permutations(range(n_bits), 2):
        a, b = p[:, i] - p[:, i].mean(), p[:, j] - p[:, j].mean()
        total = total + ((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt()) ** 2
    return total / (n_bits * (n_bits - 1))


def slow_kl_term(logits, free_bits=0.3):
    uniform, total = Bernoulli(torch.tensor(0.5, dtype=logits.dtype)), 0.0
    for bit in range(logits.shape[1]):
        kl = kl_divergence(Bernoulli(logits=logits[:, bit]), uniform).mean() / math.log(2.0)
        total = total + (kl if kl > free_bits else free_bits)
    return total


def slow_kernel(a, b):
    return torch.exp(-(2 * a - 2 * b).square().sum() / (2 * len(a)))


def slow_mmd_term(logits):
    z = torch.sigmoid(logits)
    uniform = all_codes(z.shape[1])
    pairs = list(itertools.permutations(range(len(z)), 2))
    within = sum(slow_kernel(z[i], z[j]) for i, j in pairs) / len(pairs)
    between = sum(slow_kernel(a, u) for a in z for u in uniform) / (len(z) * len(uniform))
    among = sum(slow_kernel(u, v) for u in uniform for v in uniform) / len(uniform) ** 2
    return within - 2 * between + among


@pytest.mark.parametrize(
    ("term", "slow"),
    [
        (lambda logits: missing_entropy(torch.sigmoid(logits)), slow_entropy_term),
        (lambda logits: squared_correlation(torch.sigmoid(logits)), slow_correlation_term),
        (lambda logits: kl_to_uniform(logits, 0.3), slow_kl_term),
        (lambda logits: mmd_to_uniform(torch.sigmoid(logits)), slow_mmd_term),
    ],
    ids=["entropy", "correlation", "kl", "mmd"],
)
def test_values_and_gradients_are_those_of_slow_formulas(term, slow):
    logits = draw(7, 4).requires_grad_(True)
    value, expected = term(logits), slow(logits)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        *(torch.autograd.grad(v, logits)[0] for v in (value, expected)), rtol=1e-7, atol=1e-9
    )


def test_the_entropy_term_is_zero_for_balanced_bits_and_moves_constant_ones():
    balanced = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert missing_entropy(balanced).item() == pytest.approx(0.0, abs=1e-6)
    assert missing_entropy(torch.ones(4, 3)).item() == pytest.approx(3.0, abs=1e-3)
    logits = torch.tensor([[2.0, -3.0, 0.0], [2.0, -3.0, 0.0], [60.0, -60.0, 0.0]], requires_grad=True)
    missing_entropy(torch.sigmoid(logits)).backward()
    # Descent lowers the bit that is mostly one and raises the bit that is mostly zero.
    assert (logits.grad[:2, 0] > 0).all() and (logits.grad[:2, 1] < 0).all()
    assert torch.allclose(logits.grad[:, 2], torch.zeros(3), atol=1e-6) and logits.grad.isfinite().all()


def test_equal_bits_are_wholly_correlated_and_constant_or_single_ones_not_at_all():
    p = torch.rand(40, 5, generator=torch.Generator().manual_seed(0))
    assert squared_correlation(p[:, :1].repeat(1, 3)).item() == pytest.approx(1.0, rel=1e-4)
    constant = torch.ones(4, 3, requires_grad=True)
    squared_correlation(constant).backward()
    assert constant.grad.isfinite().all() and squared_correlation(p[:, :1]) == 0.0


def test_free_bits_cost_a_constant_and_leave_their_logits_alone():
    logits = torch.tensor([[0.5, 4.0, 300.0], [-0.5, -4.0, -300.0]], requires_grad=True)
    value = kl_to_uniform(logits, free_bits=0.25)
    value.backward()
    assert (logits.grad[:, 0] == 0.0).all() and logits.grad.isfinite().all()
    # Descent makes a bit that tells more than its share less sure.
    assert logits.grad[0, 1] > 0.0 > logits.grad[1, 1]
    p = 1.0 / (1.0 + math.exp(-4.0))
    told = 1.0 + p * math.log2(p) + (1 - p) * math.log2(1 - p)
    assert value.item() == pytest.approx(0.25 + told + 1.0, rel=1e-5)


def test_the_discrepancy_is_without_bias_and_a_sum_over_sets_of_bits():
    n_bits, means = 3, torch.tensor([0.5, -0.25, 0.0], dtype=torch.float64)
    codes = all_codes(n_bits)
    # Means over all pairs of codes, drawn from uniform bits and from independent ones with these means.
    chances = torch.stack([torch.full((8,), 0.125), (codes * means + (1 - means) / 2).prod(dim=1)])
    assert chances.sum(dim=1).tolist() == pytest.approx([1.0, 1.0])
    expected = [0.0, 0.0]
    for i, j in itertools.product(range(8), repeat=2):
        value = mmd_to_uniform(codes[[i, j]])
        expected = [e + (c[i] * c[j] * value).item() for e, c in zip(expected, chances, strict=True)]
    near, far = 0.5 * (1 + math.exp(-2 / n_bits)), 0.5 * (1 - math.exp(-2 / n_bits))
    sets = 0.0
    for size in (1, 2, 3):
        for chosen in itertools.combinations(range(n_bits), size):
            sets += near ** (n_bits - size) * far**size * means[list(chosen)].square().prod().item()
    assert expected[0] == pytest.approx(0.0, abs=1e-12) and expected[1] == pytest.approx(sets, rel=1e-9)


# -- in the loop -----------------------------------------------------------------------------------


def make_trainer(kind=Trainer, seed=0, network=VECTORS, **settings):
    torch.manual_seed(seed)
    model = DiffusionAutoencoder(network)
    return kind(model, Objective(NoiseSchedule.named("cosine", 50)), replace(SETTINGS, **settings), seed)


@pytest.fixture
def data():
    rows = np.random.default_rng(0).normal(size=(48, 6)).astype(np.float32)
    return TrainingData(rows, lambda raw: raw, np.arange(48), torch.device("cpu"))


@pytest.mark.parametrize("name", TERMS)
def test_a_term_is_added_to_the_loss_and_reaches_the_encoder(data, name):
    x0 = data.batch(torch.arange(16))
    trainers = make_trainer(), make_trainer(**{name: 0.5})
    usual, loss = (trainer._batch_loss(x0, 48) for trainer in trainers)
    drawer = make_trainer()
    term = TERMS[name](*drawer._code(x0, 48))
    assert abs(term.item()) > 1e-4
    assert (loss - usual).item() == pytest.approx(0.5 * term.item(), rel=1e-3, abs=1e-7)
    (gradient,) = torch.autograd.grad(term, drawer.model.encoder.head.linear.weight)
    without, with_term = (trainer.model.encoder.head.linear.weight.grad for trainer in trainers)
    assert gradient.abs().max() > 0.0
    torch.testing.assert_close(with_term - without, 0.5 * gradient, atol=1e-6, rtol=1e-3)


def test_an_automatic_weight_starts_the_term_at_a_tenth_of_the_loss_and_stays(data):
    usual = make_trainer()._batch_loss(data.batch(torch.arange(16)), 48)
    trainer = make_trainer(decorrelation="auto")
    assert trainer.code_terms.decorrelation is None
    loss = trainer._batch_loss(data.batch(torch.arange(16)), 48)
    assert (loss - usual).item() == pytest.approx(0.1 * usual.item(), rel=1e-4)
    weight = trainer.code_terms.decorrelation
    trainer.fit(data)
    assert trainer.code_terms.decorrelation == weight > 0.0
    resumed = make_trainer(decorrelation="auto")
    resumed.load_state(trainer.state())
    assert resumed.code_terms.decorrelation == weight
    own = make_trainer(decorrelation=0.25)
    own.load_state(trainer.state())
    assert own.code_terms.decorrelation == 0.25


def test_terms_get_the_bits_that_the_denoiser_does_not_see(data):
    trainer, seen = make_trainer(mmd_weight=1.0, code_dropout=0.9, ordered=True), {}

    class Recorded(CodeTerms):
        def __call__(self, logits, z, loss):
            seen["terms"] = z
            return super().__call__(logits, z, loss)

    trainer.code_terms = Recorded(trainer.config)
    trainer.model.denoiser.register_forward_pre_hook(lambda _, given: seen.update(denoiser=given[2]))
    trainer.train_step(data.batch(torch.arange(16)), 48)
    hidden = seen["denoiser"] == 0.5
    assert hidden.any() and not (seen["terms"] == 0.5).any()
    assert torch.equal(seen["terms"][~hidden], seen["denoiser"][~hidden])


class WithoutTerms(Trainer):
    """The loop before there were terms and hidden bits."""

    def _batch_loss(self, x0, n_rows):
        t, weights = self.timesteps.sample(len(x0), self.order)
        _, z = self._code(x0, n_rows)
        losses = self.objective.losses(self.model.denoiser, x0, t, z, self._randn(x0), self._perturbation(x0))
        self.timesteps.update(t, losses.detach())
        loss = (losses * weights).mean()
        loss.backward()
        return loss.detach()


def test_terms_that_are_off_change_nothing(data):
    bypassed, usual = (make_trainer(kind).fit(data) for kind in (WithoutTerms, Trainer))
    assert all(torch.equal(a, b) for a, b in zip(*_weights(bypassed, usual), strict=True))
    assert torch.equal(bypassed.noise.get_state(), usual.noise.get_state())
    for settings in ({"kl_weight": 0.1}, {"code_dropout": 0.5}, {"ordered": True}):
        other = make_trainer(**settings).fit(data)
        assert not all(torch.equal(a, b) for a, b in zip(*_weights(other, usual), strict=True))


def _weights(*trainers):
    return [list(trainer.average.model.state_dict().values()) for trainer in trainers]
