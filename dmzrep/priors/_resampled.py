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
from dmzrep._base._fit_network import fit_network
from dmzrep._base._random import draw_seed, seeded_torch
from dmzrep.priors._autoregressive import AutoregressivePrior, split_codes
from dmzrep.priors._masked_network import dropped

#: Largest number of samples of the autoregressive prior that are drawn for a code.
MAX_DRAWS = 10
#: Units of each hidden layer of the classifier, and probability that one is dropped in training.
N_UNITS, DROPOUT = 256, 0.2
#: Training of the classifier: epochs, epochs without improvement, codes per step, AdamW.
MAX_ITER, PATIENCE, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY = 8, 3, 256, 3e-3, 1e-2
#: Samples that the classifier sees, per code and at most, and samples that Z and R are estimated from.
PER_CODE, MAX_SAMPLES, N_ESTIMATED = 3, 100_000, 20_000
#: Smallest number of codes, and standard errors of the gain of held-out codes, for a classifier.
MIN_CODES, N_ERRORS = 200, 2.0
#: Samples whose odds exceed this quantile are always accepted.
CERTAIN = 0.99
#: Names of the fitted layers of the classifier.
LAYERS = tuple(f"classifier_{kind}_{i}_" for i in range(3) for kind in ("weights", "bias"))


