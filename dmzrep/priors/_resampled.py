"""An autoregressive prior whose samples a classifier accepts or rejects."""

from __future__ import annotations

import math
from functools import partial
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dmzrep._base._batching import in_blocks
from dmzrep._base._fit_network import fit_network, gradients
from dmzrep._base._random import draw_seed, seeded_torch
from dmzrep.priors._autoregressive import MIN_SAMPLES, AutoregressivePrior, split_codes

#: Largest number of samples that are drawn for a code.
MAX_DRAWS = 10
#: Units of each hidden layer of the classifier, and probability that one is dropped in training.
N_UNITS, DROPOUT = 256, 0.2
#: Training of the classifier: epochs, epochs without improvement, codes per step, AdamW.
MAX_ITER, PATIENCE, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY = 8, 3, 256, 3e-3, 1e-2
#: Samples per code that the classifier sees, and samples that the mean acceptance is estimated from.
SAMPLES_PER_CODE, N_ESTIMATED = 3, 20_000
#: Quantile of the odds of samples above which they are accepted with certainty.
CERTAIN = 0.99
#: Names of the fitted layers of the classifier.
LAYERS = tuple(f"classifier_{kind}_{i}_" for i in range(3) for kind in ("weights", "bias"))


class ResampledPrior(AutoregressivePrior):
    """Autoregressive prior whose samples a classifier accepts or rejects.

    A classifier is trained to distinguish the codes from samples of an autoregressive prior p; its odds r(z)
    estimate by what factor p is too small. A sample is accepted with probability a(z) = min(1, r(z) / R),
    where R is the 99th percentile of r over samples; after nine rejections, the tenth sample is taken. So
    the probability of a code is p(z) (a(z) (1 - q) / Z + q), where Z is the mean of a(z) over p and
    q = (1 - Z)^9. Z is computed from all codes of up to 14 bits and otherwise estimated from 20,000 samples,
    which gives all log-probabilities a common error of about 0.003 nats.

    Unless held-out codes gain more than a standard error, every sample is accepted.

    Parameters
    ----------
    n_hidden, n_layers, dropout, max_iter, learning_rate, n_iter_no_change
        Of the autoregressive prior; see `AutoregressivePrior`.
    random_state : int, RandomState or None, default=None
        Determines the autoregressive prior, the held-out samples and the classifier. Pass an int for the same
        prior on the same machine with the same number of threads.

    Attributes
    ----------
    classifier_weights_0_, classifier_bias_0_, ..., classifier_bias_2_ : ndarray, float32
        Layers of 256, 256 and 1 units with ReLU between them. Bits enter as -1 and 1; the output is
        log r(z) - log R. The attributes of `AutoregressivePrior` are those of p.
    acceptance_ : ndarray of shape (), float64
        Z, in (0, 1].

    See Also
    --------
    AutoregressivePrior : The same without rejection.

    References
    ----------
    Bauer, Mnih, "Resampled Priors for Variational Autoencoders", 2019 (the probability with a limited number
    of samples). Aneja, Schwing, Kautz, Vahdat, "A Contrastive Learning Approach for Training Variational
    Autoencoder Priors", 2021 (the classifier).

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors import ResampledPrior
    >>> bits = np.random.default_rng(0).integers(0, 2, (500, 3))
    >>> bits[:, 2] = bits[:, 0] ^ bits[:, 1]
    >>> prior = ResampledPrior(random_state=0).fit(bits)
    >>> bool(prior.log_prob([[1, 0, 1]])[0] > prior.log_prob([[1, 0, 0]])[0] + 2.0)
    True
    """

    name = "resampled"
    state_names = (*AutoregressivePrior.state_names, *LAYERS, "acceptance_")

    @property
    def _n_uniform(self) -> int:
        # Each further sample comes with the number that rejects the one before.
        return self.n_features_in_ + (MAX_DRAWS - 1) * (1 + self.n_features_in_)

    def fit_to(self, base: AutoregressivePrior, bits: np.ndarray) -> Self:
        """Fit the classifier only, given an autoregressive prior that is fitted to `bits`."""
        self.n_features_in_ = base.n_features_in_
        for name, array in base.state().items():
            setattr(self, name, array)
        self._fit_classifier(bits.astype(np.float64))
        return self

    def _fit(self, bits: np.ndarray) -> None:
        super()._fit(bits)
        self._fit_classifier(bits)

    def _fit_classifier(self, bits: np.ndarray) -> None:
        seed, n_bits = draw_seed(self.random_state), bits.shape[1]
        layers = self._train_classifier(bits, seed) if len(bits) >= MIN_SAMPLES else None
        if layers is None:
            shapes = (1, n_bits), (1,), (1, 1), (1,), (1, 1), (1,)
            layers = [np.zeros(shape, np.float32) for shape in shapes]
        for name, array in zip(LAYERS, layers, strict=True):
            setattr(self, name, array)
        if 2**n_bits <= N_ESTIMATED:
            codes = (np.arange(2**n_bits)[:, None] >> np.arange(n_bits)) & 1
            shares = np.exp(super()._log_prob(codes.astype(np.float64)))
        else:
            codes = self._samples(N_ESTIMATED, seed + 2)
            shares = np.full(N_ESTIMATED, 1.0 / N_ESTIMATED)
        self.acceptance_ = np.array(min(1.0, float(shares @ np.exp(self._log_acceptance(codes)))))

    def _samples(self, n: int, seed: int) -> np.ndarray:
        """Draw codes from the autoregressive prior."""
        uniform = np.random.default_rng(seed).random((n, self.n_features_in_))
        return super()._from_uniform(uniform).astype(np.float64)

    @gradients()
    def _train_classifier(self, bits: np.ndarray, seed: int) -> list[np.ndarray] | None:
        """Return the weights and biases of the layers, or None if held-out codes do not gain from them."""
        held_out, kept = (bits[part] for part in split_codes(len(bits), seed))
        false = self._samples(len(held_out) + SAMPLES_PER_CODE * len(kept), seed + 1)
        parts = kept, false[len(held_out) :], held_out, false[: len(held_out)]
        codes, samples, held_codes, held_samples = (
            torch.from_numpy(2.0 * part - 1.0).float() for part in parts
        )
        generator = torch.Generator().manual_seed(seed)
        n_steps = MAX_ITER * math.ceil(len(codes) / BATCH_SIZE)
        with seeded_torch(seed):
            network = nn.Sequential(
                nn.Linear(bits.shape[1], N_UNITS),
                nn.ReLU(),
                nn.Dropout(DROPOUT),
                nn.Linear(N_UNITS, N_UNITS),
                nn.ReLU(),
                nn.Dropout(DROPOUT),
                nn.Linear(N_UNITS, 1),
            )

            def loss_between(codes: Tensor, samples: Tensor) -> Tensor:
                return F.softplus(-network(codes)).mean() + F.softplus(network(samples)).mean()

            def loss_of(batch: Tensor) -> Tensor:
                drawn = torch.randint(len(samples), (len(batch),), generator=generator)
                return loss_between(codes[batch], samples[drawn])

            fit_network(
                network,
                loss_of,
                len(codes),
                n_steps=n_steps,
                batch_size=BATCH_SIZE,
                learning_rate=LEARNING_RATE,
                generator=generator,
                optimizer=partial(torch.optim.AdamW, weight_decay=WEIGHT_DECAY),
                schedule=partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=n_steps),
                validation_loss=lambda: float(loss_between(held_codes, held_samples)),
                patience=PATIENCE,
            )
        with torch.no_grad():
            odds, false_odds = (network(part)[:, 0].double() for part in (held_codes, held_samples))
            gain = odds - torch.logsumexp(false_odds, 0) + math.log(len(false_odds))
            if gain.mean() <= gain.std() / math.sqrt(len(gain)):
                return None
            last: Tensor = list(network.parameters())[-1]
            last -= torch.quantile(false_odds, CERTAIN).float()
        return [parameter.detach().numpy().copy() for parameter in network.parameters()]

    def _log_acceptance(self, bits: np.ndarray) -> np.ndarray:
        """Return log a(z) of codes, shape (n,)."""
        arrays = [getattr(self, name).astype(np.float64) for name in LAYERS]

        def of_block(block: np.ndarray) -> np.ndarray:
            units = 2.0 * block - 1.0
            for weights, bias in zip(arrays[:-2:2], arrays[1:-2:2], strict=True):
                units = np.maximum(units @ weights.T + bias, 0.0)
            odds: np.ndarray = (units @ arrays[-2].T + arrays[-1])[:, 0]
            return np.minimum(odds, 0.0)

        return in_blocks(of_block, bits)

    def _log_prob(self, bits: np.ndarray) -> np.ndarray:
        mean = float(self.acceptance_)
        unseen = (1.0 - mean) ** (MAX_DRAWS - 1)
        factor = np.exp(self._log_acceptance(bits)) * (1.0 - unseen) / mean + unseen
        # An acceptance may underflow to 0 where no sample is taken unseen.
        return super()._log_prob(bits) + np.log(np.maximum(factor, np.finfo(np.float64).tiny))

    def _from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        n_bits, pending = self.n_features_in_, np.arange(len(uniform))
        codes = super()._from_uniform(uniform[:, :n_bits])
        for begin in range(n_bits, uniform.shape[1], n_bits + 1):
            accepted = np.exp(self._log_acceptance(codes[pending])) > uniform[pending, begin]
            pending = pending[~accepted]
            if not len(pending):
                break
            codes[pending] = super()._from_uniform(uniform[pending, begin + 1 : begin + 1 + n_bits])
        return codes
