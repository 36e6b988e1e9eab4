import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.codes._protocol import block_seeds
from dmzrep.editing import interpolate
from dmzrep.editing._interpolation import PATHS, flip_times


class Probabilities:
    """Samples are their own codes; decoding adds the noise of a seed."""

    output = "probabilities"

    def transform(self, X):
        return np.asarray(X, dtype=float)

    def inverse_transform(self, Z, *, random_state=0):
        noise = [np.random.default_rng(seed).random(Z.shape[1]) for seed in random_state]
        return 10.0 * Z + np.stack(noise)


def log_likelihood(code, probabilities):
    return np.log(np.where(code, probabilities, 1.0 - probabilities)).sum()


def greedy_times(before, after):
    """The definition of the smooth path: score every candidate code as a whole."""
    code, target = before > 0.5, after > 0.5
    n_flips, times = int((code != target).sum()), np.full(len(before), -1)
    for k in range(n_flips):
        share = (k + 1) / n_flips
        blend = (1 - share) * before + share * after
        scores = {}
        for bit in np.flatnonzero(code != target):
            candidate = code.copy()
            candidate[bit] = target[bit]
            scores[bit] = log_likelihood(candidate, blend)
        best = max(scores, key=scores.get)
        code[best] = target[best]
        times[best] = k
    return times


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), latent_dim=st.integers(1, 24))
def test_smooth_path_agrees_with_its_definition(seed, latent_dim):
    random = np.random.default_rng(seed)
    before, after = random.uniform(0.01, 0.99, (2, 4, latent_dim))
    found = flip_times(before, after, "smooth")
    for i in range(4):
        assert found[i].tolist() == greedy_times(before[i], after[i]).tolist()


def test_smooth_path_accepts_certain_bits():
    times = flip_times(np.array([[0.0, 0.3, 1.0]]), np.array([[1.0, 1.0, 1.0]]), "smooth")
    assert times.tolist() == [[1, 0, -1]]


@pytest.mark.parametrize("path", PATHS)
def test_paths_go_from_bits_to_bits_in_equal_steps(path):
    x0, x1 = np.random.default_rng(1).random((2, 5, 40))
    x1[4] = x0[4]
    images, codes = interpolate(Probabilities(), x0, x1, 6, path=path)
    assert images.shape == codes.shape == (5, 6, 40)
    assert np.array_equal(codes[:, 0], x0 > 0.5) and np.array_equal(codes[:, -1], x1 > 0.5)
    moved = np.abs(np.diff(codes.astype(float), axis=1)).sum(axis=2)
    assert (moved.max(axis=1) - moved.min(axis=1) <= 1.0 + 1e-9).all()
    total = np.abs(codes[:, -1].astype(float) - codes[:, 0]).sum(axis=1)
    np.testing.assert_allclose(moved.sum(axis=1), total)
    assert codes.dtype == (np.float64 if path == "soft" else np.uint8)


def test_each_walk_has_one_noise():
    x0, x1 = np.random.default_rng(1).random((2, 2, 8))
    images, codes = interpolate(Probabilities(), x0, x1, 4, random_state=7)
    noise = images - 10.0 * codes
    np.testing.assert_allclose(noise, np.broadcast_to(noise[:, :1], noise.shape))
    assert not np.allclose(noise[0], noise[1])
    first = interpolate(Probabilities(), x0[:1], x1[:1], 4, random_state=7)[0]
    assert np.array_equal(first[0], images[0])


@pytest.mark.parametrize("noise", ["auto", "zero", "random", "inverted"])
@pytest.mark.parametrize("options", [{"n_steps": 3}, {"n_steps": 2, "spacing": "uniform", "sampler": "ddim"}])
def test_sampling_options_reach_the_encoder(noise, options, encoder, digits):
    arguments, params = (encoder, digits[:2], digits[2:4], 3), {"noise": noise, "random_state": 0, **options}
    walks, codes = interpolate(*arguments, **params)
    trajectories, _ = interpolate(*arguments, return_trajectory=True, **params)
    assert trajectories.shape == (options["n_steps"], *walks.shape)
    assert np.array_equal(trajectories[-1], walks)
    if noise != "random":
        like_reconstruct = {} if noise == "auto" else {"noise": noise}
        expected = encoder.reconstruct(digits[:2], **like_reconstruct, **options)
    else:
        expected = encoder.inverse_transform(codes[:, 0], random_state=block_seeds(0, 2), **options)
    np.testing.assert_allclose(walks[:, 0].astype(float), expected, atol=1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"path": "smoth"}, ValueError, r"path must be one of .*got 'smoth'. Did you mean 'smooth'"),
        ({"strength": 0.5}, ValueError, "Probabilities.inverse_transform does not take 'strength'"),
        ({"x1": np.zeros((2, 5))}, ValueError, "as many samples, got 3 and 2. Repeat"),
        ({"noise": "inverted"}, TypeError, "noise='inverted' needs a DMZEncoder, got a Probabilities"),
    ],
)
def test_invalid_input_is_refused(options, error, message):
    arguments = {"x0": np.zeros((3, 5)), "x1": np.ones((3, 5))} | options
    with pytest.raises(error, match=message):
        interpolate(Probabilities(), **arguments)
