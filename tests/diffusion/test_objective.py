import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from dmzrep.diffusion._objective import OBJECTIVES, Objective
from dmzrep.diffusion._schedule import NOISE_SCHEDULES, NoiseSchedule

quick = settings(deadline=None, max_examples=25)
any_kind = st.sampled_from(OBJECTIVES)
any_seed = st.integers(0, 2**31)
SCHEDULE = NoiseSchedule.named("cosine", 200)


def draw(seed, n=5, shape=(2, 3, 4)):
    generator = torch.Generator().manual_seed(seed)
    x0, noise, extra = torch.randn(3, n, *shape, generator=generator, dtype=torch.float64)
    t = torch.randint(0, 200, (n,), generator=generator)
    t[:2] = torch.tensor([0, 199])
    return x0, noise, extra, t


@quick
@given(
    seed=any_seed,
    kind=any_kind,
    learn_variance=st.booleans(),
    schedule=st.sampled_from(NOISE_SCHEDULES),
    n_timesteps=st.sampled_from([2, 50, 1000]),
)
def test_interpreting_the_target_returns_data_and_noise(seed, kind, learn_variance, schedule, n_timesteps):
    objective = Objective(NoiseSchedule.named(schedule, n_timesteps), kind, learn_variance)
    x0, noise, raw, t = draw(seed)
    t = t % n_timesteps
    t[-1] = n_timesteps - 1
    x_t = objective.schedule.add_noise(x0, noise, t)
    prediction = objective.target(x0, noise, t)
    if learn_variance:
        prediction = torch.cat([prediction, raw], dim=1)
    denoised = objective.interpret(prediction, x_t, t)
    torch.testing.assert_close(denoised.x0, x0, rtol=0, atol=1e-8)
    torch.testing.assert_close(denoised.epsilon, noise, rtol=0, atol=1e-8)
    if learn_variance:
        torch.testing.assert_close(denoised.variance_fraction, (raw + 1) / 2)
    else:
        assert denoised.variance_fraction is None


def losses_by_loop(objective, network, x0, t, z, noise, extra):
    """Return the losses, computed sample by sample from the formulas of the papers."""
    schedule, losses = objective.schedule, []
    for i in range(len(x0)):
        step = t[i].item()
        alpha_bar = schedule.alpha_bar[step]
        a, s = math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)
        x_t = a * x0[i] + s * (noise[i] + objective.input_perturbation * extra[i])
        out = network(x_t[None], torch.tensor([step * 1000.0 / schedule.n_timesteps]), z[i : i + 1])[0]
        channels = len(x0[i])
        mean_part, raw = out[:channels], out[channels:]
        target = {"epsilon": noise[i], "sample": x0[i], "v": a * noise[i] - s * x0[i]}[objective.kind]
        loss = ((mean_part - target) ** 2).mean()
        if objective.kind == "sample":
            loss = loss * (1 + objective.LOSS_OFFSET) / (s**2 + objective.LOSS_OFFSET)
        if objective.learn_variance:
            estimates = {"epsilon": (x_t - s * mean_part) / a, "v": a * x_t - s * mean_part}
            x0_hat = estimates.get(objective.kind, mean_part)
            before = schedule.alpha_bar[step - 1] if step else 1.0
            beta = schedule.betas[step]
            weight0 = math.sqrt(before) * beta / (1 - alpha_bar)
            weight_t = math.sqrt(1 - beta) * (1 - before) / (1 - alpha_bar)
            posterior = beta * (1 - before) / (1 - alpha_bar)
            first = schedule.betas[1] * (1 - schedule.alpha_bar[0]) / (1 - schedule.alpha_bar[1])
            lower = math.log(posterior) if step else math.log(first)
            fraction = (raw + 1) / 2
            sd = (0.5 * (fraction * math.log(beta) + (1 - fraction) * lower)).exp()
            reverse = Normal(weight0 * x0_hat + weight_t * x_t, sd)
            if step:
                true = Normal(weight0 * x0[i] + weight_t * x_t, torch.full_like(sd, math.sqrt(posterior)))
                bound = kl_divergence(true, reverse)
            elif objective.data_bin is None:
                bound = -reverse.log_prob(x0[i])
            else:
                edges = x0[i] + objective.data_bin / 2, x0[i] - objective.data_bin / 2
                bound = -(reverse.cdf(edges[0]) - reverse.cdf(edges[1])).log()
            loss = loss + bound.mean() * schedule.n_timesteps / 1000
        losses.append(loss)
    return torch.stack(losses)


@quick
@given(
    seed=any_seed,
    kind=any_kind,
    learn_variance=st.booleans(),
    perturbation=st.sampled_from([0.0, 0.15]),
    data_bin=st.sampled_from([None, 0.2]),
    perturbed=st.booleans(),
)
def test_losses_equal_those_of_a_loop_over_samples(
    seed, kind, learn_variance, perturbation, data_bin, perturbed
):
    objective = Objective(SCHEDULE, kind, learn_variance, perturbation, data_bin)
    x0, noise, extra, t = draw(seed)
    x0 = 0.5 * x0.clamp(-1.5, 1.5)
    z = torch.rand(5, 2)

    def network(x, time, codes):
        shape = (-1, 1, 1, 1)
        out = 0.5 * x + 0.01 * codes.sum(dim=1).view(shape) + (time / 2000).view(shape)
        if kind != "v":
            out = x + 0.01 * out
        return torch.cat([out, torch.tanh(x)], dim=1) if learn_variance else out

    # Without noise for the perturbation, as in validation, inputs are not perturbed.
    found = objective.losses(network, x0, t, z, noise, extra if perturbed else None)
    assert found.shape == (5,)
    expected = losses_by_loop(objective, network, x0, t, z, noise, extra * perturbed)
    # The probability of a bin far from a narrow reverse Gaussian is clamped, which the loop does not do.
    valid = torch.isfinite(expected) & ((t > 0) | (expected < 2.0))
    assert valid.sum() >= 3
    # Squared errors are taken in float32.
    torch.testing.assert_close(found[valid].double(), expected[valid], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("data_bin", [None, 2 / 255])
def test_the_bound_has_gradients_for_the_variance_only(kind, data_bin):
    objective = Objective(SCHEDULE, kind, learn_variance=True, data_bin=data_bin)
    x0, noise, _, t = draw(1)
    x0 = x0.clamp(-1, 1)
    target = objective.target(x0, noise, t)
    mean_part = (target + 0.01 * torch.randn_like(target)).requires_grad_()
    raw = torch.zeros_like(target, requires_grad=True)
    losses = objective.losses(lambda x, time, z: torch.cat([mean_part, raw], dim=1), x0, t, None, noise)
    losses.sum().backward()
    n_values = x0[0].numel()
    weight = objective.loss_weights(t).view(-1, *(1 for _ in x0.shape[1:]))
    expected = weight * 2 * (mean_part.detach() - target) / n_values
    torch.testing.assert_close(mean_part.grad, expected, rtol=1e-4, atol=1e-6)
    assert raw.grad.flatten(1).abs().amax(dim=1).min() > 0
