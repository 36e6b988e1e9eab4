"""What a step learns from: the loss of a batch, and its gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from dmzrep._base._device import autocast
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._timesteps import TimestepSampler
from dmzrep.networks._model import DiffusionAutoencoder, memory_format
from dmzrep.networks._relaxation import relaxed_bernoulli
from dmzrep.training._code_terms import CodeTerms
from dmzrep.training._config import TrainingConfig
from dmzrep.training._masking import drop_codes, keep_prefixes
from dmzrep.training._micro_batches import MicroBatches
from dmzrep.training.distributed._processes import Processes

#: Share of a run, at its end, in which an encoder that was shown other views is kept as it is.
RESTING_SHARE = 0.15


class BatchLoss(ABC):
    """Draws what is random in a step, and leaves the gradients of a batch's loss in the weights.

    Parameters
    ----------
    model : DiffusionAutoencoder
        On its device.
    objective : Objective
        The loss.
    config : TrainingConfig
        Settings.
    seed : int
        Decides the order of the data, the timesteps and all noise.
    processes : Processes
        Those that share each batch.
    """

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
        if config.options.compile:
            self._denoiser, self._encoder = torch.compile(model.denoiser), torch.compile(model.encoder)

    @abstractmethod
    def progress(self, n_rows: int) -> float:
        """Share of the run that is done, in [0, 1]."""

    def _batch_loss(self, x0: Tensor, n_rows: int) -> Tensor:
        """Leave the gradients of a batch's mean loss in the weights; give this process's part of the loss.

        The code is made of the whole batch, whose rows its normalisation and terms compare. The denoiser,
        which needs most of the memory, then takes a part of the rows at a time, and what the code is to
        learn from all parts goes back to the encoder at once.
        """
        n = len(x0) * self.processes.size
        t, weights = (self.processes.mine(drawn) for drawn in self.timesteps.sample(n, self.order))
        t, weights = t.to(self.device), weights.to(self.device)
        with autocast(self.config.precision, self.device):
            code = shown = None
            if self.model.config.conditioning != "none":
                code = self._code(x0, n_rows)
                shown = self.processes.mine(self._shown(code[1]))
        leaf = None if shown is None else shown.detach().requires_grad_(shown.requires_grad)
        losses = self._denoising_losses(x0, t, weights * (1.0 / n), leaf)
        if self.timesteps.learns:
            self.timesteps.update(*(self.processes.whole(values) for values in (t, losses)))
        loss = (losses * weights).sum() / n
        if leaf is not None and leaf.requires_grad and leaf.grad is None and self.processes.size > 1:
            # A module of the user's may heed the code in another process, which then goes to the encoder.
            leaf.grad = torch.zeros_like(leaf)
        roots: list[Tensor] = []
        gradients: list[Tensor | None] = []
        if shown is not None and leaf is not None and leaf.grad is not None:
            roots, gradients = [shown], [leaf.grad]
        if code is not None and self.code_terms.present:
            terms = self.code_terms(*code, self.processes.whole(loss[None]).sum())
            if terms.requires_grad:
                roots, gradients = [*roots, self.scaler.scale(terms)], [*gradients, None]
            # Every process has the terms of all rows.
            loss = loss + terms.detach() / self.processes.size
        if roots:
            torch.autograd.backward(roots, gradients)
        return loss

    def _denoising_losses(self, x0: Tensor, t: Tensor, shares: Tensor, z: Tensor | None) -> Tensor:
        """Losses of rows, detached; gradients of their sum, each by its share, are left in weights and z."""
        noise, perturbation = self._randn(x0), self._perturbation(x0)
        losses = torch.zeros(len(x0), device=self.device)
        leaves = [*self.model.denoiser.parameters(), *([] if z is None else [z])]

        def denoise(part: slice) -> None:
            codes, extra = (None if values is None else values[part] for values in (z, perturbation))
            rows = x0[part], t[part], codes, noise[part], extra
            with autocast(self.config.precision, self.device):
                of_part = self.objective.losses(self._denoiser, *rows)
            losses[part] = of_part.detach()
            self.scaler.scale((of_part * shares[part]).sum()).backward()

        def forget() -> None:
            for leaf in leaves:
                leaf.grad = None

        self.micro_batches.run(len(x0), denoise, forget)
        return losses

    def _code(self, x0: Tensor, n_rows: int) -> tuple[Tensor, Tensor]:
        """Logits of the rows of all processes, if a term compares them, and relaxed bits drawn from them."""
        logits = self.processes.whole(self._logits(x0, n_rows), others=self.code_terms.present)
        z = relaxed_bernoulli(
            logits,
            self._temperature(n_rows),
            straight_through=self.config.options.straight_through,
            generator=self.noise,
        )
        return logits, z

    def _shown(self, z: Tensor) -> Tensor:
        """What the denoiser is shown of the relaxed bits."""
        if self.config.ordered:
            z = keep_prefixes(z, self.noise)
        if self.config.code_dropout:
            z = drop_codes(z, self.config.code_dropout, self.noise)
        return z

    def _logits(self, x0: Tensor, n_rows: int) -> Tensor:
        view = self.config.encoder_view
        if view is None:
            return self._encoder(x0).float()
        if not self._encoder_rests(n_rows):
            maps = view.draw(len(x0) * self.processes.size, self.order)
            return self._encoder(view.move(x0, self.processes.mine(maps))).float()
        # The encoder rests, and the denoiser gets to know its codes of images as they are.
        with torch.no_grad():
            return self._encoder(x0).float()

    def _encoder_rests(self, n_rows: int) -> bool:
        return self.progress(n_rows) >= 1.0 - RESTING_SHARE

    def _temperature(self, n_rows: int) -> float:
        return self.config.options.temperature

    def _randn(self, like: Tensor) -> Tensor:
        n = len(like) * self.processes.size
        noise = torch.randn((n, *like.shape[1:]), generator=self.noise, device=like.device)
        return self.processes.mine(noise).contiguous(memory_format=memory_format(self.model.config))

    def _perturbation(self, x0: Tensor) -> Tensor | None:
        return self._randn(x0) if self.objective.input_perturbation else None