class ResampledPrior(AutoregressivePrior):
    """Autoregressive prior whose samples a classifier accepts or rejects.

    A classifier is trained to distinguish the codes from samples of an autoregressive prior p; its odds r(z)
    estimate the factor by which p(z) is too small. A sample is accepted with probability
    a(z) = min(1, r(z) / R), where R is the 99th percentile of r over samples; after nine rejections, the
    tenth sample is taken. The probability of a code is thus p(z) (a(z) (1 - q) / Z + q), where Z is the mean
    of a(z) over p and q = (1 - Z)^9. Z is computed from all codes of up to 14 bits, and otherwise estimated
    from 20,000 samples; log-probabilities then have a nearly common error, of about 0.003 nats for codes of
    MNIST and larger where Z is small. Every sample is accepted if there are fewer than 200 codes, or if
    held-out codes gain less than two standard errors.

    20,000 codes of 64 bits take about 8 s on one core, or 20 s if they are probabilities. Sampling takes
    twice to three times as long as from p; at most ten times.

    Parameters
    ----------
    n_hidden, n_layers, dropout, max_iter, learning_rate, n_iter_no_change
        Parameters of the autoregressive prior; see `AutoregressivePrior`.
    random_state : int, RandomState or None, default=None
        Determines the autoregressive prior, the held-out samples and the classifier. Pass an int for the same
        prior on the same machine with the same number of threads.

    Attributes
    ----------
    classifier_weights_0_, classifier_bias_0_, ..., classifier_bias_2_ : ndarray, float32
        Layers of 256, 256 and 1 units with ReLU between them (of single units, all zero, if every sample is
        accepted). Bits enter as -1 and 1; the output is log r(z) - log R.
    acceptance_ : ndarray of shape (), float64
        Z, in (0, 1].

    The remaining attributes, described in `AutoregressivePrior`, are those of p.

    See Also
    --------
    AutoregressivePrior : The same prior without rejection.

    References
    ----------
    Bauer, Mnih, "Resampled Priors for Variational Autoencoders", 2019 (the probability with a limited number
    of samples). Aneja, Schwing, Kautz, Vahdat, "A Contrastive Learning Approach for Training Variational
    Autoencoder Priors", 2021 (the classifier).

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors import AutoregressivePrior, ResampledPrior
    >>> bits = np.random.default_rng(0).integers(0, 2, (2000, 3))
    >>> bits[:, 2] = bits[:, 0] ^ bits[:, 1]
    >>> prior = ResampledPrior(n_hidden=0, random_state=0).fit(bits)
    >>> bool(prior.score(bits) > prior.autoregressive().score(bits) + 0.3)
    True
    """

    name = "resampled"
    state_names = (*AutoregressivePrior.state_names, *LAYERS, "acceptance_")

    @property
    def _n_uniform(self) -> int:
        # Each further sample comes with the number that rejects the one before.
        return self.n_features_in_ + (MAX_DRAWS - 1) * (1 + self.n_features_in_)

    def autoregressive(self) -> AutoregressivePrior:
        """Return p, the prior without rejection.

        Returns
        -------
        AutoregressivePrior
        """
        arrays = {name: getattr(self, name) for name in AutoregressivePrior.state_names}
        return AutoregressivePrior(**self.get_params()).restore(arrays, self.n_features_in_)

    def _fit_to(self, base: AutoregressivePrior, codes: np.ndarray) -> Self:
        """Fit the classifier only, given p, fitted to the same codes with the same parameters."""
        self.n_features_in_ = base.n_features_in_
        for name, array in base.state().items():
            setattr(self, name, array)
        self._fit_classifier(codes, draw_seed(self.random_state))
        return self

    def _fit(self, codes: np.ndarray) -> None:
        seed = draw_seed(self.random_state)
        self._fit_network(codes, seed)
        self._fit_classifier(codes, seed)

    def _fit_classifier(self, codes: np.ndarray, seed: int) -> None:
        bits = (codes > 0.5).astype(np.float64)
        self._accept_all()
        if len(bits) < MIN_CODES:
            return
        # The same codes are held out as by the autoregressive prior.
        held_out, kept = (bits[part] for part in split_codes(len(bits), seed))
        self._set_layers(self._trained_classifier(kept, held_out, seed))
        # Before the last bias is set, the output is log r(z).
        codes, shares = self._codes_to_estimate(seed)
        outputs = self._outputs(codes)
        order = np.argsort(outputs)
        place = int(np.searchsorted(shares[order].cumsum(), CERTAIN))  # The quantile of weighted codes.
        certain = outputs[order[min(place, len(order) - 1)]]
        setattr(self, LAYERS[-1], np.array([-certain], np.float32))
        self.acceptance_ = np.array(min(1.0, float(shares @ np.exp(self._log_acceptance(codes)))))
        gain = self._log_factor(held_out)
        if not (self.acceptance_ > 0.0 and gain.mean() > N_ERRORS * gain.std() / math.sqrt(len(gain))):
            self._accept_all()

    def _accept_all(self) -> None:
        shapes = (1, self.n_features_in_), (1,), (1, 1), (1,), (1, 1), (1,)
        self._set_layers([np.zeros(shape, np.float32) for shape in shapes])
        self.acceptance_ = np.array(1.0)

    def _set_layers(self, arrays: list[np.ndarray]) -> None:
        for name, array in zip(LAYERS, arrays, strict=True):
            setattr(self, name, array)

    def _codes_to_estimate(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return all codes if they are few, otherwise samples of p, with their probabilities."""
        n_bits = self.n_features_in_
        if 2**n_bits > N_ESTIMATED:
            return self._samples(N_ESTIMATED, seed + 2), np.full(N_ESTIMATED, 1.0 / N_ESTIMATED)
        codes = ((np.arange(2**n_bits)[:, None] >> np.arange(n_bits)) & 1).astype(np.float64)
        return codes, np.exp(super()._log_prob(codes))

    def _samples(self, n: int, seed: int) -> np.ndarray:
        """Draw codes from p."""
        return self.autoregressive().sample(n, seed).astype(np.float64)

    def _trained_classifier(self, kept: np.ndarray, held_out: np.ndarray, seed: int) -> list[np.ndarray]:
        """Return the weights and biases of the layers."""
        n_samples = min(PER_CODE * len(kept), MAX_SAMPLES)
        drawn = self._samples(len(held_out) + n_samples, seed + 1)
        parts = kept, drawn[len(held_out) :], held_out, drawn[: len(held_out)]
        codes, samples, held_codes, held_samples = (torch.from_numpy(2.0 * x - 1.0).float() for x in parts)
        generator = torch.Generator().manual_seed(seed)
        n_steps = MAX_ITER * math.ceil(len(codes) / BATCH_SIZE)
        network = _Classifier(kept.shape[1], generator)

        def loss_between(codes: Tensor, samples: Tensor) -> Tensor:
            return F.softplus(-network(codes)).mean() + F.softplus(network(samples)).mean()

        def loss_of(batch: Tensor) -> Tensor:
            some = torch.randint(len(samples), (len(batch),), generator=generator)
            return loss_between(codes[batch], samples[some])

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
        arrays = [parameter.detach().numpy().copy() for parameter in network.parameters()]
        arrays[-1][:] = 0.0
        return arrays

    def _outputs(self, bits: np.ndarray) -> np.ndarray:
        """Return log r(z) - log R of codes, shape (n,)."""
        arrays = [getattr(self, name).astype(np.float64) for name in LAYERS]

        def of_block(block: np.ndarray) -> np.ndarray:
            units = 2.0 * block - 1.0
            for weights, bias in zip(arrays[:-2:2], arrays[1:-2:2], strict=True):
                units = np.maximum(units @ weights.T + bias, 0.0)
            return (units @ arrays[-2].T + arrays[-1])[:, 0]

        return in_blocks(of_block, bits)

    def _log_acceptance(self, bits: np.ndarray) -> np.ndarray:
        """Return log a(z) of codes, shape (n,)."""
        return np.minimum(self._outputs(bits), 0.0)

    def _log_factor(self, bits: np.ndarray) -> np.ndarray:
        """Return log (a(z) (1 - q) / Z + q) of codes, shape (n,)."""
        mean = float(self.acceptance_)
        # log q; 1 - q without cancellation if Z is small.
        log_unseen = (MAX_DRAWS - 1) * np.log1p(-mean) if mean < 1.0 else -np.inf
        seen = self._log_acceptance(bits) + math.log(-np.expm1(log_unseen) / mean)
        return np.logaddexp(seen, log_unseen)

    def _log_prob(self, bits: np.ndarray) -> np.ndarray:
        return super()._log_prob(bits) + self._log_factor(bits)

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

    def _is_consistent(self) -> bool:
        layers = [getattr(self, name) for name in LAYERS]
        first, second = len(layers[1]), len(layers[3])
        shapes = (first, self.n_features_in_), (first,), (second, first), (second,), (1, second), (1,)
        floating = all(array.dtype == np.float32 for array in layers) and self.acceptance_.dtype == np.float64
        valid = [array.shape for array in layers] == list(shapes) and self.acceptance_.shape == ()
        return bool(valid and floating and 0.0 < self.acceptance_ <= 1.0 and super()._is_consistent())


class _Classifier(nn.Module):
    """Log-odds that a code, as -1 and 1, is not a sample of the prior."""

    def __init__(self, n_bits: int, generator: torch.Generator):
        super().__init__()
        self.generator = generator
        with seeded_torch(generator.initial_seed()):
            layers = [nn.Linear(n_bits, N_UNITS), nn.Linear(N_UNITS, N_UNITS), nn.Linear(N_UNITS, 1)]
        self.layers = nn.ModuleList(layers)

    def forward(self, units: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            units = F.relu(layer(units))
            if self.training:
                units = dropped(units, DROPOUT, self.generator)
        return last(units)[:, 0]
