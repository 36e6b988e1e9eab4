"""The loss of a batch and its gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._timesteps import TimestepSampler
from dmzrep.networks._device import autocast
from dmzrep.networks._model import DiffusionAutoencoder, memory_format
from dmzrep.networks._relaxation import hard_bits, relaxed_bernoulli
from dmzrep.training._code_terms import CodeTerms
from dmzrep.training._masking import drop_codes, keep_prefixes
from dmzrep.training._micro_batches import MicroBatches
from dmzrep.training._options import TrainingConfig
from dmzrep.training._processes import Processes

#: Final fraction of a run in which the encoder is frozen, so that the denoiser learns from what it sees at
#: inference: hard bits of the original images.
FREEZE_FRACTION = 0.15


class BatchLoss(ABC):
    """Draws the random numbers of a step, and accumulates the gradients of the loss of a batch.

    `seed` determines the order of the data, the timesteps and all noise; `processes` share each batch.
    """

    #: Whether the encoder is frozen at the end of the run.
    freezes = True

    def __init__(
        self,
        model: DiffusionAutoencoder,
        objective: Objective,
        config: TrainingConfig,
        seed: int,
        processes: Processes,
    ):
        self.model = model
        self.objective = objective
        self.config = config
        self.processes = processes
        self.device = next(model.parameters()).device
        self.code_terms = CodeTerms(config)
        size = config.options.micro_batch_size
        self.micro_batches = MicroBatches(None if size == "auto" else size)
        self.timesteps = TimestepSampler(objective.schedule.n_timesteps, config.options.timestep_sampling)
        # Order and timesteps come from a CPU generator, noise from one on the device.
        self.order = torch.Generator().manual_seed(seed)
        self.noise = torch.Generator(self.device).manual_seed(seed + 1)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        self._denoiser: Callable[..., Tensor] = model.denoiser
        self._encoder: Callable[..., Tensor] = model.encoder
        #: Returns the logits of the initialisation too.
        self._with_initial: Callable[..., tuple[Tensor, Tensor]] | None = None
        if self.code_terms.agreement and config.anchored:
            self._with_initial = model.encoder.with_initial  # type: ignore[assignment]
        if config.options.compile:
            self._denoiser, self._encoder = torch.compile(model.denoiser), torch.compile(model.encoder)
            if self._with_initial is not None:
                self._with_initial = torch.compile(self._with_initial)

    @abstractmethod
    def progress(self, n_samples: int) -> float:
        """Return the completed fraction of the run."""

    def _batch_loss(self, x0: Tensor, n_samples: int) -> Tensor:
        """Accumulate the gradients of the mean loss of a batch; return this process's share of the loss.

        The code is computed for the whole batch, since its normalisation and regularisation depend on all
        samples. The denoiser, which needs most of the memory, runs on micro-batches; the gradients with
        respect to the code are accumulated, then backpropagated through the encoder once.
        """
        n = len(x0) * self.processes.size
        t, weights = (self.processes.shard(drawn) for drawn in self.timesteps.sample(n, self.order))
        t, weights = t.to(self.device), weights.to(self.device)
        with autocast(self.config.precision, self.device):
            code = masked = None
            if self.model.config.conditioning != "none":
                code = self._code(x0, n_samples)
                masked = self.processes.shard(self._masked(code[-1]))
        leaf = None if masked is None else masked.detach().requires_grad_(masked.requires_grad)
        losses = self._denoising_losses(x0, t, weights * (1.0 / n), leaf)
        if self.timesteps.learns:
            self.timesteps.update(*(self.processes.all_gather(values) for values in (t, losses)))
        loss = (losses * weights).sum() / n
        if leaf is not None and leaf.requires_grad and leaf.grad is None and self.processes.size > 1:
            # Another process, whose custom denoiser may use the code, waits for this backward pass.
            leaf.grad = torch.zeros_like(leaf)
        roots: list[Tensor] = []
        gradients: list[Tensor | None] = []
        if masked is not None and leaf is not None and leaf.grad is not None:
            # The weights sharpen images; codes are better if they explain plain errors.
            roots, gradients = [masked], [leaf.grad / self.objective.loss_weights(t)[:, None]]
        if code is not None and self.code_terms.present:
            terms = self.code_terms(*code, self.processes.all_gather(loss[None]).sum())
            if terms.requires_grad:
                roots, gradients = [*roots, self.scaler.scale(terms)], [*gradients, None]
            # Every process has the terms of the whole batch.
            loss = loss + terms.detach() / self.processes.size
        if roots:
            torch.autograd.backward(roots, gradients)
        return loss

    def _denoising_losses(self, x0: Tensor, t: Tensor, shares: Tensor, z: Tensor | None) -> Tensor:
        """Return detached losses per sample; accumulate gradients of their sum weighted by `shares`."""
        noise = self._randn(x0)
        perturbation = self._randn(x0) if self.objective.input_perturbation else None
        losses = torch.zeros(len(x0), device=self.device)
        leaves = [*self.model.denoiser.parameters(), *([] if z is None else [z])]

        def denoise(part: slice) -> None:
            codes, extra = (None if values is None else values[part] for values in (z, perturbation))
            samples = x0[part], t[part], codes, noise[part], extra
            with autocast(self.config.precision, self.device):
                part_losses = self.objective.losses(self._denoiser, *samples)
            losses[part] = part_losses.detach()
            self.scaler.scale((part_losses * shares[part]).sum()).backward()

        def discard() -> None:
            for leaf in leaves:
                leaf.grad = None

        self.micro_batches.run(len(x0), denoise, discard)
        return losses

    def _code(self, x0: Tensor, n_samples: int) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Return the logits of the views of the whole batch, those of the initialisation, and bits.

        The bits are those of the first view: relaxed ones drawn from the logits, or, of a frozen encoder,
        hard ones as at inference.
        """
        if self._is_frozen(n_samples):
            with torch.no_grad():
                logits = self.processes.all_gather(self._encoder(x0).float())
            return [logits], [], hard_bits(torch.sigmoid(logits))
        views, initial = (list(map(self.processes.all_gather, parts)) for parts in self._logits(x0))
        temperature, hard = self.config.options.temperature, self.config.options.straight_through
        z = relaxed_bernoulli(views[0], temperature, straight_through=hard, generator=self.noise)
        return views, initial, z

    def _masked(self, z: Tensor) -> Tensor:
        """Mask relaxed bits for nested dropout and code dropout."""
        if self.config.ordered:
            z = keep_prefixes(z, self.noise)
        if self.config.code_dropout:
            z = drop_codes(z, self.config.code_dropout, self.noise)
        return z

    def _logits(self, x0: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the logits of two views of samples, and those of the initialisation, if it is a target.

        Without the agreement term, there is one view.
        """
        augmentations = [self.config.encoder_view]
        if self.code_terms.agreement:
            augmentations.append(self.config.second_view)
        views = []
        for view in augmentations:
            if view is not None:
                drawn = self.processes.shard(view.draw(len(x0) * self.processes.size, self.order))
            views.append(x0 if view is None else view.transform(x0, drawn))
        if self._with_initial is None:
            return list(self._encoder(torch.cat(views)).float().split(len(x0))), []
        found = self._with_initial(torch.cat(views))
        now, initial = (list(logits.float().split(len(x0))) for logits in found)
        return now, initial

    def _is_frozen(self, n_samples: int) -> bool:
        """Whether the encoder is frozen, and sees the original images."""
        return self.freezes and self.progress(n_samples) >= 1.0 - FREEZE_FRACTION

    def _randn(self, like: Tensor) -> Tensor:
        n = len(like) * self.processes.size
        noise = torch.randn((n, *like.shape[1:]), generator=self.noise, device=like.device)
        return self.processes.shard(noise).contiguous(memory_format=memory_format(self.model.config))
