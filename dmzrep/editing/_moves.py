"""Moves of codes that change a linear probe's verdict: shifts of the whole code, and flips of bits."""

from __future__ import annotations

import numpy as np


def wanted_log_odds(
    current: np.ndarray,
    strength: float,
    *,
    relative: bool = False,
    limits: tuple[float, float] | np.ndarray = (-np.inf, np.inf),
) -> np.ndarray:
    """Log-odds that an edit is to reach.

    Parameters
    ----------
    current : ndarray of shape (n,)
        Log-odds of the rows before the edit.
    strength : float
        Log-odds to reach: positive adds the attribute, negative removes it, zero changes nothing, and
        rows that are there already stay. With `relative`, multiples of each row's own distance to the
        boundary, to be added to it.
    relative : bool, default=False
        See `strength`.
    limits : pair of float, default=(-inf, inf)
        Log-odds beyond which no row is moved.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.editing._moves import wanted_log_odds
    >>> wanted_log_odds(np.array([-1.0, 4.0]), 3.0)
    array([3., 4.])
    >>> wanted_log_odds(np.array([-1.0, 4.0]), -2.0, relative=True)
    array([ 1., -4.])
    """
    least, most = limits
    if relative:
        # Rows beyond a limit already may stay there.
        wanted = current * (1.0 + strength)
        return np.clip(wanted, np.minimum(current, least), np.maximum(current, most))
    if strength > 0.0:
        return np.maximum(current, min(strength, most))
    if strength < 0.0:
        return np.minimum(current, max(strength, least))
    return current.copy()


def shift(codes: np.ndarray, weights: np.ndarray, change: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Move codes by the shortest way that changes some log-odds as asked and holds others.

    Parameters
    ----------
    codes : ndarray of shape (n, latent_dim)
        Bits or probabilities.
    weights : ndarray of shape (n_edited, latent_dim)
        Probes of the attributes to change.
    change : ndarray of shape (n, n_edited)
        Differences of log-odds to make.
    held : ndarray of shape (n_held, latent_dim)
        Probes of the attributes to hold.

    Returns
    -------
    ndarray of shape (n, latent_dim), float64
        Not limited to [0, 1].

    Notes
    -----
    With one attribute and nothing held the move is ``distance * w / |w|``, the paper's; what is held
    is projected out of it. Directions that cannot be told apart are changed in the least-squares sense.
    """
    constraints = np.concatenate([weights, held])
    targets = np.concatenate([change, np.zeros((len(change), len(held)))], axis=1)
    return codes + targets @ np.linalg.pinv(constraints).T


def flip(
    bits: np.ndarray, weights: np.ndarray, change: np.ndarray, held: np.ndarray, *, hold_weight: float = 1.0
) -> np.ndarray:
    """Flip few bits, those of most weight first, until log-odds have changed as asked.

    Parameters
    ----------
    bits : ndarray of shape (n, latent_dim)
        Zeros and ones.
    weights : ndarray of shape (n_edited, latent_dim)
        Probes of the attributes to change.
    change : ndarray of shape (n, n_edited)
        Differences of log-odds to make, or to exceed.
    held : ndarray of shape (n_held, latent_dim)
        Probes of the attributes to hold.
    hold_weight : float, default=1.0
        Price of a unit of log-odds by which a held attribute moves, in units of what is missing.

    Returns
    -------
    ndarray of shape (n, latent_dim), bool
        With one attribute and nothing held, no smaller number of flips makes the change. Otherwise a
        bit is flipped while that lowers what is missing plus what held attributes have moved. Where
        no set of flips suffices, all flips that help are made.
    """
    z = bits.astype(bool).copy()
    towards = np.sign(change)
    missing = np.abs(change)
    signs = np.where(z, -1.0, 1.0)
    # What a flip adds to each attribute's log-odds, in the wanted direction; and to those held.
    gains = towards[:, :, None] * weights[None] * signs[:, None, :]
    drifts = held[None] * signs[:, None, :]
    drift = np.zeros((len(z), len(held)))
    free = np.ones_like(z)
    rows = np.arange(len(z))
    while len(rows):
        gain = gains[rows]
        before = missing[rows, :, None]
        # Beyond what is missing a gain is worth nothing, but breaks ties.
        saved = np.minimum(gain, np.maximum(before, 0.0)) + 1e-9 * gain
        moved = np.abs(drift[rows, :, None] + drifts[rows]) - np.abs(drift[rows])[:, :, None]
        value = saved.sum(axis=1) - hold_weight * moved.sum(axis=1)
        value[~free[rows]] = -np.inf
        best = value.argmax(axis=1)
        useful = (value[np.arange(len(rows)), best] > 0.0) & (missing[rows] > 0.0).any(axis=1)
        rows, best = rows[useful], best[useful]
        z[rows, best] ^= True
        free[rows, best] = False
        missing[rows] -= gains[rows, :, best]
        drift[rows] += drifts[rows, :, best]
    return z
