"""The variational bound and its parts against closed forms."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal, norm

from dmzrep.data import ImageFormat, VectorFormat
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.errors import LikelihoodWarning
from dmzrep.inference import Decoder, calibrate, rate_table, sample_rates, variational_bound
from dmzrep.priors import fit_prior
from tests.encoders import make_encoder

DIMENSIONS = 4
TINY = {"width": (8, 16), "encoder_width": 8, "max_iter": 1, "n_timesteps": 20, "random_state": 0}


class ExactDenoiser:
    """Best estimate of Gaussian data from x_t; the bit, if there is one, is the sign of the mean."""

    latent_dim, conditioning = 1, "bias"

    def __init__(self, mean, covariance, schedule):
        self.mean, self.covariance, self.schedule = mean, covariance, schedule
        self.config = self

    def gain(self, t):
        """Matrix from x_t - signal * mean to the estimate's distance from the mean."""
        alpha_bar, n = self.schedule.alpha_bar[t], len(self.mean)
        total = alpha_bar * self.covariance + (1.0 - alpha_bar) * np.eye(n)
        return math.sqrt(alpha_bar) * self.covariance @ np.linalg.inv(total)

    def encode(self, x):
        """Logits of whether a sample belongs to the mean rather than to minus the mean."""
        return 100.0 * x @ torch.from_numpy(self.mean).float()[:, None]

    def __call__(self, x_t, time, z):
        steps = (time * self.schedule.n_timesteps / 1000.0).round().long().numpy()
        found = np.empty((len(x_t), len(self.mean)))
        sign = np.ones((len(x_t), 1)) if z is None else 2.0 * z[:, :1].numpy() - 1.0
        for t in np.unique(steps):
            chosen = steps == t
            centre = sign[chosen] * self.mean
            seen = x_t.double().numpy().reshape(len(x_t), -1)[chosen]
            found[chosen] = centre + (seen - math.sqrt(self.schedule.alpha_bar[t]) * centre) @ self.gain(t).T
        return torch.from_numpy(found).to(x_t.dtype).view(x_t.shape)


def exact_model(mean, covariance, n_timesteps, data_format=None):
    schedule = NoiseSchedule.named("cosine", n_timesteps)
    plain = VectorFormat(np.zeros(len(mean)), np.ones(len(mean)), "float64", 50.0)
    data_format = data_format or plain
    objective = Objective(schedule, kind="sample", data_bin=data_format.data_bin)
    network = ExactDenoiser(np.asarray(mean, dtype=float), covariance, schedule)
    return Decoder(network, objective, data_format, torch.device("cpu"))


def expected_bound(model, X):
    """Exact expectation of the bound of each sample over noise, written from the definitions."""
    network, alpha_bar = model.network, model.objective.schedule.alpha_bar
    before = np.concatenate([[1.0], alpha_bar[:-1]])
    total = np.zeros(len(X))
    centred = X - network.mean
    for t in range(len(alpha_bar)):
        gain, step = network.gain(t), 1.0 - alpha_bar[t] / before[t]
        error = centred - math.sqrt(alpha_bar[t]) * centred @ gain.T
        expected = (error**2).sum(axis=1) + (1.0 - alpha_bar[t]) * np.trace(gain @ gain.T)
        if t == 0:
            total += 0.5 * (expected / step + X.shape[1] * math.log(2.0 * math.pi * step))
            continue
        weight = math.sqrt(before[t]) * step / (1.0 - alpha_bar[t])
        posterior = step * (1.0 - before[t]) / (1.0 - alpha_bar[t])
        kl = math.log(step / posterior) + posterior / step - 1.0
        total += 0.5 * (X.shape[1] * kl + weight**2 * expected / step)
    last = alpha_bar[-1]
    return total + 0.5 * (last * X**2 - last - math.log(1.0 - last)).sum(axis=1)


@pytest.fixture(scope="module")
def gaussian():
    """Mean, covariance and samples of correlated Gaussian data."""
    random = np.random.default_rng(0)
    factors = random.normal(size=(DIMENSIONS, 2)) * 0.5
    covariance = factors @ factors.T + 0.1 * np.eye(DIMENSIONS)
    mean = random.normal(size=DIMENSIONS) * 0.3
    return mean, covariance, random.multivariate_normal(mean, covariance, 192)


@pytest.mark.parametrize("n_terms", [40, 7])
def test_bound_is_unbiased(gaussian, n_terms):
    mean, covariance, X = gaussian
    model = exact_model(mean, covariance, 40)
    difference = variational_bound(model, X, None, n_terms) - expected_bound(model, X)
    error = difference.std() / math.sqrt(len(X))
    assert abs(difference.mean()) < 4 * error
    assert error < (0.2 if n_terms == 40 else 0.6)


def calibrated(model, X):
    model.network.conditioning = "none"
    return dataclasses.replace(model, calibration=calibrate(model, X, 0))


@pytest.mark.parametrize("n_terms", [40, 7])
def test_calibration_makes_up_for_errors_at_low_noise(gaussian, n_terms):
    mean, covariance, X = gaussian
    model = exact_model(mean, covariance, 40)

    class Poor(ExactDenoiser):
        def __call__(self, x_t, time, z):
            return super().__call__(x_t, time, z) + 0.3 * torch.sin(40.0 * x_t)

    poor = dataclasses.replace(model, network=Poor(mean, covariance, model.objective.schedule))
    truth = -multivariate_normal(mean, covariance).logpdf(X).mean()
    bound = variational_bound(calibrated(poor, X[:64]), X, None, n_terms).mean()
    assert truth < bound < truth + 0.4 * DIMENSIONS
    assert variational_bound(poor, X, None, n_terms).mean() > truth + 10.0 * DIMENSIONS
    bound = variational_bound(calibrated(model, X[:64]), X, None, n_terms).mean()
    assert bound == pytest.approx(truth, abs=0.3)


