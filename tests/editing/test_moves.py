"""Moves of codes against exact solutions."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.editing._directions import flip, shift, target_log_odds

quick = settings(deadline=None, max_examples=60)
NOTHING = np.zeros((0, 8))


def every_code(latent_dim):
    return np.array(list(itertools.product([0, 1], repeat=latent_dim)))


@quick
@given(seed=st.integers(0, 10_000), wish=st.floats(-6, 6).filter(lambda wish: abs(wish) > 0.01))
def test_number_of_flips_is_minimal(seed, wish):
    random = np.random.default_rng(seed)
    weights, bits = random.normal(size=8), random.integers(0, 2, (3, 8))
    flipped = flip(bits, weights[None], np.full((3, 1), wish), NOTHING)
    codes = every_code(8)
    for code, found in zip(bits, flipped, strict=True):
        made = (codes - code) @ weights * np.sign(wish)
        flips = (codes != code).sum(axis=1)
        enough = made >= abs(wish) - 1e-12
        change = (found.astype(int) - code) @ weights * np.sign(wish)
        if enough.any():
            assert change >= abs(wish) - 1e-6
            assert (found != code).sum() == flips[enough].min()
            # Of the codes with so few flips, the one of largest change.
            assert change == pytest.approx(made[enough & (flips == flips[enough].min())].max())
        else:
            assert change == pytest.approx(made.max())


def test_flips_that_move_held_attributes_are_penalised():
    # Bit 0 has the largest weight but moves the held attribute; bits 1 and 2 together suffice.
    weights, held = np.array([[3.0, 2.0, 2.0, 0.0]]), np.array([[5.0, 0.0, 0.1, 0.0]])
    bits, change = np.zeros((1, 4)), np.array([[3.0]])
    assert flip(bits, weights, change, held)[0].tolist() == [False, True, True, False]
    assert flip(bits, weights, change, held, hold_weight=0.0)[0].tolist() == [True, False, False, False]


def test_flips_restore_held_attributes():
    # Bit 0 is needed and moves the held attribute; bit 1 moves it back at no cost.
    weights, held = np.array([[3.0, 0.5]]), np.array([[1.0, -1.0]])
    assert flip(np.zeros((1, 2)), weights, np.array([[3.2]]), held)[0].tolist() == [True, True]


def test_flips_that_move_several_attributes_are_preferred():
    weights = np.array([[2.0, 0.0, 1.5], [0.0, -2.0, -1.5]])
    # Bit 2 moves both.
    found = flip(np.array([[0, 0, 0]]), weights, np.array([[1.4, -1.4]]), np.zeros((0, 3)))
    assert found[0].tolist() == [False, False, True]


@quick
@given(seed=st.integers(0, 10_000))
def test_shift_is_the_shortest_that_changes_and_holds_log_odds(seed):
    random = np.random.default_rng(seed)
    weights, held = random.normal(size=(2, 9)), random.normal(size=(3, 9))
    codes, change = random.random((4, 9)), random.normal(size=(4, 2))
    move = shift(codes, weights, change, held) - codes
    np.testing.assert_allclose(move @ weights.T, change, atol=1e-9)
    np.testing.assert_allclose(move @ held.T, 0.0, atol=1e-9)
    # The shortest shift is in the span of the probes.
    basis = np.linalg.qr(np.concatenate([weights, held]).T)[0]
    np.testing.assert_allclose(move @ basis @ basis.T, move, atol=1e-9)


def test_amount_is_a_minimum_for_adding_and_a_maximum_for_removing():
    current = np.array([-2.0, 0.5, 5.0])
    assert target_log_odds(current, 3.0).tolist() == [3.0, 3.0, 5.0]
    assert target_log_odds(current, -1.0).tolist() == [-2.0, -1.0, -1.0]
    assert target_log_odds(current, 3.0, limits=(-1.0, 2.0)).tolist() == [2.0, 2.0, 5.0]
    assert target_log_odds(current, -3.0, limits=(-1.0, 2.0)).tolist() == [-2.0, -1.0, -1.0]
    assert target_log_odds(current, 2.0, relative=True, limits=(-1.0, 2.0)).tolist() == [-2.0, 1.5, 5.0]
    assert target_log_odds(current, 0.0).tolist() == current.tolist()
    assert target_log_odds(current, -1.0, relative=True).tolist() == [0.0, 0.0, 0.0]
