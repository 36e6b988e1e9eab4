"""Regularisation terms of codes, each zero or minimal for uniform bits."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dmzrep.training._options import TrainingConfig

#: Decorrelation term as a fraction of the loss of the first batch with ``decorrelation="auto"``.
AUTO_SHARE = 0.1
#: Squared error of the coding rate.
DISTORTION = 0.05
#: Factor of the logits whose probabilities are targets: nearly all are bits.
SHARPNESS = 4.0


def missing_entropy(probabilities: Tensor) -> Tensor:
    """Return the sum over bits of 1 - H(mean probability over the batch), in bits."""
    # The gradient of the entropy is infinite at 0 and 1.
    p = probabilities.mean(dim=0).clamp(1e-6, 1.0 - 1e-6)
    return (1.0 + p * p.log2() + (1.0 - p) * (1.0 - p).log2()).sum()


def squared_correlation(probabilities: Tensor) -> Tensor:
    """Return the mean squared correlation between the probabilities of two bits; 0 for a single bit."""
    centred = probabilities - probabilities.mean(dim=0)
    # A constant bit has correlation 0.
    standard = centred / centred.square().sum(dim=0).clamp(min=1e-8).sqrt()
    squares = (standard.T @ standard).square()
    n_bits = squares.shape[0]
    return (squares.sum() - squares.diagonal().sum()) / max(n_bits * (n_bits - 1), 1)


def kl_to_uniform(logits: Tensor, free_bits: float = 0.0) -> Tensor:
    """Return KL(q(z | x) || uniform bits) in bits: the sum over bits of max(free_bits, mean over the batch).

    Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow", 2016, equation 15.
    """
    # Computed from logits, so that the gradient stays finite for probabilities of 0 and 1.
    nats = F.softplus(logits) - logits * torch.sigmoid(logits)
    return (1.0 - nats / math.log(2.0)).mean(dim=0).clamp(min=free_bits).sum()


def mmd_to_uniform(z: Tensor) -> Tensor:
    """Return the squared maximum mean discrepancy between the (relaxed) bits of a batch and uniform bits.

    The kernel is exp(-|s - t|^2 / (2 latent_dim)) of signed bits s = 2 z - 1; its expectations under uniform
    bits have closed forms. The estimate is unbiased, so it may be slightly negative (Gretton et al., "A
    Kernel Two-Sample Test", 2012, equation 3; the term: Zhao, Song, Ermon, "InfoVAE", 2017).
    """
    n_samples, n_bits = z.shape
    signed = 2.0 * z - 1.0
    norms = signed.square().sum(dim=1)
    squares = (norms[:, None] + norms[None, :] - 2.0 * signed @ signed.T).clamp(min=0.0)
    kernel = torch.exp(-squares / (2.0 * n_bits))
    within = (kernel.sum() - kernel.diagonal().sum()) / max(n_samples * (n_samples - 1), 1)
    # The mean of exp(-(s - u)^2 / 2d) over u = -1, +1 is exp(-(s^2 + 1) / 2d) cosh(s / d), bit by bit.
    log_cosh = torch.log(torch.cosh(signed / n_bits)).sum(dim=1)
    between = torch.exp(log_cosh - (norms + n_bits) / (2.0 * n_bits)).mean()
    uniform = (0.5 * (1.0 + math.exp(-2.0 / n_bits))) ** n_bits
    return within - 2.0 * between + uniform


def disagreement(views: list[Tensor], targets: list[Tensor]) -> Tensor:
    """Return the mean cross-entropy between the logits of one view of a sample and the bits of another.

    `views` and `targets` hold logits of the two views. The bits are those of `targets` and have no gradient;
    sharp probabilities take their place, since a rounding error must not flip a target. Moummad et al.,
    "Cross-View Code Alignment", 2025 (arXiv 2510.27584), equation 3.
    """
    bits = [torch.sigmoid(SHARPNESS * logits).detach() for logits in targets]
    both = map(F.binary_cross_entropy_with_logits, views, reversed(bits))
    return torch.stack(list(both)).mean()


def missing_coding_rate(logits: Tensor) -> Tensor:
    """Return how far the coding rate of logits, scaled to unit norm, is below its maximum, in nats per bit.

    It is zero if the samples of a batch are spread equally over all directions, and so prevents that all
    samples share a code. Yu et al., "Learning Diverse and Discriminative Representations via the Principle of
    Maximal Coding Rate Reduction", 2020.
    """
    unit = F.normalize(logits, dim=1)
    n_samples, n_bits = unit.shape
    # The determinant is that of the smaller of the two products.
    product = unit.T @ unit if n_bits <= n_samples else unit @ unit.T
    product = product * (n_bits / (n_samples * DISTORTION))
    if product.device.type == "mps":
        product = product.cpu()  # Old versions of torch have no Cholesky decomposition there.
    identity = torch.eye(len(product), dtype=product.dtype, device=product.device)
    # Without an error for non-finite logits, which the training loop detects in the loss.
    factor = torch.linalg.cholesky_ex(identity + product).L
    rate = factor.diagonal().log().sum().to(logits.device) / n_bits
    return math.log1p(1.0 / DISTORTION) / 2.0 - rate


def agreement_loss(views: list[Tensor], initial: list[Tensor]) -> Tensor:
    """Return the agreement term for the logits of two views.

    With the logits of the initialisation, the targets are the bits of the mean of both, which cannot
    collapse. With an empty list, they are the present bits, and the missing coding rate is added.
    """
    if initial:
        return disagreement(views, [(now + begun) / 2.0 for now, begun in zip(views, initial, strict=True)])
    return disagreement(views, views) + missing_coding_rate(torch.cat(views))


class CodeTerms:
    """The weighted sum of the terms."""

    def __init__(self, config: TrainingConfig):
        self.options = options = config.options
        #: Weight of the decorrelation term; None until the first batch resolves "auto".
        self.decorrelation = None if isinstance(options.decorrelation, str) else options.decorrelation
        regularisers = (
            options.marginal_entropy,
            options.decorrelation,
            options.kl_weight,
            options.mmd_weight,
        )
        #: Weight of the agreement between views, 0 without a second view.
        self.agreement = options.agreement if config.second_view is not None else 0.0
        self.present = any(weight != 0.0 for weight in (self.agreement, *regularisers))

    def __call__(self, views: list[Tensor], initial: list[Tensor], z: Tensor, loss: Tensor) -> Tensor:
        """Return the weighted sum for a batch.

        `views` holds the logits of one or two views of the samples, `initial` those of two views by the
        initialisation if they are among the targets, `z` the unmasked relaxed bits of the first view, `loss`
        the denoising loss.
        """
        logits, options = views[0], self.options
        total = torch.zeros((), device=logits.device)
        if len(views) > 1:
            total = total + self.agreement * agreement_loss(views, initial)
        probabilities = torch.sigmoid(logits)
        if options.marginal_entropy:
            total = total + options.marginal_entropy * missing_entropy(probabilities)
        if self.decorrelation != 0.0:
            term = squared_correlation(probabilities)
            if self.decorrelation is None:
                self.decorrelation = AUTO_SHARE * loss.item() / max(term.item(), 1e-6)
            total = total + self.decorrelation * term
        if options.kl_weight:
            total = total + options.kl_weight * kl_to_uniform(logits, options.kl_free_bits)
        if options.mmd_weight:
            total = total + options.mmd_weight * mmd_to_uniform(z)
        return total
