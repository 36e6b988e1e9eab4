"""A masked network of each bit given all earlier bits."""

import math
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from scipy.special import expit, logit
from sklearn.utils._param_validation import Interval, StrOptions

from dmzrep._base._batching import in_blocks
from dmzrep._base._random import draw_seed
from dmzrep.priors._base import CodePrior, smoothed_mean
from dmzrep.priors._masked_network import MaskedNetwork, fit_masked_network, unit_places

#: With fewer samples none can be held out, and bits are modelled as independent.
MIN_SAMPLES = 20
#: Minimum number of held-out samples, up to half of all; otherwise a tenth is held out.
MIN_HELD_OUT = 50
#: Epochs of a fit to bits, of which more overfit, and of a fit to probabilities.
BITS_EPOCHS, PROBABILITIES_EPOCHS = 10, 40


def split_codes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of held-out codes, a tenth or `MIN_HELD_OUT`, and of the others, in random order."""
    n_held_out = max(n // 10, min(MIN_HELD_OUT, n // 2))
    order = np.random.default_rng(seed).permutation(n)
    return order[:n_held_out], order[n_held_out:]


class AutoregressivePrior(CodePrior):
    """Masked autoencoder (MADE) for the probability of each bit given the preceding bits.

    Trained on the CPU by maximum likelihood, initialised to independent bits, with early stopping on a tenth
    of the samples (or 50, up to half of them). Given probabilities of bits, it predicts each bit from
    preceding bits that are drawn anew in each epoch, which reduces overfitting and prepares it for its own
    errors in sampling. If the improvement over independent bits is within its standard error, or there are
    fewer than 20 samples, bits are modelled as independent. Logits are clipped at ``log(2 n_samples + 1)``,
    the logit of a constant bit with half a count added to each side.

    Parameters
    ----------
    n_hidden : "auto" or int, default="auto"
        Hidden units per layer. ``"auto"`` is 16 per bit, at most 1,024; 0 is a logistic regression of each
        bit on earlier bits.
    n_layers : int, default=1
        Hidden layers, at least 1.
    dropout : float, default=0.1
        Probability, in [0, 1), that a hidden unit is dropped in training.
    max_iter : "auto" or int, default="auto"
        Maximum number of epochs, with 256 samples per step, or fewer so that an epoch has 32 steps.
        ``"auto"`` is 10 for bits and 40 for probabilities: about 4 and 16 s on one core for 20,000 codes of
        64 bits.
    learning_rate : float, default=2e-2
        Peak learning rate of Adam.
    n_iter_no_change : int, default=5
        Epochs without an improvement on the held-out samples after which training stops.
    random_state : int, RandomState or None, default=None
        Determines the held-out samples, the initial weights and the order of the samples. Pass an int for
        the same prior on the same machine with the same number of threads.

    Attributes
    ----------
    input_weights_, input_bias_, hidden_weights_, hidden_bias_, output_weights_ : ndarray, float32
        The masked network, of shapes (n_hidden, latent_dim), (n_hidden,), (n_layers - 1, n_hidden,
        n_hidden), (n_layers - 1, n_hidden) and (latent_dim, n_hidden). Bits enter as -1 and 1.
    direct_weights_ : ndarray of shape (latent_dim, latent_dim), float32
        Weights of each bit in the logits of later bits.
    bias_ : ndarray of shape (latent_dim,)
        Logits without the other bits.
    bound_ : ndarray of shape (), float64
        Absolute value at which logits are clipped.

    See Also
    --------
    ChowLiuPrior : Each bit depends on one other, fitted in closed form.

    References
    ----------
    Germain, Gregor, Murray, Larochelle, "MADE: Masked Autoencoder for Distribution Estimation", 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors import AutoregressivePrior
    >>> bits = np.random.default_rng(0).integers(0, 2, (500, 3))
    >>> bits[:, 2] = bits[:, 0] ^ bits[:, 1]
    >>> prior = AutoregressivePrior(random_state=0).fit(bits)
    >>> bool(prior.log_prob([[1, 0, 1]])[0] > prior.log_prob([[1, 0, 0]])[0] + 2.0)
    True
    """

    name = "autoregressive"
    uses_probabilities = True
    state_names: ClassVar[tuple[str, ...]] = (
        "input_weights_",
        "input_bias_",
        "hidden_weights_",
        "hidden_bias_",
        "output_weights_",
        "direct_weights_",
        "bias_",
        "bound_",
    )
    _parameter_constraints: ClassVar[dict] = {
        "n_hidden": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "max_iter": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_hidden="auto",
        *,
        n_layers=1,
        dropout=0.1,
        max_iter="auto",
        learning_rate=2e-2,
        n_iter_no_change=5,
        random_state=None,
    ):
        self.n_hidden = n_hidden
        self.n_layers = n_layers
        self.dropout = dropout
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state

    def _fit(self, codes: np.ndarray) -> None:
        self._fit_network(codes, draw_seed(self.random_state))

    def _fit_network(self, codes: np.ndarray, seed: int) -> None:
        self.bound_ = np.array(math.log(2.0 * len(codes) + 1.0))
        arrays = self._train(codes, seed) if len(codes) >= MIN_SAMPLES else None
        if arrays is None:
            bits = codes > 0.5
            bias = logit(smoothed_mean(bits))
            independent = MaskedNetwork(bits.shape[1], 0, 1, bias, torch.Generator())
            arrays = independent.arrays() | {"bias": bias}
        for name, array in arrays.items():
            setattr(self, f"{name}_", array)

    def _train(self, codes: np.ndarray, seed: int) -> dict[str, np.ndarray] | None:
        held_out, kept = (codes[part] for part in split_codes(len(codes), seed))
        generator = torch.Generator().manual_seed(seed)
        latent_dim = codes.shape[1]
        n_hidden = min(1024, 16 * latent_dim) if self.n_hidden == "auto" else self.n_hidden
        max_iter = self.max_iter
        if max_iter == "auto":
            max_iter = BITS_EPOCHS if np.isin(codes, (0.0, 1.0)).all() else PROBABILITIES_EPOCHS
        bias = logit(smoothed_mean(kept > 0.5))
        network = MaskedNetwork(latent_dim, n_hidden, self.n_layers, bias, generator, self.dropout)
        improved = fit_masked_network(
            network,
            kept,
            held_out > 0.5,
            max_iter=max_iter,
            learning_rate=self.learning_rate,
            n_iter_no_change=self.n_iter_no_change,
            bound=float(self.bound_),
            generator=generator,
        )
        return network.arrays() if improved else None

    def _weights(self) -> list[np.ndarray]:
        """Return weights and bias of each hidden layer, then output and direct weights, as float64."""
        hidden = zip(self.hidden_weights_, self.hidden_bias_, strict=True)
        layers = [self.input_weights_, self.input_bias_, *(array for pair in hidden for array in pair)]
        return [a.astype(np.float64) for a in [*layers, self.output_weights_, self.direct_weights_]]

    def _log_prob(self, bits: np.ndarray) -> np.ndarray:
        *layers, output, direct = self._weights()

        def of_block(block: np.ndarray) -> np.ndarray:
            signs = 2.0 * block - 1.0
            units = signs
            for weights, bias in zip(layers[::2], layers[1::2], strict=True):
                units = np.maximum(units @ weights.T + bias, 0.0)
            logits = np.clip(signs @ direct.T + units @ output.T + self.bias_, -self.bound_, self.bound_)
            return -np.logaddexp(0.0, -signs * logits).sum(axis=1)

        return in_blocks(of_block, bits)

    def _from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        *layers, output, direct = self._weights()
        places = unit_places(len(self.input_bias_), self.n_features_in_)

        def of_block(block: np.ndarray) -> np.ndarray:
            signs: np.ndarray = np.zeros(block.shape)
            units: list[np.ndarray] = [np.zeros((len(block), len(places))) for _ in layers[::2]]
            for bit in range(block.shape[1]):
                # The units of this place depend on earlier bits only, which are already known.
                begin, end = np.searchsorted(places, [bit, bit + 1])
                seen, n_seen = signs, bit
                for out, weights, bias in zip(units, layers[::2], layers[1::2], strict=True):
                    new = seen[:, :n_seen] @ weights[begin:end, :n_seen].T + bias[begin:end]
                    out[:, begin:end] = np.maximum(new, 0.0)
                    seen, n_seen = out, end
                logits = signs[:, :bit] @ direct[bit, :bit] + seen[:, :n_seen] @ output[bit, :n_seen]
                probability = expit(np.clip(logits + self.bias_[bit], -self.bound_, self.bound_))
                signs[:, bit] = np.where(block[:, bit] < probability, 1.0, -1.0)
            return signs > 0.0

        return in_blocks(of_block, uniform)
