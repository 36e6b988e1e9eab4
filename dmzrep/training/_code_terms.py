"""What training may ask of codes beside the denoising loss. Every term is zero or least for uniform bits."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dmzrep.training._config import TrainingConfig

#: Share of the first batch's loss that the decorrelation term starts at with ``decorrelation="auto"``.
START_SHARE = 0.1


def missing_entropy(probabilities: Tensor) -> Tensor:
    """How many bits of entropy the mean probabilities of a batch lack, in all.

    Parameters
    ----------
    probabilities : Tensor of shape (n, latent_dim)
        Probabilities of ones.

    Returns
    -------
    Tensor of shape ()
        Sum over bits of 1 - H(mean probability), in bits, from 0 (all balanced) to latent_dim.

    Examples
    --------
    >>> import torch
    >>> from dmzrep.training._code_terms import missing_entropy
    >>> round(missing_entropy(torch.tensor([[0.0, 1.0], [1.0, 1.0]])).item(), 3)
    1.0
    """
    # Away from 0 and 1, where the gradient of the entropy is infinite.
    p = probabilities.mean(dim=0).clamp(1e-6, 1.0 - 1e-6)
    return (1.0 + p * p.log2() + (1.0 - p) * (1.0 - p).log2()).sum()


def squared_correlation(probabilities: Tensor) -> Tensor:
    """Mean squared correlation over a batch, of two different bits' probabilities.

    Parameters
    ----------
    probabilities : Tensor of shape (n, latent_dim)
        Probabilities of ones.

    Returns
    -------
    Tensor of shape ()
        In [0, 1]; 0 for a single bit.

    Examples
    --------
    >>> import torch
    >>> from dmzrep.training._code_terms import squared_correlation
    >>> round(squared_correlation(torch.tensor([[0.2, 0.8], [0.4, 0.6], [0.9, 0.1]])).item(), 3)
    1.0
    """
    centred = probabilities - probabilities.mean(dim=0)
    # A bit that does not vary is correlated with none.
    standard = centred / centred.square().sum(dim=0).clamp(min=1e-8).sqrt()
    squares = (standard.T @ standard).square()
    n_bits = squares.shape[0]
    return (squares.sum() - squares.diagonal().sum()) / max(n_bits * (n_bits - 1), 1)


def kl_to_uniform(logits: Tensor, free_bits: float = 0.0) -> Tensor:
    """Divergence KL(q(z | x) || uniform bits) of a batch, with free bits.

    Parameters
    ----------
    logits : Tensor of shape (n, latent_dim)
        Log-odds of ones.
    free_bits : float, default=0.0
        What each bit may tell at no cost, in bits, in [0, 1).

    Returns
    -------
    Tensor of shape ()
        Sum over bits of max(free_bits, mean over the batch of 1 - H(probability)), in bits.

    References
    ----------
    Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016, equation 15.

    Examples
    --------
    >>> import torch
    >>> from dmzrep.training._code_terms import kl_to_uniform
    >>> round(kl_to_uniform(torch.tensor([[0.0, 50.0], [0.0, -50.0]]), free_bits=0.25).item(), 3)
    1.25
    """
    # Of logits rather than probabilities, so that the gradient stays finite for sure bits.
    nats = F.softplus(logits) - logits * torch.sigmoid(logits)
    return (1.0 - nats / math.log(2.0)).mean(dim=0).clamp(min=free_bits).sum()


def mmd_to_uniform(z: Tensor) -> Tensor:
    """Squared maximum mean discrepancy between the (relaxed) bits of a batch and uniform bits.

    The kernel is Gaussian, k(s, t) = exp(-|s - t|^2 / (2 latent_dim)) of signed bits s = 2 z - 1, on hard
    bits exp(-2 Hamming distance / latent_dim). Its expectations under uniform bits are closed forms, so no
    uniform bits are drawn. On hard bits the discrepancy is a sum over sets of bits of the squared mean of
    their product; sets of m bits have in all the weight of m under a binomial distribution with a mean just
    below one: balance of single bits counts most, then independence of pairs, then of triples.

    Parameters
    ----------
    z : Tensor of shape (n, latent_dim)
        Bits or relaxed bits in [0, 1]; at least two rows.

    Returns
    -------
    Tensor of shape ()
        Without bias over batches, so that it can be slightly below zero.

    References
    ----------
    Gretton et al., "A Kernel Two-Sample Test", 2012, equation 3 (the estimate); Zhao, Song, Ermon,
    "InfoVAE", 2017 (the term).

    Examples
    --------
    >>> import torch
    >>> from dmzrep.training._code_terms import mmd_to_uniform
    >>> constant = torch.ones(8, 3)
    >>> varied = torch.tensor([[a, b, c] for a in (0.0, 1.0) for b in (0.0, 1.0) for c in (0.0, 1.0)])
    >>> bool(mmd_to_uniform(varied) < 0.1 < mmd_to_uniform(constant))
    True
    """
    n_rows, n_bits = z.shape
    signed = 2.0 * z - 1.0
    norms = signed.square().sum(dim=1)
    squares = (norms[:, None] + norms[None, :] - 2.0 * signed @ signed.T).clamp(min=0.0)
    kernel = torch.exp(-squares / (2.0 * n_bits))
    within = (kernel.sum() - kernel.diagonal().sum()) / max(n_rows * (n_rows - 1), 1)
    # The mean of exp(-(s - u)^2 / 2d) over u = -1, +1 is exp(-(s^2 + 1) / 2d) cosh(s / d), bit by bit.
    log_cosh = torch.log(torch.cosh(signed / n_bits)).sum(dim=1)
    between = torch.exp(log_cosh - (norms + n_bits) / (2.0 * n_bits)).mean()
    uniform = (0.5 * (1.0 + math.exp(-2.0 / n_bits))) ** n_bits
    return within - 2.0 * between + uniform


class CodeTerms:
    """The terms that a run adds to its denoising loss.

    Parameters
    ----------
    config : TrainingConfig
        Gives `marginal_entropy`, `decorrelation`, `kl_weight`, `kl_free_bits` and `mmd_weight`.

    Attributes
    ----------
    decorrelation : float or None
        Weight of the decorrelation term; None until the first batch settles ``"auto"``.
    """

    def __init__(self, config: TrainingConfig):
        self.config = config
        options = config.options
        self.decorrelation = None if isinstance(options.decorrelation, str) else options.decorrelation
        weights = (
            config.options.marginal_entropy,
            config.options.decorrelation,
            config.options.kl_weight,
            config.options.mmd_weight,
        )
        #: Whether there is a term at all.
        self.present = any(weight != 0.0 for weight in weights)

    def __call__(self, logits: Tensor, z: Tensor, loss: Tensor) -> Tensor:
        """Weighted sum of the terms of a batch.

        Parameters
        ----------
        logits : Tensor of shape (n, latent_dim)
            From the encoder.
        z : Tensor of shape (n, latent_dim)
            Relaxed bits, none of them hidden.
        loss : Tensor of shape ()
            The batch's denoising loss.

        Returns
        -------
        Tensor of shape ()
        """
        config, total = self.config, torch.zeros((), device=logits.device)
        probabilities = torch.sigmoid(logits)
        if config.options.marginal_entropy:
            total = total + config.options.marginal_entropy * missing_entropy(probabilities)
        if self.decorrelation != 0.0:
            term = squared_correlation(probabilities)
            if self.decorrelation is None:
                self.decorrelation = START_SHARE * loss.item() / max(term.item(), 1e-6)
            total = total + self.decorrelation * term
        if config.options.kl_weight:
            total = total + config.options.kl_weight * kl_to_uniform(logits, config.options.kl_free_bits)
        if config.options.mmd_weight:
            total = total + config.options.mmd_weight * mmd_to_uniform(z)
        return total
