"""Maps from features of source codes to a score for each target bit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GroupShuffleSplit
from sklearn.neural_network import MLPClassifier

from dmzrep._base._batching import batches

MAPPINGS = ("kernel_ridge", "mlp")
#: Rows that go through a mapping together.
BLOCK_ROWS = 256
#: Share of the pairs that tell a network when to stop, and epochs without gain after which it does.
STOPPING_SHARE, PATIENCE, MAX_EPOCHS = 0.1, 5, 200


def in_blocks(function: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Apply a row-wise function to blocks of one size, so that no row's result depends on the others.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.transfer._mappings import in_blocks
    >>> in_blocks(lambda rows: 2 * rows, np.arange(3)[:, None]).ravel().tolist()
    [0, 2, 4]
    """
    parts = []
    for part in batches(len(rows), BLOCK_ROWS):
        block = rows[part]
        filling = np.repeat(block[-1:], BLOCK_ROWS - len(block), axis=0)
        parts.append(function(np.concatenate([block, filling]))[: len(block)])
    return np.concatenate(parts)


@dataclass(frozen=True)
class KernelRidgeMap:
    """Kernel ridge regression of bits, counted as -1 and +1, with a Gaussian kernel.

    Parameters
    ----------
    rows : ndarray of shape (n_pairs, source_dim)
        Features of the fitted pairs.
    weights : ndarray of shape (n_pairs, target_dim)
        Dual coefficients.
    mean : ndarray of shape (target_dim,)
        Scores far from all rows.
    """

    rows: np.ndarray
    weights: np.ndarray
    mean: np.ndarray

    name = "kernel_ridge"

    @classmethod
    def fitted(cls, features: np.ndarray, bits: np.ndarray, *, alpha: float) -> KernelRidgeMap:
        """Fit to features of shape (n, source_dim) and bits of shape (n, target_dim)."""
        signs = 2.0 * bits - 1.0
        mean = signs.mean(axis=0)
        # Features have a spread of one, so this is scikit-learn's gamma="scale".
        ridge = KernelRidge(alpha=alpha, kernel="rbf", gamma=1.0 / features.shape[1])
        ridge.fit(features, signs - mean)
        return cls(features, ridge.dual_coef_.reshape(signs.shape), mean)

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Give scores of shape (n, target_dim), -1 for a sure zero and +1 for a sure one."""
        gamma = 1.0 / self.rows.shape[1]
        return in_blocks(lambda x: rbf_kernel(x, self.rows, gamma=gamma) @ self.weights + self.mean, features)

    @staticmethod
    def plain_probabilities(scores: np.ndarray) -> np.ndarray:
        """Probabilities of a one where nothing is calibrated."""
        return np.clip((scores + 1.0) / 2.0, 0.0, 1.0)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays by name."""
        return {"rows": self.rows, "weights": self.weights, "mean": self.mean}

    @classmethod
    def restored(cls, state: dict[str, np.ndarray]) -> KernelRidgeMap:
        """Put a map together from what `state` gave."""
        return cls(state["rows"], state["weights"], state["mean"])


@dataclass(frozen=True)
class NetworkMap:
    """Multilayer perceptrons whose logits are averaged.

    Parameters
    ----------
    networks : tuple
        For each network its layers, pairs (weights, biases).
    """

    networks: tuple[tuple[tuple[np.ndarray, np.ndarray], ...], ...]

    name = "mlp"

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Give logits of shape (n, target_dim)."""
        return in_blocks(
            lambda x: np.mean([_logits(layers, x) for layers in self.networks], axis=0), features
        )

    @staticmethod
    def plain_probabilities(scores: np.ndarray) -> np.ndarray:
        """Probabilities of a one where nothing is calibrated."""
        return expit(scores)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays by name."""
        return {
            f"{i}.{j}.{name}": array
            for i, layers in enumerate(self.networks)
            for j, layer in enumerate(layers)
            for name, array in zip(("weights", "biases"), layer, strict=True)
        }

    @classmethod
    def restored(cls, state: dict[str, np.ndarray]) -> NetworkMap:
        """Put a map together from what `state` gave."""
        parts = (name.split(".") for name in state)
        places = sorted({(int(i), int(j)) for i, j, _ in parts})
        layers = {(i, j): (state[f"{i}.{j}.weights"], state[f"{i}.{j}.biases"]) for i, j in places}
        n_networks = 1 + max(i for i, _ in places)
        return cls(
            tuple(tuple(layers[place] for place in places if place[0] == i) for i in range(n_networks))
        )


def _logits(layers: tuple[tuple[np.ndarray, np.ndarray], ...], x: np.ndarray) -> np.ndarray:
    for weights, biases in layers[:-1]:
        x = np.maximum(x @ weights + biases, 0.0)
    weights, biases = layers[-1]
    return x @ weights + biases


def fit_network(
    features: np.ndarray,
    bits: np.ndarray,
    groups: np.ndarray,
    *,
    hidden_layer_sizes: tuple[int, ...],
    alpha: float,
    seed: int,
) -> NetworkMap:
    """Train one perceptron with scikit-learn until some of the pairs, set aside, say stop.

    scikit-learn's own early stopping asks that all bits of a code be right at once, which none is; so
    epochs are run one by one and stopped by cross-entropy.

    Parameters
    ----------
    features : ndarray of shape (n, source_dim)
        Features of source codes.
    bits : ndarray of shape (n, target_dim)
        Target bits.
    groups : ndarray of shape (n,)
        Pairs of a group are set aside together.
    hidden_layer_sizes, alpha
        As in `MLPClassifier`.
    seed : int
        Decides weights, order and which pairs are set aside.

    Returns
    -------
    NetworkMap
        Of one network, as it was after its best epoch.
    """
    split = GroupShuffleSplit(1, test_size=STOPPING_SHARE, random_state=seed)
    kept, aside = next(split.split(features, groups=groups))
    # An instance, since an integer would give every epoch the same order.
    random = np.random.RandomState(seed)
    network: Any = MLPClassifier(
        hidden_layer_sizes, alpha=alpha, batch_size=min(64, len(kept)), random_state=random
    )
    single = bits.shape[1] == 1
    labels, classes = (bits[:, 0], [0, 1]) if single else (bits, np.arange(bits.shape[1]))
    best, best_loss, since = None, np.inf, 0
    for _ in range(MAX_EPOCHS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.partial_fit(features[kept], labels[kept], classes=classes)
        layers = tuple(
            (weights.copy(), biases.copy())
            for weights, biases in zip(network.coefs_, network.intercepts_, strict=True)
        )
        logits = _logits(layers, features[aside])
        loss = np.logaddexp(0.0, np.where(bits[aside] == 1, -logits, logits)).mean()
        since += 1
        if loss < best_loss - 1e-5:
            best, best_loss, since = layers, loss, 0
        if since >= PATIENCE:
            break
    if best is None:
        raise ArithmeticError(
            "The network's loss was never finite. Use a larger alpha, or mapping='kernel_ridge'."
        )
    return NetworkMap((best,))