def test_calibration_is_at_least_as_good_as_a_gaussian_for_a_useless_denoiser():
    random = np.random.default_rng(0)
    levels = np.clip(random.normal([[80.0], [150.0]], [[20.0], [5.0]], (96, 2, 64)), 0, 255)
    X = levels.astype(np.uint8).reshape(96, 2, 8, 8)
    image_format = ImageFormat("CHW", (2, 8, 8), False, "uint8", 0.0, 255.0)
    useless = exact_model(np.zeros(128), np.zeros((128, 128)), 300, image_format)
    model = calibrated(useless, X)
    bits = variational_bound(model, X, None, 64).mean() / (128 * math.log(2.0))
    expected = np.log2(np.array([20.0, 5.0]) * math.sqrt(2.0 * math.pi * math.e)).mean()
    assert model.calibration.gaussian_bits == pytest.approx(expected, abs=0.02)
    assert bits == pytest.approx(expected, abs=0.1)


def test_bound_of_integer_images_is_that_of_their_grey_levels():
    image_format = ImageFormat("HW", (1, 2, 2), False, "uint8", 0.0, 255.0)
    random = np.random.default_rng(0)
    mean, scale, width = np.full(4, 0.1), 0.2, 2.0 / 255.0
    model = exact_model(mean, scale**2 * np.eye(4), 150, image_format)
    levels = np.clip(np.rint((random.normal(mean, scale, (128, 4)) + 1.0) * 127.5), 0, 255)
    values = levels / 127.5 - 1.0
    mass = norm.cdf((values + width / 2 - mean) / scale) - norm.cdf((values - width / 2 - mean) / scale)
    difference = variational_bound(model, levels.astype(np.uint8).reshape(-1, 2, 2), None, 150)
    difference = (difference + np.log(mass).sum(axis=1)) / 4
    error = difference.std() / math.sqrt(128)
    # A grey level is as wide as the noise of the first timestep, which is not removed.
    assert -4 * error < difference.mean() < 0.1 + 4 * error


def test_rates_of_samples_and_codes_sum_to_that_of_a_mixture():
    # The bit is a function of the sample, since the two Gaussians hardly overlap.
    random = np.random.default_rng(0)
    mean, covariance = np.full(2, 0.6), 0.15**2 * np.eye(2)
    bits = (random.random((128, 1)) < 0.25).astype(np.uint8)
    X = random.multivariate_normal(np.zeros(2), covariance, 128) + (2.0 * bits - 1.0) * mean
    prior = fit_prior("independent", bits)
    share = prior.probabilities_[0]
    few = exact_model(mean, covariance, 40)
    image, code = sample_rates(few, X, prior.log_prob, 40)
    np.testing.assert_allclose(code, -np.log(np.where(bits[:, 0] == 1, share, 1.0 - share)))
    reflected = X * (2.0 * bits - 1.0)  # The other Gaussian is the first with the sign changed.
    difference = image - expected_bound(few, reflected)
    assert abs(difference.mean()) < 4 * difference.std() / math.sqrt(128)
    densities = [multivariate_normal(sign * mean, covariance).pdf(X) for sign in (1.0, -1.0)]
    truth = -np.log(share * densities[0] + (1.0 - share) * densities[1])
    found = expected_bound(exact_model(mean, covariance, 1000), reflected) + code
    assert (found - truth).mean() / 2 == pytest.approx(0.0, abs=0.03)


@pytest.mark.filterwarnings("ignore::dmzrep.errors.LikelihoodWarning")
def test_table_of_rates_agrees_with_scores(digits):
    X = digits[:40]
    encoder = make_encoder(8, **TINY).fit(digits[:64])
    table = encoder.bits_per_dim(X, n_terms=6)
    scores = encoder.score_samples(X, n_terms=6)
    assert table.loc["total", "bits_per_dim"] == pytest.approx(-scores.mean())
    assert table.loc["total", "standard_error"] == pytest.approx(scores.std(ddof=1) / math.sqrt(40))
    bits = encoder.transform(X) > 0.5
    code = -encoder.prior_.log_prob(bits) / math.log(2.0)
    assert table.loc["code", "bits"] == pytest.approx(code.mean())
    assert table.loc["code", "bits_per_dim"] == pytest.approx(code.mean() / 64)
    parts = table.loc[["image", "code"]].sum()
    assert parts["bits"] == pytest.approx(table.loc["total", "bits"])
    with pytest.raises(ValueError, match="n_terms must be an integer from 2 to n_timesteps=20, got 1"):
        encoder.bits_per_dim(X, n_terms=1)


def test_rate_above_that_of_a_gaussian_is_reported(digits):
    encoder = make_encoder(8, **TINY).fit(digits[:64])
    with pytest.warns(LikelihoodWarning, match="worse than that of a Gaussian"):
        encoder.bits_per_dim(np.random.default_rng(0).integers(0, 256, (8, 8, 8)).astype(digits.dtype))


def test_single_sample_has_no_standard_error():
    table = rate_table(np.array([1.0]), np.array([2.0]), 3)
    assert isinstance(table, pd.DataFrame) and table["standard_error"].isna().all()
    assert table["bits"]["total"] == pytest.approx(3.0 / math.log(2.0))


@pytest.mark.filterwarnings("ignore::dmzrep.errors.LikelihoodWarning")
def test_unconditional_model_has_no_code_rate(digits):
    table = make_encoder(**TINY, conditioning="none").fit(digits[:64]).bits_per_dim(digits[:8])
    assert table.loc["code", "bits"] == 0.0
    assert table.loc["image", "bits_per_dim"] == table.loc["total", "bits_per_dim"]
