"""Changes of codes that change the prediction of a linear probe: shifts, and flips of bits."""

import numpy as np


def target_log_odds(
    current: np.ndarray,
    amount: float,
    *,
    relative: bool = False,
    limits: tuple[float, float] | np.ndarray = (-np.inf, np.inf),
) -> np.ndarray:
    """Return the target log-odds of an edit, given those before it, shape (n,).

    A positive amount adds the attribute, a negative one removes it, zero changes nothing; samples beyond the
    amount stay. With `relative`, the amount is a multiple of each sample's own distance to the boundary, to
    be added to it. `limits` are log-odds beyond which no sample is moved.
    """
    least, most = limits
    if relative:
        # Samples beyond a limit may stay there.
        target = current * (1.0 + amount)
        return np.clip(target, np.minimum(current, least), np.maximum(current, most))
    if amount > 0.0:
        return np.maximum(current, min(amount, most))
    if amount < 0.0:
        return np.minimum(current, max(amount, least))
    return current.copy()


def shift(codes: np.ndarray, weights: np.ndarray, change: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Move codes by the shortest shift that changes some log-odds by `change` and holds others.

    `change` has shape (n, n_edited); `weights` and `held` have one probe per row. With one attribute and
    nothing held the shift is the paper's ``distance * w / |w|``. Collinear directions are changed in the
    least-squares sense. The result is not clipped to [0, 1].
    """
    constraints = np.concatenate([weights, held])
    targets = np.concatenate([change, np.zeros((len(change), len(held)))], axis=1)
    return codes + targets @ np.linalg.pinv(constraints).T


def flip(
    bits: np.ndarray, weights: np.ndarray, change: np.ndarray, held: np.ndarray, *, hold_weight: float = 1.0
) -> np.ndarray:
    """Flip few bits, those of largest weight first, until log-odds have changed by `change` or more.

    Shapes as for `shift`. With one attribute and nothing held, the number of flips is minimal. Otherwise a
    bit is flipped while that lowers the missing change plus the penalty: `hold_weight` per unit of log-odds
    by which a held attribute moves. Where no set of flips suffices, all flips that help are made.
    """
    z = bits.astype(bool).copy()
    towards = np.sign(change)
    missing = np.abs(change)
    signs = np.where(z, -1.0, 1.0)
    # Change of each edited attribute's log-odds per flip, in the direction of the target; and of those held.
    gains = towards[:, :, None] * weights[None] * signs[:, None, :]
    drifts = held[None] * signs[:, None, :]
    drift = np.zeros((len(z), len(held)))
    free = np.ones_like(z)
    active = np.arange(len(z))
    while len(active):
        gain = gains[active]
        before = missing[active, :, None]
        # A gain beyond the missing change only breaks ties.
        saved = np.minimum(gain, np.maximum(before, 0.0)) + 1e-9 * gain
        moved = np.abs(drift[active, :, None] + drifts[active]) - np.abs(drift[active])[:, :, None]
        value = saved.sum(axis=1) - hold_weight * moved.sum(axis=1)
        value[~free[active]] = -np.inf
        best = value.argmax(axis=1)
        useful = (value[np.arange(len(active)), best] > 0.0) & (missing[active] > 0.0).any(axis=1)
        active, best = active[useful], best[useful]
        z[active, best] ^= True
        free[active, best] = False
        missing[active] -= gains[active, :, best]
        drift[active] += drifts[active, :, best]
    return z
